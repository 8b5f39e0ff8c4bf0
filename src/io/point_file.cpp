#include "io/point_file.hpp"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstring>
#include <limits>

namespace flashring {
namespace {

void check_finite(const std::string &place, const std::vector<double> &values, std::int64_t begin,
                  std::int64_t features) {
  const auto bad = std::find_if(values.begin(), values.end(), [](double value) { return !std::isfinite(value); });
  if (bad == values.end()) return;
  const std::int64_t at = bad - values.begin();
  throw Error(detail::concatenate(place, ": row ", begin + at / features, ", feature ", at % features,
                                  " (both counted from 0) is ", *bad,
                                  "; drop or fill rows with values that are not finite"));
}

bool is_hdf5_name(const std::string &name) {
  return has_ending(name, ".h5") || has_ending(name, ".hdf5") || has_ending(name, ".hdf");
}

}  // namespace

bool has_ending(const std::string &name, std::string_view ending) {
  if (name.size() <= ending.size()) return false;
  return std::equal(ending.begin(), ending.end(), name.end() - static_cast<std::ptrdiff_t>(ending.size()),
                    [](char a, char b) { return a == std::tolower(static_cast<unsigned char>(b)); });
}

PointShape shape_of_axes(const std::string &place, std::span<const std::int64_t> axes, const std::string &text) {
  FLASHRING_CHECK(axes.size() == 1 || axes.size() == 2, place, ": has shape ", text, ", ", axes.size(),
                  " axes; points need (N, d) or (N,): reshape the array to one row per point");
  FLASHRING_CHECK(axes[0] > 0, place, ": has shape ", text, ", no points (N = 0); write at least one row");
  const std::int64_t features = axes.size() == 2 ? axes[1] : 1;
  FLASHRING_CHECK(features > 0, place, ": has shape ", text, ", points without features (d = 0); write at least one");
  FLASHRING_CHECK(features <= std::numeric_limits<int>::max(), place, ": has ", features, " features (d), more than ",
                  std::numeric_limits<int>::max(), "; is the array transposed?");
  return {axes[0], static_cast<int>(features)};
}

void check_common(const std::string &place, const std::string &found, const Communicator &communicator) {
  const std::vector<std::string> all = communicator.gather(found);
  communicator.agree([&] {
    FLASHRING_CHECK(found == all.front(), place, ": has ", found, " here and ", all.front(),
                    " on rank 0; give all ranks the same file, on a shared file system");
  });
}

void check_common(const std::string &place, const PointShape &shape, const Communicator &communicator) {
  check_common(place, detail::concatenate(shape.rows, " rows of ", shape.features, " features"), communicator);
}

OpenPoints open_shares(const std::string &place, const PointShape &shape, const Communicator &communicator,
                       ReadRows read) {
  check_common(place, shape, communicator);
  return {place, shape, RowPartition::contiguous(shape.rows, communicator.size()), std::move(read)};
}

std::vector<double> read_checked(const OpenPoints &points, std::int64_t begin, std::int64_t count) {
  if (count == 0) return {};
  std::vector<double> values = points.read(begin, count);
  check_finite(points.place, values, begin, points.shape.features);
  return values;
}

PointBlock read_shares(const OpenPoints &points, const Communicator &communicator) {
  PointBlock block;
  communicator.agree([&] {
    const int rank = communicator.rank();
    const std::int64_t count = points.partition.local_rows(rank);
    const std::int64_t begin = count > 0 ? points.partition.global_row(rank, LocalRow{0}).value : 0;
    block = PointBlock(points.partition, rank, points.shape.features, read_checked(points, begin, count));
  });
  return block;
}

std::vector<double> gather_values(const PointBlock &points, const Communicator &communicator) {
  const std::vector<std::byte> bytes = communicator.gather(std::as_bytes(points.rows()));
  std::vector<double> values(bytes.size() / sizeof(double));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

PointFile parse_point_file(const std::string &name) {
  for (std::size_t colon = name.find(':'); colon != std::string::npos; colon = name.find(':', colon + 1))
    if (is_hdf5_name(name.substr(0, colon))) return {PointFormat::hdf5, name.substr(0, colon), name.substr(colon + 1)};
  if (is_hdf5_name(name)) return {PointFormat::hdf5, name, ""};
  if (has_ending(name, ".npy")) return {PointFormat::npy, name, ""};
  if (has_ending(name, ".csv") || has_ending(name, ".tsv") || has_ending(name, ".txt"))
    return {PointFormat::csv, name, ""};
  return {PointFormat::none, name, ""};
}

std::string name_purpose(const std::string &what, const std::string &message) {
  std::size_t at = 0;  // behind the "rank R: " that Communicator::agree writes
  if (message.rfind("rank ", 0) == 0) at = message.find(": ") + 2;
  return message.substr(0, at) + what + " " + message.substr(at);
}

}  // namespace flashring
