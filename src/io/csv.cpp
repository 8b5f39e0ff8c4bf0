// Points from text. Each rank counts the rows that begin in its share of the bytes; then each parses its rows of the
// contiguous partition (where rows are taken block by block, those of its share) from the share on where they begin.
// Cost: every byte is read twice, and those before a rank's first row in that share once more, since lines differ in
// length; a rank holds its points and a buffer.
// A line's number is the count of the lines before it, on the ranks before this one too, so that a message names the
// first bad line of the file whoever met it.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <numeric>

#include "flashring/check.hpp"
#include "flashring/readers.hpp"
#include "io/csv_line.hpp"
#include "io/file_handle.hpp"
#include "io/line_reader.hpp"
#include "io/point_file.hpp"

namespace flashring {
namespace {

constexpr std::size_t buffer_bytes = std::size_t{4} << 20U;  // large enough for full disk speed
constexpr std::size_t first_bytes = std::size_t{1} << 16U;   // every rank reads the first lines

constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";  // of some editors, before the first line

/// What the first line that is no comment tells.
struct CsvLayout {
  std::int64_t bytes = 0;
  char separator = ',';
  std::size_t fields = 0;
  std::int64_t first_line = 0;  ///< its number, from 1
  std::int64_t header = -1;     ///< its offset when it is a header
};

struct CsvFile {
  std::string name;
  std::unique_ptr<FileHandle> handle;
  CsvLayout layout;
};

/// The next line of `reader`, the mark before the first one taken off.
bool next_line(LineReader &reader, std::string_view &line) {
  if (!reader.next(line)) return false;
  if (reader.begin() == 0 && line.substr(0, 3) == byte_order_mark) line.remove_prefix(3);
  return true;
}

/// A header has words only. Numbers among them mean either a bad field in the first point, which must not be lost, or
/// columns named by numbers.
bool is_header(const std::string &file, std::int64_t line, const std::vector<std::string_view> &fields) {
  std::size_t word = fields.size();
  bool numbers = false;
  for (std::size_t c = 0; c < fields.size(); ++c) {
    double value = 0;
    if (fields[c].empty()) continue;
    if (parse_number(fields[c], value))
      numbers = numbers || std::isfinite(value);  // nan may be a name
    else if (word == fields.size())
      word = c;
  }
  FLASHRING_CHECK(word == fields.size() || !numbers, file, ": line ", line, ", column ", word + 1, ": '",
                  fields[word].substr(0, 40),
                  "' stands among numbers; correct it, or, if this is a header, name every column by a word");
  return word < fields.size();
}

CsvLayout find_layout(const std::string &file, const FileHandle &handle) {
  CsvLayout layout;
  layout.bytes = handle.size();
  FLASHRING_CHECK(layout.bytes > 0, file, ": is empty; write one row of numbers per point");
  const bool tabs = has_ending(file, ".tsv");
  LineReader reader(file, handle, 0, first_bytes);
  std::string_view line;
  while (next_line(reader, line)) {
    ++layout.first_line;
    const bool wide = line.substr(0, 2) == "\xFF\xFE" || line.substr(0, 2) == "\xFE\xFF";
    FLASHRING_CHECK(!wide, file, ": is text in UTF-16; save it as UTF-8");
    layout.separator = tabs ? '\t' : find_separator(line);
    if (is_skipped(line, layout.separator)) continue;
    const std::vector<std::string_view> fields = split_fields(line, layout.separator);
    layout.fields = fields.size();
    if (is_header(file, layout.first_line, fields)) layout.header = reader.begin();
    FLASHRING_CHECK(layout.header < 0 || !fields.front().empty(), file, ": line ", layout.first_line,
                    ", column 1: the name is empty, as that of the row numbers which pandas and R write; write the "
                    "file without them (index=False, row.names=FALSE)");
    return layout;
  }
  throw Error(detail::concatenate(file, ": holds no points, only empty lines and comments; write one row per point"));
}

CsvFile open_csv(const std::string &file, const Communicator &communicator) {
  CsvFile csv;
  csv.name = file;
  communicator.agree([&] {
    csv.handle = std::make_unique<FileHandle>(file, O_RDONLY | O_CLOEXEC);
    csv.layout = find_layout(file, *csv.handle);
  });
  check_common(file, detail::concatenate(csv.layout.bytes, " bytes of ", csv.layout.fields, " fields a line"),
               communicator);
  return csv;
}

/// The lines that begin at a byte of [begin, end) and hold a row. The file must outlive it.
class CsvRows {
 public:
  CsvRows(const CsvFile &csv, std::int64_t begin, std::int64_t end)
      : csv_(csv),
        end_(end),
        // A line begins behind the end of another one: from the byte before, the first end is passed over.
        reader_(csv.name, *csv.handle, std::max<std::int64_t>(0, begin - 1), buffer_bytes) {
    std::string_view line;
    ended_ = begin >= end || (begin > 0 && !reader_.next(line));
  }

  /// False behind the last one.
  bool next(std::string_view &line) {
    while (!ended_ && next_line(reader_, line) && reader_.begin() < end_) {
      ++lines_;
      if (!is_skipped(line, csv_.layout.separator) && reader_.begin() != csv_.layout.header) return true;
    }
    ended_ = true;
    return false;
  }
  /// Lines of all kinds that were looked at.
  std::int64_t lines() const { return lines_; }

