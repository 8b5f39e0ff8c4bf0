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

/// Every rank reads its contiguous rows: `read_rows(begin, count)` gives them as (count, shape.features), and may throw
/// on some ranks only. Values that are not finite are refused with row and feature. Collective.
PointBlock read_shares(const std::string &place, const PointShape &shape, const Communicator &communicator,
                       const std::function<std::vector<double>(std::int64_t begin, std::int64_t count)> &read_rows);

/// Shapes without the values; a text is counted. Collective.
PointShape npy_shape(const std::string &file, const Communicator &communicator);
PointShape hdf5_shape(const std::string &file, const std::string &dataset, const Communicator &communicator);
PointShape csv_shape(const std::string &file, const Communicator &communicator);

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
