// Sweeps: the order of the maps, lists that are refused, and what a map hands on to the next one.
#include <gtest/gtest.h>

#include <cmath>

#include "flashring/check.hpp"
#include "flashring/diffusion_map.hpp"
#include "flashring/petsc_mat.hpp"
#include "flashring/sweep.hpp"
#include "support/petsc.hpp"
#include "support/scatter.hpp"
#include "support/world.hpp"

namespace flashring::test {
namespace {

const bool started = start_petsc();

std::string folders(std::string_view betas, std::string_view alphas) {
  std::string names;
  for (const SweepPoint &point : sweep_points(betas, alphas)) names += point.folder + " ";
  return names;
}

TEST(Sweep, OrderOfTheMaps) {
  EXPECT_EQ(folders("", ""), "");
  EXPECT_EQ(folders("0.50,2e-1,1", ""), "beta_0.50 beta_2e-1 beta_1 ");
  EXPECT_EQ(folders("", "1,0,0.5"), "alpha_1 alpha_0 alpha_0.5 ");
  EXPECT_EQ(folders("3", "1,0"), "beta_3_alpha_1 beta_3_alpha_0 ");
  // To and fro: the same alpha follows where beta changes.
  EXPECT_EQ(folders("2,1,4", "0,1"),
            "beta_2_alpha_0 beta_2_alpha_1 beta_1_alpha_1 beta_1_alpha_0 beta_4_alpha_0 beta_4_alpha_1 ");
  const SweepPoint point = sweep_points("2", "0.5").front();
  EXPECT_EQ(point.beta, "2");
  EXPECT_EQ(point.alpha, "0.5");
}

TEST(Sweep, ListsThatAreRefused) {
  const auto message = [](std::string_view betas, std::string_view alphas) -> std::string {
    try {
      sweep_points(betas, alphas);
    } catch (const Error &error) {
      return error.what();
    }
    return "no error";
  };
  for (const auto &[betas, alphas, words] : std::initializer_list<std::array<const char *, 3>>{
           {"1,,2", "", "-beta_list, value 2: '' is not a number"},
           {"1,2,", "", "-beta_list, value 3: '' is not a number"},
           {"1;2", "", "-beta_list, value 1: '1;2' is not a number"},
           {"1, 2", "", "-beta_list, value 2: ' 2' is not a number"},
           {"1,median", "", "-beta_list, value 2: 'median' is not a number"},
           {"1,-2", "", "-beta_list, value 2: -beta: -2 is not a positive finite number"},
           {"inf", "", "-beta_list, value 1: -beta: inf is not a positive finite number"},
           {"1,nan", "", "-beta_list, value 2: -beta: nan is not a positive finite number"},
           {"0.5,2,0.50", "", "-beta_list, value 3: 0.50 is value 1 again; give every value once"},
           {"", "0,1.5", "-alpha_list, value 2: -alpha: 1.5 is outside [0, 1]"},
           {"", "nan", "-alpha_list, value 1: -alpha: nan is outside [0, 1]"},
           {"1", "0,0", "-alpha_list, value 2: 0 is value 1 again"}})
    EXPECT_NE(message(betas, alphas).find(words), std::string::npos) << message(betas, alphas) << "\nlacks: " << words;
}

/// An operator with its matrix.
struct Problem {
  Problem(double beta, double alpha, const std::string &set = "random_swiss_roll:n=600", bool weighted = false) {
    OperatorOptions options;
    options.set("beta", detail::concatenate(beta));
    options.alpha = alpha;
    options.ramp = "none";  // bits and passes of one precision
    options.form = Form::symmetric;
    options.threads = 1;
    op = make_operator(PETSC_COMM_WORLD, options, generate_points(set, world()));
    if (weighted) op->update_measure(std::vector<double>(static_cast<std::size_t>(op->local_rows()), 2.0));
    check_petsc(mat_create(PETSC_COMM_WORLD, op, &A), "mat_create");
  }
  Problem(const Problem &) = delete;
  Problem &operator=(const Problem &) = delete;
  ~Problem() { MatDestroy(&A); }

  /// From landmarks, or from the neighbour, which then remembers this map.
  DiffusionMap solve(Neighbour *neighbour, const char *block, int pairs = 8) const {
    const ScopedOptions scoped({{"-eps_type", "blockkrylovschur"}, {"-eps_blockkrylovschur_blocksize", block}});
    DiffusionMapRequest request;
    request.eigen.pairs = pairs;
    if (neighbour != nullptr) neighbour->prepare(*op);
    if (neighbour != nullptr && neighbour->has_start())
      request.eigen.start = [&](int columns) { return neighbour->start(*op, request.nystrom, columns); };
    DiffusionMap map = diffusion_map(A, *op, request);
    if (neighbour == nullptr) return map;
    neighbour->remember(*op);
    neighbour->remember(map.results.right, map.results.pairs);
    return map;
  }
  std::int64_t passes() const { return op->counters().passes; }

