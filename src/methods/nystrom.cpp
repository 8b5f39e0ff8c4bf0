// Nystrom start: leading eigenvectors of M = diag(r) K diag(r), r = w o (m/d)^(1/2), from L landmarks among its rows.
//
// The Markov operator of the landmarks alone is solved, and its eigenfunctions are averaged over all rows:
//
//   D' = K m omega, c = w (D/D')^a m omega, d' = K c        over landmarks; omega: rows that each stands for
//   S = diag(s) K diag(s), s = (c/d')^(1/2);  S u = mu u;  psi = u / (c o d')^(1/2)
//   f(x) = sum_j k(x, z_j) c_j psi(z_j) / sum_j k(x, z_j) c_j,    v = (m o d)^(1/2) o f / |.| at all rows
//
//   1. S by tiles, its eigenpairs by LAPACK on rank 0; as many of the largest mu as columns are kept, but none at or
//      below L eps mu_1, which is the rounding of S's eigenvalues.
//   2. One product with the landmarks gives numerators and denominator of all rows. The first function is 1, whose
//      numerator is the denominator, and with it the first eigenvector (m o d)^(1/2) is exact.
//
// Of a killed operator landmarks outside the set count in the denominator alone: S is that of the others, f is small
// near the edge of the set, and none is known to be constant.
//
// Where the kernel is narrower than the landmarks lie apart f still is an average of values nearby; the classical
// extension sum_j M_ij u_j / mu falls to zero between landmarks there. With all rows as landmarks both give the
// eigenvectors.
//
// Cost: L N pairs of points for up to 64 columns, 9 L^3 flops on rank 0, N numbers a column. References: Fowlkes,
// Belongie, Chung, Malik, IEEE Trans. Pattern Anal. Mach. Intell. 26 (2004) 214; Coifman, Lafon, Appl. Comput. Harmon.
// Anal. 21 (2006) 31.
#include "flashring/nystrom.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "flashring/check.hpp"
#include "flashring/landmark_operator.hpp"
#include "methods/landmark_choice.hpp"
#include "methods/symmetric_eigen.hpp"

