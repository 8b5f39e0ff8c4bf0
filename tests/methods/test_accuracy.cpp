// What the three precisions cost, as docs/accuracy.md tells it: leading eigenvalues, density and degree of five sets
// against exact or dense answers, and eigenvectors in fp32 against those in fp64. Prints the numbers that the page
// quotes; the bounds of the page stand here too, and must be those that are derived.
//
// Eigenvalues. Where every entry of the computed M is off by at most e_ij M_ij, an eigenvalue moves by at most the
// spectral radius of (e_ij M_ij), which is similar to (e_ij P_ij), so by at most max_i sum_j P_ij e_ij. The e_ij are
// those of support/tolerance.hpp: argument of k, k itself, sum inside a tile; set-up in fp64. Reduced: those that the
// backend states for k, with the longest point of the set as that of every tile. A solver that leaves K
// residuals below t adds at most K t^2 / gap, where the gap is the one behind the last of the K values.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>

#include "flashring/diffusion_map.hpp"
#include "flashring/readers.hpp"
#include "support/dense.hpp"
#include "support/golden.hpp"
#include "support/operator_mat.hpp"
#include "support/petsc.hpp"
#include "support/stated.hpp"
#include "support/tiles.hpp"
#include "support/tolerance.hpp"

namespace flashring::test {
namespace {

const bool started = start_petsc();

constexpr double alpha = 0.5;
constexpr std::size_t count = 10;  // leading eigenvalues that are compared
/// Roundings that count in a sum of 256 terms in the working precision: sqrt(256) where they are independent. Corners
/// of a hypercube have few distances, so their roundings are alike: 256 terms, each off by a quarter of u times the
/// sum.
constexpr int independent = 16;
constexpr int alike = 64;

struct Sample {
  const char *name;
  PointSet points;
  std::string beta;
  std::vector<double> exact;  // (count or more) leading eigenvalues; empty: a dense solver finds them
  int pairs = count;          ///< of the solver, up to a gap of the spectrum
  int roundings = independent;
  bool repeated = false;  ///< eigenvalues are repeated: a block solver, and vectors are not compared
};

/// The bounds of docs/accuracy.md.
struct Stated {
  double values64, values32, reduced, set_up;
};

bool judge() { return world().rank() == 0; }

PointSet points_of(const std::string &set) { return gather_points(generate_points(set, world()), world()); }

struct Solution {
  std::shared_ptr<KernelOperator> op;
  EigenPairs pairs;
  std::vector<double> residuals;  // in fp64

