// Extension of a diffusion map to new points.
//
//   p(x*, x_j) = k(x*, x_j) w_j m_j / sum_l k(x*, x_l) w_l m_l,   psi_k(x*) = sum_j p(x*, x_j) psi_k(j) / lambda_k
//
//   1. Log weights ln(w_j m_j) and columns 1/w, psi_1, psi_2, ... of the map's points, once.
//   2. For a block of new points one rectangular log-sum-exp pass for every 64 columns gives the averages of the
//      columns under p and the logarithm of the denominator. The average of 1/w times the denominator is the density.
//   3. Averages over lambda_k; flags.
//
// psi_0 = 1 needs no column, so its place is that of 1/w. Logarithms keep far points finite: their limit is psi of the
// nearest point over lambda.
//
// Cost: M N pairs of points for M new ones and up to 64 pairs; P - 1 blocks of N/P (d + K + 1) numbers sent by each
// rank for every block of new points. Memory: N/P (d + 2K) numbers, and a block. References: Coifman, Lafon, Appl.
// Comput. Harmon. Anal. 21 (2006) 31; Bengio et al., NIPS 2003.
#include "flashring/extend.hpp"

#include <algorithm>
#include <cmath>

#include "flashring/check.hpp"
#include "operator/length.hpp"

namespace flashring {
namespace {

/// ln(w m), (local_rows).
std::vector<double> log_weights(const KernelOperator &op, const Results &map) {
  const auto n = static_cast<std::size_t>(op.local_rows());
  std::vector<double> logarithms(n);
  op.communicator().agree([&] {
    FLASHRING_REQUIRE(
        map.rows == op.rows() && map.weight.size() == n && (map.measure.empty() || map.measure.size() == n),
        "a map of ", map.rows, " points for an operator of ", op.rows());
    for (std::size_t j = 0; j < n; ++j) {
      FLASHRING_CHECK(map.weight[j] > 0, "row ", op.global_row(LocalRow{static_cast<std::int64_t>(j)}).value,
                      " of the map was killed: such a map belongs to a set alone and says nothing of other points");
      logarithms[j] = std::log(map.weight[j]) + (map.measure.empty() ? 0 : std::log(map.measure[j]));
    }
  });
  return logarithms;
}

void check_pairs(const std::vector<double> &eigenvalues, const std::vector<double> &residuals, Precision precision) {
  FLASHRING_CHECK(!eigenvalues.empty(), "the map has no eigenpair that could be extended");
  for (std::size_t k = 1; k < eigenvalues.size(); ++k) {
    const double least = least_eigenvalue(residuals[k], precision);
    FLASHRING_CHECK(std::abs(eigenvalues[k]) >= least, "eigenvalue ", k, " is ", eigenvalues[k], ", below ", least,
                    " in magnitude, and its residual is ", residuals[k],
                    ": at new points psi_k and its error are divided by it; -nev ", k, " takes the pairs before it");
  }
}

}  // namespace

double least_eigenvalue(double residual, Precision precision) {
  // Errors of an average in each precision: sums of some thousand terms, and weights (docs/accuracy.md).
  const double rounding = precision == Precision::fp64 ? 1e-13 : precision == Precision::fp32 ? 1e-6 : 1e-4;
  constexpr double accuracy = 1e-2;
  return std::max(residual, rounding) / accuracy;
}

Extension::Extension(KernelOperator &op, Results map)
    : op_(op),
      eigenvalues_(std::move(map.eigenvalues)),
      values_(std::move(map.right)),
      queries_(op, log_weights(op, map)) {
  op.communicator().agree([&] {
    FLASHRING_REQUIRE(values_.size() == map.weight.size() * eigenvalues_.size(), values_.size(), " numbers for ",
                      pairs(), " vectors");
    check_pairs(eigenvalues_, map.residuals, op.options().precision);
  });
  for (std::size_t j = 0; j < map.weight.size(); ++j) values_[j] = 1 / map.weight[j];
}

ExtendedRows Extension::apply(const PointBlock &points, GlobalRow first) {
  LogSumExpResult averages = queries_.apply(points, values_, pairs(), first);
  const PairFunction &pair = op_.options().pair;
  const bool inner = traits(pair.kind).accumulate == Accumulate::inner;
  const auto rows = static_cast<std::size_t>(points.local_rows());
  ExtendedRows extended;
  for (std::size_t i = 0; i < rows; ++i) {
    const double log_density = averages.lse[i] + std::log(averages.values[i]);  // less the shift, as in log_weight
    const double q = inner ? squared_norm(points, static_cast<std::int64_t>(i)) : 0;
    extended.far.push_back(log_density < log_weight(pair, q) - 53 * std::log(2.0) ? 1 : 0);
    extended.log_density.push_back(log_density + op_.log_shift());
    averages.values[i] = 1;
  }
  for (std::size_t at = rows; at < averages.values.size(); ++at) averages.values[at] /= eigenvalues_[at / rows];
  extended.right = std::move(averages.values);
  return extended;
}

double extension_bytes(int features, int pairs) {
  // Points as read and packed; averages as states, as they come out and in the result; what is written; three vectors.
  return 8 * (2.0 * features + 4.0 * pairs + 3);
}

std::int64_t extension_rows(int features, int pairs) {
  return std::clamp<std::int64_t>(static_cast<std::int64_t>(0x1p26 / extension_bytes(features, pairs)), 1024, 65536);
}

}  // namespace flashring
