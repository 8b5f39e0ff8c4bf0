// HDF5 files read by the C interface alone, in one process.
#pragma once

#include <hdf5.h>

#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

namespace flashring::test {

struct Dataset {
  std::vector<hsize_t> extents;
  std::vector<double> values;
  bool little_endian_double = false;
};

inline Dataset read_dataset(const std::filesystem::path &file, const std::string &name) {
  Dataset result;
  const hid_t handle = H5Fopen(file.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
  const hid_t dataset = H5Dopen2(handle, name.c_str(), H5P_DEFAULT);
  const hid_t space = H5Dget_space(dataset);
  const hid_t type = H5Dget_type(dataset);
  result.little_endian_double = H5Tequal(type, H5T_IEEE_F64LE) > 0;
  result.extents.resize(static_cast<std::size_t>(H5Sget_simple_extent_ndims(space)));
  H5Sget_simple_extent_dims(space, result.extents.data(), nullptr);
  result.values.resize(static_cast<std::size_t>(H5Sget_simple_extent_npoints(space)));
  if (!result.values.empty()) H5Dread(dataset, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, result.values.data());
  H5Tclose(type);
  H5Sclose(space);
  H5Dclose(dataset);
  H5Fclose(handle);
  return result;
}

/// Sorted.
inline std::vector<std::string> dataset_names(const std::filesystem::path &file) {
  std::vector<std::string> names;
  const hid_t handle = H5Fopen(file.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
  const auto add = [](hid_t, const char *name, const H5L_info_t *, void *list) -> herr_t {
    static_cast<std::vector<std::string> *>(list)->emplace_back(name);
    return 0;
  };
  H5Literate(handle, H5_INDEX_NAME, H5_ITER_INC, nullptr, add, &names);
  H5Fclose(handle);
  return names;
}

inline std::string read_text_attribute(const std::filesystem::path &file, const std::string &object,
                                       const std::string &name) {
  const hid_t handle = H5Fopen(file.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
  const hid_t attribute = H5Aopen_by_name(handle, object.c_str(), name.c_str(), H5P_DEFAULT, H5P_DEFAULT);
  const hid_t type = H5Aget_type(attribute);
  char *text = nullptr;
  std::string result = "no such attribute";
  if (attribute >= 0 && H5Aread(attribute, type, static_cast<void *>(&text)) >= 0) result = text;
  H5free_memory(text);
  H5Tclose(type);
  H5Aclose(attribute);
  H5Fclose(handle);
  return result;
}

inline double read_number_attribute(const std::filesystem::path &file, const std::string &name) {
  double value = std::nan("");
  const hid_t handle = H5Fopen(file.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
  const hid_t attribute = H5Aopen(handle, name.c_str(), H5P_DEFAULT);
  H5Aread(attribute, H5T_NATIVE_DOUBLE, &value);
  H5Aclose(attribute);
  H5Fclose(handle);
  return value;
}

}  // namespace flashring::test
