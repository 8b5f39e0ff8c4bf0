// QueryOperator: weighted averages over all rows of a KernelOperator, at points that are none of its rows.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "flashring/kernel_operator.hpp"

namespace flashring {

/// For any points z, spread over the ranks in any way,
///   lse_i = ln sum_j k(z_i, x_j) exp(g_j) - log_shift
///   o_ic  = sum_j k(z_i, x_j) exp(g_j) v_jc / exp(lse_i + log_shift)
/// with x_j the rows of the operator and log_shift its own. Logarithms are subtracted before they are exponentiated: a
/// point so far away that all weights are below the smallest number has the average of the rows nearest to it. The
/// operator must outlive this; its passes go on as before, and new points there are the sources from then on.
class QueryOperator {
 public:
  /// `log_weights`: g, (op.local_rows()), finite. Throws Error, on every rank. Collective.
  QueryOperator(KernelOperator &op, std::vector<double> log_weights);

  /// `values`: v, (op.local_rows(), columns) column-major, any number of columns, 64 at a time. Row `first` + i is what
  /// messages call row i of this rank. In the operator's working precision, options().precision. Asks the operator's
  /// stop function as a pass does: throws Interrupted. Throws Error, on every rank: other features, lengths missing
  /// that the pair function reads (point_scales), or a point farther from the mean than the precision can count.
  /// Collective.
  LogSumExpResult apply(const PointBlock &queries, std::span<const double> values, int columns, GlobalRow first = {});

 private:
  void check(const PointBlock &queries, std::span<const double> values, int columns, GlobalRow first) const;

  KernelOperator &op_;
  std::vector<double> log_weights_;  // (op.local_rows())
};

}  // namespace flashring