namespace flashring {
namespace {

/// (m o d)^(1/2), and r of M = diag(r) K diag(r), (local_rows) each.
struct RowScales {
  std::vector<double> root_law, scale;
};

RowScales row_scales(KernelOperator &op) {
  const std::span<const double> weight = op.weight();
  const std::span<const double> degree = op.degree();
  RowScales scales;
  for (std::size_t i = 0; i < weight.size(); ++i) {
    const double measure = op.weighted() ? op.measure()[i] : 1;
    const bool counts = op.doob_h().empty() || op.doob_h()[i] > 0;  // not killed
    scales.root_law.push_back(counts ? std::sqrt(measure * degree[i]) : 0);
    scales.scale.push_back(counts ? weight[i] * std::sqrt(measure / degree[i]) : 0);
  }
  return scales;
}

/// Where weights of the landmarks among themselves are out of the range of numbers they are left out.
double finite_or_zero(double value) { return std::isfinite(value) ? value : 0; }

/// K x of a symmetric matrix (m, m).
std::vector<double> product(const std::vector<double> &K, const std::vector<double> &x) {
  const std::size_t m = x.size();
  std::vector<double> y(m, 0.0);
  for (std::size_t j = 0; j < m; ++j)
    for (std::size_t i = 0; i < m; ++i) y[i] += K[j * m + i] * x[j];
  return y;
}

/// What landmarks know of the set, (L) each.
struct LandmarkRows {
  std::vector<double> mass;             // m omega: how much of the set each stands for
  std::vector<double> weight, density;  // w, D
  std::vector<double> inside;           // 0 for landmarks that are killed, else 1
  double exponent = 0;                  // a: w is proportional to D^-a where nothing else bears on it
  bool killed = false;
};

/// The numerators' coefficients c psi, psi = 1 first, (L, k). Empty where no mu is left.
std::vector<double> landmark_coefficients(std::vector<double> kernel, const LandmarkRows &rows, int most) {
  const std::size_t m = rows.mass.size();
  const std::vector<double> density = product(kernel, rows.mass);  // D'
  std::vector<double> c(m);
  for (std::size_t j = 0; j < m; ++j)
    c[j] = finite_or_zero(rows.weight[j] * std::pow(rows.density[j] / density[j], rows.exponent) * rows.mass[j]);
  const std::vector<double> sums = product(kernel, c);  // d'
  std::vector<double> scale(m);
  for (std::size_t j = 0; j < m; ++j) scale[j] = finite_or_zero(std::sqrt(c[j] / sums[j])) * rows.inside[j];
  const SymmetricEigen eigen = symmetric_eigen(scaled_among(std::move(kernel), scale), m);
  const double rounding = static_cast<double>(m) * std::numeric_limits<double>::epsilon();
  if (!(eigen.values[0] > 0)) return {};
  std::vector<double> columns = c;
  for (std::size_t k = rows.killed ? 0 : 1; k < std::min(static_cast<std::size_t>(most), m); ++k) {
    if (!(eigen.values[k] > rounding * eigen.values[0])) break;
    for (std::size_t j = 0; j < m; ++j) columns.push_back(scale[j] * eigen.vectors[k * m + j]);
  }
  return columns;
}

LandmarkRows landmark_rows(KernelOperator &op, const LandmarkChoice &choice) {
  const auto at_landmarks = [&](std::span<const double> rows) { return values_at(op, rows, choice.rows); };
  LandmarkRows rows{choice.weights, at_landmarks(op.weight()), at_landmarks(op.density()),
                    std::vector<double>(choice.rows.size(), 1.0)};
  if (op.killed()) rows.inside = at_landmarks(op.doob_h());
  rows.killed = op.killed();
  if (op.weighted()) {
    const std::vector<double> measure = at_landmarks(op.measure());
    for (std::size_t j = 0; j < measure.size(); ++j) rows.mass[j] *= measure[j];
  }
  const OperatorOptions &options = op.options();
  rows.exponent = op.targeted() ? 1 : (options.normalization == Normalization::bistochastic ? 0.5 : options.alpha);
  return rows;
}

/// Unit length over all ranks; columns of zeros stay.
void normalize(const Communicator &communicator, std::size_t n, std::size_t count, std::vector<double> &columns) {
  std::vector<double> squares(count, 0.0);
  for (std::size_t at = 0; at < n * count; ++at) squares[at / n] += columns[at] * columns[at];
  communicator.sum(std::span<double>(squares));
  for (std::size_t at = 0; at < n * count; ++at)
    columns[at] = squares[at / n] > 0 ? columns[at] / std::sqrt(squares[at / n]) : 0;
}

/// Step 2, (local_rows, k).
std::vector<double> extend(LandmarkOperator &landmarks, const KernelOperator &op,
                           const std::vector<double> &coefficients, std::span<const double> root_law) {
  const std::size_t count = coefficients.size() / static_cast<std::size_t>(landmarks.count());
  const auto n = static_cast<std::size_t>(op.local_rows());
  std::vector<double> sums;  // (local_rows, k)
  op.communicator().agree([&] { sums.resize(n * count); });
  landmarks.apply({coefficients.data(), landmarks.count(), sums.data(), op.local_rows(), static_cast<int>(count)});
  for (std::size_t at = n; at < n * count; ++at) {
    const double denominator = sums[at % n];
    // A row that no landmark sees gets nothing but its part of the first vector.
    sums[at] = denominator > 0 ? root_law[at % n] * (sums[at] / denominator) : 0;
  }
  std::copy(root_law.begin(), root_law.end(), sums.begin());
  if (op.killed()) sums.erase(sums.begin(), sums.begin() + static_cast<std::ptrdiff_t>(n));
  normalize(op.communicator(), n, op.killed() ? count - 1 : count, sums);
  return sums;
}

/// 0: no start.
std::int64_t landmark_count(const NystromOptions &options, std::int64_t rows, int columns) {
  if (options.landmarks == "none") return 0;
  return options.count > 0 ? std::min<std::int64_t>(options.count, rows) : nystrom_landmarks(rows, columns);
}

}  // namespace

std::int64_t nystrom_landmarks(std::int64_t rows, int columns) {
  // An eigenproblem of order m is 9 m^3 flops, a pass about as many as there are pairs of points: four passes at most,
  // which slow spectra give back.
  const double passes = 4 * static_cast<double>(rows) * static_cast<double>(rows);
  const std::int64_t most = std::min<std::int64_t>(rows / 8, static_cast<std::int64_t>(std::cbrt(passes / 9)));
  const std::int64_t count = std::min<std::int64_t>(most, std::max(400, 4 * columns));
  return count < 2 * columns ? 0 : count;
}

void check_nystrom(const NystromOptions &options) {
  check_landmark_rule(options.landmarks);
  FLASHRING_CHECK(options.count >= 0, "number of landmarks: ", options.count,
                  " is negative; give a positive number, or 0 to have it chosen");
}

std::vector<MemoryPart> nystrom_memory(const NystromOptions &options, const PairFunction &pair, PointShape shape,
                                       int ranks, int columns) {
  const std::int64_t count = landmark_count(options, shape.rows, columns);
  if (count == 0) return {};
  const auto m = static_cast<double>(count);
  const int numbers = point_numbers(pair, shape.features);
  const double rows = std::ceil(static_cast<double>(shape.rows) / ranks);
  const auto sample = static_cast<double>(sampled_rows(options.landmarks, count, shape.rows, numbers));
  // The sample once more as MPI adds it up; landmarks as they are gathered, read and packed, on rank 0 their matrix,
  // its eigenvectors and twice that for LAPACK; vectors as they are made and as PETSc's, and what scales them.
  return {{"sample to draw landmarks from", 8 * 2 * sample * numbers},
          {"landmarks", 8 * (3 * m * numbers + 4 * m * m)},
          {"start vectors", 8 * rows * (2 * columns + 3)}};
}

std::vector<double> nystrom_start(KernelOperator &op, const NystromOptions &options, int columns) {
  FLASHRING_REQUIRE(op.options().form == Form::symmetric, "a Nystrom start needs form symmetric");
  op.communicator().agree([&] {
    check_nystrom(options);
    FLASHRING_CHECK(columns >= 1, "columns of a Nystrom start: ", columns, "; at least 1 is needed");
  });
  const std::int64_t count = landmark_count(options, op.rows(), columns);
  if (count == 0) return {};
  const RowScales scales = row_scales(op);
  const LandmarkChoice choice = choose_landmarks(op, {options.landmarks, count, columns, scales.scale, options.seed});
  LandmarkOperator landmarks(op, op.gather_points(choice.rows));
  const LandmarkRows rows = landmark_rows(op, choice);
  const std::vector<double> coefficients =
      from_first_rank(op.communicator(), [&] { return landmark_coefficients(landmarks.among(), rows, columns); });
  if (coefficients.empty()) return {};
  return extend(landmarks, op, coefficients, scales.root_law);
}

}  // namespace flashring
