// NoiseSample: what products in lower precisions differ by, on a few rows.
#pragma once

#include <span>
#include <vector>

#include "flashring/kernel_operator.hpp"
#include "flashring/landmark_operator.hpp"

namespace flashring {

/// Rows of an operator drawn at random, the same for any number of ranks: min(N, max(64, N/64)) of them, at most 512. A
/// norm that they tell is off by some 10 % where rows are alike.
class NoiseSample {
 public:
  /// Collective, like all that follows. The operator must outlive it.
  explicit NoiseSample(KernelOperator &op);

  /// Of request.y = diag(left) K diag(right) x against the same in fp64; y is not read. `scaled`: there are scalings,
  /// also on ranks without rows.
  std::vector<ProductNoise> measure(const SumRequest &request, bool scaled);

 private:
  std::vector<double> gather(const double *x, std::int64_t ldx, int columns) const;

  KernelOperator &op_;
  std::vector<GlobalRow> rows_;
  LandmarkOperator product_;
};

}  // namespace flashring
