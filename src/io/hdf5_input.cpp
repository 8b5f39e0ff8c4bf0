#include "io/hdf5_input.hpp"

#include "flashring/check.hpp"
#include "io/file_handle.hpp"

namespace flashring {

Hdf5Handle open_hdf5(const std::string &file) {
  FileHandle(file, O_RDONLY | O_CLOEXEC).size();  // the system's own words for what is missing or a folder
  FLASHRING_CHECK(H5Fis_hdf5(file.c_str()) > 0, file,
                  ": is not an HDF5 file (it has no HDF5 signature); write it again, or name another file");
  const Hdf5Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  H5Pset_fapl_sec2(access.id());
  H5Pset_file_locking(access.id(), true, true);  // file systems without locks are read as well
  Hdf5Handle handle(H5Fopen(file.c_str(), H5F_ACC_RDONLY, access.id()), H5Fclose);
  FLASHRING_CHECK(handle.good(), file, ": cannot be opened as HDF5 (", hdf5_reason(),
                  "); end the program that still writes it, or copy the file again");
  return handle;
}

Hdf5Input::Hdf5Input(std::string file, std::string remedy)
    : file_(std::move(file)), remedy_(std::move(remedy)), handle_(open_hdf5(file_)) {}

void Hdf5Input::check(bool good, const std::string &what) const {
  FLASHRING_CHECK(good, file_, ": ", what, "; ", remedy_);
}

bool Hdf5Input::has(const std::string &dataset) const {
  return H5Lexists(handle_.id(), dataset.c_str(), H5P_DEFAULT) > 0;
}

bool Hdf5Input::has_attribute(const std::string &name) const { return H5Aexists(handle_.id(), name.c_str()) > 0; }

void Hdf5Input::read_attribute(const std::string &name, H5T_class_t kind, hid_t memory_type, void *value) const {
  check(has_attribute(name), "holds no attribute " + name);
  const Hdf5Handle attribute(H5Aopen(handle_.id(), name.c_str(), H5P_DEFAULT), H5Aclose);
  const Hdf5Handle type(H5Aget_type(attribute.id()), H5Tclose);
  const Hdf5Handle space(H5Aget_space(attribute.id()), H5Sclose);
  const bool fits = H5Tget_class(type.id()) == kind && H5Sget_simple_extent_npoints(space.id()) == 1 &&
                    (kind != H5T_STRING || H5Tis_variable_str(type.id()) > 0);
  check(fits, "attribute " + name + " is of another type");
  const herr_t status = H5Aread(attribute.id(), kind == H5T_STRING ? type.id() : memory_type, value);
  check(status >= 0, "attribute " + name + " cannot be read (" + hdf5_reason() + ")");
}

std::string Hdf5Input::text(const std::string &name) const {
  char *value = nullptr;
  read_attribute(name, H5T_STRING, H5I_INVALID_HID, static_cast<void *>(&value));
  std::string copy = value == nullptr ? "" : value;
  H5free_memory(value);
  return copy;
}

double Hdf5Input::number(const std::string &name) const {
  double value = 0;
  read_attribute(name, H5T_FLOAT, H5T_NATIVE_DOUBLE, &value);
  return value;
}

std::int64_t Hdf5Input::whole_number(const std::string &name) const {
  std::int64_t value = 0;
  read_attribute(name, H5T_INTEGER, H5T_NATIVE_INT64, &value);
  return value;
}

std::vector<double> Hdf5Input::vector(const std::string &name, int axes) const {
  check(has(name), "holds no array " + name);
  const Hdf5Handle dataset(H5Dopen2(handle_.id(), name.c_str(), H5P_DEFAULT), H5Dclose);
  const Hdf5Handle space(H5Dget_space(dataset.id()), H5Sclose);
  check(dataset.good() && H5Sget_simple_extent_ndims(space.id()) == axes,
        name + (axes == 1 ? " is no list of numbers" : " is no matrix of numbers"));
  std::vector<double> values(static_cast<std::size_t>(H5Sget_simple_extent_npoints(space.id())));
  if (values.empty()) return values;
  const herr_t status = H5Dread(dataset.id(), H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data());
  check(status >= 0, name + " cannot be read (" + hdf5_reason() + ")");
  return values;
}

}  // namespace flashring
