// PointFile: what the readers of NPY, HDF5 and text have in common: checks of a shape, shares of the ranks, messages.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "flashring/check.hpp"
#include "flashring/communicator.hpp"
#include "flashring/points.hpp"

namespace flashring {

/// N and d of an array with these axes, spelled `text` in messages. Throws Error unless it is (N, d) or (N,) with at
/// least one point and one feature. `place` begins the message: the file, and the dataset where it has several.
PointShape shape_of_axes(const std::string &place, std::span<const std::int64_t> axes, const std::string &text);

/// Ranks on other machines may see another file under the same name; their shares would not fit together. `found`:
/// what this rank saw, in words ("7 rows of 2 features"). Collective.
void check_common(const std::string &place, const std::string &found, const Communicator &communicator);
void check_common(const std::string &place, const PointShape &shape, const Communicator &communicator);

/// Rows [begin, begin + count) of a file, (count, features). May throw on some ranks only.
using ReadRows = std::function<std::vector<double>(std::int64_t begin, std::int64_t count)>;

/// A file of points that every rank holds open.
struct OpenPoints {
  std::string place;
  PointShape shape;
  RowPartition partition;  ///< one range for each rank: the rows that it reads, in their order
  ReadRows read;
};
/// Contiguous shares of a file whose rows can be read at any place. Collective.
OpenPoints open_shares(const std::string &place, const PointShape &shape, const Communicator &communicator,
                       ReadRows read);
OpenPoints open_npy_points(const std::string &file, const Communicator &communicator);
OpenPoints open_hdf5_points(const std::string &file, const std::string &dataset, const Communicator &communicator);
/// Shares of the bytes. A text is read once to count its rows. Collective.
OpenPoints open_csv_points(const std::string &file, const Communicator &communicator);

/// Any of them, by the ending of its name. Collective.
OpenPoints open_points(const std::string &file, const Communicator &communicator);

/// The next `count` rows of this rank, from global row `begin` on. Values that are not finite are refused with row and
/// feature. Not collective.
std::vector<double> read_checked(const OpenPoints &points, std::int64_t begin, std::int64_t count);

/// All rows. Collective.
PointBlock read_shares(const OpenPoints &points, const Communicator &communicator);

/// The numbers of all rows, those of rank 0 first, on every rank. Collective.
std::vector<double> gather_values(const PointBlock &points, const Communicator &communicator);

/// Formats of points, by the ending of the name.
enum class PointFormat : std::uint8_t { none, npy, hdf5, csv };

/// A name as the user typed it, taken apart: FILE.h5:/dataset has a dataset.
struct PointFile {
  PointFormat format = PointFormat::none;
  std::string file, dataset;
};
PointFile parse_point_file(const std::string &name);
/// `ending` in small letters; the name may have capitals.
bool has_ending(const std::string &name, std::string_view ending);

/// What can be read, for messages.
constexpr const char *known_point_files = "FILE.npy, FILE.h5:/dataset (.h5, .hdf5, .hdf), FILE.csv, .tsv or .txt";

/// `message` with `what` before the file it names: "rank 1: -weights w.npy: ..." of "rank 1: w.npy: ...".
std::string name_purpose(const std::string &what, const std::string &message);

/// Runs `work`; its errors say what the file is for.
template <class Work>
auto with_purpose(const std::string &what, const Work &work) {
  try {
    return work();
  } catch (const Error &error) {
    throw Error(name_purpose(what, error.what()), error.common());
  }
}

}  // namespace flashring
