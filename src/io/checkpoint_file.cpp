// Writing a checkpoint.
//
// Purpose   A run that is killed at any moment, or meets a full disk, leaves a whole checkpoint behind.
// Steps     1. Rank 0 makes FILE.unfinished with HDF5: attributes, and places for all arrays.
//           2. Rank 0 writes the small arrays, every rank its rows of the large ones, as into any file, each to the
//              disk; every rank adds up the words it wrote.
//           3. Rank 0 adds up all other bytes and writes the seal with these sums in front: only now it is a
//           checkpoint.
//           4. Rank 0 renames FILE to FILE.previous and FILE.unfinished to FILE.
// Cost      Each number is copied and added up once, 8 MiB at a time; one broadcast and one sum of a number per array.
// Reference Rename as commit: POSIX rename(2), which replaces a name at once; DESIGN.md says why MPI-IO is not used.
#include "io/checkpoint_file.hpp"

#include <fmt/format.h>
#include <sys/statvfs.h>

#include <bit>
#include <filesystem>
#include <optional>
#include <system_error>

#include "base/word_sum.hpp"
#include "flashring/check.hpp"
#include "io/checkpoint_seal.hpp"
#include "io/file_handle.hpp"
#include "io/hdf5_file.hpp"
#include "io/row_matrix.hpp"

