// Points from an NPY file. Every rank reads the header and then its own rows alone: in C order they are one run of the
// file, in Fortran order one run per feature. Memory beside the result: one bounded buffer.
#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "flashring/check.hpp"
#include "flashring/readers.hpp"
#include "io/file_handle.hpp"
#include "io/npy_header.hpp"

namespace flashring {
namespace {

constexpr std::size_t buffer_bytes = std::size_t{4} << 20U;  // large enough for full disk speed

struct NpyFile {
  NpyHeader header;
  std::int64_t rows = 0;      // N
  std::int64_t features = 0;  // d
};

template <class T>
void convert_as(const std::byte *raw, std::size_t count, bool swap, double *out, std::int64_t stride) {
  for (std::size_t i = 0; i < count; ++i, out += stride) {
    std::byte bytes[sizeof(T)];
    std::memcpy(bytes, raw + i * sizeof(T), sizeof(T));
    if (swap) std::reverse(std::begin(bytes), std::end(bytes));
    T value;
    std::memcpy(&value, bytes, sizeof(T));
    *out = static_cast<double>(value);
  }
}

/// `count` values of the file's type into out[0], out[stride], ...
void convert(const NpyType &type, const std::byte *raw, std::size_t count, double *out, std::int64_t stride) {
  const auto run = [&]<class T>(T) { convert_as<T>(raw, count, type.swap, out, stride); };
  if (type.kind == 'f') return type.bytes == 4 ? run(float{}) : run(double{});
  if (type.kind == 'b') return run(std::uint8_t{});
  const bool is_signed = type.kind == 'i';
  if (type.bytes == 1) return is_signed ? run(std::int8_t{}) : run(std::uint8_t{});
  if (type.bytes == 2) return is_signed ? run(std::int16_t{}) : run(std::uint16_t{});
  if (type.bytes == 4) return is_signed ? run(std::int32_t{}) : run(std::uint32_t{});
  return is_signed ? run(std::int64_t{}) : run(std::uint64_t{});
}

void check_shape(const std::string &file, const NpyHeader &header, std::int64_t file_bytes) {
  const std::string &shape = header.shape_text;
  FLASHRING_CHECK(header.shape.size() == 1 || header.shape.size() == 2, file, ": has shape ", shape, ", ",
                  header.shape.size(), " axes; points need (N, d) or (N,): reshape the array to one row per point");
  FLASHRING_CHECK(header.shape[0] > 0, file, ": has shape ", shape, ", no points (N = 0); write at least one row");
  const std::int64_t features = header.shape.size() == 2 ? header.shape[1] : 1;
  FLASHRING_CHECK(features > 0, file, ": has shape ", shape, ", points without features (d = 0); write at least one");
  FLASHRING_CHECK(features <= std::numeric_limits<int>::max(), file, ": has ", features, " features (d), more than ",
                  std::numeric_limits<int>::max(), "; is the array transposed?");
  std::int64_t announced = 0;
  const bool overflow = __builtin_mul_overflow(header.shape[0], features, &announced) ||
                        __builtin_mul_overflow(announced, std::int64_t{header.type.bytes}, &announced);
  FLASHRING_CHECK(!overflow, file, ": announces the shape ", shape,
                  ", more bytes than a file can hold: the file is damaged; write it again");
  const std::int64_t held = std::max<std::int64_t>(0, file_bytes - header.data);
  FLASHRING_CHECK(held >= announced, file, ": holds ", held, " of the ", announced,
                  " bytes that its header announces (", shape, " of ", header.type.text,
                  "): the file is cut off; copy or write it again");
}

NpyFile open_npy(const std::string &file, const FileHandle &handle) {
  struct stat status {};
  FLASHRING_CHECK(::fstat(handle.descriptor(), &status) == 0 && !S_ISDIR(status.st_mode), file,
                  ": is a folder, not an NPY file; name the file in it");
  NpyFile npy;
  npy.header = read_npy_header(file, handle);
  check_shape(file, npy.header, status.st_size);
  npy.rows = npy.header.shape[0];
  npy.features = npy.header.shape.size() == 2 ? npy.header.shape[1] : 1;
  return npy;
}

/// `count` values that lie one after the other from value number `first`, into out[0], out[stride], ...
void read_run(const std::string &file, const FileHandle &handle, const NpyHeader &header, std::int64_t first,
              std::int64_t count, double *out, std::int64_t stride) {
  const std::int64_t size = header.type.bytes;
  const std::int64_t most = static_cast<std::int64_t>(buffer_bytes) / size;
  std::vector<std::byte> buffer(static_cast<std::size_t>(std::min(most, count) * size));
  for (std::int64_t at = 0; at < count; at += most) {
    const std::int64_t part = std::min(most, count - at);
    const std::int64_t offset = header.data + (first + at) * size;
    const std::span<std::byte> bytes = std::span(buffer).first(static_cast<std::size_t>(part * size));
    const std::size_t got = handle.read(bytes, offset);
    FLASHRING_CHECK(got == bytes.size(), file, ": ends at byte ", offset + static_cast<std::int64_t>(got),
                    " while it is read: it was cut off meanwhile; let no other program write it and run again");
    convert(header.type, buffer.data(), static_cast<std::size_t>(part), out + at * stride, stride);
  }
}

void check_finite(const std::string &file, const std::vector<double> &values, std::int64_t begin,
                  std::int64_t features) {
  const auto bad = std::find_if(values.begin(), values.end(), [](double value) { return !std::isfinite(value); });
  if (bad == values.end()) return;
  const std::int64_t at = bad - values.begin();
  throw Error(detail::concatenate(file, ": row ", begin + at / features, ", feature ", at % features,
                                  " (both counted from 0) is ", *bad,
                                  "; drop or fill rows with values that are not finite"));
}

/// Rows [begin, begin + count) as (count, features) row-major.
std::vector<double> read_rows(const std::string &file, const FileHandle &handle, const NpyFile &npy, std::int64_t begin,
                              std::int64_t count) {
  std::vector<double> values(static_cast<std::size_t>(count * npy.features));
  if (!npy.header.fortran_order) {
    read_run(file, handle, npy.header, begin * npy.features, count * npy.features, values.data(), 1);
  } else if (count > 0) {
    for (std::int64_t k = 0; k < npy.features; ++k)
      read_run(file, handle, npy.header, k * npy.rows + begin, count, values.data() + k, npy.features);
  }
  check_finite(file, values, begin, npy.features);
  return values;
}

/// Ranks on other machines may see another file under the same name; their partitions would not fit together.
void check_common(const std::string &file, const NpyFile &npy, const Communicator &communicator) {
  std::int64_t shape[2] = {npy.rows, npy.features};
  communicator.broadcast(std::as_writable_bytes(std::span(shape)), 0);
  communicator.agree([&] {
    FLASHRING_CHECK(shape[0] == npy.rows && shape[1] == npy.features, file, ": has ", npy.rows, " rows of ",
                    npy.features, " features here and ", shape[0], " of ", shape[1],
                    " on rank 0; give all ranks the same file, on a shared file system");
  });
}

}  // namespace

PointBlock read_npy(const std::string &file, const Communicator &communicator) {
  std::unique_ptr<FileHandle> handle;
  NpyFile npy;
  communicator.agree([&] {
    handle = std::make_unique<FileHandle>(file, O_RDONLY | O_CLOEXEC);
    npy = open_npy(file, *handle);
  });
  check_common(file, npy, communicator);
  PointBlock points;
  communicator.agree([&] {
    RowPartition partition = RowPartition::contiguous(npy.rows, communicator.size());
    const int rank = communicator.rank();
    const std::int64_t count = partition.local_rows(rank);
    const std::int64_t begin = count > 0 ? partition.global_row(rank, LocalRow{0}).value : 0;
    points = PointBlock(partition, rank, static_cast<int>(npy.features), read_rows(file, *handle, npy, begin, count));
  });
  return points;
}

}  // namespace flashring
