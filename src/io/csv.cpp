// Points from text. Each rank parses the lines that begin in its share of the bytes; then the rows, whose number per
// rank is known only now, move to the contiguous partition. Cost: every byte is read once, every row moves once.
// A line's number is the count of the lines before it, on the ranks before this one too, so that a message names the
// first bad line of the file whoever met it.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>

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

/// Calls `take(line)` for every line that begins in this rank's share of the bytes and holds a row, until it returns
/// false. Returns the number of lines that were looked at, all kinds.
template <class Take>
std::int64_t for_each_row(const CsvFile &csv, const Communicator &communicator, const Take &take) {
  const CsvLayout &layout = csv.layout;
  const RowPartition shares = RowPartition::contiguous(layout.bytes, communicator.size());
  const std::vector<RowRange> &ranges = shares.ranges(communicator.rank());
  if (ranges.empty()) return 0;
  const std::int64_t begin = ranges.front().begin.value;
  const std::int64_t end = begin + ranges.front().count;
  // A line begins behind the end of another one: from the byte before the share, the first end is passed over.
  LineReader reader(csv.name, *csv.handle, std::max<std::int64_t>(0, begin - 1), buffer_bytes);
  std::string_view line;
  if (begin > 0 && !reader.next(line)) return 0;
  std::int64_t lines = 0;
  while (next_line(reader, line) && reader.begin() < end) {
    ++lines;
    if (is_skipped(line, layout.separator) || reader.begin() == layout.header) continue;
    if (!take(line)) break;
  }
  return lines;
}

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
  share.lines = for_each_row(csv, communicator, [&](std::string_view line) {
    if (parse_line(line, layout.separator, row)) {
      share.values.insert(share.values.end(), row.begin(), row.end());
      return true;
    }
    share.fault = explain_line(line, layout.separator, layout.fields, layout.first_line);
    return false;
  });
  return share;
}

/// Every rank's number.
std::vector<std::int64_t> gather_counts(const Communicator &communicator, std::int64_t count) {
  const std::vector<std::byte> bytes = communicator.gather(std::as_bytes(std::span<const std::int64_t>(&count, 1)));
  std::vector<std::int64_t> counts(bytes.size() / sizeof(count));
  std::memcpy(counts.data(), bytes.data(), bytes.size());
  return counts;
}

void check_points(const CsvFile &csv, std::int64_t rows) {
  FLASHRING_CHECK(rows > 0, csv.name, ": holds a header in line ", csv.layout.first_line,
                  " and no points; write one row of numbers per point");
}

}  // namespace

PointBlock read_csv(const std::string &file, const Communicator &communicator) {
  const CsvFile csv = open_csv(file, communicator);
  const int rank = communicator.rank();
  CsvShare share;
  communicator.agree([&] { share = read_share(csv, communicator); });
  const std::vector<std::int64_t> lines = gather_counts(communicator, share.lines);
  communicator.agree([&] {
    std::int64_t line = share.lines;
    for (int r = 0; r < rank; ++r) line += lines[static_cast<std::size_t>(r)];
    FLASHRING_CHECK(share.fault.empty(), file, ": line ", line, share.fault);
  });
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

PointShape csv_shape(const std::string &file, const Communicator &communicator) {
  const CsvFile csv = open_csv(file, communicator);
  std::int64_t rows = 0;
  communicator.agree([&] { for_each_row(csv, communicator, [&](std::string_view) { return ++rows > 0; }); });
  rows = communicator.sum(rows);
  communicator.agree([&] { check_points(csv, rows); });
  return {rows, static_cast<int>(csv.layout.fields)};
}

}  // namespace flashring
