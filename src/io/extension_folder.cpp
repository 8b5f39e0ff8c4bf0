// The folder of an extension. Rank 0 makes results.h5 with room for all rows; every rank writes its rows at their place
// as they come; attributes, picture and report follow at the end.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <limits>
#include <numeric>

#include "flashring/check.hpp"
#include "flashring/extension_results.hpp"
#include "io/folder.hpp"
#include "io/npy_writer.hpp"
#include "io/pictures.hpp"
#include "io/report.hpp"
#include "io/results_file.hpp"

namespace flashring {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

/// The file with room for all rows; where its arrays begin.
std::vector<std::int64_t> make_file(const std::string &name, std::int64_t count, int coordinates) {
  const auto rows = static_cast<hsize_t>(count);
  Hdf5File file(name, Hdf5File::Start::make, 8 * count * (coordinates + 2));
  std::vector<std::int64_t> offsets{file.reserve("/embedding", {rows, static_cast<hsize_t>(coordinates)}),
                                    file.reserve("/log_density", {rows}), file.reserve("/far", {rows})};
  describe(file, "/embedding", "1",
           "diffusion coordinates lambda_k^t psi_k of the new points, k = 1 ... K-1, in columns");
  describe(file, "/log_density", "1", "natural logarithm of the density D of the map's points at each new point");
  describe(file, "/far", "1", "1 where no point of the map counts for the new point, otherwise 0");
  file.close();
  return offsets;
}

}  // namespace

/// NaN in this rank's rows from local row `written` on.
void write_nan(const std::string &file, std::int64_t offset, int columns, const RowPartition &partition, int rank,
               std::int64_t written) {
  std::vector<double> values;
  for (RowPiece piece : row_pieces(partition, rank, columns)) {
    const std::int64_t done = std::clamp<std::int64_t>(written - piece.local, 0, piece.count);
    piece = {piece.global + done, 0, piece.count - done};
    if (piece.count == 0) continue;
    values.assign(static_cast<std::size_t>(piece.count * columns), std::numeric_limits<double>::quiet_NaN());
    write_rows(file, offset, {values, piece.count, columns, true, {}, {}}, {piece});
  }
}

/// What is known between begin and complete.
struct ExtensionFolder::Progress {
  Progress(const RowPartition &partition, const Results &from, const RowPartition &map_rows_of, int rank)
      : new_rows(partition), count(partition.rows()), sampler(partition.rows()), map_sampler(0) {
    map.rows = from.rows;
    map.features = from.features;
    map.pairs = from.pairs;
    map.time = from.time;
    map.alpha = from.alpha;
    map.normalization = from.normalization;
    map.log_shift = from.log_shift;
    map.eigenvalues = from.eigenvalues;
    map.residuals = from.residuals;
    scale = embedding_scale(map, findings);
    map_sampler = sample_map(from, scale, map_rows_of, rank);
  }

  Results map;  // without rows
  RowPartition new_rows;
  std::int64_t count;
  std::int64_t written = 0;           // rows of this rank, the first ones
  std::vector<double> scale;          // (K-1), lambda_k^t
  std::vector<std::int64_t> offsets;  // of /embedding, /log_density, /far
  RowSampler sampler, map_sampler;
  std::vector<std::string> findings;
  double far = 0;  // on this rank
  double seconds = 0;
};

ExtensionFolder::ExtensionFolder(const Communicator &communicator, const std::string &path, bool overwrite,
                                 const std::string &model)
    : communicator_(communicator), folder_(communicator, path, overwrite) {
  communicator_.agree([&] { check_model_stays(path, model); });
}

ExtensionFolder::~ExtensionFolder() = default;

