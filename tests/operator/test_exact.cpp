// The sets with known eigenvalues of docs/mathematics.md: the whole product against fast Fourier and Walsh-Hadamard
// transforms, and eigenvectors that are known in closed form, for alpha = 0, 1/2, 1 (which must not matter), fp64 and
// fp32.
#include <gtest/gtest.h>

#include "support/apply.hpp"
#include "support/exact.hpp"

namespace flashring::test {
namespace {

class Exact : public ::testing::TestWithParam<std::tuple<const char *, const char *>> {
 protected:
  std::string alpha() const { return std::get<0>(GetParam()); }
  std::string precision() const { return std::get<1>(GetParam()); }

  KernelOperator make(const ExactSet &set, const char *form) const {
    return {world(),
            options_of({{"beta", set.beta_text}, {"alpha", alpha()}, {"form", form}, {"precision", precision()}}),
            generate_points(set.text, world())};
  }
  double unit() const { return precision() == "fp64" ? 0x1p-53 : 0x1p-24; }

  Real error(const ExactSet &set, bool normalised) const {
    return set.relative_error(normalised, unit(), std::stod(alpha()));
  }

  /// K x, P x and M x of a random vector against the transform. All rows are alike, so P = M = K / (K 1)_0. Gathered
  /// products are alike on all ranks, so rank 0 alone makes the transforms.
  void check_product(const ExactSet &set) const {
    const bool judge = world().rank() == 0;
    const std::vector<double> x = random_numbers(set.rows(), 111);
    const ExactSet::Product exact = judge ? set.product(x) : ExactSet::Product();
    for (const char *form : {"kernel", "symmetric", "markov"}) {
      SCOPED_TRACE(set.text + " " + form);
      const bool normalised = std::string(form) != "kernel";
      const Real divisor = normalised ? set.row_sum() : 1;
      Bounded expected;
      for (const Real value : exact.value) expected.value.push_back(value / divisor);
      for (const Real value : exact.magnitude) expected.bound.push_back(value / divisor * error(set, normalised));
      KernelOperator op = make(set, form);
      const std::vector<double> y = apply(op, x, 1);
      EXPECT_EQ(judge ? outside(y, expected) : "", "");
    }
  }

  /// P psi = lambda psi for known pairs, |psi| <= 1.
  void check_eigenvectors(const ExactSet &set, const std::vector<ExactPair> &pairs) const {
    for (const char *form : {"symmetric", "markov"}) {
      KernelOperator op = make(set, form);
      for (const ExactPair &pair : pairs) {
        SCOPED_TRACE(set.text + " " + form + " eigenvalue " + std::to_string(static_cast<double>(pair.value)));
        Bounded expected;
        for (const double entry : pair.vector) expected.value.push_back(pair.value * entry);
        // Rows of P sum to 1; the vector itself is rounded to fp64, going in and in what is expected.
        expected.bound.assign(set.rows(), error(set, true) + 2 * 0x1p-53L);
        EXPECT_EQ(outside(apply(op, pair.vector, 1), expected), "");
      }
    }
  }
};

TEST_P(Exact, CircleE1) {
  const ExactSet circle = exact_torus(256, 1, "3.5");
  check_product(circle);
  check_eigenvectors(circle,
                     {torus_pair(circle, {0}, false), torus_pair(circle, {1}, false), torus_pair(circle, {1}, true),
                      torus_pair(circle, {7}, true), torus_pair(circle, {128}, false)});
}

TEST_P(Exact, NarrowCircleIsNearlyTheIdentity) {
  const ExactSet circle = exact_torus(64, 1, "4000");
  check_product(circle);
  check_eigenvectors(circle, {torus_pair(circle, {1}, false), torus_pair(circle, {32}, false)});
}

TEST_P(Exact, TorusE2) {
  const ExactSet torus = exact_torus(16, 3, "0.8");
  check_product(torus);
  check_eigenvectors(torus, {torus_pair(torus, {0, 0, 1}, false), torus_pair(torus, {1, 2, 0}, true),
                             torus_pair(torus, {8, 3, 5}, false)});
}

TEST_P(Exact, HypercubeE3) {
  const ExactSet cube = exact_hypercube(12, "0.3");
  check_product(cube);
  check_eigenvectors(
      cube, {walsh_pair(cube, 0), walsh_pair(cube, 1), walsh_pair(cube, 0b100100000001), walsh_pair(cube, 0xfff)});
}

std::string param_name(const ::testing::TestParamInfo<std::tuple<const char *, const char *>> &param) {
  std::string alpha = std::get<0>(param.param);
  return "alpha" + (alpha == "0.5" ? std::string("_half") : alpha) + "_" + std::get<1>(param.param);
}

INSTANTIATE_TEST_SUITE_P(Every, Exact,
                         ::testing::Combine(::testing::Values("0", "0.5", "1"), ::testing::Values("fp64", "fp32")),
                         param_name);

}  // namespace
}  // namespace flashring::test
