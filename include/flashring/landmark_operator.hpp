// LandmarkOperator: products of all rows of a KernelOperator with a few points that every rank has.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "flashring/kernel_operator.hpp"

namespace flashring {

/// K(rows, landmarks) exp(-log_shift) and its transpose, the plain kernel of the operator without its normalisation, on
/// the rows of every rank. Nothing of that size is stored. What it does is counted in counters().landmarks of the
/// operator, which must outlive it; new points there leave the landmarks where they are.
class LandmarkOperator {
 public:
  /// `points`: (landmarks, point_numbers) row-major as op.gather_points gives them, the same on every rank, at least
  /// one. Collective.
  LandmarkOperator(KernelOperator &op, std::span<const double> points);

  std::int64_t count() const { return count_; }

  /// y = diag(left) K(rows, landmarks) diag(right) x: x (count, columns) and right (count), the same on every rank; y
  /// (local_rows, columns) and left (local_rows). Any number of columns, 64 at a time. Asks the operator's stop
  /// function as a pass does: throws Interrupted. Collective.
  void apply(SumRequest request);
  /// y = diag(left) K(landmarks, rows) diag(right) x: x (local_rows, columns) and right (local_rows); y (count,
  /// columns) and left (count), the same on every rank. Else like apply.
  void apply_transpose(SumRequest request);
  /// K(landmarks, landmarks) exp(-log_shift) in fp64, (count, count), symmetric. Not collective.
  std::vector<double> among();

 private:
  void apply_in_turn(SumRequest request, PassReport (LandmarkSummation::*product)(const SumRequest &));

  KernelOperator &op_;
  std::int64_t count_;
  std::unique_ptr<LandmarkSummation> summation_;
};

}  // namespace flashring
