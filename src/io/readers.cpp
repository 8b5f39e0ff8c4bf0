// Points and numbers per point from any file: the ending of the name chooses the reader.
#include "flashring/readers.hpp"

#include "flashring/check.hpp"
#include "io/point_file.hpp"

namespace flashring {
namespace {

[[noreturn]] void refuse_ending(const std::string &name) {
  throw Error(name + ": the name does not end as a file of points does; known are " + known_point_files);
}

}  // namespace

PointBlock read_points(const std::string &file, const Communicator &communicator) {
  const PointFile parts = parse_point_file(file);
  if (parts.format == PointFormat::npy) return read_npy(parts.file, communicator);
  if (parts.format == PointFormat::hdf5) return read_hdf5(parts.file, parts.dataset, communicator);
  if (parts.format == PointFormat::csv) return read_csv(parts.file, communicator);
  communicator.agree([&] { refuse_ending(file); });
  return {};
}

OpenPoints open_points(const std::string &file, const Communicator &communicator) {
  const PointFile parts = parse_point_file(file);
  if (parts.format == PointFormat::npy) return open_npy_points(parts.file, communicator);
  if (parts.format == PointFormat::hdf5) return open_hdf5_points(parts.file, parts.dataset, communicator);
  if (parts.format == PointFormat::csv) return open_csv_points(parts.file, communicator);
  communicator.agree([&] { refuse_ending(file); });
  return {};
}

PointShape points_shape(const std::string &file, const Communicator &communicator) {
  return open_points(file, communicator).shape;
}

std::vector<double> read_vector(const std::string &what, const std::string &file, std::int64_t rows,
                                const Communicator &communicator) {
  return with_purpose(what, [&] {
    const PointBlock numbers = read_points(file, communicator);
    const std::int64_t count = numbers.partition().rows();
    communicator.agree([&] {
      FLASHRING_CHECK(numbers.features() == 1, file, ": has shape (", count, ", ", numbers.features(),
                      "); give one number per point, shape (N,) or (N, 1)");
      FLASHRING_CHECK(count == rows, file, ": holds ", count, " numbers for ", rows,
                      " points; give one per point, in the order of the points");
    });
    return std::vector<double>(numbers.rows().begin(), numbers.rows().end());
  });
}

}  // namespace flashring
