// Hdf5Input: an HDF5 file that one process reads: attributes of "/" and small arrays.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "io/hdf5_handle.hpp"

namespace flashring {

/// The file, read-only. Throws Error: missing, no HDF5, cut off or being written.
Hdf5Handle open_hdf5(const std::string &file);

/// Not collective. What is missing, or of another type, is an Error that names the file, the thing and `remedy`, which
/// ends the sentence. HDF5's own printing of errors is off while an object lives.
class Hdf5Input {
 public:
  Hdf5Input(std::string file, std::string remedy);

  bool has(const std::string &dataset) const;
  bool has_attribute(const std::string &name) const;
  /// Attributes of "/".
  std::string text(const std::string &name) const;
  double number(const std::string &name) const;
  std::int64_t whole_number(const std::string &name) const;
  /// A dataset of numbers, all of it, row-major: (n), or with another number of axes.
  std::vector<double> vector(const std::string &dataset, int axes = 1) const;

 private:
  void read_attribute(const std::string &name, H5T_class_t kind, hid_t memory_type, void *value) const;
  void check(bool good, const std::string &what) const;

  Hdf5Silence silence_;
  std::string file_, remedy_;
  Hdf5Handle handle_;
};

}  // namespace flashring
