#include "io/hdf5_dataset.hpp"

#include <algorithm>
#include <array>

#include "base/parse.hpp"
#include "flashring/check.hpp"
#include "io/hdf5_input.hpp"

namespace flashring {
namespace {

constexpr std::size_t most_listed = 20;  // datasets in a message

herr_t note_dataset(hid_t group, const char *name, const H5L_info_t *link, void *list) {
  if (link->type != H5L_TYPE_HARD) return 0;  // what other links point to may be missing
  const Hdf5Handle object(H5Oopen(group, name, H5P_DEFAULT), H5Oclose);
  if (!object.good() || H5Iget_type(object.id()) != H5I_DATASET) return 0;
  auto &names = *static_cast<std::vector<std::string> *>(list);
  names.push_back(std::string("/") + name);
  return names.size() > most_listed ? 1 : 0;  // enough
}

std::vector<std::string> find_datasets(const Hdf5Handle &file) {
  std::vector<std::string> names;
  H5Lvisit(file.id(), H5_INDEX_NAME, H5_ITER_INC, note_dataset, &names);
  return names;
}

/// "its datasets are /a, /b"
std::string describe_datasets(std::vector<std::string> names) {
  if (names.empty()) return "it has no datasets";
  if (names.size() == 1) return "its only dataset is " + names.front();
  if (names.size() > most_listed) names.back() = "...";
  return "its datasets are " + join(names);
}

/// The dataset to read, spelled with its leading slash.
std::string choose_dataset(const std::string &file, const Hdf5Handle &handle, const std::string &asked) {
  if (!asked.empty()) return asked.front() == '/' ? asked : "/" + asked;
  const std::vector<std::string> names = find_datasets(handle);
  FLASHRING_CHECK(!names.empty(), file, ": holds no dataset; write the numbers into one");
  FLASHRING_CHECK(names.size() == 1, file, ": holds several datasets; name one as ", file, ":", names.front(), "; ",
                  describe_datasets(names));
  return names.front();
}

Hdf5Handle open_dataset(const std::string &place, const Hdf5Handle &file, const std::string &name) {
  Hdf5Handle object(H5Oopen(file.id(), name.c_str(), H5P_DEFAULT), H5Oclose);
  const std::string reason = object.good() ? "" : hdf5_reason();
  FLASHRING_CHECK(object.good(), place, ": there is no such dataset (", reason, "); ",
                  describe_datasets(find_datasets(file)));
  const H5I_type_t type = H5Iget_type(object.id());
  FLASHRING_CHECK(type == H5I_DATASET, place, ": is a ", type == H5I_GROUP ? "group" : "named type",
                  ", not a dataset; ", describe_datasets(find_datasets(file)));
  return object;
}

/// Null for types that HDF5 makes doubles of, otherwise what they are.
const char *foreign_type(H5T_class_t type) {
  switch (type) {
    case H5T_INTEGER:
    case H5T_FLOAT:
    case H5T_ENUM:
      return nullptr;
    case H5T_STRING:
      return "text";
    case H5T_COMPOUND:
      return "compound values (records, or complex numbers)";
    case H5T_VLEN:
      return "lists of varying length";
    case H5T_ARRAY:
      return "arrays as single values";
    default:
      return "values that are not numbers";
  }
}

std::vector<std::int64_t> get_axes(const Hdf5Handle &dataset) {
  const Hdf5Handle space(H5Dget_space(dataset.id()), H5Sclose);
  std::array<hsize_t, H5S_MAX_RANK> extents{};
  const int count = H5Sget_simple_extent_dims(space.id(), extents.data(), nullptr);
  return {extents.begin(), extents.begin() + std::max(0, count)};
}

}  // namespace

Hdf5Dataset open_hdf5_dataset(const std::string &file, const std::string &asked) {
  Hdf5Dataset result;
  result.file = open_hdf5(file);
  const std::string name = choose_dataset(file, result.file, asked);
  result.place = file + ":" + name;
  result.dataset = open_dataset(result.place, result.file, name);
  result.axes = get_axes(result.dataset);
  return result;
}

void check_converted(const Hdf5Dataset &dataset) {
  const Hdf5Handle type(H5Dget_type(dataset.dataset.id()), H5Tclose);
  const char *foreign = foreign_type(H5Tget_class(type.id()));
  FLASHRING_CHECK(foreign == nullptr, dataset.place, ": holds ", foreign,
                  "; readable are real numbers: floating-point, integer and boolean types of any width; convert it");
}

void read_block(const Hdf5Dataset &dataset, const std::string &what, std::span<const hsize_t> start,
                std::span<const hsize_t> extents, hid_t memory_type, void *out) {
  const Hdf5Handle in_file(H5Dget_space(dataset.dataset.id()), H5Sclose);
  const Hdf5Handle in_memory(H5Screate_simple(static_cast<int>(dataset.axes.size()), extents.data(), nullptr),
                             H5Sclose);
  H5Sselect_hyperslab(in_file.id(), H5S_SELECT_SET, start.data(), nullptr, extents.data(), nullptr);
  const herr_t status = H5Dread(dataset.dataset.id(), memory_type, in_memory.id(), in_file.id(), H5P_DEFAULT, out);
  FLASHRING_CHECK(status >= 0, dataset.place, ": ", what, " cannot be read (", hdf5_reason(),
                  "); copy the file again, or write it uncompressed or with gzip");
}

std::string shape_text(const std::vector<std::int64_t> &axes) {
  std::vector<std::string> words;
  for (const std::int64_t extent : axes) words.push_back(std::to_string(extent));
  return "(" + join(words) + (words.size() == 1 ? ",)" : ")");
}

}  // namespace flashring
