// Points from an HDF5 file. Every rank opens the file by itself and reads its own rows, which HDF5 converts to double;
// MPI-IO is not used. Memory beside the result: HDF5's conversion buffer of 1 MiB and one chunk.
#include <algorithm>
#include <array>
#include <memory>

#include "base/parse.hpp"
#include "flashring/check.hpp"
#include "flashring/readers.hpp"
#include "io/hdf5_input.hpp"
#include "io/point_file.hpp"

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
  FLASHRING_CHECK(!names.empty(), file, ": holds no dataset; write the points into one, shape (N, d)");
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

void check_type(const std::string &place, const Hdf5Handle &dataset) {
  const Hdf5Handle type(H5Dget_type(dataset.id()), H5Tclose);
  const char *foreign = foreign_type(H5Tget_class(type.id()));
  FLASHRING_CHECK(foreign == nullptr, place, ": holds ", foreign,
                  "; readable are real numbers: floating-point, integer and boolean types of any width; convert it");
}

std::vector<std::int64_t> get_axes(const Hdf5Handle &dataset) {
  const Hdf5Handle space(H5Dget_space(dataset.id()), H5Sclose);
  std::array<hsize_t, H5S_MAX_RANK> extents{};
  const int count = H5Sget_simple_extent_dims(space.id(), extents.data(), nullptr);
  return {extents.begin(), extents.begin() + std::max(0, count)};
}

std::string shape_text(const std::vector<std::int64_t> &axes) {
  std::vector<std::string> words;
  for (const std::int64_t extent : axes) words.push_back(std::to_string(extent));
  return "(" + join(words) + (words.size() == 1 ? ",)" : ")");
}

/// An open dataset of points.
struct Hdf5Points {
  std::string place;  ///< FILE:/DATASET
  Hdf5Handle file, dataset;
  int axes = 2;
  PointShape shape;
};

Hdf5Points find_points(const std::string &file, const std::string &dataset) {
  Hdf5Points points;
  points.file = open_hdf5(file);
  const std::string name = choose_dataset(file, points.file, dataset);
  points.place = file + ":" + name;
  points.dataset = open_dataset(points.place, points.file, name);
  check_type(points.place, points.dataset);
  const std::vector<std::int64_t> axes = get_axes(points.dataset);
  points.axes = static_cast<int>(axes.size());
  points.shape = shape_of_axes(points.place, axes, shape_text(axes));
  return points;
}

/// Rows [begin, begin + count) as (count, features).
std::vector<double> read_rows(const Hdf5Points &points, std::int64_t begin, std::int64_t count) {
  const std::array<hsize_t, 2> start = {static_cast<hsize_t>(begin), 0};
  const std::array<hsize_t, 2> extents = {static_cast<hsize_t>(count), static_cast<hsize_t>(points.shape.features)};
  const Hdf5Handle in_file(H5Dget_space(points.dataset.id()), H5Sclose);
  const Hdf5Handle in_memory(H5Screate_simple(points.axes, extents.data(), nullptr), H5Sclose);
  H5Sselect_hyperslab(in_file.id(), H5S_SELECT_SET, start.data(), nullptr, extents.data(), nullptr);
  std::vector<double> values(static_cast<std::size_t>(count) * static_cast<std::size_t>(points.shape.features));
  const herr_t status =
      H5Dread(points.dataset.id(), H5T_NATIVE_DOUBLE, in_memory.id(), in_file.id(), H5P_DEFAULT, values.data());
  FLASHRING_CHECK(status >= 0, points.place, ": rows ", begin, " to ", begin + count - 1, " cannot be read (",
                  hdf5_reason(), "); copy the file again, or write it uncompressed or with gzip");
  return values;
}

}  // namespace

OpenPoints open_hdf5_points(const std::string &file, const std::string &dataset, const Communicator &communicator) {
  const Hdf5Silence silence;
  const auto points = std::make_shared<Hdf5Points>();
  communicator.agree([&] { *points = find_points(file, dataset); });
  return open_shares(points->place, points->shape, communicator, [points](std::int64_t begin, std::int64_t count) {
    const Hdf5Silence while_reading;
    return read_rows(*points, begin, count);
  });
}

PointBlock read_hdf5(const std::string &file, const std::string &dataset, const Communicator &communicator) {
  return read_shares(open_hdf5_points(file, dataset, communicator), communicator);
}

}  // namespace flashring
