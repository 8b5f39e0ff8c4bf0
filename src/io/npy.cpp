// Points from an NPY file. Every rank reads the header and then its own rows alone: in C order they are one run of the
// file, in Fortran order one run per feature. Memory beside the result: one bounded buffer.
#include <memory>

#include "flashring/readers.hpp"
#include "io/file_handle.hpp"
#include "io/npy_values.hpp"
#include "io/point_file.hpp"

namespace flashring {
namespace {

struct NpyFile {
  NpyHeader header;
  PointShape shape;
};

NpyFile open_npy(const std::string &file, const FileHandle &handle) {
  handle.size();  // only a regular file has one
  NpyFile npy;
  npy.header = read_npy_header(file, handle);
  check_converted(file, npy.header.type);
  npy.shape = shape_of_axes(file, npy.header.shape, npy.header.shape_text);
  check_npy_size(file, npy.header, handle);
  return npy;
}

/// Rows [begin, begin + count) as (count, features) row-major.
std::vector<double> read_rows(const std::string &file, const FileHandle &handle, const NpyFile &npy, std::int64_t begin,
                              std::int64_t count) {
  const std::int64_t features = npy.shape.features;
  std::vector<double> values(static_cast<std::size_t>(count * features));
  if (!npy.header.fortran_order) {
    read_npy_numbers(file, handle, npy.header, begin * features, count * features, values.data(), 1);
    return values;
  }
  for (std::int64_t k = 0; k < features; ++k)
    read_npy_numbers(file, handle, npy.header, k * npy.shape.rows + begin, count, values.data() + k, features);
  return values;
}

}  // namespace

OpenPoints open_npy_points(const std::string &file, const Communicator &communicator) {
  std::shared_ptr<FileHandle> handle;
  NpyFile npy;
  communicator.agree([&] {
    handle = std::make_shared<FileHandle>(file, O_RDONLY | O_CLOEXEC);
    npy = open_npy(file, *handle);
  });
  const auto read = [file, handle, npy](std::int64_t begin, std::int64_t count) {
    return read_rows(file, *handle, npy, begin, count);
  };
  return open_shares(file, npy.shape, communicator, read);
}

PointBlock read_npy(const std::string &file, const Communicator &communicator) {
  return read_shares(open_npy_points(file, communicator), communicator);
}

}  // namespace flashring
