// Products with landmarks against the dense oracle: tiles of every backend, pair and precision, and the operator's own
// over any partition.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "flashring/check.hpp"
#include "flashring/landmark_operator.hpp"
#include "flashring/landmark_tiles.hpp"
#include "support/apply.hpp"
#include "support/fake_device.hpp"
#include "support/pair_text.hpp"
#include "support/tolerance.hpp"

namespace flashring::test {
namespace {

constexpr std::int64_t rows = 300;
constexpr std::int64_t landmarks = 70;
constexpr int features = 5;

/// Every fourth row, the last one first.
std::vector<GlobalRow> chosen_rows() {
  std::vector<GlobalRow> chosen;
  for (std::int64_t j = 0; j < landmarks; ++j) chosen.push_back({rows - 1 - 4 * j});
  return chosen;
}

PointSet chosen_points(const PointSet &points) {
  PointSet chosen{points.features, {}};
  for (const GlobalRow row : chosen_rows()) {
    const double *x = points.row(static_cast<std::size_t>(row.value));
    chosen.rows.insert(chosen.rows.end(), x, x + points.features);
  }
  return chosen;
}

std::vector<double> mean_of(const PointSet &points) {
  std::vector<double> mean(static_cast<std::size_t>(points.features), 0.0);
  for (std::size_t at = 0; at < points.rows.size(); ++at)
    mean[at % mean.size()] += points.rows[at] / static_cast<double>(points.count());
  return mean;
}

/// K(points, landmarks) x with bounds.
Bounded oracle_product(const std::string &pair, const PointSet &points, const std::vector<double> &x, int columns,
                       Precision precision, int tile_rows) {
  const OraclePair oracle = oracle_pair(pair);
  const std::vector<double> mean = oracle.inner() ? std::vector<double>() : mean_of(points);
  return oracle_sum(make_table(oracle, points, chosen_points(points), mean), x, columns,
                    arithmetic(precision, tile_rows));
}

/// Rows of y times left, with one more rounding.
Bounded scaled(Bounded y, const std::vector<double> &left, double unit) {
  for (std::size_t at = 0; at < y.value.size(); ++at) {
    const Real factor = left[at % left.size()];
    y.value[at] *= factor;
    y.bound[at] = std::abs(factor) * y.bound[at] + unit * std::abs(y.value[at]);
  }
  return y;
}

struct Tiles {
  std::string backend = "ref";
  PointsMemory memory = PointsMemory::device;
  RingOptions options;
  std::string pair = "gaussian:beta=0.6";
  Precision precision = Precision::fp64;
  int columns = 3;

