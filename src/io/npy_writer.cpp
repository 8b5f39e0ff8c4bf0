#include "io/npy_writer.hpp"

#include <algorithm>
#include <bit>

#include "flashring/check.hpp"
#include "io/array_file.hpp"
#include "io/file_handle.hpp"
#include "io/hdf5_dataset.hpp"

namespace flashring {
namespace {

/// Magic, format 1.0, length of the dictionary, and the dictionary filled up with spaces to a multiple of 64, so that
/// values are aligned in a mapped file. `shape`: (2, 3)
std::string npy_header(const char *descr, const std::string &shape) {
  std::string dictionary =
      detail::concatenate("{'descr': '", descr, "', 'fortran_order': False, 'shape': ", shape, ", }");
  const std::size_t length = std::max<std::size_t>(128, (dictionary.size() + 11 + 63) / 64 * 64);
  dictionary.resize(length - 11, ' ');
  std::string header("\x93NUMPY\x01\x00", 8);
  header += static_cast<char>((dictionary.size() + 1) & 255U);
  header += static_cast<char>((dictionary.size() + 1) >> 8U);
  return header + dictionary + '\n';
}

void write_header(const Communicator &communicator, const std::string &file, const std::string &header) {
  communicator.agree([&] {
    if (communicator.rank() != 0) return;
    FileHandle handle(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC);
    handle.write(std::as_bytes(std::span(header)), 0);
    handle.close();
  });
}

const char *descr_of(Storage storage) {
  if (storage == Storage::fp64) return "<f8";
  if (storage == Storage::fp32) return "<f4";
  return storage == Storage::bf16 ? "<V2" : "<f2";
}

}  // namespace

void write_rows(const std::string &file, std::int64_t begin, const RowMatrix &matrix,
                const std::vector<RowPiece> &pieces) {
  static_assert(std::endian::native == std::endian::little, "the file's numbers are little-endian");
  if (pieces.empty() || matrix.columns == 0) return;
  FileHandle handle(file, O_WRONLY | O_CLOEXEC);
  std::vector<double> buffer;
  for (const RowPiece &piece : pieces) {
    buffer.resize(static_cast<std::size_t>(piece.count * matrix.columns));
    copy_rows(matrix, piece.local, piece.count, buffer.data());
    const std::int64_t row_bytes = std::int64_t{matrix.columns} * 8;
    handle.write(std::as_bytes(std::span(buffer)), begin + piece.global * row_bytes);
  }
  handle.close();
}

void write_integers(const std::string &file, std::int64_t begin, std::span<const std::int64_t> values, int columns,
                    const std::vector<RowPiece> &pieces) {
  if (pieces.empty()) return;
  FileHandle handle(file, O_WRONLY | O_CLOEXEC);
  const auto at = [columns](std::int64_t rows) { return static_cast<std::size_t>(rows * columns); };
  for (const RowPiece &piece : pieces)
    handle.write(std::as_bytes(values.subspan(at(piece.local), at(piece.count))),
                 begin + piece.global * columns * std::int64_t{8});
  handle.close();
}

void write_npy(const Communicator &communicator, const std::string &file, const RowMatrix &matrix,
               const RowPartition &partition) {
  const std::string header = npy_header("<f8", shape_text({partition.rows(), matrix.columns}));
  write_header(communicator, file, header);
  communicator.agree([&] {
    const std::vector<RowPiece> pieces = row_pieces(partition, communicator.rank(), matrix.columns);
    write_rows(file, static_cast<std::int64_t>(header.size()), matrix, pieces);
  });
}

void write_npy(const Communicator &communicator, const std::string &file, const ResultArray &array) {
  const std::string header = npy_header(descr_of(array.storage), shape_text(array.axes));
  write_header(communicator, file, header);
  const std::size_t row = storage_bytes(array.storage) * static_cast<std::size_t>(row_width(array.axes, array.axis));
  communicator.agree([&] {
    FileHandle handle(file, O_WRONLY | O_CLOEXEC);
    std::span<const std::byte> rest = array.values;
    for (std::int64_t entry = 0; entry < entries_before(array.axes, array.axis); ++entry)
      for (const RowRange &range : array.rows.ranges(communicator.rank())) {
        const std::int64_t first = entry * array.rows.rows() + range.begin.value;
        const std::size_t bytes = row * static_cast<std::size_t>(range.count);
        handle.write(rest.first(bytes),
                     static_cast<std::int64_t>(header.size() + row * static_cast<std::size_t>(first)));
        rest = rest.subspan(bytes);
      }
    handle.close();
  });
}

}  // namespace flashring