namespace flashring {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t most_named = 3;  // differences in a message

std::string unfinished_name(const std::string &file) { return file + ".unfinished"; }

std::string folder_of(const std::string &file) {
  const fs::path folder = fs::path(file).parent_path();
  return folder.empty() ? "." : folder.string();
}

/// Says whether there is a whole checkpoint of that name, as far as its seal tells. Throws Error for anything that is
/// no checkpoint at all: it is not ours to replace.
bool holds_checkpoint(const std::string &name) {
  std::error_code ignored;
  if (!fs::exists(name, ignored)) return false;
  const FileHandle handle(name, O_RDONLY | O_CLOEXEC);
  if (handle.size() == 0) return false;
  FLASHRING_CHECK(begins_as_checkpoint(handle), name,
                  ": is there already and is no checkpoint; choose another name for -checkpoint or move it away");
  try {
    read_seal(name, handle);
    return true;
  } catch (const Error &) {
    return false;  // damaged: it may be replaced, but not be kept in place of an older one
  }
}

std::int64_t small_bytes(const CheckpointState &state) {
  std::size_t numbers = 0;
  for (const auto &[name, values] : state.arrays) numbers += values.size();
  return static_cast<std::int64_t>(numbers * sizeof(double));
}

/// Said before gigabytes are written in vain; what the file system does not tell (a quota) is found while writing.
void check_space(const std::string &file, std::int64_t bytes) {
  struct statvfs space {};
  if (::statvfs(folder_of(file).c_str(), &space) != 0) return;
  const double free = static_cast<double>(space.f_bavail) * static_cast<double>(space.f_frsize);
  const double needed = static_cast<double>(bytes) + 1.1e6;  // and the metadata
  FLASHRING_CHECK(
      free >= needed, file,
      fmt::format(": a checkpoint needs {:.1f} MB and {:.1f} MB are free; make room or choose another folder",
                  needed / 1e6, free / 1e6));
}

void write_attributes(Hdf5File &output, const CheckpointState &state) {
  for (const auto &[name, value] : state.identity) output.set_attribute("/", name, value);
  for (const auto &[name, value] : state.integers) output.set_attribute("/", name, value);
  for (const auto &[name, value] : state.reals) output.set_attribute("/", name, value);
}

/// Makes the file with all that is small. Returns the large arrays' places.
CheckpointSeal make_file(const std::string &name, const RowPartition &partition, const CheckpointState &state,
                         const std::vector<CheckpointArray> &arrays) {
  CheckpointSeal seal;
  seal.rows = partition.rows();
  std::int64_t bytes = small_bytes(state);
  for (const CheckpointArray &array : arrays) bytes += seal.rows * array.columns * 8;
  fs::remove(name);  // what a killed run left takes room
  check_space(name, bytes);
  Hdf5File output(name, Hdf5File::Start::make, bytes, seal_bytes);
  write_attributes(output, state);
  std::vector<std::int64_t> offsets;
  for (const auto &[array, values] : state.arrays) offsets.push_back(output.reserve("/" + array, {values.size()}));
  for (const CheckpointArray &array : arrays) {
    const std::vector<hsize_t> extents = {static_cast<hsize_t>(seal.rows), static_cast<hsize_t>(array.columns)};
    seal.regions.push_back({array.name, array.columns, output.reserve("/" + array.name, extents), 0});
  }
  output.close();
  // HDF5 that meets a full disk may crash, so it writes no values.
  FileHandle handle(name, O_WRONLY | O_CLOEXEC);
  std::size_t at = 0;
  for (const auto &[array, values] : state.arrays) handle.write(std::as_bytes(std::span(values)), offsets[at++]);
  handle.close();
  return seal;
}

/// out: (piece.count, columns), row after row.
void gather_rows(const CheckpointArray &array, const RowPiece &piece, double *out) {
  constexpr std::int64_t strip = 8;  // columns at a time: one cache line of `out`, few pages of the values
  for (std::int64_t begin = 0; begin < array.columns; begin += strip) {
    const std::int64_t end = std::min<std::int64_t>(begin + strip, array.columns);
    for (std::int64_t i = 0; i < piece.count; ++i)
      for (std::int64_t c = begin; c < end; ++c)
        out[i * array.columns + c] = array.values[c * array.ld + piece.local + i];
  }
}

/// This rank's rows at their place. Returns the sum of their words.
std::uint64_t write_array(const FileHandle &handle, const CheckpointArray &array, std::int64_t offset,
                          const std::vector<RowPiece> &pieces) {
  static_assert(std::endian::native == std::endian::little, "the file's numbers are little-endian");
  std::uint64_t sum = 0;
  std::vector<double> buffer;
  for (const RowPiece &piece : pieces) {
    buffer.resize(static_cast<std::size_t>(piece.count * array.columns));
    gather_rows(array, piece, buffer.data());
    const std::int64_t place = piece.global * array.columns;
    handle.write(std::as_bytes(std::span(buffer)), offset + place * 8);
    sum += sum_words(std::as_bytes(std::span(buffer)), static_cast<std::uint64_t>(place));
  }
  return sum;
}

/// Adds this rank's part of the checksums to `seal`.
void write_rows(const std::string &name, const RowPartition &partition, int rank,
                const std::vector<CheckpointArray> &arrays, CheckpointSeal &seal) {
  FileHandle handle(name, O_WRONLY | O_CLOEXEC);
  for (std::size_t a = 0; a < arrays.size(); ++a) {
    CheckpointRegion &region = seal.regions[a];
    if (region.columns == 0) continue;
    region.checksum = write_array(handle, arrays[a], region.offset, row_pieces(partition, rank, region.columns));
  }
  handle.sync();
  handle.close();
}

void sync_folder(const std::string &file) {
  const int descriptor = ::open(folder_of(file).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return;
  ::fsync(descriptor);  // a file system without it has nothing better to offer
  ::close(descriptor);
}

void rename_file(const std::string &from, const std::string &to) {
  std::error_code error;
  fs::rename(from, to, error);
  FLASHRING_CHECK(!error, to, ": ", from, " cannot be renamed to it (", error.message(),
                  "); check the folder and its permissions");
}

/// The seal makes a checkpoint of the file, the names make it the newest one.
void commit(const std::string &file, CheckpointSeal seal) {
  const std::string name = unfinished_name(file);
  {
    FileHandle handle(name, O_RDWR | O_CLOEXEC);
    seal.bytes = handle.size();
    seal.rest = sum_of_rest(handle, seal);
    const std::string text = seal_text(seal);
    handle.write(std::as_bytes(std::span(text)), 0);
    handle.sync();
    handle.close();
  }
  const std::string previous = previous_checkpoint(file);
  // To give up the file whose name is taken needs 0.3 s a gigabyte (ext4), and FILE would be missing all that time. A
  // file that is open is given up only when it is closed.
  std::optional<FileHandle> oldest;
  std::error_code ignored;
  if (fs::exists(previous, ignored)) oldest.emplace(previous, O_RDONLY | O_CLOEXEC);
  if (holds_checkpoint(file)) rename_file(file, previous);
  rename_file(name, file);
  sync_folder(file);
}

/// Broken promises of the caller, found before anything is written.
void check_arrays(const std::vector<CheckpointArray> &arrays, std::int64_t local_rows) {
  for (const CheckpointArray &array : arrays) {
    FLASHRING_REQUIRE(!array.name.empty() && array.name.find_first_of("/ \t\n") == std::string::npos, "name '",
                      array.name, "' of an array");
    FLASHRING_REQUIRE(array.columns >= 0 && array.ld >= local_rows, array.columns, " columns of ", local_rows,
                      " rows at distances of ", array.ld);
  }
}

void write_all(const Communicator &communicator, const RowPartition &partition, const std::string &file,
               const CheckpointState &state, const std::vector<CheckpointArray> &arrays) {
  const bool first = communicator.rank() == 0;
  const std::string name = unfinished_name(file);
  CheckpointSeal seal;
  std::vector<std::int64_t> offsets(arrays.size());
  communicator.agree([&] {
    if (!first) return;
    seal = make_file(name, partition, state, arrays);
    for (std::size_t a = 0; a < arrays.size(); ++a) offsets[a] = seal.regions[a].offset;
  });
  communicator.broadcast(std::as_writable_bytes(std::span(offsets)), 0);
  seal.regions.resize(arrays.size());
  for (std::size_t a = 0; a < arrays.size(); ++a) seal.regions[a] = {arrays[a].name, arrays[a].columns, offsets[a], 0};
  communicator.agree([&] { write_rows(name, partition, communicator.rank(), arrays, seal); });
  for (CheckpointRegion &region : seal.regions) region.checksum = sum_over_ranks(communicator, region.checksum);
  communicator.agree([&] {
    if (first) commit(file, std::move(seal));
  });
}

}  // namespace

std::string previous_checkpoint(const std::string &file) { return file + ".previous"; }

void check_replaceable(const std::string &file) {
  holds_checkpoint(file);
  holds_checkpoint(previous_checkpoint(file));
}

void write_checkpoint(const Communicator &communicator, const RowPartition &partition, const std::string &file,
                      const CheckpointState &state, const std::vector<CheckpointArray> &arrays) {
  communicator.agree([&] {
    check_arrays(arrays, partition.local_rows(communicator.rank()));
    if (communicator.rank() == 0) check_replaceable(file);
  });
  try {
    write_all(communicator, partition, file, state, arrays);
  } catch (const Error &error) {
    std::error_code ignored;
    if (communicator.rank() == 0) fs::remove(unfinished_name(file), ignored);
    throw Error(detail::concatenate(error.what(), "; no checkpoint was written, earlier ones are as before"),
                error.common());
  }
}

std::string identity_differences(const std::string &file, const CheckpointState::Words &stored,
                                 const CheckpointState::Words &here) {
  const auto find = [](const CheckpointState::Words &words, const std::string &name) -> std::optional<std::string> {
    for (const auto &[other, value] : words)
      if (other == name) return value;
    return std::nullopt;
  };
  std::vector<std::string> found;
  for (const auto &[name, value] : here) {
    const auto there = find(stored, name);
    if (there == value) continue;
    found.push_back(fmt::format("{}: {} in {}, {} here", name, there.value_or("nothing"), file, value));
  }
  for (const auto &[name, value] : stored)
    if (!find(here, name)) found.push_back(fmt::format("{}: {} in {}, nothing here", name, value, file));
  const std::size_t more = found.size() > most_named ? found.size() - most_named : 0;
  found.resize(found.size() - more);
  if (more > 0) found.push_back(fmt::format("and {} more", more));
  return fmt::format("{}", fmt::join(found, "; "));
}

}  // namespace flashring