  /// Distance of value k to its neighbours, that behind the last one included.
  double gap(std::size_t k) const {
    const std::vector<double> &values = pairs.values;
    const double above = k > 0 ? values[k - 1] - values[k] : HUGE_VAL;
    return std::min(above, values[k] - (k + 1 < values.size() ? values[k + 1] : pairs.next_value));
  }
};

Solution solve(const Sample &sample, const char *precision, double tolerance) {
  const ScopedOptions scoped({{"-eps_type", sample.repeated ? "subspace" : "krylovschur"},
                              {"-eps_ncv", sample.repeated ? "40" : "30"},
                              {"-eps_max_it", "3000"}});
  const OperatorOptions options = options_of({{"beta", sample.beta}, {"form", "symmetric"}, {"precision", precision}});
  const auto rows = static_cast<std::int64_t>(sample.points.count());
  const RowPartition partition = RowPartition::contiguous(rows, world().size());
  const OperatorMat problem(options, local_block(sample.points, partition, world().rank()));
  Solution solution;
  solution.op = problem.op;
  EigenRequest request;
  request.pairs = sample.pairs;
  request.tolerance = tolerance;
  solution.pairs = eigensolve(problem.A, request);
  EXPECT_TRUE(solution.pairs.complete) << sample.name << " " << precision << ": " << solution.pairs.status;
  solution.residuals = residuals(*solution.op, solution.pairs.values, solution.pairs.vectors);
  return solution;
}

/// Leading eigenvalues of a symmetric matrix by LAPACK, on one process.
std::vector<double> dense_eigenvalues(const std::vector<double> &entries, std::size_t n) {
  Mat A = nullptr;
  EPS eps = nullptr;
  std::vector<double> matrix = entries;  // (n, n)
  const auto size = static_cast<PetscInt>(n);
  check_petsc(MatCreateSeqDense(PETSC_COMM_SELF, size, size, matrix.data(), &A), "MatCreateSeqDense");
  check_petsc(EPSCreate(PETSC_COMM_SELF, &eps), "EPSCreate");
  check_petsc(EPSSetOperators(eps, A, nullptr), "EPSSetOperators");
  check_petsc(EPSSetProblemType(eps, EPS_HEP), "EPSSetProblemType");
  check_petsc(EPSSetType(eps, EPSLAPACK), "EPSSetType");
  check_petsc(EPSSetWhichEigenpairs(eps, EPS_LARGEST_REAL), "EPSSetWhichEigenpairs");
  check_petsc(EPSSetDimensions(eps, count, PETSC_DEFAULT, PETSC_DEFAULT), "EPSSetDimensions");
  check_petsc(EPSSolve(eps), "EPSSolve");
  std::vector<double> values(count, 0.0);
  for (std::size_t k = 0; k < count; ++k)
    check_petsc(EPSGetEigenvalue(eps, static_cast<PetscInt>(k), &values[k], nullptr), "EPSGetEigenvalue");
  EPSDestroy(&eps);
  MatDestroy(&A);
  return values;
}

/// What rank 0 knows of a sample: the operator in long double.
class Truth {
 public:
  explicit Truth(const Sample &sample)
      : terms_(sample.roundings * sample.roundings),
        pair_(oracle_pair("gaussian:beta=" + sample.beta)),
        dense_(sample.points, "gaussian:beta=" + sample.beta, alpha, Form::symmetric, terms_),
        density_(dense_.density()),
        degree_(dense_.degree()) {
    const std::size_t n = sample.points.count();
    std::vector<double> mean(static_cast<std::size_t>(sample.points.features), 0.0);
    for (std::size_t i = 0; i < sample.points.rows.size(); ++i)
      mean[i % mean.size()] += sample.points.rows[i] / static_cast<double>(n);
    table_ = make_table(pair_, sample.points, sample.points, mean);
    longest_ = tile_norms(sample.points, make_tile_list(0, {static_cast<int>(n)}), mean);
    stated_ = find_backend("auto").error({parse_pair("gaussian:beta=" + sample.beta),
                                          RowKind::sum,
                                          0,
                                          Precision::reduced,
                                          sample.points.features,
                                          1,
                                          {}});
    for (std::size_t i = 0; i < n; ++i) root_.push_back(std::sqrt(density_.value[i] * degree_.value[i]));
  }

  const Bounded &density() const { return density_; }
  const Bounded &degree() const { return degree_; }

  /// max_i sum_j P_ij e_ij.
  double eigenvalue_error(Precision precision) const {
    const std::size_t n = root_.size();
    const double unit = unit_roundoff(precision);
    const PairTable products =
        precision == Precision::reduced ? with_stated_errors(table_, pair_, longest_, longest_, stated_, unit) : table_;
    Real largest = 0;
    for (std::size_t i = 0; i < n; ++i) {
      Real row = 0;
      for (std::size_t j = 0; j < n; ++j) {
        const std::size_t at = table_.at(i, j);
        const Real set_up = set_up_error(table_.error[at] + sum_error(terms_), alpha);
        row += markov(i, j) * (unit * (products.error[at] + sum_error(terms_)) + 0x1p-53L * set_up);
      }
      largest = std::max(largest, row);
    }
    return static_cast<double>(largest);
  }

  std::vector<double> eigenvalues() const {
    const std::size_t n = root_.size();
    std::vector<double> entries;
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t j = 0; j < n; ++j) entries.push_back(static_cast<double>(weight(i, j) / (root_[i] * root_[j])));
    return dense_eigenvalues(entries, n);
  }

 private:
  Real weight(std::size_t i, std::size_t j) const { return std::exp(table_.log_weight[table_.at(i, j)]); }
  /// P_ij = w_i k w_j / d_i with w = D^-1/2.
  Real markov(std::size_t i, std::size_t j) const {
    return weight(i, j) / (std::sqrt(density_.value[i] * density_.value[j]) * degree_.value[i]);
  }

