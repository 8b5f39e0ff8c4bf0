// The hypercube (docs/mathematics.md, E3) at sizes that one dense matrix would not reach: 2^13 points in fp64, 2^16 in
// fp32 (4.3e9 pairs), whole products against the Walsh-Hadamard transform.
#include <gtest/gtest.h>

#include "support/apply.hpp"
#include "support/exact.hpp"

namespace flashring::test {
namespace {

void check(int d, const char *beta, const char *precision, double unit) {
  const ExactSet cube = exact_hypercube(d, beta);
  const std::vector<double> x = random_numbers(cube.rows(), 121);
  KernelOperator op(world(), options_of({{"beta", beta}, {"form", "kernel"}, {"precision", precision}}),
                    generate_points(cube.text, world()));
  const ExactSet::Product exact = cube.product(x);
  Bounded expected{exact.value, exact.magnitude};
  for (Real &bound : expected.bound) bound *= cube.relative_error(false, unit, 0);
  EXPECT_EQ(outside(apply(op, x, 1), expected), "");
  EXPECT_LT(world().sum(op.counters().ring.pairs),
            0.6 * static_cast<double>(cube.rows()) * static_cast<double>(cube.rows()))
      << "pairs are evaluated twice";
}

TEST(ExactLarge, HypercubeOf8192InDouble) { check(13, "0.3", "fp64", 0x1p-53); }
TEST(ExactLarge, HypercubeOf65536InSingle) { check(16, "0.25", "fp32", 0x1p-24); }

}  // namespace
}  // namespace flashring::test
