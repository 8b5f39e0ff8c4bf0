// A run whose every number is known, to be written and read back.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "flashring/results.hpp"
#include "io/hdf5_reader.hpp"
#include "io/io_support.hpp"
#include "support/world.hpp"

namespace flashring::test {

/// What every array should hold at a global row and column: all different, exact in double.
enum Array { points_array = 1, right_array, pi_array, degree_array, weight_array, measure_array, left_array };
inline double exact(int array, std::int64_t row, std::int64_t column) {
  if (array == left_array) return exact(right_array, row, column) * exact(pi_array, row, 0);
  return array * 1e6 + static_cast<double>(row) + static_cast<double>(column) / 1024;
}

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

/// For one scope gnuplot is not found: its pictures take most of the time of a small run.
class WithoutGnuplot {
 public:
  WithoutGnuplot() : path_(std::getenv("PATH")) { setenv("PATH", "/nowhere", 1); }
  WithoutGnuplot(const WithoutGnuplot &) = delete;
  WithoutGnuplot &operator=(const WithoutGnuplot &) = delete;
  ~WithoutGnuplot() { setenv("PATH", path_.c_str(), 1); }

 private:
  std::string path_;
};

/// As a driver does: the points are gone before the results come.
inline std::vector<std::string> write_run(OutputFolder &output, const SampleRun &run,
                                          const std::vector<std::string> &labels = {}) {
  {
    const PointBlock points = run.points;
    output.write_points(points);
  }
  return output.write(run.results, run.report, labels);
}

inline std::vector<std::string> write_run(const std::string &folder, const SampleRun &run,
                                          const std::vector<std::string> &labels = {}) {
  OutputFolder output(world(), folder, false);
  return write_run(output, run, labels);
}

inline void expect_rows(const std::filesystem::path &file, const std::string &name, Array array,
                        const std::vector<hsize_t> &extents) {
  SCOPED_TRACE(name);
  const Dataset dataset = read_dataset(file, name);
  ASSERT_EQ(dataset.extents, extents);
  EXPECT_TRUE(dataset.little_endian_double);
  const auto columns = static_cast<std::int64_t>(extents.size() == 2 ? extents[1] : 1);
  std::int64_t wrong = 0;
  for (std::int64_t at = 0; at < static_cast<std::int64_t>(dataset.values.size()); ++at)
    wrong += dataset.values[static_cast<std::size_t>(at)] != exact(array, at / columns, at % columns) ? 1 : 0;
  EXPECT_EQ(wrong, 0);
}

/// All arrays over rows, on rank 0 alone: another process than the one that wrote most of them.
inline void expect_arrays(const std::filesystem::path &folder, const SampleRun &run) {
  if (world().rank() != 0) return;
  const auto n = static_cast<hsize_t>(run.results.rows);
  const auto d = static_cast<hsize_t>(run.results.features);
  const auto pairs = static_cast<hsize_t>(run.results.pairs);
  const std::filesystem::path file = folder / "results.h5";
  expect_rows(file, "/points", points_array, {n, d});
  expect_rows(file, "/right", right_array, {n, pairs});
  expect_rows(file, "/left", left_array, {n, pairs});
  expect_rows(file, "/pi", pi_array, {n});
  expect_rows(file, "/degree", degree_array, {n});
  expect_rows(file, "/weight", weight_array, {n});
  EXPECT_EQ(read_dataset(file, "/eigenvalues").values, run.results.eigenvalues);
  EXPECT_EQ(read_dataset(file, "/residuals").values, run.results.residuals);
  EXPECT_EQ(read_dataset(file, "/residual_over_gap").values, run.results.residual_over_gap);
  EXPECT_EQ(read_dataset(file, "/mean").values, run.results.mean);
}

inline void expect_embedding(const std::filesystem::path &folder, const SampleRun &run) {
  if (world().rank() != 0) return;
  const auto n = static_cast<hsize_t>(run.results.rows);
  const auto columns = static_cast<hsize_t>(std::max(0, run.results.pairs - 1));
  const Dataset embedding = read_dataset(folder / "results.h5", "/embedding");
  ASSERT_EQ(embedding.extents, (std::vector<hsize_t>{n, columns}));
  std::vector<double> expected;
  for (hsize_t i = 0; i < n; ++i)
    for (hsize_t c = 0; c < columns; ++c) {
      const double power = std::pow(0.25, static_cast<double>(c + 1));  // 0.5^k squared: exact
      expected.push_back(power * exact(right_array, static_cast<std::int64_t>(i), static_cast<std::int64_t>(c + 1)));
    }
  EXPECT_EQ(embedding.values, expected);
  const std::string npy = read_file(folder / "embedding.npy");
  const std::string shape = "(" + std::to_string(n) + ", " + std::to_string(columns) + ")";
  ASSERT_EQ(npy.size(), 128 + 8 * expected.size());
  EXPECT_EQ(npy.substr(0, 8), std::string("\x93NUMPY\x01\x00", 8));
  EXPECT_EQ(static_cast<unsigned char>(npy[8]) + 256 * npy[9], 118);
  EXPECT_NE(npy.find("{'descr': '<f8', 'fortran_order': False, 'shape': " + shape + ", }"), std::string::npos);
  EXPECT_EQ(npy[127], '\n');
  if (expected.empty()) return;
  EXPECT_EQ(std::memcmp(npy.data() + 128, expected.data(), 8 * expected.size()), 0);
}

}  // namespace flashring::test
