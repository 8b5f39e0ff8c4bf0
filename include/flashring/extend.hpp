// Extension: the eigenvectors of a diffusion map at points that were not among its own.
#pragma once

#include <cstdint>
#include <vector>

#include "flashring/extension_results.hpp"
#include "flashring/kernel_operator.hpp"
#include "flashring/model.hpp"
#include "flashring/plan.hpp"
#include "flashring/query_operator.hpp"

namespace flashring {

/// psi_k(x*) = sum_j p(x*, x_j) psi_k(j) / lambda_k with p(x*, x_j) = k(x*, x_j) w_j m_j over its sum:
/// docs/mathematics.md, "Extension". At a point of the map it is psi_k, up to the residual of the pair over lambda_k.
///
/// x* is far where D(x*) < 2^-53 k(x*, x*): among the points of the map it would have itself as only neighbour to the
/// last bit of fp64. Its coordinates are then psi_k / lambda_k of the points nearest to it.
class Extension {
 public:
  /// `map`: of the points of `op`, which may have any form and must outlive this; pi and degree are not read. Throws
  /// Error, on every rank, where a pair is refused: |lambda_k| is below least_eigenvalue(residual_k, precision of op).
  /// Collective.
  Extension(KernelOperator &op, Results map);

  int pairs() const { return static_cast<int>(eigenvalues_.size()); }
  /// Of each block of new points: one for every 64 pairs or part.
  int passes() const { return (pairs() + max_columns - 1) / max_columns; }

  /// New points in the units of the map's points (feature scales applied), in any partition. Row `first` + i is what
  /// messages call row i of this rank. Throws Error and Interrupted as QueryOperator does. Collective.
  ExtendedRows apply(const PointBlock &points, GlobalRow first = {});

 private:
  KernelOperator &op_;
  std::vector<double> eigenvalues_;  // (K)
  std::vector<double> values_;       // (op.local_rows(), K): 1/w, psi_1, psi_2, ...
  QueryOperator queries_;
};

/// Bound on |lambda_k| for an extension: where the error of a pair, its residual or the rounding of passes, grows
/// beyond a hundredth of psi_k when it is divided by lambda_k.
double least_eigenvalue(double residual, Precision precision);

/// New points of a rank that are worked on at a time: as many as 64 MB hold with all that belongs to them, at least
/// 1,024 and at most 65,536.
std::int64_t extension_rows(int features, int pairs);
/// What one of them takes.
double extension_bytes(int features, int pairs);

/// What the extension of the first `pairs` pairs of a model to `count` points will take of memory. Phases: reading,
/// extending. Collective. Throws Error.
RunPlan plan_extension(const Communicator &communicator, const OperatorOptions &options, const ModelSummary &model,
                       int pairs, std::int64_t count);

}  // namespace flashring
