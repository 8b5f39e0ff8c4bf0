// Labels: one per line, or one number per point; they are for pictures, which rank 0 draws.
#include <cmath>

#include "flashring/check.hpp"
#include "flashring/readers.hpp"
#include "io/file_handle.hpp"
#include "io/point_file.hpp"

namespace flashring {
namespace {

std::string read_text(const std::string &file) {
  const FileHandle handle(file, O_RDONLY | O_CLOEXEC);
  std::string text(static_cast<std::size_t>(handle.size()), '\0');
  text.resize(handle.read(std::as_writable_bytes(std::span(text)), 0));
  return text;
}

/// Lines without surrounding blanks; the end of the last line may be missing, empty lines at the end do not count.
std::vector<std::string> split_lines(std::string_view text) {
  if (text.substr(0, 3) == "\xEF\xBB\xBF") text.remove_prefix(3);  // byte order mark of some editors
  std::vector<std::string> lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    const std::size_t first = line.find_first_not_of(" \t\r");
    const std::size_t last = line.find_last_not_of(" \t\r");
    lines.emplace_back(first == std::string_view::npos ? std::string_view{} : line.substr(first, last - first + 1));
    text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
  }
  while (!lines.empty() && lines.back().empty()) lines.pop_back();
  return lines;
}

/// Classes are mostly whole numbers: 3, not 3.0; beyond 2^53 every double is whole and the shortest spelling is better.
std::string number_label(double value) {
  const bool whole = std::abs(value) < 0x1p53 && value == std::trunc(value);
  return whole ? std::to_string(static_cast<std::int64_t>(value)) : detail::shortest(value);
}

std::vector<std::string> read_number_labels(const std::string &file, std::int64_t rows,
                                            const Communicator &communicator) {
  std::string mine;
  for (const double value : read_vector("-labels", file, rows, communicator)) mine += number_label(value) + '\n';
  std::string all;
  for (const std::string &part : communicator.gather(mine)) all += part;
  return communicator.rank() == 0 ? split_lines(all) : std::vector<std::string>();
}

std::vector<std::string> read_text_labels(const std::string &file, std::int64_t rows,
                                          const Communicator &communicator) {
  std::vector<std::string> labels;
  communicator.agree([&] {
    if (communicator.rank() != 0) return;
    labels = split_lines(read_text(file));
    FLASHRING_CHECK(std::ssize(labels) == rows, file, ": holds ", labels.size(), " labels for ", rows,
                    " points; give one label per line, in the order of the points");
  });
  return labels;
}

}  // namespace

std::vector<std::string> read_labels(const std::string &file, std::int64_t rows, const Communicator &communicator) {
  const PointFormat format = parse_point_file(file).format;
  if (format == PointFormat::npy || format == PointFormat::hdf5) return read_number_labels(file, rows, communicator);
  return with_purpose("-labels", [&] { return read_text_labels(file, rows, communicator); });
}

}  // namespace flashring
