// The folder of a committor: rank 0 makes results.h5 with room for all rows, every rank writes its own, picture and
// report follow.
#include <algorithm>
#include <chrono>

#include "flashring/check.hpp"
#include "flashring/committor_results.hpp"
#include "io/pictures.hpp"
#include "io/report.hpp"
#include "io/results_file.hpp"

namespace flashring {
namespace {

constexpr int most_shown = 3;  // features

std::vector<RowArray> row_arrays(const CommittorResults &results, std::int64_t rows, bool times) {
  const auto column = [&](const std::vector<double> &values) { return RowMatrix{values, rows, 1, false, {}, {}}; };
  std::vector<RowArray> arrays = {
      {"/committor", "1", "q: chance to meet set B before set A", column(results.committor), true},
      {"/current", "1/step", "norm of the reactive current, pi (sum_j P_ij (q_j - q_i)^2)^(1/2)",
       column(results.current), true},
      {"/pi", "1", "stationary law of P, sums to 1", column(results.pi), true},
      {"/set", "1", "1 in set A, 2 in set B, otherwise 0", column(results.set), true}};
  if (times)
    arrays.push_back(
        {"/first_passage", "step", "mean number of steps until set B", column(results.first_passage), true});
  return arrays;
}

std::vector<std::int64_t> make_file(const std::string &name, const CommittorResults &results, const Report &report,
                                    const std::vector<RowArray> &arrays, bool times) {
  Hdf5File file(name, Hdf5File::Start::make, bytes_of(arrays, results.rows));
  write_origin(file, committor_kind, report);
  file.set_attribute("/", "pair", report.pair);
  file.set_attribute("/", "alpha", results.alpha);
  file.set_attribute("/", "normalization", results.normalization);
  file.set_attribute("/", "N", results.rows);
  file.set_attribute("/", "d", std::int64_t{results.features});
  file.set_attribute("/", "rate", results.rate);
  file.set_attribute("/", "committor_residual", results.committor_residual);
  if (times) file.set_attribute("/", "first_passage_residual", results.first_passage_residual);
  file.set_attribute("/", "iterations", std::int64_t{results.iterations});
  file.set_attribute("/", "passes", report.passes);
  file.set_attribute("/", "preconditioner", results.preconditioner);
  std::vector<std::int64_t> offsets = reserve_arrays(file, arrays, results.rows);
  file.close();
  return offsets;
}

}  // namespace

void CommittorFolder::show(const PointBlock &points) {
  partition_ = points.partition();
  shown_features_ = std::min(most_shown, points.features());
  shown_.clear();
  for (std::int64_t i = 0; i < points.local_rows(); ++i) {
    const double *row = points.row(LocalRow{i});
    shown_.insert(shown_.end(), row, row + shown_features_);
  }
}

std::vector<std::string> CommittorFolder::write(const CommittorResults &results, Report report) {
  const auto start = std::chrono::steady_clock::now();
  const std::int64_t rows = partition_.local_rows(communicator_.rank());
  communicator_.agree([&] {
    FLASHRING_REQUIRE(std::ssize(results.committor) == rows, results.committor.size(), " values for ", rows, " rows");
    if (communicator_.rank() == 0)
      folder_.check_space("the results need", 5 * 8.0 * static_cast<double>(results.rows) + 4e6);
  });
  folder_.begin();
  const bool times = communicator_.max(results.first_passage.empty() ? 0.0 : 1.0) > 0;  // a rank may hold no rows
  const std::vector<RowArray> arrays = row_arrays(results, rows, times);
  const std::string file = folder_.unfinished("results.h5");
  write_arrays(communicator_, file, arrays, partition_,
               [&] { return make_file(file, results, report, arrays, times); });
  RowSampler sampler(results.rows);
  const RowMatrix coordinates{shown_, rows, shown_features_, true, {}, {}};
  std::int64_t local = 0;
  for (const RowRange &range : partition_.ranges(communicator_.rank())) {
    sampler.add(range.begin.value, range.count, coordinates, local, results.committor);
    local += range.count;
  }
  std::vector<std::string> findings = results.findings;
  const std::string picture =
      draw_committor(communicator_, folder_.unfinished("map.png"), results, report, sampler, shown_features_);
  if (!picture.empty()) findings.push_back("pictures: " + picture);
  const std::string slope =
      draw_slope(communicator_, folder_.unfinished("slope.png"), report, {results.rows, results.features});
  if (!slope.empty() && slope != picture) findings.push_back("pictures: " + slope);
  report.seconds_write = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  report.seconds_total += report.seconds_write;
  folder_.complete(committor_json(results, report, findings));
  return findings;
}

}  // namespace flashring
