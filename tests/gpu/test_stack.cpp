// Everything above a device on one process: TileBlock, Ring and transport "self" against backend ref on larger blocks
// than the oracle takes; repeated passes; precisions from one set of points.
#include <gtest/gtest.h>

#include <cstdio>

#include "flashring/options.hpp"
#include "gpu/blocks.hpp"
#include "gpu/ring_problem.hpp"
#include "support/fake_device.hpp"
#include "support/scatter.hpp"
#include "support/world.hpp"

namespace flashring::test {
namespace {

class Stack : public ::testing::TestWithParam<std::tuple<std::string, Precision>> {
 protected:
  static const Backend &backend() { return backend_named(std::get<0>(GetParam())); }
  static RingProblem problem(int features) {
    RingProblem p;
    p.precision = std::get<1>(GetParam());
    p.features = features;
    p.seed = run_seed();
    p.options.threads = 4;  // of ref
    const bool real = std::get<0>(GetParam()) != "device";
    p.own_rows = real ? 5000 : 700;  // many tiles, the last ones ragged
    p.source_rows = real ? 4001 : 501;
    return p;
  }
  static RingSums sums_of(const RingProblem &p) {
    const auto transport = make_transport("self", world(), backend().device);
    return ring_sums(p, backend(), world(), *transport);
  }
  static void check(const RingProblem &p) { check(p, sums_of(p)); }
  static void check(const RingProblem &p, const RingSums &sums) {
    SCOPED_TRACE(name_of(p.shape()) + (p.square ? " square" : " rectangle") + " sides " +
                 std::to_string(static_cast<int>(p.sides)));
    const RingAnswer answer = ref_answer(p, backend());
    EXPECT_EQ(outside(sums, answer), "");
    if (std::getenv("FLASHRING_TEST_RATIOS") != nullptr)
      std::printf("ratio %.3f  %s %s\n", worst_ratio(sums, answer), backend().name, name_of(p.shape()).c_str());
  }
  void SetUp() override {
    if (world().size() > 1) GTEST_SKIP() << "one process";
  }
};

TEST_P(Stack, SumsOfLargerBlocksAreThoseOfRef) {
  for (const char *name : {"gaussian", "matern32", "inner_exp"})
    for (const int d : {3, 16, 64, 130}) {
      RingProblem p = problem(d);
      p.name = name;
      p.square = d == 3 || d == 64;
      p.columns = d == 64 ? 32 : 1;
      check(p);
    }
}

TEST_P(Stack, LogSumExpOfLargerBlocks) {
  for (const int d : {3, 64}) {
    RingProblem p = problem(d);
    p.row = RowKind::logsumexp;
    p.square = d == 3;
    p.columns = d == 3 ? 0 : 5;
    check(p);
  }
}

TEST_P(Stack, EverySide) {
  for (const Sides sides : all_sides)
    for (const bool square : {false, true}) {
      RingProblem p = problem(5);
      p.sides = sides;
      p.square = square;
      check(p);
    }
}

TEST_P(Stack, PointsOfTheHostComeInParts) {
  for (const bool square : {true, false}) {
    RingProblem p = problem(5);
    p.square = square;
    p.memory = PointsMemory::host;
    const std::size_t tile = backend().payload_bytes(p.shape());
    const auto tile_rows = static_cast<std::size_t>(backend().tile_rows);
    p.options.part_bytes = 4 * tile;
    const RingSums sums = sums_of(p);
    check(p, sums);
    // Own points come once, and what they meet again for each of their parts.
    const std::size_t own_bytes = (p.own_rows + tile_rows - 1) / tile_rows * tile;
    EXPECT_GT(sums.report.bytes_copied, 1.5 * static_cast<double>(own_bytes));
  }
}

TEST_P(Stack, RepeatedPassesHaveTheSameBits) {
  RingProblem p = problem(17);
  p.columns = 9;
  const RingSums once = sums_of(p);
  p.passes = 3;
  const RingSums thrice = sums_of(p);
  EXPECT_EQ(thrice.own, once.own);
  EXPECT_EQ(thrice.visiting, once.visiting);
}

TEST_P(Stack, PrecisionsComeFromTheSamePoints) {
  const RingProblem p = problem(19);
  RingProblem wide = p;
  wide.precision = Precision::fp64;
  const auto rows = RowPartition::contiguous(static_cast<std::int64_t>(p.own_rows), 1);
  const auto transport = make_transport("self", world(), backend().device);
  Ring ring(world(), *transport, backend(), {});
  const std::vector<double> x = random_numbers(p.own_rows * static_cast<std::size_t>(p.columns), p.seed * 16 + 2);
  TileBlock block(backend(), wide.shape(), local_block(p.own(), rows, 0), {});
  const auto sums = [&](const RingProblem &in) {
    block.set_precision(in.shape());
    block.set_columns({x.data(), block.local_rows(), p.columns});
    ring.run(in.shape(), Sides::both, block, block);
    RingSums found;
    found.own.resize(x.size());
    block.finish(p.row, p.columns, {found.own.data(), block.local_rows(), row_rule(p.row).outputs(p.columns)});
    found.visiting = found.own;
    return found;
  };
  const RingSums first = sums(wide);
  EXPECT_EQ(outside(sums(p), ref_answer(p, backend())), "");
  EXPECT_EQ(sums(wide).own, first.own) << "fp64 after another precision";
  EXPECT_EQ(outside(first, ref_answer(wide, backend())), "");
}

INSTANTIATE_TEST_SUITE_P(Every, Stack,
                         ::testing::Combine(::testing::ValuesIn(device_names()), ::testing::ValuesIn(all_precisions)),
                         [](const auto &param) {
                           return test_name(std::get<0>(param.param) + "_" + to_string(std::get<1>(param.param)));
                         });

}  // namespace
}  // namespace flashring::test
