// Points from text. Each rank parses the lines that begin in its share of the bytes; then the rows, whose number per
// rank is known only now, move to the contiguous partition. Cost: every byte is read once, every row moves once. Where
// rows are taken block by block they stay, and every byte is read twice: once to count them.
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

/// The lines that begin in this rank's share of the bytes and hold a row. The file must outlive it.
class CsvRows {
 public:
  CsvRows(const CsvFile &csv, const Communicator &communicator)
      : csv_(csv),
        shares_(RowPartition::contiguous(csv.layout.bytes, communicator.size()).ranges(communicator.rank())),
        // A line begins behind the end of another one: from the byte before the share, the first end is passed over.
        reader_(csv.name, *csv.handle, std::max<std::int64_t>(0, begin() - 1), buffer_bytes) {
    std::string_view line;
    ended_ = shares_.empty() || (begin() > 0 && !reader_.next(line));
  }

  /// False behind the last one.
  bool next(std::string_view &line) {
    while (!ended_ && next_line(reader_, line) && reader_.begin() < begin() + shares_.front().count) {
      ++lines_;
      if (!is_skipped(line, csv_.layout.separator) && reader_.begin() != csv_.layout.header) return true;
    }
    ended_ = true;
    return false;
  }
  /// Lines of all kinds that were looked at.
  std::int64_t lines() const { return lines_; }

 private:
  std::int64_t begin() const { return shares_.empty() ? 0 : shares_.front().begin.value; }

  const CsvFile &csv_;
  std::vector<RowRange> shares_;  // one, or none
  LineReader reader_;
  std::int64_t lines_ = 0;
  bool ended_ = false;
};

/// What a rank found in its share of the bytes.
struct CsvShare {
  std::vector<double> values;  // (rows, fields)
  std::int64_t lines = 0;      ///< up to the fault, if there is one
  std::string fault;           ///< the words behind the number of the last line
};

CsvShare read_share(const CsvFile &csv, const Communicator &communicator) {
  CsvShare share;
  const CsvLayout &layout = csv.layout;
  std::vector<double> row(layout.fields);
  CsvRows rows(csv, communicator);
  for (std::string_view line; share.fault.empty() && rows.next(line);) {
    if (parse_line(line, layout.separator, row))
      share.values.insert(share.values.end(), row.begin(), row.end());
    else
      share.fault = explain_line(line, layout.separator, layout.fields, layout.first_line);
  }
  share.lines = rows.lines();
  return share;
}

/// Every rank's number.
std::vector<std::int64_t> gather_counts(const Communicator &communicator, std::int64_t count) {
  const std::vector<std::byte> bytes = communicator.gather(std::as_bytes(std::span<const std::int64_t>(&count, 1)));
  std::vector<std::int64_t> counts(bytes.size() / sizeof(count));
  std::memcpy(counts.data(), bytes.data(), bytes.size());
  return counts;
}

/// Lines on the ranks before this one.
std::int64_t lines_before(const Communicator &communicator, std::int64_t lines) {
  const std::vector<std::int64_t> all = gather_counts(communicator, lines);
  return std::accumulate(all.begin(), all.begin() + communicator.rank(), std::int64_t{0});
}

void check_points(const CsvFile &csv, std::int64_t rows) {
  FLASHRING_CHECK(rows > 0, csv.name, ": holds a header in line ", csv.layout.first_line,
                  " and no points; write one row of numbers per point");
}

/// A text whose rows are taken one after the other.
struct CsvStream {
  CsvStream(CsvFile file, const Communicator &communicator) : csv(std::move(file)), rows(csv, communicator) {}
  CsvFile csv;
  CsvRows rows;
  std::int64_t lines_before = 0;

  std::vector<double> read(std::int64_t count) {
    const CsvLayout &layout = csv.layout;
    std::vector<double> values(static_cast<std::size_t>(count) * layout.fields);
    std::string_view line;
    for (std::int64_t i = 0; i < count; ++i) {
      FLASHRING_CHECK(rows.next(line), csv.name, ": ends early: it was cut off while it is read; let no other program ",
                      "write it and run again");
      const auto row = std::span(values).subspan(static_cast<std::size_t>(i) * layout.fields, layout.fields);
      if (parse_line(line, layout.separator, row)) continue;
      throw Error(detail::concatenate(csv.name, ": line ", lines_before + rows.lines(),
                                      explain_line(line, layout.separator, layout.fields, layout.first_line)));
    }
    return values;
  }
};

}  // namespace

PointBlock read_csv(const std::string &file, const Communicator &communicator) {
  const CsvFile csv = open_csv(file, communicator);
  const int rank = communicator.rank();
  CsvShare share;
  communicator.agree([&] { share = read_share(csv, communicator); });
  const std::int64_t before = lines_before(communicator, share.lines);
  communicator.agree([&] { FLASHRING_CHECK(share.fault.empty(), file, ": line ", before + share.lines, share.fault); });
  const auto mine = static_cast<std::int64_t>(share.values.size() / csv.layout.fields);
  RowPartition partition = RowPartition::from_counts(gather_counts(communicator, mine));
  const std::int64_t rows = partition.rows();
  PointBlock points;
  communicator.agree([&] {
    check_points(csv, rows);
    points = PointBlock(std::move(partition), rank, static_cast<int>(csv.layout.fields), std::move(share.values));
  });
  return redistribute(communicator, std::move(points), RowPartition::contiguous(rows, communicator.size()));
}

OpenPoints open_csv_points(const std::string &file, const Communicator &communicator) {
  const auto stream = std::make_shared<CsvStream>(open_csv(file, communicator), communicator);
  CsvRows counting(stream->csv, communicator);
  std::int64_t rows = 0;
  communicator.agree([&] {
    for (std::string_view line; counting.next(line);) ++rows;
  });
  stream->lines_before = lines_before(communicator, counting.lines());
  RowPartition partition = RowPartition::from_counts(gather_counts(communicator, rows));
  communicator.agree([&] { check_points(stream->csv, partition.rows()); });
  const PointShape shape{partition.rows(), static_cast<int>(stream->csv.layout.fields)};
  const auto read = [stream](std::int64_t /*begin*/, std::int64_t count) { return stream->read(count); };
  return {file, shape, std::move(partition), read};
}

}  // namespace flashring
