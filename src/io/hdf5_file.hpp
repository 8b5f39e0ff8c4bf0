// Hdf5File: an HDF5 file that one process makes or adds to: metadata, small arrays, and places for large ones.
#pragma once

#include <hdf5.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "io/hdf5_handle.hpp"

namespace flashring {

/// Not collective: rank 0 makes the file, or opens it again to add to it, and closes it; then every rank writes its
/// rows of the large arrays at their place, as into any file. MPI-IO is not used: Open MPI's collective writes wait for
/// ever when one writer meets a full disk. Arrays are little-endian f8 in C order. Every failure is an Error that names
/// the file, what failed and HDF5's reason; HDF5's own printing of errors is off while an object lives.
class Hdf5File {
 public:
  /// make: replaces an existing file. add: opens a file that an Hdf5File made and closed.
  enum class Start { make, add };
  /// `values`: bytes that the new arrays will take. First the file is really extended by that size and the room for
  /// metadata filled, then cut back: HDF5 (1.10) that meets a full disk crashes at the end of the program.
  /// `user_block`: bytes at the beginning of a new file that HDF5 leaves to others, 0 or a power of two from 512.
  Hdf5File(std::string file, Start start, std::int64_t values, std::int64_t user_block = 0);
  Hdf5File(const Hdf5File &) = delete;
  Hdf5File &operator=(const Hdf5File &) = delete;
  ~Hdf5File();

  /// (values.size())
  void write_vector(const std::string &name, std::span<const double> values);
  /// (extents), row-major
  void write_array(const std::string &name, std::span<const double> values, const std::vector<hsize_t> &extents);

  /// Makes a dataset that is filled later. Returns the offset of its first value in the file, bytes; 0 for a dataset
  /// without values.
  std::int64_t reserve(const std::string &name, const std::vector<hsize_t> &extents);
  /// The same for whole numbers, little-endian i8.
  std::int64_t reserve_integers(const std::string &name, const std::vector<hsize_t> &extents);

  /// `object` is "/" or a dataset. Text is UTF-8.
  void set_attribute(const std::string &object, const std::string &name, const std::string &value);
  void set_attribute(const std::string &object, const std::string &name, double value);
  void set_attribute(const std::string &object, const std::string &name, std::int64_t value);

  /// Without it the destructor closes and failures stay unsaid.
  void close();

 private:
  void check(bool good, const std::string &what) const;
  hid_t create_dataset(const std::string &name, hid_t type, const std::vector<hsize_t> &extents) const;
  std::int64_t reserve(const std::string &name, hid_t type, const std::vector<hsize_t> &extents) const;
  void write_attribute(const std::string &object, const std::string &name, hid_t file_type, hid_t memory_type,
                       const void *value);

  std::string file_;
  Hdf5Silence silence_;
  hid_t handle_ = H5I_INVALID_HID;
};

}  // namespace flashring
