#include "io/hdf5_file.hpp"

#include "flashring/check.hpp"
#include "io/file_handle.hpp"

namespace flashring {
namespace {

constexpr std::int64_t metadata_bytes = std::int64_t{1} << 20U;  // dozens of datasets and attributes take a tenth

/// Limits of file size, full disks and quotas, found by doing.
void probe_room(const std::string &file, int flags, std::int64_t values) {
  FileHandle handle(file, flags | O_WRONLY | O_CLOEXEC);
  const std::int64_t end = handle.size();
  handle.resize(end + values + metadata_bytes);
  handle.write(std::vector<std::byte>(metadata_bytes, std::byte{1}), end);
  handle.sync();
  handle.resize(end);
  handle.close();
}

}  // namespace

Hdf5File::Hdf5File(std::string file, Start start, std::int64_t values, std::int64_t user_block)
    : file_(std::move(file)) {
  if (start == Start::make) {
    probe_room(file_, O_CREAT | O_TRUNC, values);
    const Hdf5Handle creation(H5Pcreate(H5P_FILE_CREATE), H5Pclose);
    H5Pset_userblock(creation.id(), static_cast<hsize_t>(user_block));
    handle_ = H5Fcreate(file_.c_str(), H5F_ACC_TRUNC, creation.id(), H5P_DEFAULT);
    check(handle_ >= 0, "the file cannot be made");
  } else {
    probe_room(file_, 0, values);
    handle_ = H5Fopen(file_.c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
    check(handle_ >= 0, "the file cannot be opened again");
  }
}

Hdf5File::~Hdf5File() {
  if (handle_ >= 0) H5Fclose(handle_);
}

void Hdf5File::close() {
  const herr_t status = H5Fclose(handle_);
  handle_ = H5I_INVALID_HID;
  check(status >= 0, "the file cannot be completed");
}

void Hdf5File::check(bool good, const std::string &what) const {
  if (good) return;
  const std::string reason = hdf5_reason();
  throw Error(detail::concatenate(file_, ": ", what, " (", reason, "); check the folder, free space and quota"));
}

hid_t Hdf5File::create_dataset(const std::string &name, hid_t type, const std::vector<hsize_t> &extents) const {
  const Hdf5Handle space(H5Screate_simple(static_cast<int>(extents.size()), extents.data(), nullptr), H5Sclose);
  const Hdf5Handle creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  H5Pset_alloc_time(creation.id(), H5D_ALLOC_TIME_EARLY);  // the place in the file is known at once
  H5Pset_fill_time(creation.id(), H5D_FILL_TIME_NEVER);    // every value is written later
  const hid_t dataset = H5Dcreate2(handle_, name.c_str(), type, space.id(), H5P_DEFAULT, creation.id(), H5P_DEFAULT);
  check(dataset >= 0, "dataset " + name + " cannot be made");
  return dataset;
}

std::int64_t Hdf5File::reserve(const std::string &name, const std::vector<hsize_t> &extents) {
  return reserve(name, H5T_IEEE_F64LE, extents);
}

std::int64_t Hdf5File::reserve_integers(const std::string &name, const std::vector<hsize_t> &extents) {
  return reserve(name, H5T_STD_I64LE, extents);
}

std::int64_t Hdf5File::reserve(const std::string &name, hid_t type, const std::vector<hsize_t> &extents) const {
  const Hdf5Handle dataset(create_dataset(name, type, extents), H5Dclose);
  for (const hsize_t extent : extents)
    if (extent == 0) return 0;
  const haddr_t offset = H5Dget_offset(dataset.id());
  check(offset != HADDR_UNDEF, "dataset " + name + " has no place in the file");
  return static_cast<std::int64_t>(offset);
}

void Hdf5File::write_vector(const std::string &name, std::span<const double> values) {
  write_array(name, values, {values.size()});
}

void Hdf5File::write_array(const std::string &name, std::span<const double> values,
                           const std::vector<hsize_t> &extents) {
  const Hdf5Handle dataset(create_dataset(name, H5T_IEEE_F64LE, extents), H5Dclose);
  if (values.empty()) return;
  const herr_t status = H5Dwrite(dataset.id(), H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data());
  check(status >= 0, "dataset " + name + " cannot be written");
}

void Hdf5File::write_attribute(const std::string &object, const std::string &name, hid_t file_type, hid_t memory_type,
                               const void *value) {
  const Hdf5Handle space(H5Screate(H5S_SCALAR), H5Sclose);
  const Hdf5Handle attribute(H5Acreate_by_name(handle_, object.c_str(), name.c_str(), file_type, space.id(),
                                               H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT),
                             H5Aclose);
  const bool good = attribute.good() && H5Awrite(attribute.id(), memory_type, value) >= 0;
  check(good, "attribute " + name + " of " + object + " cannot be written");
}

void Hdf5File::set_attribute(const std::string &object, const std::string &name, const std::string &value) {
  const Hdf5Handle type(H5Tcopy(H5T_C_S1), H5Tclose);
  H5Tset_size(type.id(), H5T_VARIABLE);  // read as text, not bytes, by the usual Python readers
  H5Tset_cset(type.id(), H5T_CSET_UTF8);
  const char *text = value.c_str();
  write_attribute(object, name, type.id(), type.id(), &text);
}

void Hdf5File::set_attribute(const std::string &object, const std::string &name, double value) {
  write_attribute(object, name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, &value);
}

void Hdf5File::set_attribute(const std::string &object, const std::string &name, std::int64_t value) {
  write_attribute(object, name, H5T_STD_I64LE, H5T_NATIVE_INT64, &value);
}

}  // namespace flashring