  int terms_;
  OraclePair pair_;
  DenseOperator dense_;
  Bounded density_, degree_;
  PairTable table_;
  std::vector<Real> longest_;  // (N), all the same
  TileError stated_;           // of precision reduced
  std::vector<Real> root_;     // (N) 1/r
};

/// The largest relative error, and of the bounds.
std::pair<double, double> relative_error(const std::vector<double> &values, const Bounded &exact) {
  Real error = 0;
  Real bound = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    error = std::max(error, std::abs(values[i] - exact.value[i]) / exact.value[i]);
    bound = std::max(bound, exact.bound[i] / exact.value[i]);
  }
  return {static_cast<double>(error), static_cast<double>(bound)};
}

double largest_error(const std::vector<double> &values, const std::vector<double> &exact) {
  double largest = 0;
  for (std::size_t k = 0; k < count; ++k) largest = std::max(largest, std::abs(values.at(k) - exact.at(k)));
  return largest;
}

/// Below the bound that is derived, which is the one that the page states, rounded up.
void expect_below(double error, double derived, double stated) {
  EXPECT_LE(error, derived);
  EXPECT_LE(derived, stated);
  EXPECT_GT(derived, 0.8 * stated) << "docs/accuracy.md states another bound";
}

void check_eigenvalues(const Sample &sample, const Truth &truth, const std::vector<double> &exact, const Solution &high,
                       const Solution &low, const Solution &reduced, const Stated &stated, double tolerance64) {
  const double gap = high.pairs.values.back() - high.pairs.next_value;
  const auto solver = [&](double t) { return sample.pairs * t * t / gap; };
  const double error64 = largest_error(high.pairs.values, exact);
  const double error32 = largest_error(low.pairs.values, exact);
  const double error16 = largest_error(reduced.pairs.values, exact);
  const double bound64 = truth.eigenvalue_error(Precision::fp64) + solver(tolerance64);
  const auto bound = [&](Precision precision) {
    return truth.eigenvalue_error(precision) + solver(default_tolerance(precision));
  };
  const double bound32 = bound(Precision::fp32);
  const double bound16 = bound(Precision::reduced);
  std::printf("%-16s N %4zu d %2d: eigenvalues fp64 %.1e (%.2e) fp32 %.1e (%.2e) reduced %.1e (%.2e)\n", sample.name,
              sample.points.count(), sample.points.features, error64, bound64, error32, bound32, error16, bound16);
  expect_below(error64, bound64, stated.values64);
  expect_below(error32, bound32, stated.values32);
  expect_below(error16, bound16, stated.reduced);
  // The residuals, measured in fp64, bound the distance to the nearest eigenvalue of M.
  for (std::size_t k = 0; k < count; ++k) {
    for (const Solution *one : {&low, &reduced}) {
      double nearest = HUGE_VAL;
      for (const double value : high.pairs.values) nearest = std::min(nearest, std::abs(value - one->pairs.values[k]));
      EXPECT_LE(nearest, one->residuals[k] + bound64) << k;
    }
  }
}

void check_set_up(const Truth &truth, const std::vector<double> &density, const std::vector<double> &degree,
                  double stated) {
  const auto [density_error, density_bound] = relative_error(density, truth.density());
  const auto [degree_error, degree_bound] = relative_error(degree, truth.degree());
  std::printf("%16s density %.1e (%.2e) degree %.1e (%.2e)\n", "", density_error, density_bound, degree_error,
              degree_bound);
  EXPECT_LE(density_error, density_bound);
  expect_below(degree_error, degree_bound, stated);
}