 private:
  const CsvFile &csv_;
  std::int64_t end_;
  LineReader reader_;
  std::int64_t lines_ = 0;
  bool ended_ = false;
};

/// Every rank's number.
std::vector<std::int64_t> gather_counts(const Communicator &communicator, std::int64_t count) {
  const std::vector<std::byte> bytes = communicator.gather(std::as_bytes(std::span<const std::int64_t>(&count, 1)));
  std::vector<std::int64_t> counts(bytes.size() / sizeof(count));
  std::memcpy(counts.data(), bytes.data(), bytes.size());
  return counts;
}

/// Where rows lie in a text: what every rank counted in its share of the bytes.
struct CsvShares {
  std::vector<std::int64_t> begins;  // (ranks) first byte
  std::vector<std::int64_t> rows;    // (ranks)
  std::vector<std::int64_t> lines;   // (ranks) of all kinds
};

CsvShares count_shares(const CsvFile &csv, const Communicator &communicator) {
  const RowPartition bytes = RowPartition::contiguous(csv.layout.bytes, communicator.size());
  const std::vector<RowRange> &mine = bytes.ranges(communicator.rank());
  const std::int64_t begin = mine.empty() ? csv.layout.bytes : mine.front().begin.value;
  std::int64_t rows = 0;
  std::int64_t lines = 0;
  communicator.agree([&] {
    CsvRows counting(csv, begin, begin + bytes.local_rows(communicator.rank()));
    for (std::string_view line; counting.next(line);) ++rows;
    lines = counting.lines();
  });
  return {gather_counts(communicator, begin), gather_counts(communicator, rows), gather_counts(communicator, lines)};
}

void check_points(const CsvFile &csv, std::int64_t rows) {
  FLASHRING_CHECK(rows > 0, csv.name, ": holds a header in line ", csv.layout.first_line,
                  " and no points; write one row of numbers per point");
}

/// A text whose rows are taken one after the other.
class CsvStream {
 public:
  /// From global row `first` on: the rows before it in the share where it lies are passed over.
  CsvStream(CsvFile csv, const CsvShares &shares, std::int64_t first)
      : csv_(std::move(csv)), rows_(csv_, begin_of(shares, first), csv_.layout.bytes) {
    std::string_view line;
    while (first > 0 && rows_.next(line)) --first;
  }

  std::vector<double> read(std::int64_t count) {
    const CsvLayout &layout = csv_.layout;
    std::vector<double> values(static_cast<std::size_t>(count) * layout.fields);
    std::string_view line;
    for (std::int64_t i = 0; i < count; ++i) {
      FLASHRING_CHECK(rows_.next(line), csv_.name,
                      ": ends early: it was cut off while it is read; let no other program ", "write it and run again");
      const auto row = std::span(values).subspan(static_cast<std::size_t>(i) * layout.fields, layout.fields);
      if (parse_line(line, layout.separator, row)) continue;
      throw Error(detail::concatenate(csv_.name, ": line ", lines_before_ + rows_.lines(),
                                      explain_line(line, layout.separator, layout.fields, layout.first_line)));
    }
    return values;
  }

 private:
  /// First byte of the share where row `first` lies; `first` becomes its number there.
  std::int64_t begin_of(const CsvShares &shares, std::int64_t &first) {
    std::size_t share = 0;
    for (; share + 1 < shares.rows.size() && first >= shares.rows[share]; ++share) {
      first -= shares.rows[share];
      lines_before_ += shares.lines[share];
    }
    return shares.begins[share];
  }

  std::int64_t lines_before_ = 0;
  CsvFile csv_;
  CsvRows rows_;
};

}  // namespace

PointBlock read_csv(const std::string &file, const Communicator &communicator) {
  CsvFile csv = open_csv(file, communicator);
  const CsvShares shares = count_shares(csv, communicator);
  const std::int64_t rows = std::accumulate(shares.rows.begin(), shares.rows.end(), std::int64_t{0});
  PointBlock points;
  communicator.agree([&] {
    check_points(csv, rows);
    const int rank = communicator.rank();
    RowPartition partition = RowPartition::contiguous(rows, communicator.size());
    const int features = static_cast<int>(csv.layout.fields);
    const std::int64_t count = partition.local_rows(rank);
    const std::int64_t first = count > 0 ? partition.global_row(rank, LocalRow{0}).value : 0;
    std::vector<double> values;
    if (count > 0) values = CsvStream(std::move(csv), shares, first).read(count);
    points = PointBlock(std::move(partition), rank, features, std::move(values));
  });
  return points;
}

OpenPoints open_csv_points(const std::string &file, const Communicator &communicator) {
  CsvFile csv = open_csv(file, communicator);
  const CsvShares shares = count_shares(csv, communicator);
  RowPartition partition = RowPartition::from_counts(shares.rows);
  communicator.agree([&] { check_points(csv, partition.rows()); });
  const PointShape shape{partition.rows(), static_cast<int>(csv.layout.fields)};
  const auto before = shares.rows.begin() + communicator.rank();
  const auto stream = std::make_shared<CsvStream>(std::move(csv), shares,
                                                  std::accumulate(shares.rows.begin(), before, std::int64_t{0}));
  const auto read = [stream](std::int64_t /*begin*/, std::int64_t count) { return stream->read(count); };
  return {file, shape, std::move(partition), read};
}

}  // namespace flashring
