// Golden numbers: four points on a line, random points for every pair function and alpha = 0, 0.3, 1, and the digits,
// all from dense computations made apart (tests/golden/README.md).
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "support/apply.hpp"
#include "support/golden.hpp"

namespace flashring::test {
namespace {

struct FourPoints {
  const char *alpha;
  double eigenvalues[3];
  double psi[4];  // psi_1
};
const FourPoints four_points[] = {{"0",
                                   {.861598447002, .466737059260, .099971773680},
                                   {-.650927617147, -.504942342942, -.152558548008, 2.217956752553}},
                                  {"0.5",
                                   {.881045906992, .477105651314, .097225116695},
                                   {-.790904809790, -.631356336462, -.252458415848, 1.728194075001}}};

TEST(Golden, FourPoints) {
  const PointSet points{1, {0, 1, 2, 4}};
  const double density[] = {1.742201405577, 2.224170315964, 1.877201226186, 1.146779742403};
  for (const FourPoints &known : four_points) {
    SCOPED_TRACE(known.alpha);
    KernelOperator op =
        make_operator(points, options_of({{"beta", "0.5"}, {"alpha", known.alpha}, {"form", "markov"}}));
    const std::vector<double> found = whole(op, op.density());
    for (std::size_t i = 0; i < 4; ++i) EXPECT_NEAR(found[i], density[i], 1e-12);
    const std::vector<double> psi(known.psi, known.psi + 4);
    const std::vector<double> image = apply(op, psi, 1);
    // Twelve printed digits: psi and lambda are off by half a digit each.
    for (std::size_t i = 0; i < 4; ++i) EXPECT_NEAR(image[i], known.eigenvalues[0] * psi[i], 4e-12);
    const std::vector<double> degree = whole(op, op.degree());
    const double sum = std::accumulate(degree.begin(), degree.end(), 0.0);
    double norm = 0;
    for (std::size_t i = 0; i < 4; ++i) norm += degree[i] / sum * psi[i] * psi[i];
    EXPECT_NEAR(norm, 1, 4e-12);
    // The trace of P is the sum of all eigenvalues.
    std::vector<double> diagonal(static_cast<std::size_t>(op.local_rows()));
    op.diagonal(diagonal);
    const double trace = world().sum(std::accumulate(diagonal.begin(), diagonal.end(), 0.0));
    EXPECT_NEAR(trace, 1 + known.eigenvalues[0] + known.eigenvalues[1] + known.eigenvalues[2], 4e-12);
  }
}

TEST(Golden, DigitsDensity) {
  const GoldenArray digits = read_array(std::string(FLASHRING_GOLDEN_FOLDER) + "/../../configs/digits.npy");
  const std::vector<double> density = golden("digits_density").values;
  KernelOperator op =
      make_operator({static_cast<int>(digits.shape[1]), digits.values}, options_of({{"beta", "0.0033"}}));
  const std::vector<double> found = whole(op, op.density());
  ASSERT_EQ(found.size(), density.size());
  // beta (|x|^2 + |y|^2) reaches 40 about the mean: norms and inner products leave some 40 * 6 units in an exponent.
  for (std::size_t i = 0; i < density.size(); ++i) EXPECT_NEAR(found[i], density[i], 240 * 0x1p-53 * density[i]);
}

/// Pair functions and parameters of the random set.
const char *const random_pairs[] = {"gaussian:beta=0.15",
                                    "laplacian:ell=1.5",
                                    "matern32:ell=1.6",
                                    "matern52:ell=1.7",
                                    "rational_quadratic:ell=1.2,a=1.4",
                                    "inner_exp:s=0.3",
                                    "self_tuned"};

class GoldenRandom : public ::testing::TestWithParam<const char *> {
 protected:
  const std::string pair_ = GetParam();
  const std::string name_ = "random_" + pair_.substr(0, pair_.find(':'));
  const GoldenArray points_ = golden("random_points");
  KernelOperator make(const char *alpha, const char *form, const char *precision = "fp64") const {
    const int rank = world().rank();
    const RowPartition rows = RowPartition::contiguous(static_cast<std::int64_t>(points_.shape[0]), world().size());
    PointBlock points = local_block({static_cast<int>(points_.shape[1]), points_.values}, rows, rank);
    if (pair_ == "self_tuned") points.set_point_scales(local_columns(golden("random_knn7").values, 1, rows, rank));
    return {world(), options_of({{"pair", pair_}, {"alpha", alpha}, {"form", form}, {"precision", precision}}),
            std::move(points)};
  }
  /// Rounding of 120 terms in either computation, with exponents of inner_exp up to 10.
  static constexpr double relative = 1e-13;
};

constexpr const char *alphas[] = {"0", "0.3", "1"};
constexpr const char *tags[] = {"a00", "a03", "a10"};

TEST_P(GoldenRandom, DensityDegreeAndLaw) {
  const std::vector<double> density = golden(name_ + "_density").values;
  for (std::size_t a = 0; a < 3; ++a) {
    SCOPED_TRACE(alphas[a]);
    KernelOperator op = make(alphas[a], "markov");
    const double shift = op.log_shift();
    const std::vector<double> found_density = whole(op, op.density());
    const std::vector<double> found_degree = whole(op, op.degree());
    const double sum = std::accumulate(found_degree.begin(), found_degree.end(), 0.0);
    const std::vector<double> degree = golden(name_ + "_degree").values;
    const std::vector<double> law = golden(name_ + "_pi").values;
    const double factor = std::exp((1 - 2 * std::stod(alphas[a])) * shift);  // K is divided by exp(shift)
    for (std::size_t i = 0; i < density.size(); ++i) {
      const std::size_t at = a * density.size() + i;
      EXPECT_NEAR(found_density[i] * std::exp(shift), density[i], relative * density[i]);
      EXPECT_NEAR(found_degree[i] * factor, degree[at], 3 * relative * degree[at]);
      EXPECT_NEAR(found_degree[i] / sum, law[at], 3 * relative * law[at]);
    }
  }
}

TEST_P(GoldenRandom, EigenpairsOfMarkovAndSymmetric) {
  const GoldenArray eigenvalues = golden(name_ + "_eigenvalues");
  for (std::size_t a = 0; a < 3; ++a) {
    const GoldenArray right = golden(name_ + "_right_" + tags[a]);
    const std::size_t n = right.shape[0];
    std::vector<double> psi;
    for (std::size_t k = 0; k < 10; ++k) {
      const std::vector<double> column = golden_column(right, k);
      psi.insert(psi.end(), column.begin(), column.end());
    }
    for (const auto &[form, precision, tolerance] :
         {std::tuple{"markov", "fp64", 2e-13}, std::tuple{"symmetric", "fp64", 2e-13},
          std::tuple{"markov", "fp32", 2e-5}}) {
      SCOPED_TRACE(std::string(alphas[a]) + " " + form + " " + precision);
      KernelOperator op = make(alphas[a], form, precision);
      std::vector<double> root = whole(op, op.degree());
      const double sum = std::accumulate(root.begin(), root.end(), 0.0);
      for (double &r : root) r = std::string(form) == "symmetric" ? std::sqrt(r / sum) : 1;
      std::vector<double> x = psi;  // v_k = psi_k (d/sum d)^(1/2) for the symmetric form
      for (std::size_t i = 0; i < x.size(); ++i) x[i] *= root[i % n];
      const std::vector<double> y = apply(op, x, 10);
      for (std::size_t i = 0; i < y.size(); ++i)
        ASSERT_NEAR(y[i], eigenvalues.values[10 * a + i / n] * x[i], tolerance * 5)
            << "entry " << i % n << " of vector " << i / n;
    }
  }
}

std::string pair_name(const ::testing::TestParamInfo<const char *> &param) {
  const std::string text = param.param;
  return text.substr(0, text.find(':'));
}

INSTANTIATE_TEST_SUITE_P(Every, GoldenRandom, ::testing::ValuesIn(random_pairs), pair_name);

}  // namespace
}  // namespace flashring::test
