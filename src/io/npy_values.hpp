// Values of an NPY file: converted to double, or as they are stored.
#pragma once

#include <cstddef>
#include <span>

#include "io/npy_header.hpp"

namespace flashring {

/// Throws Error where the file holds less than its header announces.
void check_npy_size(const std::string &file, const NpyHeader &header, const FileHandle &handle);

/// `count` values that lie one after the other from value number `first`, into out[0], out[stride], ... A type that
/// check_converted accepts. One bounded buffer.
void read_npy_numbers(const std::string &file, const FileHandle &handle, const NpyHeader &header, std::int64_t first,
                      std::int64_t count, double *out, std::int64_t stride);

/// bytes.size() / header.type.bytes values from value number `first`, in this machine's byte order.
void read_npy_stored(const std::string &file, const FileHandle &handle, const NpyHeader &header, std::int64_t first,
                     std::span<std::byte> bytes);

}  // namespace flashring
