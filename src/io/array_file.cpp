#include "io/array_file.hpp"

#include <functional>
#include <numeric>

#include "flashring/check.hpp"
#include "io/file_handle.hpp"
#include "io/hdf5_dataset.hpp"
#include "io/npy_values.hpp"
#include "io/point_file.hpp"

namespace flashring {
namespace {

/// 2-byte types: bfloat16 is what ml_dtypes and h5py write of it, bytes without a meaning (V2), or integers by request.
std::optional<Storage> npy_storage(const NpyType &type, bool words) {
  if (type.kind == 'V' || (words && type.bytes == 2 && type.kind != 'f')) return Storage::bf16;
  if (type.kind != 'f') return std::nullopt;
  if (type.bytes == 2) return Storage::fp16;
  return type.bytes == 4 ? Storage::fp32 : Storage::fp64;
}

class NpyArray : public ArrayFile {
 public:
  NpyArray(const std::string &file, bool words) : handle_(file, O_RDONLY | O_CLOEXEC) {
    handle_.size();  // only a regular file has one
    header_ = read_npy_header(file, handle_);
    check_npy_size(file, header_, handle_);
    FLASHRING_CHECK(!header_.fortran_order || header_.shape.size() < 2, file,
                    ": is in Fortran order; write it with numpy.save(file, numpy.ascontiguousarray(array))");
    place = file;
    type = header_.type.text;
    storage = npy_storage(header_.type, words);
    axes = header_.shape;
  }
  void read_stored(const ArrayRows &rows, std::span<std::byte> out) const override {
    read_npy_stored(place, handle_, header_, first_of(rows), out);
  }
  void read_numbers(const ArrayRows &rows, std::span<double> out) const override {
    check_converted(place, header_.type);
    read_npy_numbers(place, handle_, header_, first_of(rows), static_cast<std::int64_t>(out.size()), out.data(), 1);
  }

 private:
  std::int64_t first_of(const ArrayRows &rows) const {
    return (rows.entry * axes[rows.axis] + rows.begin) * row_width(axes, rows.axis);
  }

  FileHandle handle_;
  NpyHeader header_;
};

std::optional<Storage> hdf5_storage(const Hdf5Handle &type, bool words) {
  const std::size_t bytes = H5Tget_size(type.id());
  const H5T_class_t kind = H5Tget_class(type.id());
  if (bytes == 2 && (kind == H5T_OPAQUE || (words && kind == H5T_INTEGER))) return Storage::bf16;
  if (kind != H5T_FLOAT) return std::nullopt;
  if (bytes == 8) return Storage::fp64;
  if (bytes == 4) return Storage::fp32;
  std::size_t sign = 0, exponent = 0, exponent_bits = 0, mantissa = 0, mantissa_bits = 0;
  H5Tget_fields(type.id(), &sign, &exponent, &exponent_bits, &mantissa, &mantissa_bits);
  if (bytes != 2) return std::nullopt;
  return exponent_bits == 8 ? Storage::bf16 : Storage::fp16;
}

class Hdf5Array : public ArrayFile {
 public:
  Hdf5Array(const std::string &file, const std::string &dataset, bool words) {
    const Hdf5Silence silence;
    data_ = open_hdf5_dataset(file, dataset);
    stored_ = Hdf5Handle(H5Tcopy(data_.dataset.id()), H5Tclose);
    storage = hdf5_storage(stored_, words);
    const H5T_class_t kind = H5Tget_class(stored_.id());
    if (kind != H5T_OPAQUE) check_converted(data_);
    if (kind != H5T_OPAQUE) H5Tset_order(stored_.id(), H5Tget_order(H5T_NATIVE_DOUBLE));
    place = data_.place;
    type = detail::concatenate(kind == H5T_INTEGER ? "integer, "
                               : kind == H5T_FLOAT ? "floating, "
                                                   : "other, ",
                               H5Tget_size(stored_.id()), " bytes");
    axes = data_.axes;
  }
  void read_stored(const ArrayRows &rows, std::span<std::byte> out) const override {
    read(rows, stored_.id(), out.data());
  }
  void read_numbers(const ArrayRows &rows, std::span<double> out) const override {
    read(rows, H5T_NATIVE_DOUBLE, out.data());
  }

 private:
  void read(const ArrayRows &rows, hid_t memory_type, void *out) const {
    const Hdf5Silence silence;
    std::vector<hsize_t> start(axes.size(), 0), extents(axes.begin(), axes.end());
    std::int64_t entry = rows.entry;
    for (std::size_t a = rows.axis; a-- > 0; entry /= axes[a]) {
      start[a] = static_cast<hsize_t>(entry % axes[a]);
      extents[a] = 1;
    }
    start[rows.axis] = static_cast<hsize_t>(rows.begin);
    extents[rows.axis] = static_cast<hsize_t>(rows.count);
    const std::string what = detail::concatenate("rows ", rows.begin, " to ", rows.begin + rows.count - 1);
    read_block(data_, what, start, extents, memory_type, out);
  }

  Hdf5Dataset data_;
  Hdf5Handle stored_;  // type in the file, in this machine's byte order
};

}  // namespace

std::unique_ptr<ArrayFile> open_array(const std::string &name, bool words) {
  const PointFile file = parse_point_file(name);
  if (file.format == PointFormat::npy) return std::make_unique<NpyArray>(file.file, words);
  if (file.format == PointFormat::hdf5) return std::make_unique<Hdf5Array>(file.file, file.dataset, words);
  throw Error(detail::concatenate(name,
                                  ": arrays are read from FILE.npy and FILE.h5:/dataset (.h5, .hdf5, .hdf); "
                                  "write the array in one of these formats"));
}

std::int64_t row_width(std::span<const std::int64_t> axes, std::size_t axis) {
  return std::accumulate(axes.begin() + static_cast<std::ptrdiff_t>(axis) + 1, axes.end(), std::int64_t{1},
                         std::multiplies<>());
}

std::int64_t entries_before(std::span<const std::int64_t> axes, std::size_t axis) {
  return std::accumulate(axes.begin(), axes.begin() + static_cast<std::ptrdiff_t>(axis), std::int64_t{1},
                         std::multiplies<>());
}

}  // namespace flashring
