// The ring: whole sums over all ranks against the oracle, by both routes, for every partition, rule, side and mask; and
// the same bits for any number of threads and for repeated passes.
#include <gtest/gtest.h>

#include <limits>

#include "flashring/check.hpp"
#include "flashring/ring.hpp"
#include "support/fake_device.hpp"
#include "support/scatter.hpp"
#include "support/tiles.hpp"
#include "support/tolerance.hpp"
#include "support/world.hpp"

namespace flashring::test {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
const char *const pair_text = "matern32:ell=1.1";

/// One problem: queries and sources with columns and log weights, whole on every rank.
struct Problem {
  RowKind row = RowKind::sum;
  Precision precision = Precision::fp64;
  Sides sides = Sides::own;
  Mask mask;
  bool square = false;
  std::string backend = "ref";
  PointsMemory points = PointsMemory::device;
  RingOptions options;
  int columns = 3;
  PointSet own = random_points(291, 3, 31);
  PointSet sources = random_points(170, 3, 32);

  const PointSet &visiting() const { return square ? own : sources; }
  TileShape shape() const { return {parse_pair(pair_text), row, 0, precision, own.features, columns, mask}; }
};

std::vector<double> values_of(const PointSet &points, int columns) {
  return random_numbers(points.count() * static_cast<std::size_t>(columns), 40 + points.count());
}
std::vector<double> weights_of(const PointSet &points) { return random_numbers(points.count(), 50 + points.count()); }

std::vector<std::int64_t> counted(std::size_t rows) {
  std::vector<std::int64_t> list(rows);
  for (std::size_t i = 0; i < rows; ++i) list[i] = static_cast<std::int64_t>(i);
  return list;
}

struct Sums {
  std::vector<double> own, visiting;  // (N, outputs) column-major, whole
};

TileBlock make_block(const Problem &problem, const PointSet &points, const RowPartition &partition) {
  const int rank = world().rank();
  TileBlock block(backend_named(problem.backend), problem.shape(), local_block(points, partition, rank), {},
                  problem.points);
  const std::vector<double> x = local_columns(values_of(points, problem.columns), problem.columns, partition, rank);
  block.set_columns({x.data(), block.local_rows(), problem.columns});
  if (row_rule(problem.row).scalars > 0)
    block.set_pass_scalars(local_columns(weights_of(points), 1, partition, rank), -infinity);
  return block;
}

std::unique_ptr<Transport> transport_of(const Problem &problem) {
  TransportOptions options;
  options.host_messages = problem.points == PointsMemory::host;
  return make_transport("auto", world(), backend_named(problem.backend).device, options);
}

std::vector<double> finished(const Problem &problem, TileBlock &block) {
  const int outputs = row_rule(problem.row).outputs(problem.columns);
  std::vector<double> out(static_cast<std::size_t>(block.local_rows() * outputs));
  block.finish(problem.row, problem.columns, {out.data(), block.local_rows(), outputs});
  return gather_columns(out, outputs, block.partition(), world());
}

Sums run(const Problem &problem, const RowPartition &own_rows, const RowPartition &source_rows, int passes = 1) {
  const auto transport = transport_of(problem);
  Ring ring(world(), *transport, backend_named(problem.backend), problem.options);
  TileBlock own = make_block(problem, problem.own, own_rows);
  TileBlock sources = make_block(problem, problem.visiting(), problem.square ? own_rows : source_rows);
  TileBlock &visiting = problem.square && problem.sides == Sides::both ? own : sources;
  for (int pass = 0; pass < passes; ++pass) ring.run(problem.shape(), problem.sides, own, visiting);
  Sums sums;
  if (has_own(problem.sides)) sums.own = finished(problem, own);
  if (has_visiting(problem.sides)) sums.visiting = finished(problem, visiting);
  return sums;
}

Bounded expected(const Problem &problem, bool own) {
  PairTable table = make_table(oracle_pair(pair_text), problem.own, problem.visiting());
  hide(table, counted(table.own), counted(table.visiting), problem.mask.causal, problem.mask.exclude_self);
  if (!own) table = transposed(table);
  const PointSet &giving = own ? problem.visiting() : problem.own;
  const Arithmetic a = arithmetic(problem.precision, backend_named(problem.backend).tile_rows);
  return problem.row == RowKind::sum
             ? oracle_sum(table, values_of(giving, problem.columns), problem.columns, a)
             : oracle_log_sum_exp(table, weights_of(giving), values_of(giving, problem.columns), problem.columns, a);
}

/// The gathered sums are alike on all ranks, so rank 0 alone asks the oracle.
void check_all_partitions(const Problem &problem) {
  const bool judge = world().rank() == 0;
  const bool to_own = has_own(problem.sides);
  const bool to_visiting = has_visiting(problem.sides);
  const Bounded own = judge && to_own ? expected(problem, true) : Bounded();
  const Bounded visiting = judge && to_visiting ? expected(problem, false) : Bounded();
  const auto own_rows = partitions(static_cast<std::int64_t>(problem.own.count()), world().size());
  const auto source_rows = partitions(static_cast<std::int64_t>(problem.sources.count()), world().size());
  for (std::size_t p = 0; p < own_rows.size(); ++p) {
    const auto &other = source_rows[(p + 1) % source_rows.size()];
    SCOPED_TRACE(own_rows[p].name + " own rows, " + other.name + " sources");
    const Sums sums = run(problem, own_rows[p].partition, other.partition);
    EXPECT_EQ(judge ? outside(sums.own, own) : "", "") << "own";
    EXPECT_EQ(judge ? outside(sums.visiting, visiting) : "", "") << "visiting";
  }
}

/// "device_parts": points on the host, a pair of tiles of which is on the device at a time.
void set_backend(Problem &problem, const std::string &name) {
  problem.backend = name == "device_parts" ? "device" : name;
  if (name != "device_parts") return;
  problem.points = PointsMemory::host;
  problem.options.part_bytes = 1;
}

class RingSums : public ::testing::TestWithParam<std::tuple<RowKind, Route, std::string>> {
 protected:
  Problem problem() const {
    Problem p;
    p.row = std::get<0>(GetParam());
    p.options.route = std::get<1>(GetParam());
    set_backend(p, std::get<2>(GetParam()));
    return p;
  }
};

TEST_P(RingSums, RectangleForEverySide) {
  for (const Sides sides : {Sides::own, Sides::visiting, Sides::both}) {
    SCOPED_TRACE(static_cast<int>(sides));
    Problem p = problem();
    p.sides = sides;
    check_all_partitions(p);
  }
}

TEST_P(RingSums, SquareEvaluatesPairsOnce) {
  Problem p = problem();
  p.square = true;
  p.sides = Sides::both;
  check_all_partitions(p);
}

TEST_P(RingSums, CausalMask) {
  Problem p = problem();
  p.square = true;
  p.mask.causal = true;
  check_all_partitions(p);
}

TEST_P(RingSums, SelfExcludedSquare) {
  Problem p = problem();
  p.square = true;
  p.sides = Sides::both;
  p.mask.exclude_self = true;
  check_all_partitions(p);
}

TEST_P(RingSums, SinglePrecision) {
  Problem p = problem();
  p.precision = Precision::fp32;
  p.sides = Sides::both;
  check_all_partitions(p);
}

TEST_P(RingSums, MoreRanksThanRows) {
  Problem p = problem();
  p.own = random_points(2, 3, 33);
  p.sources = random_points(3, 3, 34);
  p.sides = Sides::both;
  check_all_partitions(p);
  p.square = true;
  check_all_partitions(p);
}

TEST_P(RingSums, SameBitsForAnyThreadsAndAgain) {
  Problem p = problem();
  p.own = random_points(p.backend == "simd" ? 2100 : 600, 3, 35);
  p.square = true;
  p.sides = Sides::both;
  const auto rows = RowPartition::contiguous(static_cast<std::int64_t>(p.own.count()), world().size());
  const Sums one = run(p, rows, rows);
  for (int threads = 1; threads <= 4; ++threads) {
    p.options.threads = threads;
    const Sums sums = run(p, rows, rows, threads == 1 ? 3 : 1);
    EXPECT_EQ(sums.own, one.own) << threads << " threads";
    EXPECT_EQ(sums.visiting, one.visiting) << threads << " threads";
  }
}

// Threads take several pairs at a time when a quarter of a visit's tile rows over the threads is more than one: 33
// tiles of a rank make 4 pairs for 2 threads and 2 for 4; 17 tiles of each of two ranks make 2 for 2.
TEST_P(RingSums, SameBitsWhenThreadsTakeSeveralPairs) {
  Problem p = problem();
  if (p.backend != "ref" || world().size() > 2) GTEST_SKIP() << "ref has the smallest tiles, and two ranks are enough";
  const auto tile = static_cast<std::size_t>(find_backend(p.backend).tile_rows);
  const bool alone = world().size() == 1;
  p.columns = 1;
  p.square = true;
  p.sides = Sides::both;
  p.own = random_points(32 * tile + 9, 1, 37);
  const auto rows = RowPartition::contiguous(static_cast<std::int64_t>(p.own.count()), world().size());
  const Sums one = run(p, rows, rows);
  for (const int threads : alone ? std::vector{2, 4} : std::vector{2}) {
    p.options.threads = threads;
    const Sums sums = run(p, rows, rows);
    EXPECT_EQ(sums.own, one.own) << threads << " threads";
    EXPECT_EQ(sums.visiting, one.visiting) << threads << " threads";
  }
}

std::string param_name(const ::testing::TestParamInfo<std::tuple<RowKind, Route, std::string>> &param) {
  return std::string(row_rule(std::get<0>(param.param)).name) +
         (std::get<1>(param.param) == Route::direct ? "_direct_" : "_travel_") + std::get<2>(param.param);
}

INSTANTIATE_TEST_SUITE_P(Every, RingSums,
                         ::testing::Combine(::testing::Values(RowKind::sum, RowKind::logsumexp),
                                            ::testing::Values(Route::direct, Route::travel),
                                            ::testing::Values("ref", "simd", "device")),
                         param_name);
// How sums come home has nothing to do with where points are.
INSTANTIATE_TEST_SUITE_P(Parts, RingSums,
                         ::testing::Combine(::testing::Values(RowKind::sum, RowKind::logsumexp),
                                            ::testing::Values(Route::direct), ::testing::Values("device_parts")),
                         param_name);

// All that is compared with what travels: payloads that stay, on the host and on a device.
TEST(Ring, ResidentPayloadsGiveTheSameBits) {
  for (const char *name : {"ref", "device", "device_parts"}) {
    SCOPED_TRACE(name);
    Problem p;
    set_backend(p, name);
    p.square = true;
    p.sides = Sides::both;
    const auto rows = RowPartition::contiguous(static_cast<std::int64_t>(p.own.count()), world().size());
    const Sums travelling = run(p, rows, rows);
    const auto transport = transport_of(p);
    Ring ring(world(), *transport, backend_named(p.backend), p.options);
    TileBlock block = make_block(p, p.own, rows);
    ring.make_resident(p.shape(), block);
    ring.run(p.shape(), p.sides, block, block);
    EXPECT_EQ(finished(p, block), travelling.own);
  }
}

TEST(Ring, DeviceMemoryGoesBack) {
  const std::size_t before = fake_device_bytes();
  Problem p;
  p.backend = "device";
  p.square = true;
  p.sides = Sides::both;
  const auto rows = RowPartition::contiguous(static_cast<std::int64_t>(p.own.count()), world().size());
  run(p, rows, rows);
  EXPECT_EQ(fake_device_bytes(), before);
}

/// 8 tiles on each rank. The sums are alike on all ranks, so rank 0 alone asks the oracle.
TEST(Ring, PointsOfTheHostNeedLittleOfTheDevice) {
  const auto ranks = static_cast<std::size_t>(world().size());
  constexpr std::size_t rank_rows = 64 * 8;
  Problem p;
  p.own = random_points(rank_rows * ranks, 50, 38);
  p.square = true;
  p.sides = Sides::both;
  p.columns = 1;
  const auto rows = RowPartition::contiguous(static_cast<std::int64_t>(p.own.count()), world().size());
  const Sums all = run(p, rows, rows);
  const bool judge = world().rank() == 0;
  Bounded near = judge ? expected(p, true) : Bounded();
  if (judge) near.value.assign(all.own.begin(), all.own.end());
  // A third of the points of a rank, which are 400 bytes a row; columns, states and a pair of tiles are less than
  // 100000.
  const std::size_t room = rank_rows * 400 / 3 + 100000;
  for (const char *name : {"device", "device_parts"}) {
    SCOPED_TRACE(name);
    set_backend(p, name);
    set_fake_device_room(fake_device_bytes() + room);
    if (p.points == PointsMemory::device) {
      EXPECT_THROW(run(p, rows, rows), Error);
    } else {
      const Sums sums = run(p, rows, rows);
      EXPECT_EQ(judge ? outside(sums.own, near) : "", "");
    }
    set_fake_device_room(SIZE_MAX);
  }
}

TEST(Ring, RoutesGiveTheSameWithinRounding) {
  Problem p;
  p.square = true;
  p.sides = Sides::both;
  const auto rows = RowPartition::contiguous(static_cast<std::int64_t>(p.own.count()), world().size());
  const Sums direct = run(p, rows, rows);
  p.options.route = Route::travel;
  const Sums travel = run(p, rows, rows);
  Bounded near = expected(p, true);
  near.value.assign(direct.own.begin(), direct.own.end());
  EXPECT_EQ(outside(travel.own, near), "");
}

TEST(Ring, ReportCountsPairsAndBytes) {
  Problem p;
  p.own = random_points(300, 3, 36);
  const auto rows = RowPartition::contiguous(300, world().size());
  const auto transport = make_transport("auto", world());
  Ring ring(world(), *transport, find_backend("ref"), {});
  TileBlock own = make_block(p, p.own, rows);
  TileBlock sources = make_block(p, p.own, rows);
  const PassReport full = ring.run(p.shape(), Sides::own, own, sources);
  EXPECT_EQ(world().sum(full.pairs), 300.0 * 300.0);
  EXPECT_GE(full.seconds, full.wait_seconds);
  EXPECT_EQ(full.bytes_sent > 0, world().size() > 1);
  const PassReport half = ring.run(p.shape(), Sides::both, own, own);
  EXPECT_LT(world().sum(half.pairs), 0.75 * 300 * 300);
  EXPECT_GE(world().sum(half.pairs), 0.5 * 300 * 300);
  PassReport both = full;
  both += half;
  EXPECT_EQ(both.pairs, full.pairs + half.pairs);
}

}  // namespace
}  // namespace flashring::test
