// An operator over all ranks, used with whole arrays: what most operator tests want.
#pragma once

#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "flashring/kernel_operator.hpp"
#include "support/scatter.hpp"
#include "support/world.hpp"

namespace flashring::test {

using Settings = std::initializer_list<std::pair<const char *, std::string>>;

inline OperatorOptions options_of(Settings settings) {
  OperatorOptions options;
  options.threads = 1;
  for (const auto &[name, value] : settings) options.set(name, value);
  return options;
}

/// Points spread contiguously over the ranks, or by the given partition.
inline KernelOperator make_operator(const PointSet &points, const OperatorOptions &options,
                                    RowPartition partition = {}) {
  if (partition.ranks() == 0)
    partition = RowPartition::contiguous(static_cast<std::int64_t>(points.count()), world().size());
  return {world(), options, with_lengths(local_block(points, partition, world().rank()), options.pair)};
}

/// Y = op(X) of whole (N, columns) arrays. Collective.
inline std::vector<double> apply(KernelOperator &op, const std::vector<double> &x, int columns, bool transpose = false,
                                 bool fp64 = false) {
  const RowPartition &rows = op.partition();
  const std::vector<double> mine = local_columns(x, columns, rows, world().rank());
  std::vector<double> y(mine.size());
  const std::int64_t ld = op.local_rows();
  if (fp64)
    op.apply_fp64(mine.data(), ld, y.data(), ld, columns);
  else
    op.apply(mine.data(), ld, y.data(), ld, columns, transpose);
  return gather_columns(y, columns, rows, world());
}

/// A vector of the operator, whole. Collective.
inline std::vector<double> whole(KernelOperator &op, std::span<const double> local) {
  return gather_columns({local.begin(), local.end()}, 1, op.partition(), world());
}

}  // namespace flashring::test
