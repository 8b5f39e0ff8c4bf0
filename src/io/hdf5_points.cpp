// Points from an HDF5 file. Every rank opens the file by itself and reads its own rows, which HDF5 converts to double;
// MPI-IO is not used. Memory beside the result: HDF5's conversion buffer of 1 MiB and one chunk.
#include <array>
#include <memory>

#include "flashring/check.hpp"
#include "flashring/readers.hpp"
#include "io/hdf5_dataset.hpp"
#include "io/point_file.hpp"

namespace flashring {
namespace {

/// An open dataset of points.
struct Hdf5Points {
  Hdf5Dataset data;
  PointShape shape;
};

Hdf5Points find_points(const std::string &file, const std::string &dataset) {
  Hdf5Points points{open_hdf5_dataset(file, dataset), {}};
  check_converted(points.data);
  points.shape = shape_of_axes(points.data.place, points.data.axes, shape_text(points.data.axes));
  return points;
}

/// Rows [begin, begin + count) as (count, features).
std::vector<double> read_rows(const Hdf5Points &points, std::int64_t begin, std::int64_t count) {
  const std::array<hsize_t, 2> start = {static_cast<hsize_t>(begin), 0};
  const std::array<hsize_t, 2> extents = {static_cast<hsize_t>(count), static_cast<hsize_t>(points.shape.features)};
  std::vector<double> values(static_cast<std::size_t>(count) * static_cast<std::size_t>(points.shape.features));
  const std::string rows = detail::concatenate("rows ", begin, " to ", begin + count - 1);
  read_block(points.data, rows, start, extents, H5T_NATIVE_DOUBLE, values.data());
  return values;
}

}  // namespace

OpenPoints open_hdf5_points(const std::string &file, const std::string &dataset, const Communicator &communicator) {
  const Hdf5Silence silence;
  const auto points = std::make_shared<Hdf5Points>();
  communicator.agree([&] { *points = find_points(file, dataset); });
  return open_shares(points->data.place, points->shape, communicator, [points](std::int64_t begin, std::int64_t count) {
    const Hdf5Silence while_reading;
    return read_rows(*points, begin, count);
  });
}

PointBlock read_hdf5(const std::string &file, const std::string &dataset, const Communicator &communicator) {
  return read_shares(open_hdf5_points(file, dataset, communicator), communicator);
}

}  // namespace flashring
