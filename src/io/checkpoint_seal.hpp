// CheckpointSeal: the first bytes of a checkpoint, written last. They say where the large arrays lie and what every
// byte after them sums up to, so that nothing is given to HDF5 (which a damaged file can crash) before it is known to
// be as it was written. docs/files.md specifies the file.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "io/file_handle.hpp"

namespace flashring {

/// An HDF5 user block: a power of two from 512. Room for dozens of large arrays.
inline constexpr std::int64_t seal_bytes = 4096;

/// An (N, columns) array of a checkpoint, row after row.
struct CheckpointRegion {
  std::string name;
  int columns = 0;
  std::int64_t offset = 0;     ///< of its first value in the file, bytes
  std::uint64_t checksum = 0;  ///< its word sum (base/word_sum.hpp); value (i, c) has place i * columns + c
};

struct CheckpointSeal {
  std::int64_t rows = 0;   ///< N
  std::int64_t bytes = 0;  ///< of the whole file
  std::uint64_t rest = 0;  ///< word sum of all bytes that are neither in the seal nor in a region
  std::vector<CheckpointRegion> regions;
};

/// The first seal_bytes of a file. Throws Error when there are too many regions.
std::string seal_text(const CheckpointSeal &seal);

/// Throws Error that names the file and says what is wrong: empty, not a checkpoint, not complete, of a newer format,
/// cut off, damaged.
CheckpointSeal read_seal(const std::string &file, const FileHandle &handle);

/// Whether a file claims to be a checkpoint, of any format, whole or damaged.
bool begins_as_checkpoint(const FileHandle &handle);

/// CheckpointSeal::rest, computed from the file. Throws Error when it cannot be read.
std::uint64_t sum_of_rest(const FileHandle &handle, const CheckpointSeal &seal);

}  // namespace flashring