/// The sine of the angle between the vectors of two precisions is at most residual/gap, the number of the report.
void check_vectors(const char *precision, const Solution &high, const Solution &low) {
  const auto n = static_cast<std::size_t>(low.op->local_rows());
  double largest_sine = 0;
  double largest_bound = 0;
  for (std::size_t k = 0; k < count; ++k) {
    const double *a = low.pairs.vectors.data() + k * n;
    const double *b = high.pairs.vectors.data() + k * n;
    double product = 0;
    for (std::size_t i = 0; i < n; ++i) product += a[i] * b[i];
    product = world().sum(product);
    double square = 0;
    for (std::size_t i = 0; i < n; ++i) square += (a[i] - product * b[i]) * (a[i] - product * b[i]);
    const double sine = std::sqrt(world().sum(square));
    const double bound = low.residuals[k] / low.gap(k);
    EXPECT_LE(sine, 1.01 * bound + high.residuals[k] / high.gap(k)) << k;  // gaps are known to a part in 100
    largest_sine = std::max(largest_sine, sine);
    largest_bound = std::max(largest_bound, bound);
  }
  if (judge()) std::printf("%16s vectors %s %.1e, residual/gap %.1e\n", "", precision, largest_sine, largest_bound);
}

void check(const Sample &sample, const Stated &stated) {
  SCOPED_TRACE(sample.name);
  constexpr double tolerance64 = 1e-12;  // below the default, so that rounding is seen
  const Solution high = solve(sample, "fp64", tolerance64);
  const Solution low = solve(sample, "fp32", default_tolerance(Precision::fp32));
  const Solution reduced = solve(sample, "reduced", default_tolerance(Precision::reduced));
  const std::vector<double> density = whole(*low.op, low.op->density());
  const std::vector<double> degree = whole(*low.op, low.op->degree());
  EXPECT_EQ(density, whole(*high.op, high.op->density())) << "set-up is in fp64 whatever the precision";
  EXPECT_EQ(degree, whole(*high.op, high.op->degree()));
  if (judge()) {
    const Truth truth(sample);
    const std::vector<double> exact = sample.exact.empty() ? truth.eigenvalues() : sample.exact;
    check_eigenvalues(sample, truth, exact, high, low, reduced, stated, tolerance64);
    check_set_up(truth, density, degree, stated.set_up);
  }
  if (sample.repeated) return;
  check_vectors("fp32", high, low);
  check_vectors("reduced", high, reduced);
}

/// I_m(2 beta)/I_0(2 beta) to rounding, as the sums over the polygon that it equals.
std::vector<double> circle_values(int n, double beta, std::size_t size) {
  std::vector<Real> modes;
  for (int m = 0; modes.size() <= size / 2; ++m) {
    Real sum = 0;
    for (int j = 0; j < n; ++j) {
      const Real angle = 3.14159265358979323846264338327950288L * j / n;
      sum += std::exp(-4 * beta * std::sin(angle) * std::sin(angle)) * std::cos(2 * m * angle);
    }
    modes.push_back(sum);
  }
  std::vector<double> values;
  for (std::size_t k = 0; k < size; ++k) values.push_back(static_cast<double>(modes[(k + 1) / 2] / modes[0]));
  return values;
}

TEST(Accuracy, Circle) {
  check({"circle", points_of("circle:n=256"), "8", circle_values(256, 8, 11), 11, independent, true},
        {5e-14, 6e-6, 1.5e-4, 6e-14});
}

TEST(Accuracy, Hypercube) {
  std::vector<double> exact(count, std::tanh(0.5));  // 1, then 9 times tanh(beta/2)
  exact[0] = 1;
  check({"hypercube", points_of("hypercube:d=9"), "1", exact, count, alike, true}, {4.5e-14, 6e-6, 1e-3, 4e-14});
}

TEST(Accuracy, Digits) {
  const PointSet digits = gather_points(read_points(FLASHRING_DIGITS, world()), world());
  check({"digits", digits, "0.0033", golden("digits_eigenvalues").values}, {6e-14, 8e-6, 8e-3, 5e-14});
}

/// Distances do not know where the origin is, and what is subtracted before products are formed makes rounding not know
/// it either. The given coordinates themselves are what they are: 1000 + x has lost the last digits of x.
TEST(Accuracy, NormalAtTheOriginAndFarAway) {
  const PointSet near = points_of("normal:n=500,d=12");
  PointSet far = near;
  for (double &x : far.rows) x += 1000;
  check({"normal", near, "0.05", {}}, {1.7e-14, 2.2e-6, 8e-4, 1.6e-14});
  check({"normal + 1000", far, "0.05", {}}, {1.7e-14, 2.2e-6, 8e-4, 1.6e-14});
}

}  // namespace
}  // namespace flashring::test
