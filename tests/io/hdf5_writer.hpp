// HDF5 files written by the C interface alone, in one process.
#pragma once

#include <hdf5.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <string>
#include <type_traits>
#include <vector>

namespace flashring::test {

template <class T>
hid_t native_type() {
  if constexpr (std::is_same_v<T, double>) return H5T_NATIVE_DOUBLE;
  if constexpr (std::is_same_v<T, float>) return H5T_NATIVE_FLOAT;
  if constexpr (std::is_same_v<T, std::int8_t>) return H5T_NATIVE_INT8;
  if constexpr (std::is_same_v<T, std::uint8_t>) return H5T_NATIVE_UINT8;
  if constexpr (std::is_same_v<T, std::int16_t>) return H5T_NATIVE_INT16;
  if constexpr (std::is_same_v<T, std::uint16_t>) return H5T_NATIVE_UINT16;
  if constexpr (std::is_same_v<T, std::int32_t>) return H5T_NATIVE_INT32;
  if constexpr (std::is_same_v<T, std::uint32_t>) return H5T_NATIVE_UINT32;
  if constexpr (std::is_same_v<T, std::int64_t>) return H5T_NATIVE_INT64;
  if constexpr (std::is_same_v<T, std::uint64_t>) return H5T_NATIVE_UINT64;
}

/// A new file, closed with the object.
class Hdf5Writer {
 public:
  explicit Hdf5Writer(const std::filesystem::path &file)
      : file_(H5Fcreate(file.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT)) {}
  Hdf5Writer(const Hdf5Writer &) = delete;
  Hdf5Writer &operator=(const Hdf5Writer &) = delete;
  ~Hdf5Writer() { H5Fclose(file_); }
  hid_t id() const { return file_; }

  void group(const std::string &name) const { H5Gclose(H5Gcreate2(file_, name.c_str(), 0, 0, 0)); }

  /// `chunk`: empty for a contiguous dataset; `gzip`: level, 0 for none. `data` may be null: nothing is written.
  void dataset(const std::string &name, hid_t file_type, hid_t memory_type, const std::vector<hsize_t> &extents,
               const void *data, std::vector<hsize_t> chunk = {}, unsigned gzip = 0) const {
    for (std::size_t a = 0; a < chunk.size(); ++a) chunk[a] = std::min(chunk[a], extents[a]);  // HDF5 wants that
    const hid_t space = H5Screate_simple(static_cast<int>(extents.size()), extents.data(), nullptr);
    const hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
    if (!chunk.empty()) H5Pset_chunk(creation, static_cast<int>(chunk.size()), chunk.data());
    if (gzip > 0) H5Pset_shuffle(creation);
    if (gzip > 0) H5Pset_deflate(creation, gzip);
    const hid_t id = H5Dcreate2(file_, name.c_str(), file_type, space, H5P_DEFAULT, creation, H5P_DEFAULT);
    if (data != nullptr) H5Dwrite(id, memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data);
    H5Dclose(id);
    H5Pclose(creation);
    H5Sclose(space);
  }

 private:
  hid_t file_;
};

}  // namespace flashring::test
