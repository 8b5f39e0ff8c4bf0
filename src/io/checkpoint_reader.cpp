// Reading a checkpoint.
//
// Purpose   A run goes on from a checkpoint on any number of ranks, never from a damaged one.
// Steps     1. Every rank reads the seal and adds up all bytes outside the large arrays; only then HDF5 reads the
//              attributes and small arrays, since damaged metadata can crash it.
//           2. The ranks add up the large arrays, each an equal share of the rows.
//           3. What fails on any rank so far turns all ranks to FILE.previous.
//           4. read_array reads the rows that a rank asks for, and adds them up again.
// Cost      Twice the bytes of the file, N columns 8 / ranks in each rank and reading; one sum of a number per array.
// Reference docs/files.md, "Checkpoints".
#include "io/checkpoint_reader.hpp"

#include <algorithm>

#include "base/word_sum.hpp"
#include "flashring/check.hpp"
#include "flashring/fingerprint.hpp"
#include "io/hdf5_handle.hpp"
#include "io/row_matrix.hpp"

namespace flashring {
namespace {

using Names = std::vector<std::string>;

Hdf5Handle open_hdf5(const std::string &file) {
  const Hdf5Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  H5Pset_file_locking(access.id(), true, true);  // file systems without locks are read as well
  Hdf5Handle handle(H5Fopen(file.c_str(), H5F_ACC_RDONLY, access.id()), H5Fclose);
  FLASHRING_CHECK(handle.good(), file, ": cannot be opened as HDF5 (", hdf5_reason(),
                  "); end the program that still writes it, or take an earlier checkpoint");
  return handle;
}

void check_read(bool good, const std::string &file, const std::string &what) {
  if (good) return;
  const std::string reason = hdf5_reason();
  throw Error(detail::concatenate(file, ": ", what, " cannot be read (", reason, "); take an earlier checkpoint"));
}

Names attribute_names(const Hdf5Handle &file) {
  Names names;
  const H5A_operator2_t note = [](hid_t, const char *name, const H5A_info_t *, void *list) -> herr_t {
    static_cast<Names *>(list)->emplace_back(name);
    return 0;
  };
  H5Aiterate2(file.id(), H5_INDEX_NAME, H5_ITER_INC, nullptr, note, &names);
  return names;
}

Names dataset_names(const Hdf5Handle &file) {
  Names names;
  const auto note = [](hid_t, const char *name, const H5L_info_t *, void *list) -> herr_t {
    static_cast<Names *>(list)->emplace_back(name);
    return 0;
  };
  H5Literate(file.id(), H5_INDEX_NAME, H5_ITER_INC, nullptr, note, &names);
  return names;
}

/// The type says which list an attribute belongs to.
bool read_attribute(const Hdf5Handle &file, const std::string &name, CheckpointState &state) {
  const Hdf5Handle attribute(H5Aopen(file.id(), name.c_str(), H5P_DEFAULT), H5Aclose);
  const Hdf5Handle type(H5Aget_type(attribute.id()), H5Tclose);
  const H5T_class_t kind = H5Tget_class(type.id());
  if (kind == H5T_INTEGER) return H5Aread(attribute.id(), H5T_NATIVE_INT64, &state.integers[name]) >= 0;
  if (kind == H5T_FLOAT) return H5Aread(attribute.id(), H5T_NATIVE_DOUBLE, &state.reals[name]) >= 0;
  char *text = nullptr;
  if (H5Aread(attribute.id(), type.id(), static_cast<void *>(&text)) < 0) return false;
  state.identity.emplace_back(name, text == nullptr ? "" : text);
  H5free_memory(text);
  return true;
}

bool read_small_array(const Hdf5Handle &file, const std::string &name, std::vector<double> &values) {
  const Hdf5Handle dataset(H5Dopen2(file.id(), name.c_str(), H5P_DEFAULT), H5Dclose);
  const Hdf5Handle space(H5Dget_space(dataset.id()), H5Sclose);
  const hssize_t size = H5Sget_simple_extent_npoints(space.id());
  if (size < 0) return false;
  values.resize(static_cast<std::size_t>(size));
  if (values.empty()) return true;
  return H5Dread(dataset.id(), H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()) >= 0;
}

CheckpointState read_state(const std::string &file, const CheckpointSeal &seal) {
  const Hdf5Silence silence;
  const Hdf5Handle handle = open_hdf5(file);
  CheckpointState state;
  for (const std::string &name : attribute_names(handle))
    check_read(read_attribute(handle, name, state), file, "attribute " + name);
  for (const std::string &name : dataset_names(handle)) {
    const auto large = [&](const CheckpointRegion &region) { return region.name == name; };
    if (std::any_of(seal.regions.begin(), seal.regions.end(), large)) continue;
    check_read(read_small_array(handle, name, state.arrays[name]), file, "array " + name);
  }
  return state;
}

/// rows: (piece.count, columns), row after row.
void scatter_rows(const std::vector<double> &rows, const RowPiece &piece, std::int64_t columns, double *values,
                  std::int64_t ld) {
  constexpr std::int64_t strip = 8;  // columns at a time: one cache line of `rows`, few pages of the values
  for (std::int64_t begin = 0; begin < columns; begin += strip) {
    const std::int64_t end = std::min(begin + strip, columns);
    for (std::int64_t i = 0; i < piece.count; ++i)
      for (std::int64_t c = begin; c < end; ++c)
        values[c * ld + piece.local + i] = rows[static_cast<std::size_t>(i * columns + c)];
  }
}

}  // namespace

CheckpointReader::CheckpointReader(const Communicator &communicator, const std::string &file)
    : communicator_(communicator) {
  try {
    open(file);
    return;
  } catch (const Error &error) {
    finding_ = error.what();
  }
  const std::string previous = previous_checkpoint(file);
  try {
    open(previous);
  } catch (const Error &error) {
    throw Error(detail::concatenate(finding_, "; nor can ", previous, " be taken: ", error.what()), true);
  }
  finding_ += "; " + previous + ", the checkpoint before it, is taken instead";
}

void CheckpointReader::open(const std::string &file) {
  file_ = file;
  communicator_.agree([&] {
    handle_ = std::make_unique<FileHandle>(file, O_RDONLY | O_CLOEXEC);
    seal_ = read_seal(file, *handle_);
    FLASHRING_CHECK(sum_of_rest(*handle_, seal_) == seal_.rest, file,
                    ": is damaged: attributes and small arrays do not agree with their checksum; take an earlier "
                    "checkpoint");
    state_ = read_state(file, seal_);
  });
  const std::string text = seal_text(seal_);
  const std::vector<std::string> seals = communicator_.gather(to_hex(sum_words(std::as_bytes(std::span(text)), 0)));
  for (std::size_t r = 1; r < seals.size(); ++r)
    if (seals[r] != seals[0])
      throw Error(detail::concatenate(file, ": rank ", r, " sees another file of that name than rank 0; take one on a ",
                                      "file system that all machines share"),
                  true);
  const RowPartition shares = RowPartition::contiguous(seal_.rows, communicator_.size());
  for (const CheckpointRegion &region : seal_.regions)
    read_region(region, shares, [](const RowPiece &, const std::vector<double> &) {});
}

const CheckpointRegion *CheckpointReader::find_region(const std::string &name) const {
  for (const CheckpointRegion &region : seal_.regions)
    if (region.name == name) return &region;
  return nullptr;
}

int CheckpointReader::columns(const std::string &name) const {
  const CheckpointRegion *region = find_region(name);
  return region == nullptr ? -1 : region->columns;
}

/// take(piece, rows of the piece) for all rows of this rank. Throws Error when all ranks' rows are not what was
/// written.
template <class Take>
void CheckpointReader::read_region(const CheckpointRegion &region, const RowPartition &partition, Take take) const {
  std::uint64_t sum = 0;
  communicator_.agree([&] {
    std::vector<double> rows;
    for (const RowPiece &piece : row_pieces(partition, communicator_.rank(), region.columns)) {
      rows.resize(static_cast<std::size_t>(piece.count * region.columns));
      const std::int64_t place = piece.global * region.columns;
      const std::span<std::byte> bytes = std::as_writable_bytes(std::span(rows));
      FLASHRING_CHECK(handle_->read(bytes, region.offset + place * 8) == bytes.size(), file_,
                      ": was cut off while it was read; take an earlier checkpoint");
      sum += sum_words(bytes, static_cast<std::uint64_t>(place));
      take(piece, rows);
    }
  });
  if (sum_over_ranks(communicator_, sum) != region.checksum)
    throw Error(
        file_ + ": is damaged: array " + region.name + " does not agree with its checksum; take an earlier checkpoint",
        true);
}

void CheckpointReader::read_array(const std::string &name, const RowPartition &partition, double *values,
                                  std::int64_t ld) const {
  const CheckpointRegion *region = find_region(name);
  communicator_.agree([&] {
    FLASHRING_CHECK(region != nullptr, file_, ": holds no array ", name,
                    "; it was written by another method or version");
    FLASHRING_CHECK(partition.rows() == rows(), file_, ": is of ", rows(), " rows, not of ", partition.rows(),
                    "; restart with the points it was written for");
    FLASHRING_REQUIRE(ld >= partition.local_rows(communicator_.rank()), "rows at distances of ", ld);
  });
  read_region(*region, partition, [&](const RowPiece &piece, const std::vector<double> &rows) {
    scatter_rows(rows, piece, region->columns, values, ld);
  });
}

}  // namespace flashring
