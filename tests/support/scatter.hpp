// Points and columns between the global arrays that an oracle reads and the rows that a rank holds.
#pragma once

#include <string>
#include <vector>

#include "flashring/communicator.hpp"
#include "flashring/pair.hpp"
#include "flashring/points.hpp"
#include "support/oracle.hpp"

namespace flashring::test {

/// Uniform in (-1, 1)^d.
PointSet random_points(std::size_t count, int features, std::uint64_t seed);

/// Rows of one rank of a global set.
PointBlock local_block(const PointSet &points, const RowPartition &partition, int rank);

/// With the lengths of length_of or the covariances of covariance_of, where the pair function reads any.
PointBlock with_lengths(PointBlock points, const PairFunction &pair);

/// Rows of one rank of a global (N, columns) column-major array, and back (collective, the same on every rank).
std::vector<double> local_columns(const std::vector<double> &global, int columns, const RowPartition &partition,
                                  int rank);
std::vector<double> gather_columns(const std::vector<double> &local, int columns, const RowPartition &partition,
                                   const Communicator &communicator);

/// All rows of a distributed set, on every rank. Collective.
PointSet gather_points(const PointBlock &block, const Communicator &communicator);

/// Partitions worth testing for that many rows and ranks, with names: contiguous, uneven, with empty ranks, zigzag.
struct NamedPartition {
  std::string name;
  RowPartition partition;
};
std::vector<NamedPartition> partitions(std::int64_t rows, int ranks);

/// Prints the first of the values that are outside their bounds; empty when all are inside. Equal infinities agree.
/// `factor` multiplies the bounds.
std::string outside(const std::vector<double> &value, const Bounded &oracle, double factor = 1);
/// The largest |value - oracle| / bound, to see how tight a bound is.
double worst_ratio(const std::vector<double> &value, const Bounded &oracle);

}  // namespace flashring::test
