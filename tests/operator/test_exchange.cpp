// Where the points of other ranks are must not be seen in any bit of a product; the interruption between passes.
#include <gtest/gtest.h>

#include <cmath>

#include "flashring/check.hpp"
#include "flashring/plan.hpp"
#include "support/apply.hpp"

namespace flashring::test {
namespace {

KernelOperator with_exchange(const PointSet &points, const char *exchange, const char *form, const char *precision,
                             const char *route, RowPartition partition = {}) {
  return make_operator(points,
                       options_of({{"pair", "gaussian:beta=0.7"},
                                   {"form", form},
                                   {"precision", precision},
                                   {"route", route},
                                   {"exchange", exchange}}),
                       std::move(partition));
}

TEST(Exchange, ResidentAndRingAreTheSameBits) {
  if (world().size() == 1) GTEST_SKIP() << "needs two ranks";
  // Several tiles a rank, and a number of rows that fits nothing.
  const PointSet points = random_points(1901, 3, 11);
  const std::vector<double> x = random_numbers(1901 * 5, 12);
  for (const char *form : {"kernel", "symmetric", "markov"})
    for (const char *precision : {"fp64", "fp32"})
      for (const char *route : {"direct", "travel"}) {
        SCOPED_TRACE(std::string(form) + " " + precision + " " + route);
        KernelOperator ring = with_exchange(points, "ring", form, precision, route);
        KernelOperator resident = with_exchange(points, "resident", form, precision, route);
        EXPECT_EQ(apply(ring, x, 1), apply(resident, x, 1));
        EXPECT_EQ(apply(ring, x, 5), apply(resident, x, 5));
        EXPECT_EQ(apply(ring, x, 5, true), apply(resident, x, 5, true));
        EXPECT_EQ(whole(ring, ring.degree()), whole(resident, resident.degree()));
      }
}

TEST(Exchange, AnyPartition) {
  const PointSet points = random_points(700, 3, 13);
  const std::vector<double> x = random_numbers(700, 14);
  for (const NamedPartition &named : partitions(700, world().size())) {
    SCOPED_TRACE(named.name);
    KernelOperator ring = with_exchange(points, "ring", "symmetric", "fp64", "direct", named.partition);
    KernelOperator resident = with_exchange(points, "resident", "symmetric", "fp64", "direct", named.partition);
    EXPECT_EQ(apply(ring, x, 1), apply(resident, x, 1));
  }
}

TEST(Exchange, ResidentSendsNoPoints) {
  if (world().size() == 1) GTEST_SKIP() << "needs two ranks";
  const PointSet points = random_points(1024, 16, 15);
  const std::vector<double> x = random_numbers(1024, 16);
  KernelOperator ring = with_exchange(points, "ring", "kernel", "fp64", "direct");
  KernelOperator resident = with_exchange(points, "resident", "kernel", "fp64", "direct");
  apply(ring, x, 1);
  apply(resident, x, 1);
  // A row carries 16 features and more in the ring, one column and its sum in either.
  EXPECT_LT(resident.counters().ring.bytes_sent, 0.3 * ring.counters().ring.bytes_sent);
  EXPECT_EQ(resident.counters().ring.pairs, ring.counters().ring.pairs);
}

TEST(Exchange, MovedPointsEqualAFreshOperator) {
  const PointSet before = random_points(800, 4, 17);
  const PointSet after = random_points(800, 4, 18);
  const std::vector<double> x = random_numbers(800 * 2, 19);
  for (const char *exchange : {"ring", "resident"})
    for (const char *precision : {"fp64", "fp32"}) {
      SCOPED_TRACE(std::string(exchange) + " " + precision);
      KernelOperator moved = with_exchange(before, exchange, "symmetric", precision, "direct");
      KernelOperator fresh = with_exchange(after, exchange, "symmetric", precision, "direct");
      apply(moved, x, 2);
      const PointBlock mine = local_block(after, moved.partition(), world().rank());
      moved.update_points(mine.rows());
      EXPECT_EQ(apply(moved, x, 2), apply(fresh, x, 2));
      EXPECT_EQ(whole(moved, moved.density()), whole(fresh, fresh.density()));
    }
}

TEST(Exchange, FeatureScalesStayWithMovingPoints) {
  const PointSet points = random_points(300, 3, 20);
  const std::vector<double> scales{0.5, 2, 1.25};
  const RowPartition rows = RowPartition::contiguous(300, world().size());
  PointBlock block = local_block(points, rows, world().rank());
  const std::vector<double> raw(block.rows().begin(), block.rows().end());
  block.set_feature_scales(scales);
  std::vector<double> scaled;
  for (std::size_t at = 0; at < raw.size(); ++at) scaled.push_back(raw[at] * scales[at % 3]);
  const OperatorOptions options = options_of({{"pair", "matern32:ell=0.6"}});
  KernelOperator op(world(), options, block);
  KernelOperator plain(world(), options, PointBlock(rows, world().rank(), 3, scaled));
  EXPECT_EQ(whole(op, op.degree()), whole(plain, plain.degree()));
  op.update_points(raw);
  EXPECT_EQ(whole(op, op.degree()), whole(plain, plain.degree()));
  // A refused update, by its values, its scaled values or its size on one rank, leaves the old points.
  const std::vector<double> degree = whole(op, op.degree());
  for (const double bad : {std::nan(""), 1e308}) {
    std::vector<double> moved = raw;
    if (world().rank() == world().size() - 1) moved[moved.size() - 2] = bad;  // of the feature with scale 2
    EXPECT_THROW(op.update_points(moved), Error);
  }
  EXPECT_THROW(op.update_points(std::span(raw).first(raw.size() - (world().rank() == 0 ? 1 : 0))), Error);
  EXPECT_EQ(whole(op, op.degree()), degree);
}

TEST(Exchange, AutoDecidesByMemoryAndSaysSo) {
  OperatorOptions options = options_of({{"pair", "gaussian:beta=1"}});
  EXPECT_EQ(choose_exchange(world(), options_of({{"exchange", "ring"}}), {10, 3}).reason, "as asked");
  const Choice small = choose_exchange(world(), options, {10000, 3});
  EXPECT_EQ(small.value, world().size() == 1 ? "ring" : "resident") << small.reason;
  // 2^40 points of 3 features fit no memory.
  const Choice large = choose_exchange(world(), options, {std::int64_t{1} << 40U, 3});
  EXPECT_EQ(large.value, "ring") << large.reason;
  EXPECT_FALSE(large.reason.empty());
}

TEST(Exchange, UnknownOnesAreRefused) {
  OperatorOptions options;
  try {
    options.set("exchange", "star");
    FAIL() << "no error";
  } catch (const Error &error) {
    for (const char *word : {"-exchange", "star", "ring", "resident", "auto"})
      EXPECT_NE(std::string(error.what()).find(word), std::string::npos) << error.what();
  }
}

TEST(Interrupt, EveryRankStopsBeforeTheSamePass) {
  const PointSet points = random_points(200, 3, 21);
  const std::vector<double> x = random_numbers(200, 22);
  KernelOperator op = with_exchange(points, "auto", "kernel", "fp64", "direct");
  int asked = 0;
  // Only the last rank is told, before the third pass.
  op.set_stop([&] { return world().rank() == world().size() - 1 && ++asked >= 3; });
  apply(op, x, 1);
  apply(op, x, 1);
  EXPECT_THROW(apply(op, x, 1), Interrupted);
  EXPECT_EQ(op.counters().passes, 2);
  op.set_stop({});
  apply(op, x, 1);
  EXPECT_EQ(op.counters().passes, 3);
}

}  // namespace
}  // namespace flashring::test
