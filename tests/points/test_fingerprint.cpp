// Fingerprints: one value for any number of ranks and partition, another one after any change, and the values that the
// formula in its source gives (computed by a program that shares no code with it).
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>

#include "flashring/check.hpp"
#include "flashring/fingerprint.hpp"
#include "flashring/kernel_operator.hpp"
#include "support/apply.hpp"
#include "support/scatter.hpp"
#include "support/world.hpp"

namespace flashring::test {
namespace {

std::uint64_t of_points(const PointSet &points, const RowPartition &partition) {
  return fingerprint(world(), local_block(points, partition, world().rank()));
}

std::uint64_t of_points(const PointSet &points) {
  return of_points(points, RowPartition::contiguous(static_cast<std::int64_t>(points.count()), world().size()));
}

std::uint64_t of_values(const std::vector<double> &values, const RowPartition &partition) {
  return fingerprint(world(), partition, local_columns(values, 1, partition, world().rank()));
}

TEST(Fingerprint, HasTheValueOfItsFormula) {
  EXPECT_EQ(to_hex(fingerprint(world(), generate_points("hypercube:d=3", world()))), "47e28668dba84ec9");
  for (const RowPartition &partition :
       {RowPartition::contiguous(3, world().size()), RowPartition::zigzag(3, world().size())})
    EXPECT_EQ(to_hex(of_values({1, -0.0, 1e300}, partition)), "feb2c21ca7b7bbb6");
}

TEST(Fingerprint, IsTheSameForEveryPartition) {
  for (const std::size_t rows : {1U, 2U, 43U}) {
    const PointSet points = random_points(rows, 3, 11);
    const auto self = make_self_communicator();
    const auto alone = RowPartition::contiguous(static_cast<std::int64_t>(rows), 1);
    const std::uint64_t expected = fingerprint(*self, local_block(points, alone, 0));
    for (const auto &[name, partition] : partitions(static_cast<std::int64_t>(rows), world().size()))
      EXPECT_EQ(of_points(points, partition), expected) << rows << " rows, " << name;
  }
}

TEST(Fingerprint, SeesLengthsOfPoints) {
  const PointSet points = random_points(9, 2, 13);
  std::vector<double> lengths = random_numbers(9, 14);
  for (double &length : lengths) length += 1.5;
  const auto of_lengths = [&](const RowPartition &partition) {
    PointBlock block = local_block(points, partition, world().rank());
    block.set_point_scales(local_columns(lengths, 1, partition, world().rank()));
    return fingerprint(world(), block);
  };
  std::set<std::uint64_t> seen = {of_points(points)};
  for (const auto &[name, partition] : partitions(9, world().size())) seen.insert(of_lengths(partition));
  EXPECT_EQ(seen.size(), 2U) << "with lengths, whatever the partition, and without";
  for (double &length : lengths) {
    length = std::nextafter(length, 9.0);
    seen.insert(of_lengths(RowPartition::contiguous(9, world().size())));
  }
  EXPECT_EQ(seen.size(), 11U);
}

TEST(Fingerprint, SeesEveryBitOfEveryCoordinate) {
  const PointSet points = random_points(7, 2, 12);
  std::set<std::uint64_t> seen = {of_points(points)};
  std::size_t sets = 1;
  for (std::size_t at = 0; at < points.rows.size(); ++at) {
    PointSet changed = points;
    changed.rows[at] = std::nextafter(changed.rows[at], 2.0);
    seen.insert(of_points(changed));
    changed.rows[at] = -points.rows[at];
    seen.insert(of_points(changed));
    sets += 2;
  }
  EXPECT_EQ(seen.size(), sets);
}

TEST(Fingerprint, SeesOrderAndShape) {
  const PointSet points = {2, {1, 2, 3, 4, 5, 6, 7, 8}};
  const PointSet swapped_rows = {2, {3, 4, 1, 2, 5, 6, 7, 8}};
  const PointSet swapped_features = {2, {2, 1, 3, 4, 5, 6, 7, 8}};
  const PointSet other_shape = {4, points.rows};
  const PointSet shorter = {2, {1, 2, 3, 4, 5, 6}};
  const PointSet zeros = {2, std::vector<double>(8, 0.0)};
  const PointSet more_zeros = {2, std::vector<double>(10, 0.0)};
  std::set<std::uint64_t> seen;
  for (const PointSet &set : {points, swapped_rows, swapped_features, other_shape, shorter, zeros, more_zeros})
    seen.insert(of_points(set));
  EXPECT_EQ(seen.size(), 7U);
}

TEST(Fingerprint, TakesBothZerosAlike) {
  EXPECT_EQ(of_points({1, {0.0, 1.0, -0.0}}), of_points({1, {-0.0, 1.0, 0.0}}));
  const double tiny = std::numeric_limits<double>::denorm_min();
  EXPECT_NE(of_points({1, {0.0}}), of_points({1, {tiny}}));
}

TEST(Fingerprint, OfValuesIsThatOfPointsOfOneFeature) {
  const PointSet points = random_points(19, 1, 13);
  for (const auto &[name, partition] : partitions(19, world().size()))
    EXPECT_EQ(of_values(points.rows, partition), of_points(points)) << name;
}

TEST(Fingerprint, OfTooFewValuesIsRefusedOnEveryRank) {
  const RowPartition partition = RowPartition::contiguous(10, world().size());
  std::string message;
  try {
    fingerprint(world(), partition, std::vector<double>(11));
  } catch (const Error &error) {
    message = error.what();
    EXPECT_TRUE(error.common());
  }
  EXPECT_NE(message.find("rank 0: fingerprint: 11 values given for "), std::string::npos) << message;
}

TEST(Fingerprint, HexHasSixteenDigits) {
  EXPECT_EQ(to_hex(0), "0000000000000000");
  EXPECT_EQ(to_hex(0xFEDCBA9876543210U), "fedcba9876543210");
  EXPECT_EQ(to_hex(~std::uint64_t{0}), "ffffffffffffffff");
}

/// An operator gives its points up, but knows whose it is; refused points change nothing.
TEST(Fingerprint, OfAnOperatorFollowsItsPoints) {
  const PointSet first = random_points(23, 3, 14);
  const PointSet second = random_points(23, 3, 15);
  KernelOperator op = make_operator(first, options_of({{"backend", "ref"}}));
  EXPECT_EQ(op.fingerprint(), of_points(first));
  const PointBlock moved = local_block(second, op.partition(), world().rank());
  op.update_points(moved.rows());
  EXPECT_EQ(op.fingerprint(), of_points(second));
  std::vector<double> bad(moved.rows().begin(), moved.rows().end());
  for (double &value : bad) value = std::nan("");
  EXPECT_THROW(op.update_points(bad), Error);
  EXPECT_EQ(op.fingerprint(), of_points(second));
  op.update_measure(std::vector<double>(static_cast<std::size_t>(op.local_rows()), 2.0));
  EXPECT_EQ(op.fingerprint(), of_points(second));
  EXPECT_EQ(fingerprint(world(), op.partition(), op.measure()), of_points({1, std::vector<double>(23, 2.0)}));
}

}  // namespace
}  // namespace flashring::test