  std::shared_ptr<KernelOperator> op;
  Mat A = nullptr;
};

/// The same bits as an operator that makes both set-up passes itself, from one.
TEST(Neighbour, TheDensityServesEveryAlpha) {
  for (const bool weighted : {false, true}) {
    Neighbour neighbour;
    const Problem first(0.1, 0, "normal:n=301,d=3", weighted);
    neighbour.prepare(*first.op);
    neighbour.remember(*first.op);
    EXPECT_EQ(first.passes(), 2);
    for (const double alpha : {0.3, 1.0}) {
      const Problem next(0.1, alpha, "normal:n=301,d=3", weighted);
      const Problem alone(0.1, alpha, "normal:n=301,d=3", weighted);
      neighbour.prepare(*next.op);
      const std::span<const double> degree = next.op->degree();
      const std::span<const double> expected = alone.op->degree();
      EXPECT_EQ(next.passes(), 1);
      EXPECT_TRUE(std::equal(degree.begin(), degree.end(), expected.begin(), expected.end())) << alpha;
      neighbour.remember(*next.op);
    }
    const Problem other(0.2, 1, "normal:n=301,d=3", weighted);  // another density
    neighbour.prepare(*other.op);
    other.op->degree();
    EXPECT_EQ(other.passes(), 2);
  }
}

/// New points and a new measure need the whole set-up, whatever was restored before.
TEST(Neighbour, ADensityGoesWithItsPoints) {
  const Problem problem(0.1, 0.5, "normal:n=101,d=3");
  const std::size_t n = static_cast<std::size_t>(problem.op->local_rows());
  problem.op->restore_density(std::vector<double>(n, 3.0));
  problem.op->degree();
  EXPECT_EQ(problem.passes(), 1);
  problem.op->update_measure(std::vector<double>(n, 2.0));
  problem.op->degree();
  EXPECT_EQ(problem.passes(), 3);
  const PointBlock moved = generate_points("normal:n=101,d=3,seed=5", world());
  problem.op->restore_density(std::vector<double>(n, 3.0));
  problem.op->update_points(moved.rows());
  problem.op->degree();
  EXPECT_EQ(problem.passes(), 5);
}

TEST(Neighbour, OtherPointsAndWeightsAreRefused) {
  Neighbour neighbour;
  const Problem first(0.1, 0.5, "normal:n=60,d=2");
  neighbour.remember(*first.op);
  EXPECT_THROW(neighbour.prepare(*Problem(0.1, 1, "normal:n=60,d=2,seed=9").op), Error);
  EXPECT_THROW(neighbour.prepare(*Problem(0.1, 1, "normal:n=60,d=2", true).op), Error);
  EXPECT_NO_THROW(neighbour.prepare(*Problem(0.1, 1, "normal:n=60,d=2").op));
}

/// Vectors under the law of the new operator: the first is exact, so its residual is rounding, n terms of the working
/// precision and as many of the products; the number of columns is that of the neighbour, or of the block.
TEST(Neighbour, TheFirstVectorIsExact) {
  constexpr std::size_t n = 600;
  const Problem first(0.05, 1);
  Neighbour neighbour;
  first.solve(&neighbour, "4");
  for (const auto &[block, columns] : {std::pair{4, 8}, std::pair{8, 8}, std::pair{12, 12}, std::pair{20, 20}}) {
    Neighbour used = neighbour;
    const Problem next(0.08, 0.5);
    used.prepare(*next.op);
    const std::vector<double> v = used.start(*next.op, {}, block);
    EXPECT_FALSE(used.has_start());
    const auto local = static_cast<std::size_t>(next.op->local_rows());
    ASSERT_EQ(v.size(), static_cast<std::size_t>(columns) * local) << block;
    std::vector<double> column(v.begin(), v.begin() + static_cast<std::ptrdiff_t>(local));
    double square = 0;
    for (const double x : column) square += x * x;
    const double length = std::sqrt(world().sum(square));
    for (double &x : column) x /= length;
    EXPECT_LT(residuals(*next.op, std::vector<double>{1.0}, column)[0], 4 * n * 0x1p-53) << block;
  }
}

/// Both solutions have residuals r and s in M, which is symmetric, so an eigenvalue is off by r + s at most. Fewer
/// passes than from landmarks for a small step, on blocks of fewer and of more columns than there are pairs.
TEST(Neighbour, TheNextMapIsTheSameInFewerPasses) {
  for (const char *block : {"4", "20"}) {
    SCOPED_TRACE(block);
    Neighbour neighbour;
    std::int64_t single_passes = 0;
    std::int64_t passes = 0;
    for (const double beta : {0.2, 0.21, 0.22}) {
      const Problem alone(beta, 1);
      const Problem next(beta, 1);
      const DiffusionMap expected = alone.solve(nullptr, block);
      const DiffusionMap map = next.solve(&neighbour, block);
      ASSERT_TRUE(expected.complete && map.complete);
      for (std::size_t k = 0; k < 8; ++k)
        EXPECT_NEAR(map.results.eigenvalues[k], expected.results.eigenvalues[k],
                    map.results.residuals[k] + expected.results.residuals[k])
            << beta << " " << k;
      single_passes += alone.passes();
      passes += next.passes();
    }
    EXPECT_LT(passes, single_passes);
  }
}

/// A map that found a part of its pairs hands on those.
TEST(Neighbour, FewPairsAreFilledUp) {
  const Problem first(0.05, 1);
  const DiffusionMap map = first.solve(nullptr, "4", 3);
  Neighbour neighbour;
  neighbour.remember(*first.op);
  neighbour.remember(map.results.right, 3);
  const Problem next(0.05, 0.9);
  neighbour.prepare(*next.op);
  const std::vector<double> v = neighbour.start(*next.op, {}, 8);
  EXPECT_EQ(v.size(), 8 * static_cast<std::size_t>(next.op->local_rows()));
  EXPECT_TRUE(next.solve(nullptr, "8").complete);
}

}  // namespace
}  // namespace flashring::test