  TileShape shape(Precision in) const { return {parse_pair(pair), RowKind::sum, 0, in, features, columns, {}}; }
};

/// y = diag(left) K diag(right) x by LandmarkTiles, whole.
std::vector<double> computed(const Tiles &tiles, const PointSet &points, const RowPartition &partition,
                             const std::vector<double> &x, const std::vector<double> &left,
                             const std::vector<double> &right) {
  const Backend &backend = backend_named(tiles.backend);
  const TileShape shape = tiles.shape(Precision::fp64);
  const std::vector<double> mean =
      traits(shape.pair.kind).invariance == Invariance::translation ? mean_of(points) : std::vector<double>();
  PointBlock whole_set(RowPartition::contiguous(rows, 1), 0, features, points.rows);
  const TileBlock all(backend, shape, with_lengths(std::move(whole_set), shape.pair), mean);
  std::vector<LocalRow> places;
  for (const GlobalRow row : chosen_rows()) places.push_back({row.value});
  LandmarkTiles chosen(backend, shape, all.unpack(shape, places), tiles.options, tiles.memory);
  EXPECT_EQ(chosen.count(), landmarks);

  const int rank = world().rank();
  TileBlock own(backend, shape, with_lengths(local_block(points, partition, rank), shape.pair), mean, tiles.memory);
  own.set_precision(tiles.shape(tiles.precision));
  const std::int64_t n = own.local_rows();
  const std::vector<double> my_left = local_columns(left, 1, partition, rank);
  std::vector<double> y(static_cast<std::size_t>(n * tiles.columns), std::nan(""));
  SumRequest request{x.data(), landmarks, y.data(), n, tiles.columns, tiles.precision, my_left, right};
  const PassReport report = chosen.apply(own, request);
  EXPECT_EQ(report.pairs, static_cast<double>(n * landmarks));
  return gather_columns(y, tiles.columns, partition, world());
}

/// On every partition, with the same bits for three threads.
void check(const Tiles &tiles) {
  SCOPED_TRACE(tiles.backend + " " + tiles.pair);
  const PointSet points = random_points(rows, features, 51);
  const std::vector<double> x = random_numbers(static_cast<std::size_t>(landmarks * tiles.columns), 52);
  std::vector<double> right = random_numbers(landmarks, 53);
  const std::vector<double> left = random_numbers(rows, 54);
  for (double &value : right) value = std::round(8 * value) / 8;
  std::vector<double> products = x;
  for (std::size_t at = 0; at < x.size(); ++at) products[at] *= right[at % landmarks];
  const bool judge = world().rank() == 0;
  const double unit = unit_roundoff(tiles.precision);
  const Bounded expected = judge ? scaled(oracle_product(tiles.pair, points, products, tiles.columns, tiles.precision,
                                                         backend_named(tiles.backend).tile_rows),
                                          left, unit)
                                 : Bounded();
  for (const auto &[name, partition] : partitions(rows, world().size())) {
    SCOPED_TRACE(name);
    const std::vector<double> y = computed(tiles, points, partition, x, left, right);
    EXPECT_EQ(judge ? outside(y, expected) : "", "");
    Tiles threaded = tiles;
    threaded.options.threads = 3;
    EXPECT_EQ(computed(threaded, points, partition, x, left, right), y) << "three threads have other bits";
  }
}

TEST(LandmarkTiles, EveryPairEqualsTheOracle) {
  for (const std::string &name : host_pair_names(features))
    for (const Precision precision : {Precision::fp64, Precision::fp32}) {
      Tiles tiles;
      tiles.backend = "simd";
      tiles.pair = spread_pair(name, features);
      tiles.precision = precision;
      check(tiles);
    }
}

TEST(LandmarkTiles, EveryBackendAndMemory) {
  for (const char *backend : {"ref", "simd", "device"})
    for (const PointsMemory memory : {PointsMemory::device, PointsMemory::host})
      for (const int columns : {1, 64}) {
        Tiles tiles;
        tiles.backend = backend;
        tiles.memory = memory;
        tiles.columns = columns;
        if (memory == PointsMemory::host) tiles.options.part_bytes = 1;  // two tiles at a time are on the device
        check(tiles);
      }
}

/// K(landmarks, own rows) over all ranks, where some have no row.
TEST(LandmarkTiles, TransposeEqualsTheOracle) {
  const PointSet points = random_points(rows, features, 51);
  for (const char *backend : {"ref", "simd", "device"})
    for (const Precision precision : {Precision::fp64, Precision::fp32})
      for (const PointsMemory memory : {PointsMemory::device, PointsMemory::host}) {
        Tiles tiles;
        tiles.backend = backend;
        tiles.memory = memory;
        tiles.precision = precision;
        const std::vector<double> x = random_numbers(static_cast<std::size_t>(rows * tiles.columns), 52);
        const TileShape shape = tiles.shape(Precision::fp64);
        const std::vector<double> mean = mean_of(points);
        const Bounded expected = oracle_sum(make_table(oracle_pair(tiles.pair), chosen_points(points), points, mean), x,
                                            tiles.columns, arithmetic(precision, backend_named(backend).tile_rows));
        for (const auto &[name, partition] : partitions(rows, world().size())) {
          SCOPED_TRACE(std::string(backend) + " " + name);
          const int rank = world().rank();
          TileBlock own(backend_named(backend), shape, local_block(points, partition, rank), mean, memory);
          own.set_precision(tiles.shape(precision));
          const TileBlock all(backend_named(backend), shape,
                              PointBlock(RowPartition::contiguous(rows, 1), 0, features, points.rows), mean);
          std::vector<LocalRow> places;
          for (const GlobalRow row : chosen_rows()) places.push_back({row.value});
          LandmarkTiles chosen(backend_named(backend), shape, all.unpack(shape, places), tiles.options, memory);
          const std::vector<double> mine = local_columns(x, tiles.columns, partition, rank);
          std::vector<double> y(static_cast<std::size_t>(landmarks * tiles.columns), std::nan(""));
          const PassReport report = chosen.apply_transpose(
              own, {mine.data(), own.local_rows(), y.data(), landmarks, tiles.columns, precision});
          EXPECT_EQ(report.pairs, static_cast<double>(own.local_rows() * landmarks));
          world().sum(std::span<double>(y));
          EXPECT_EQ(outside(y, expected, 2), "");  // one more rounding for each rank
        }
      }
}

TEST(LandmarkTiles, NoRoomOnTheDeviceIsSaidAndLeavesNothingBehind) {
  const PointSet points = random_points(rows, features, 51);
  const Tiles tiles{"device", PointsMemory::device, {}, "gaussian:beta=0.6", Precision::fp64, 3};
  const TileShape shape = tiles.shape(Precision::fp64);
  const PointBlock block(RowPartition::contiguous(rows, 1), 0, features, points.rows);
  TileBlock own(fake_device(), shape, block, {});
  LandmarkTiles chosen(fake_device(), shape, own.unpack(shape, std::vector<LocalRow>{{0}, {5}, {9}}), {});
  const std::vector<double> x(9, 1.0);
  std::vector<double> y(rows * 3);
  const SumRequest request{x.data(), 3, y.data(), rows, 3};
  for (const std::size_t room : {0, 1024}) {
    set_fake_device_room(fake_device_bytes() + room);
    EXPECT_THROW(chosen.apply(own, request), Error) << room;
  }
  set_fake_device_room(SIZE_MAX);
  chosen.apply(own, request);
  for (std::size_t i = 0; i < rows; ++i) EXPECT_EQ(y[i], y[2 * rows + i]);
  fail_next_wait("out of order");
  EXPECT_THROW(chosen.apply(own, request), Error);
}

/// What the pair function reads of a point.
std::vector<double> in_tile(const PairFunction &pair, const double *row) {
  const bool lengths = point_scale(pair.kind) == PointScale::length;
  const std::vector<double> scale = lengths ? std::vector{length_of(row, features)} : covariance_of(row, features);
  std::vector<double> numbers(scale.size());
  scale_in_tile(pair, features, scale.data(), numbers.data());
  return numbers;
}

TEST(LandmarkOperator, ProductsOfTheOperatorsPoints) {
  const PointSet points = random_points(rows, features, 55);
  constexpr int columns = 70;  // more than one product carries
  const std::vector<double> x = random_numbers(landmarks * columns, 56);
  const bool judge = world().rank() == 0;
  for (const std::string &name : host_pair_names(features))
    for (const auto &[where, partition] : partitions(rows, world().size())) {
      const std::string pair = spread_pair(name, features);
      SCOPED_TRACE(pair);
      SCOPED_TRACE(where);
      KernelOperator op = make_operator(points, options_of({{"pair", pair}}), partition);
      const std::vector<double> z = op.gather_points(chosen_rows());
      const double scale = feature_scale(op.options().pair);
      const PointSet chosen = chosen_points(points);
      const auto numbers = static_cast<std::size_t>(point_numbers(op.options().pair, features));
      for (std::size_t at = 0; at < z.size(); ++at) {
        const double *row = chosen.row(at / numbers);
        const std::size_t k = at % numbers;
        const double mean = op.mean().empty() || k >= features ? 0 : op.mean()[k];
        if (k < features)
          EXPECT_NEAR(z[at], (row[k] - mean) * scale, 4 * 0x1p-53 * scale);
        else
          EXPECT_EQ(z[at], in_tile(op.options().pair, row)[k - features]);
      }
      LandmarkOperator product(op, z);
      ASSERT_EQ(product.count(), landmarks);
      const std::int64_t ld = op.local_rows() + 2;
      std::vector<double> y(static_cast<std::size_t>(ld * columns), -7.0);
      product.apply({x.data(), landmarks, y.data(), ld, columns});
      std::vector<double> mine;
      for (int c = 0; c < columns; ++c) {
        mine.insert(mine.end(), y.begin() + c * ld, y.begin() + c * ld + op.local_rows());
        EXPECT_EQ(y[static_cast<std::size_t>(c * ld + op.local_rows())], -7.0) << "written beyond the rows";
      }
      for (double &value : mine) value *= std::exp(op.log_shift());
      const std::vector<double> all = gather_columns(mine, columns, partition, world());
      // The shift is rounded, and so is its exponential: |shift| and 2 units more, which is below the bounds twice.
      EXPECT_EQ(judge ? outside(all, oracle_product(pair, points, x, columns, Precision::fp64, 256), 2) : "", "");
      const std::vector<double> unit = local_columns(random_numbers(rows, 56), 1, partition, world().rank());
      std::vector<double> there(landmarks);
      std::vector<double> unit_y(unit.size());
      product.apply_transpose({unit.data(), op.local_rows(), there.data(), landmarks, 1});
      product.apply({x.data(), landmarks, unit_y.data(), op.local_rows(), 1});
      double left = 0;
      double right = 0;
      for (std::size_t i = 0; i < unit.size(); ++i) left += unit[i] * unit_y[i];
      for (std::size_t j = 0; j < landmarks; ++j) right += there[j] * x[j];
      // Sums of up to 300 products of numbers below 4, each rounded to 2^-53.
      EXPECT_NEAR(world().sum(left), right, 300 * 70 * 16 * 0x1p-53) << "u' K x = x' K' u";
      EXPECT_EQ(op.counters().passes, 0) << "a product with landmarks is no pass";
      EXPECT_EQ(world().sum(op.counters().landmarks.pairs), 4.0 * rows * landmarks)
          << "two products of 64 columns, two of one";
    }
}

TEST(LandmarkOperator, AmongIsSymmetricAndAlikeOnAllRanks) {
  const PointSet points = random_points(rows, features, 57);
  const PointSet chosen = chosen_points(points);
  KernelOperator op = make_operator(points, options_of({{"pair", "matern32:ell=0.8"}, {"precision", "fp32"}}));
  LandmarkOperator product(op, op.gather_points(chosen_rows()));
  const std::vector<double> among = product.among();
  const PairTable table = make_table(oracle_pair("matern32:ell=0.8"), chosen, chosen, mean_of(points));
  for (std::size_t i = 0; i < landmarks; ++i)
    for (std::size_t j = 0; j < landmarks; ++j) {
      const Real expected = std::exp(table.log_weight[table.at(i, j)]);
      EXPECT_NEAR(among[j * landmarks + i], static_cast<double>(expected),
                  static_cast<double>(expected) * 0x1p-53 * (table.error[table.at(i, j)] + 2));
      EXPECT_EQ(among[j * landmarks + i], among[i * landmarks + j]);
    }
  EXPECT_EQ(op.counters().landmarks.pairs, 2.0 * landmarks * landmarks);
}

TEST(LandmarkOperator, PassesGoOnAsBefore) {
  const PointSet points = random_points(rows, features, 58);
  const std::vector<double> x = random_numbers(rows * 2, 59);
  for (const char *exchange : {"ring", "resident"})
    for (const char *precision : {"fp64", "fp32"}) {
      SCOPED_TRACE(std::string(exchange) + " " + precision);
      KernelOperator op =
          make_operator(points, options_of({{"beta", "1"}, {"exchange", exchange}, {"precision", precision}}));
      const std::vector<double> before = apply(op, x, 2);
      LandmarkOperator product(op, op.gather_points(chosen_rows()));
      std::vector<double> y(static_cast<std::size_t>(op.local_rows()));
      const std::vector<double> ones(landmarks, 1.0);
      product.apply({ones.data(), landmarks, y.data(), op.local_rows()});
      EXPECT_EQ(apply(op, x, 2), before);
    }
}

TEST(LandmarkOperator, AsksTheStopFunction) {
  const PointSet points = random_points(rows, features, 58);
  KernelOperator op = make_operator(points, options_of({{"beta", "1"}}));
  LandmarkOperator product(op, op.gather_points(chosen_rows()));
  std::vector<double> y(static_cast<std::size_t>(op.local_rows()));
  const std::vector<double> ones(landmarks, 1.0);
  op.set_stop([] { return world().rank() == world().size() - 1; });
  EXPECT_THROW(product.apply({ones.data(), landmarks, y.data(), op.local_rows()}), Interrupted);
}

TEST(LandmarkOperator, RowsBeyondThePointsAreRefused) {
  KernelOperator op = make_operator(random_points(20, 2, 60), options_of({{"beta", "1"}}));
  EXPECT_THROW(op.gather_points(std::vector<GlobalRow>{{20}}), Error);
  EXPECT_THROW(LandmarkOperator(op, {}), Error);
}

}  // namespace
}  // namespace flashring::test
