#include "io/npy_values.hpp"

#include <algorithm>
#include <cstring>

#include "flashring/check.hpp"
#include "io/file_handle.hpp"

namespace flashring {
namespace {

constexpr std::size_t buffer_bytes = std::size_t{4} << 20U;  // large enough for full disk speed

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

void read_whole(const std::string &file, const FileHandle &handle, std::span<std::byte> bytes, std::int64_t offset) {
  const std::size_t got = handle.read(bytes, offset);
  FLASHRING_CHECK(got == bytes.size(), file, ": ends at byte ", offset + static_cast<std::int64_t>(got),
                  " while it is read: it was cut off meanwhile; let no other program write it and run again");
}

}  // namespace

void check_npy_size(const std::string &file, const NpyHeader &header, const FileHandle &handle) {
  const std::string &shape = header.shape_text;
  std::int64_t announced = header.type.bytes;
  bool overflow = false;
  for (const std::int64_t extent : header.shape)
    overflow = __builtin_mul_overflow(announced, extent, &announced) || overflow;
  FLASHRING_CHECK(!overflow, file, ": announces the shape ", shape,
                  ", more bytes than a file can hold: the file is damaged; write it again");
  const std::int64_t held = std::max<std::int64_t>(0, handle.size() - header.data);
  FLASHRING_CHECK(held >= announced, file, ": holds ", held, " of the ", announced,
                  " bytes that its header announces (", shape, " of ", header.type.text,
                  "): the file is cut off; copy or write it again");
}

void read_npy_numbers(const std::string &file, const FileHandle &handle, const NpyHeader &header, std::int64_t first,
                      std::int64_t count, double *out, std::int64_t stride) {
  const std::int64_t size = header.type.bytes;
  const std::int64_t most = static_cast<std::int64_t>(buffer_bytes) / size;
  std::vector<std::byte> buffer(static_cast<std::size_t>(std::min(most, count) * size));
  for (std::int64_t at = 0; at < count; at += most) {
    const std::int64_t part = std::min(most, count - at);
    const std::int64_t offset = header.data + (first + at) * size;
    const std::span<std::byte> bytes = std::span(buffer).first(static_cast<std::size_t>(part * size));
    read_whole(file, handle, bytes, offset);
    convert(header.type, buffer.data(), static_cast<std::size_t>(part), out + at * stride, stride);
  }
}

void read_npy_stored(const std::string &file, const FileHandle &handle, const NpyHeader &header, std::int64_t first,
                     std::span<std::byte> bytes) {
  const std::int64_t size = header.type.bytes;
  read_whole(file, handle, bytes, header.data + first * size);
  if (!header.type.swap) return;
  for (auto value = bytes.begin(); value != bytes.end(); value += size) std::reverse(value, value + size);
}

}  // namespace flashring