void ExtensionFolder::begin(const RowPartition &partition, const Results &map, const RowPartition &map_rows) {
  const auto start = Clock::now();
  communicator_.agree([&] { progress_ = std::make_unique<Progress>(partition, map, map_rows, communicator_.rank()); });
  folder_.begin();
  const auto coordinates = static_cast<int>(progress_->scale.size());
  progress_->offsets.resize(3);
  communicator_.agree([&] {
    if (communicator_.rank() != 0) return;
    folder_.check_space("the coordinates need", 8.0 * static_cast<double>(partition.rows()) * (coordinates + 2) + 4e6);
    progress_->offsets = make_file(folder_.unfinished("results.h5"), partition.rows(), coordinates);
  });
  communicator_.broadcast(std::as_writable_bytes(std::span(progress_->offsets)), 0);
  progress_->seconds += seconds_since(start);
}

void ExtensionFolder::write(GlobalRow first, const ExtendedRows &rows) {
  const auto start = Clock::now();
  Progress &progress = *progress_;
  const auto count = std::ssize(rows.far);
  const auto coordinates = static_cast<int>(progress.scale.size());
  communicator_.agree([&] {
    FLASHRING_REQUIRE(std::ssize(rows.right) == count * (coordinates + 1), rows.right.size(), " numbers for ", count,
                      " rows");
    const std::span<const double> right = std::span(rows.right).subspan(static_cast<std::size_t>(count));
    const RowMatrix embedding{right, count, coordinates, false, progress.scale, {}};
    const std::vector<RowMatrix> arrays{
        embedding, {rows.log_density, count, 1, false, {}, {}}, {rows.far, count, 1, false, {}, {}}};
    for (std::size_t a = 0; a < arrays.size(); ++a)
      if (count > 0)
        write_rows(folder_.unfinished("results.h5"), progress.offsets[a], arrays[a], {{first.value, 0, count}});
    progress.sampler.add(first.value, count, embedding, 0, rows.log_density);
  });
  progress.written += count;
  progress.far += std::accumulate(rows.far.begin(), rows.far.end(), 0.0);
  progress.seconds += seconds_since(start);
}

std::int64_t ExtensionFolder::end_rows() {
  Progress &progress = *progress_;
  const std::int64_t done = communicator_.sum(progress.written);
  if (done == progress.count) return done;
  communicator_.agree([&] {
    for (std::size_t a = 0; a < progress.offsets.size(); ++a)
      write_nan(folder_.unfinished("results.h5"), progress.offsets[a],
                a == 0 ? static_cast<int>(progress.scale.size()) : 1, progress.new_rows, communicator_.rank(),
                progress.written);
  });
  progress.findings.push_back(
      fmt::format("{} of {} new points have coordinates; the rows of the others are NaN", done, progress.count));
  return done;
}

std::vector<std::string> ExtensionFolder::complete(Report report, const std::vector<std::string> &labels) {
  const auto start = Clock::now();
  Progress &progress = *progress_;
  const std::int64_t done = end_rows();
  const auto far = static_cast<std::int64_t>(communicator_.sum(progress.far));
  if (far > 0)
    progress.findings.push_back(
        fmt::format("far points: {} of {} have no neighbour among the points of the map (/far); their "
                    "coordinates are those of the points nearest to them over the eigenvalues",
                    far, progress.count));
  communicator_.agree([&] {
    if (communicator_.rank() != 0) return;
    Hdf5File file(folder_.unfinished("results.h5"), Hdf5File::Start::add, 8 * std::ssize(progress.map.eigenvalues));
    write_provenance(file, extension_kind, progress.map, report);
    file.set_attribute("/", "M", progress.count);
    file.set_attribute("/", "extended", done);
    file.write_vector("/eigenvalues", progress.map.eigenvalues);
    describe(file, "/eigenvalues", "1", "eigenvalues of the map, largest first");
    file.close();
  });
  const std::string picture = draw_extension(communicator_, folder_.unfinished("map.png"),
                                             {progress.map, report, progress.map_sampler, progress.sampler, labels,
                                              progress.count, static_cast<int>(progress.scale.size())});
  if (!picture.empty()) progress.findings.push_back("pictures: " + picture);
  const double closing = seconds_since(start);
  report.seconds_write = progress.seconds + closing;
  report.seconds_total += closing;
  folder_.complete(extension_json(progress.map, report, {progress.count, done, far}, progress.findings));
  return progress.findings;
}

}  // namespace flashring
