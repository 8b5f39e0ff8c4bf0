// Hdf5Dataset: an open dataset, found by the name that the user gave or as the only one of its file.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "io/hdf5_handle.hpp"

namespace flashring {

struct Hdf5Dataset {
  std::string place;  ///< FILE:/DATASET
  Hdf5Handle file, dataset;
  std::vector<std::int64_t> axes;
};

/// `asked` may be empty where the file holds just one. Throws Error that names the datasets there are.
Hdf5Dataset open_hdf5_dataset(const std::string &file, const std::string &asked);

/// Throws Error for types that HDF5 makes no doubles of.
void check_converted(const Hdf5Dataset &dataset);

/// A block of values in C order. start, extents: (axes). `what` names it in messages ("rows 3 to 5").
void read_block(const Hdf5Dataset &dataset, const std::string &what, std::span<const hsize_t> start,
                std::span<const hsize_t> extents, hid_t memory_type, void *out);

/// "(2, 3)"
std::string shape_text(const std::vector<std::int64_t> &axes);

}  // namespace flashring
