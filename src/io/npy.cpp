// Points from an NPY file. Every rank reads the header and then its own rows alone: in C order they are one run of the
// file, in Fortran order one run per feature. Memory beside the result: one bounded buffer.
#include <algorithm>
#include <cstring>
#include <memory>

#include "flashring/check.hpp"
#include "flashring/readers.hpp"
#include "io/file_handle.hpp"
#include "io/npy_header.hpp"
#include "io/point_file.hpp"

namespace flashring {
namespace {

constexpr std::size_t buffer_bytes = std::size_t{4} << 20U;  // large enough for full disk speed

struct NpyFile {
  NpyHeader header;
  PointShape shape;
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

void check_size(const std::string &file, const NpyFile &npy, std::int64_t file_bytes) {
  const NpyHeader &header = npy.header;
  const std::string &shape = header.shape_text;
  std::int64_t announced = 0;
  const bool overflow = __builtin_mul_overflow(npy.shape.rows, std::int64_t{npy.shape.features}, &announced) ||
                        __builtin_mul_overflow(announced, std::int64_t{header.type.bytes}, &announced);
  FLASHRING_CHECK(!overflow, file, ": announces the shape ", shape,
                  ", more bytes than a file can hold: the file is damaged; write it again");
  const std::int64_t held = std::max<std::int64_t>(0, file_bytes - header.data);
  FLASHRING_CHECK(held >= announced, file, ": holds ", held, " of the ", announced,
                  " bytes that its header announces (", shape, " of ", header.type.text,
                  "): the file is cut off; copy or write it again");
}

NpyFile open_npy(const std::string &file, const FileHandle &handle) {
  const std::int64_t bytes = handle.size();
  NpyFile npy;
  npy.header = read_npy_header(file, handle);
  npy.shape = shape_of_axes(file, npy.header.shape, npy.header.shape_text);
  check_size(file, npy, bytes);
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

/// Rows [begin, begin + count) as (count, features) row-major.
std::vector<double> read_rows(const std::string &file, const FileHandle &handle, const NpyFile &npy, std::int64_t begin,
                              std::int64_t count) {
  const std::int64_t features = npy.shape.features;
  std::vector<double> values(static_cast<std::size_t>(count * features));
  if (!npy.header.fortran_order) {
    read_run(file, handle, npy.header, begin * features, count * features, values.data(), 1);
    return values;
  }
  for (std::int64_t k = 0; k < features; ++k)
    read_run(file, handle, npy.header, k * npy.shape.rows + begin, count, values.data() + k, features);
  return values;
}

}  // namespace

OpenPoints open_npy_points(const std::string &file, const Communicator &communicator) {
  std::shared_ptr<FileHandle> handle;
  NpyFile npy;
  communicator.agree([&] {
    handle = std::make_shared<FileHandle>(file, O_RDONLY | O_CLOEXEC);
    npy = open_npy(file, *handle);
  });
  const auto read = [file, handle, npy](std::int64_t begin, std::int64_t count) {
    return read_rows(file, *handle, npy, begin, count);
  };
  return open_shares(file, npy.shape, communicator, read);
}

PointBlock read_npy(const std::string &file, const Communicator &communicator) {
  return read_shares(open_npy_points(file, communicator), communicator);
}

}  // namespace flashring
