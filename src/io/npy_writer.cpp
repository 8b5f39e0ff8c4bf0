#include "io/npy_writer.hpp"

#include <bit>

#include "flashring/check.hpp"
#include "io/file_handle.hpp"

namespace flashring {
namespace {

constexpr std::int64_t header_bytes = 128;  // multiple of 64, so that values are aligned in a mapped file

/// Magic, format 1.0, length of the dictionary, and the dictionary filled up with spaces to a fixed size.
std::string npy_header(std::int64_t rows, int columns) {
  std::string dictionary =
      detail::concatenate("{'descr': '<f8', 'fortran_order': False, 'shape': (", rows, ", ", columns, "), }");
  dictionary.resize(header_bytes - 11, ' ');
  std::string header("\x93NUMPY\x01\x00", 8);
  header += static_cast<char>(dictionary.size() + 1);
  header += '\0';
  return header + dictionary + '\n';
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
  communicator.agree([&] {
    if (communicator.rank() != 0) return;
    FileHandle handle(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC);
    const std::string header = npy_header(partition.rows(), matrix.columns);
    handle.write(std::as_bytes(std::span(header)), 0);
    handle.close();
  });
  communicator.agree([&] {
    const std::vector<RowPiece> pieces = row_pieces(partition, communicator.rank(), matrix.columns);
    write_rows(file, header_bytes, matrix, pieces);
  });
}

}  // namespace flashring
