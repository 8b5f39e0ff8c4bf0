// A run whose every number is known, to be written and read back.
#pragma once

#include <cmath>
#include <vector>

#include "flashring/results.hpp"
#include "support/world.hpp"

namespace flashring::test {

/// What every array should hold at a global row and column: all different, exact in double.
inline double exact(int array, std::int64_t row, std::int64_t column) {
  return array * 1e6 + static_cast<double>(row) + static_cast<double>(column) / 1024;
}
enum Array { points_array = 1, right_array, left_array, pi_array, degree_array, weight_array, measure_array };

struct SampleRun {
  Results results;
  Report report;
  PointBlock points;
};

inline std::vector<double> local_array(const RowPartition &partition, Array array, int columns, bool row_major) {
  const int rank = world().rank();
  const std::int64_t rows = partition.local_rows(rank);
  std::vector<double> values(static_cast<std::size_t>(rows * columns));
  for (std::int64_t i = 0; i < rows; ++i)
    for (std::int64_t c = 0; c < columns; ++c)
      values[static_cast<std::size_t>(row_major ? i * columns + c : c * rows + i)] =
          exact(array, partition.global_row(rank, LocalRow{i}).value, c);
  return values;
}

inline SampleRun make_run(const RowPartition &partition, int features, int pairs) {
  SampleRun run;
  run.points = PointBlock(partition, world().rank(), features, local_array(partition, points_array, features, true));
  Results &r = run.results;
  r.rows = partition.rows();
  r.features = features;
  r.pairs = pairs;
  r.time = 2;
  r.alpha = 0.25;
  r.log_shift = -3.5;
  for (int k = 0; k < pairs; ++k) {
    r.eigenvalues.push_back(std::pow(0.5, k));
    r.residuals.push_back(k == 0 ? 0 : 1e-9 * k);
    r.residual_over_gap.push_back(k == 0 ? HUGE_VAL : 1e-8 * k);
  }
  r.right = local_array(partition, right_array, pairs, false);
  r.left = local_array(partition, left_array, pairs, false);
  r.pi = local_array(partition, pi_array, 1, false);
  r.degree = local_array(partition, degree_array, 1, false);
  r.weight = local_array(partition, weight_array, 1, false);
  r.mean.assign(static_cast<std::size_t>(features), 0.125);
  r.diagnoses = {"a finding"};
  run.report.version = "9.8.7";
  run.report.git = "0123456789ab";
  run.report.status = "converged";
  run.report.options = {{"points", "my points.npy"}, {"nev", "4"}, {"overwrite", ""}};
  run.report.pair = "gaussian:beta=0.5";
  run.report.precision = "fp64";
  run.report.ranks = world().size();
  run.report.passes = 12;
  run.report.seconds_total = 10;
  run.report.peak_bytes_per_rank = {3e9};
  return run;
}

inline SampleRun small_run(std::int64_t rows = 7) {
  return make_run(RowPartition::contiguous(rows, world().size()), 3, 4);
}

}  // namespace flashring::test
