// The folder of a diffusion map. The points are written before the computation: their memory is given up then.
#include <fmt/format.h>

#include <chrono>

#include "flashring/check.hpp"
#include "flashring/results.hpp"
#include "io/npy_writer.hpp"
#include "io/pictures.hpp"
#include "io/report.hpp"
#include "io/results_file.hpp"

namespace flashring {
namespace {

void check_space_of_points(const RunFolder &folder, const PointBlock &points) {
  const double numbers = static_cast<double>(points.partition().rows()) * (points.features() + 1);  // and lengths
  folder.check_space("the points need", 8.0 * numbers + 2e6);  // and 2 MB for the metadata of results.h5
}

/// The points are on the disk already.
void check_space_of_results(const RunFolder &folder, const Results &results) {
  const double per_row = 4.0 * results.pairs + 4.0;  // right, left, embedding twice, 4 vectors
  const double numbers = static_cast<double>(results.rows) * per_row;
  folder.check_space("the results need", 8.0 * numbers + 4e6);  // and 4 MB for pictures, report and metadata
}

/// A broken promise of the caller is found here, not inside a collective transfer. `measured`: some rank has weights.
void check_shapes(const Results &results, const WrittenPoints &points, int rank, const std::vector<std::string> &labels,
                  bool measured) {
  const auto rows = static_cast<std::size_t>(points.partition.local_rows(rank));
  const auto pairs = static_cast<std::size_t>(results.pairs);
  FLASHRING_REQUIRE(results.rows == points.partition.rows() && results.features == points.features, "results of ",
                    results.rows, " x ", results.features, " points");
  FLASHRING_REQUIRE(results.eigenvalues.size() == pairs && results.residuals.size() == pairs &&
                        results.residual_over_gap.size() == pairs,
                    pairs, " eigenpairs");
  FLASHRING_REQUIRE(results.right.size() == rows * pairs, results.right.size(), " numbers for ", rows, " rows of ",
                    pairs, " eigenvectors");
  FLASHRING_REQUIRE(results.pi.size() == rows && results.degree.size() == rows && results.weight.size() == rows,
                    "vectors over ", rows, " rows");
  FLASHRING_REQUIRE(results.measure.size() == (measured ? rows : 0), results.measure.size(), " weights of ", rows,
                    " points");
  FLASHRING_REQUIRE(results.doob_h.empty() || results.doob_h.size() == rows, results.doob_h.size(), " values of h for ",
                    rows, " rows");
  FLASHRING_REQUIRE(labels.empty() || static_cast<std::int64_t>(labels.size()) == results.rows, labels.size(),
                    " labels for ", results.rows, " rows");
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Everything but the report, under temporary names. Returns findings.
std::vector<std::string> write_arrays(const Communicator &communicator, const RunFolder &folder, const Results &results,
                                      const Report &report, const WrittenPoints &points,
                                      const std::vector<std::string> &labels) {
  const auto temporary = [&](const char *name) { return folder.unfinished(name); };
  const RowPartition &partition = points.partition;
  std::vector<std::string> findings;
  const std::vector<double> scale = embedding_scale(results, findings);
  add_results(communicator, temporary("results.h5"), results, report, points, scale);
  const RowMatrix embedding = embedding_of(results, partition.local_rows(communicator.rank()), scale);
  write_npy(communicator, temporary("embedding.npy"), embedding, partition);
  const std::string spectrum = draw_spectrum(communicator, temporary("spectrum.png"), results, report);
  const std::string map = draw_map(communicator, temporary("map.png"), results, report, scale, partition, labels);
  const std::string slope = draw_slope(communicator, temporary("slope.png"), report, {results.rows, results.features});
  if (!spectrum.empty()) findings.push_back("pictures: " + spectrum);
  if (!map.empty() && map != spectrum) findings.push_back("pictures: " + map);
  if (!slope.empty() && slope != spectrum) findings.push_back("pictures: " + slope);
  return findings;
}

}  // namespace

void OutputFolder::discard() {
  folder_.discard();
  points_.reset();
}

void OutputFolder::write_points(const PointBlock &points) {
  const auto start = std::chrono::steady_clock::now();
  discard();
  folder_.begin();
  communicator_.agree([&] {
    if (communicator_.rank() == 0) check_space_of_points(folder_, points);
  });
  points_ = WrittenPoints{points.partition(), points.features(), coordinate_unit(points)};
  try {
    write_points_file(communicator_, folder_.unfinished("results.h5"), points);
  } catch (...) {
    discard();
    throw;
  }
  points_seconds_ = seconds_since(start);
}

std::vector<std::string> OutputFolder::write(const Results &results, Report report,
                                             const std::vector<std::string> &labels) {
  const auto start = std::chrono::steady_clock::now();
  const bool measured = communicator_.max(results.measure.empty() ? 0.0 : 1.0) > 0;
  communicator_.agree([&] { FLASHRING_REQUIRE(points_.has_value(), "write_points comes before write"); });
  try {
    communicator_.agree([&] {
      check_shapes(results, *points_, communicator_.rank(), labels, measured);
      if (communicator_.rank() == 0) check_space_of_results(folder_, results);
    });
    std::vector<std::string> findings = write_arrays(communicator_, folder_, results, report, *points_, labels);
    report.seconds_write = points_seconds_ + seconds_since(start);
    report.seconds_total += report.seconds_write;
    folder_.complete(report_json(results, report, findings));
    points_.reset();
    return findings;
  } catch (const Error &error) {
    discard();
    throw Error(detail::concatenate(error.what(), "; not written: ", fmt::format("{}", fmt::join(run_files, ", "))),
                error.common());
  }
}

}  // namespace flashring
