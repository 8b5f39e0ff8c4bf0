// The folder of a run. Checks come before the computation, because an error after hours of it would lose the results.
// The points are written before it too: their memory is given up then. Files are complete under temporary names before
// the first of them takes its place, so a failure changes nothing.
#include <fmt/format.h>
#include <sys/statvfs.h>

#include <chrono>
#include <filesystem>
#include <system_error>

#include "flashring/check.hpp"
#include "flashring/results.hpp"
#include "io/folder.hpp"
#include "io/npy_writer.hpp"
#include "io/pictures.hpp"
#include "io/report.hpp"
#include "io/results_file.hpp"

namespace flashring {
namespace {

namespace fs = std::filesystem;

constexpr const char *outputs[] = {"results.h5", "embedding.npy", "spectrum.png", "map.png", "report.json"};

/// Said before gigabytes are written in vain; what the file system does not tell (a quota) is found while writing.
void check_space(const std::string &path, const char *what, double needed) {
  struct statvfs space {};
  if (::statvfs(path.c_str(), &space) != 0) return;
  const double free = static_cast<double>(space.f_bavail) * static_cast<double>(space.f_frsize);
  FLASHRING_CHECK(free >= needed, "output folder ", path,
                  fmt::format(": {} {:.0f} MB and {:.0f} MB are free; make room or choose another folder", what,
                              needed / 1e6, free / 1e6));
}

void check_space_of_points(const std::string &path, const PointBlock &points) {
  const double numbers = static_cast<double>(points.partition().rows()) * points.features();
  check_space(path, "the points need", 8.0 * numbers + 2e6);  // and 2 MB for the metadata of results.h5
}

/// The points are on the disk already.
void check_space_of_results(const std::string &path, const Results &results) {
  const double per_row = 4.0 * results.pairs + 4.0;  // right, left, embedding twice, 4 vectors
  const double numbers = static_cast<double>(results.rows) * per_row;
  check_space(path, "the results need", 8.0 * numbers + 4e6);  // and 4 MB for pictures, report and metadata
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
  FLASHRING_REQUIRE(labels.empty() || static_cast<std::int64_t>(labels.size()) == results.rows, labels.size(),
                    " labels for ", results.rows, " rows");
}

/// All outputs are complete under temporary names: puts them in place of what was there. The old report goes first and
/// the new one comes last, so that whatever happens between, no report stands beside results of another run.
void commit(const fs::path &path) {
  std::error_code ignored;
  fs::remove(path / "report.json", ignored);
  for (const char *name : outputs) {
    const fs::path from = unfinished_name(path, name);
    if (fs::exists(from, ignored)) {
      move_into_place(from, path / name);
    } else {
      fs::remove(path / name, ignored);  // a picture of an earlier run would belong to other results
    }
  }
}

void remove_unfinished(const fs::path &path) {
  std::error_code ignored;
  for (const char *name : outputs) fs::remove(unfinished_name(path, name), ignored);
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Everything but the report, under temporary names. Returns findings.
std::vector<std::string> write_arrays(const Communicator &communicator, const std::string &path, const Results &results,
                                      const Report &report, const WrittenPoints &points,
                                      const std::vector<std::string> &labels) {
  const auto temporary = [&](const char *name) { return unfinished_name(path, name); };
  const RowPartition &partition = points.partition;
  std::vector<std::string> findings;
  const std::vector<double> scale = embedding_scale(results, findings);
  add_results(communicator, temporary("results.h5"), results, report, points, scale);
  const RowMatrix embedding = embedding_of(results, partition.local_rows(communicator.rank()), scale);
  write_npy(communicator, temporary("embedding.npy"), embedding, partition);
  const std::string spectrum = draw_spectrum(communicator, temporary("spectrum.png"), results, report);
  const std::string map = draw_map(communicator, temporary("map.png"), results, report, scale, partition, labels);
  if (!spectrum.empty()) findings.push_back("pictures: " + spectrum);
  if (!map.empty() && map != spectrum) findings.push_back("pictures: " + map);
  return findings;
}

}  // namespace

OutputFolder::OutputFolder(const Communicator &communicator, std::string path, bool overwrite)
    : communicator_(communicator), path_(std::move(path)) {
  open_folder(communicator_, path_, overwrite, lock_);
}

OutputFolder::~OutputFolder() {
  if (points_) discard();
}

void OutputFolder::discard() {
  if (communicator_.rank() == 0) remove_unfinished(path_);
  points_.reset();
}

void OutputFolder::write_points(const PointBlock &points) {
  const auto start = std::chrono::steady_clock::now();
  discard();  // what a killed process left too: its picture would be taken for one of this run
  communicator_.agree([&] {
    if (communicator_.rank() == 0) check_space_of_points(path_, points);
  });
  points_ = WrittenPoints{points.partition(), points.features(), coordinate_unit(points)};
  try {
    write_points_file(communicator_, unfinished_name(path_, "results.h5"), points);
  } catch (...) {
    discard();
    throw;
  }
  points_seconds_ = seconds_since(start);
}

std::vector<std::string> OutputFolder::write(const Results &results, Report report,
                                             const std::vector<std::string> &labels) {
  const auto start = std::chrono::steady_clock::now();
  const bool first = communicator_.rank() == 0;
  const bool measured = communicator_.max(results.measure.empty() ? 0.0 : 1.0) > 0;
  communicator_.agree([&] { FLASHRING_REQUIRE(points_.has_value(), "write_points comes before write"); });
  try {
    communicator_.agree([&] {
      check_shapes(results, *points_, communicator_.rank(), labels, measured);
      if (first) check_space_of_results(path_, results);
    });
    std::vector<std::string> findings = write_arrays(communicator_, path_, results, report, *points_, labels);
    communicator_.agree([&] {
      if (!first) return;
      report.seconds_write = points_seconds_ + seconds_since(start);
      report.seconds_total += report.seconds_write;
      write_text(unfinished_name(path_, "report.json"), report_json(results, report, findings));
      commit(path_);
    });
    points_.reset();
    return findings;
  } catch (const Error &error) {
    discard();
    throw Error(detail::concatenate(error.what(), "; not written: ", fmt::format("{}", fmt::join(outputs, ", "))),
                error.common());
  }
}

}  // namespace flashring
