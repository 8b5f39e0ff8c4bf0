// Diffusion maps end to end: golden values, invariances, signs, diagnoses.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string_view>

#include "flashring/check.hpp"
#include "flashring/diffusion_map.hpp"
#include "flashring/readers.hpp"
#include "support/golden.hpp"
#include "support/operator_mat.hpp"
#include "support/petsc.hpp"

namespace flashring::test {
namespace {

const bool started = start_petsc();

struct Setting {
  std::string pair;
  double alpha = 0.5;
  int pairs = 10;
  std::string precision = "fp64";
  std::string backend = "auto";
  std::string eps = "blockkrylovschur";
  std::string basis = "svec";
  std::int64_t most_passes = 0;  // interrupted then; 0: never
};

DiffusionMap make_map(const Setting &setting, PointBlock points) {
  const ScopedOptions scoped(
      {{"-eps_type", setting.eps.c_str()}, {"-eps_max_it", "3000"}, {"-bv_type", setting.basis.c_str()}});
  OperatorOptions options = options_of(
      {{"pair", setting.pair}, {"precision", setting.precision}, {"backend", setting.backend}, {"form", "symmetric"}});
  options.alpha = setting.alpha;
  const OperatorMat problem(options, std::move(points));
  KernelOperator &op = *problem.op;
  DiffusionMapRequest request;
  request.eigen.pairs = setting.pairs;
  request.eigen.tolerance = setting.precision == "fp32" ? 1e-6 : 1e-12;
  if (setting.most_passes > 0) op.set_stop([&] { return op.counters().passes >= setting.most_passes; });
  return diffusion_map(problem.A, op, request);
}

PointBlock four_points(double offset = 0) {
  const double x[] = {0, 1, 2, 4};
  const RowPartition partition = RowPartition::contiguous(4, world().size());
  std::vector<double> mine;
  for (std::int64_t i = 0; i < partition.local_rows(world().rank()); ++i)
    mine.push_back(x[partition.global_row(world().rank(), LocalRow{i}).value] + offset);
  return {partition, world().rank(), 1, mine};
}

std::vector<double> column(const std::vector<double> &matrix, std::int64_t local_rows, int k) {
  return {matrix.begin() + k * local_rows, matrix.begin() + (k + 1) * local_rows};
}

/// All rows of column k of a (local_rows, K) matrix, on every rank.
std::vector<double> gathered(const DiffusionMap &map, const std::vector<double> &matrix, int k) {
  const RowPartition partition = RowPartition::contiguous(map.results.rows, world().size());
  const std::int64_t local = partition.local_rows(world().rank());
  return gather_columns(column(matrix, local, k), 1, partition, world());
}

struct Golden {
  double alpha;
  double values[3];
  double psi[4];
};
constexpr Golden golden_values[] = {{0,
                                     {.861598447002, .466737059260, .099971773680},
                                     {-.650927617147, -.504942342942, -.152558548008, 2.217956752553}},
                                    {0.5,
                                     {.881045906992, .477105651314, .097225116695},
                                     {-.790904809790, -.631356336462, -.252458415848, 1.728194075001}}};

TEST(DiffusionMap, GoldenValuesOfFourPoints) {
  for (const Golden &golden : golden_values) {
    const DiffusionMap map = make_map({"gaussian:beta=0.5", golden.alpha, 4}, four_points());
    ASSERT_TRUE(map.complete);
    EXPECT_NEAR(map.results.eigenvalues[0], 1, 1e-13);
    for (std::size_t k = 0; k < 3; ++k) EXPECT_NEAR(map.results.eigenvalues[k + 1], golden.values[k], 1e-12);
    const std::vector<double> psi = gathered(map, map.results.right, 1);
    for (std::size_t i = 0; i < 4; ++i) EXPECT_NEAR(psi[i], golden.psi[i], 2e-12);
    const std::vector<double> constant = gathered(map, map.results.right, 0);
    for (const double value : constant) EXPECT_NEAR(value, 1, 1e-13);
  }
}

TEST(DiffusionMap, LeftAndRightVectorsAreBiorthonormal) {
  const DiffusionMap map =
      make_map({"gaussian:beta=2", 0.5, 6}, generate_points("clusters:n=131,d=3,spread=0.3", world()));
  ASSERT_TRUE(map.complete);
  const Results &r = map.results;
  const auto n = r.pi.size();
  for (std::size_t k = 0; k < 6; ++k)
    for (std::size_t l = 0; l < 6; ++l) {
      double product = 0;
      for (std::size_t i = 0; i < n; ++i) product += r.pi[i] * r.right[k * n + i] * r.right[l * n + i];
      EXPECT_NEAR(world().sum(product), k == l ? 1 : 0, 1e-11) << k << " " << l;
    }
  double total = 0;
  for (const double p : r.pi) total += p;
  EXPECT_NEAR(world().sum(total), 1, 1e-13);
}

TEST(DiffusionMap, DigitsEigenvalues) {
  const std::vector<double> exact = golden("digits_eigenvalues").values;
  EXPECT_NEAR(exact[1], .899638446432, 5e-13);
  const DiffusionMap map = make_map({"gaussian:beta=0.0033"}, read_npy(FLASHRING_DIGITS, world()));
  ASSERT_TRUE(map.complete);
  for (std::size_t k = 0; k < 10; ++k) EXPECT_NEAR(map.results.eigenvalues[k], exact[k], 1e-13) << k;
  for (std::size_t k = 0; k < 10; ++k) EXPECT_LT(map.results.residuals[k], 1e-11) << k;
}

/// fp32 against fp64 on the same data: eigenvalues to the norm of the perturbation, vectors to that over the gap.
/// Digits: ln k reaches 15, so entries of M are good to about 15 * 6e-8 relative; M has norm 1, random signs average.
TEST(DiffusionMap, DigitsInSinglePrecision) {
  const DiffusionMap exact = make_map({"gaussian:beta=0.0033"}, read_npy(FLASHRING_DIGITS, world()));
  const DiffusionMap map = make_map({"gaussian:beta=0.0033", 0.5, 10, "fp32"}, read_npy(FLASHRING_DIGITS, world()));
  for (std::size_t k = 0; k < 10; ++k) {
    EXPECT_NEAR(map.results.eigenvalues[k], exact.results.eigenvalues[k], 1e-6) << k;
    EXPECT_LT(map.results.residuals[k], 3e-6) << k;
  }
}

TEST(DiffusionMap, TranslationChangesNothing) {
  const DiffusionMap here = make_map({"gaussian:beta=0.5", 0.5, 4}, four_points());
  const DiffusionMap there = make_map({"gaussian:beta=0.5", 0.5, 4}, four_points(100));
  for (std::size_t k = 0; k < 4; ++k)  // 100 has an ulp of 1.4e-14, the distances move by as much
    EXPECT_NEAR(here.results.eigenvalues[k], there.results.eigenvalues[k], 1e-13);
  const std::vector<double> a = gathered(here, here.results.right, 1);
  const std::vector<double> b = gathered(there, there.results.right, 1);
  for (std::size_t i = 0; i < 4; ++i) EXPECT_NEAR(a[i], b[i], 1e-12);
}

TEST(DiffusionMap, BackendsAgreeWithSigns) {
  const Setting setting{"matern52:ell=0.8", 1, 6};
  const auto points = [] { return generate_points("clusters:n=131,d=3,spread=0.3", world()); };
  const DiffusionMap reference = make_map(setting, points());
  Setting by_ref = setting;
  by_ref.backend = "ref";
  const DiffusionMap map = make_map(by_ref, points());
  ASSERT_TRUE(reference.complete && map.complete);
  for (int k = 0; k < 6; ++k) {
    const auto at = static_cast<std::size_t>(k);
    EXPECT_NEAR(map.results.eigenvalues[at], reference.results.eigenvalues[at], 1e-13);
    const std::vector<double> a = gathered(reference, reference.results.right, k);
    const std::vector<double> b = gathered(map, map.results.right, k);
    const double bound = 1e-11 + 10 * reference.results.residual_over_gap[at];
    for (std::size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], bound * 10) << k << " " << i;
  }
}

TEST(DiffusionMap, LargestEntryIsPositive) {
  const DiffusionMap map =
      make_map({"laplacian:ell=1", 0, 5}, generate_points("clusters:n=97,d=2,spread=0.3", world()));
  for (int k = 0; k < 5; ++k) {
    const std::vector<double> psi = gathered(map, map.results.right, k);
    const auto largest =
        std::max_element(psi.begin(), psi.end(), [](double a, double b) { return std::abs(a) < std::abs(b); });
    EXPECT_GT(*largest, 0) << k;
  }
}

bool says(const DiffusionMap &map, const std::string &words) {
  return std::any_of(map.results.diagnoses.begin(), map.results.diagnoses.end(),
                     [&](const std::string &line) { return line.find(words) != std::string::npos; });
}

TEST(DiffusionMap, DiagnosesInWords) {
  const auto points = [] { return generate_points("clusters:n=120,d=3,k=3,spread=0.02", world()); };
  const DiffusionMap narrow = make_map({"gaussian:beta=1e7", 0, 3, "fp64", "auto", "subspace"}, points());
  EXPECT_TRUE(says(narrow, "nearly the identity"));
  EXPECT_TRUE(says(narrow, "isolated points: "));
  const DiffusionMap apart = make_map({"gaussian:beta=1000", 0, 4, "fp64", "auto", "subspace"}, points());
  EXPECT_TRUE(says(apart, "disconnected graph: 3 eigenvalues are 1"));
  const DiffusionMap wide = make_map({"gaussian:beta=1e-5", 0, 2}, points());
  EXPECT_TRUE(says(wide, "rank one"));
  const DiffusionMap cut =
      make_map({"gaussian:beta=1", 0, 4, "fp64", "auto", "subspace"}, generate_points("hypercube:d=7", world()));
  EXPECT_TRUE(says(cut, "cluster of equal eigenvalues"));
  const DiffusionMap plain = make_map({"gaussian:beta=20", 0, 4}, generate_points("circle:n=120", world()));
  EXPECT_TRUE(says(plain, "effective neighbours"));
  EXPECT_FALSE(says(plain, "isolated"));
  EXPECT_FALSE(says(plain, "disconnected"));
}

// Vectors come out of the basis in other ways when the solver was interrupted, and by how the basis is stored.
TEST(DiffusionMap, VectorsOfAnInterruptedRunAreThoseOfAWholeOne) {
  const auto points = [] { return generate_points("normal:n=400,d=3,seed=5", world()); };
  for (const std::string eps : {"krylovschur", "subspace", "blockkrylovschur", "lobpcg"}) {
    Setting setting{"gaussian:beta=0.5", 0.5, 12, "fp64", "auto", eps};
    const DiffusionMap all = make_map(setting, points());
    ASSERT_TRUE(all.complete) << all.status;
    for (const char *basis : {"svec", "mat", "contiguous", "vecs"}) {
      SCOPED_TRACE(eps + " " + basis);
      setting.basis = basis;
      setting.most_passes = 0;
      const DiffusionMap again = make_map(setting, points());
      ASSERT_TRUE(again.complete) << again.status;
      for (std::size_t k = 0; k < 12; ++k) {
        EXPECT_NEAR(again.results.eigenvalues[k], all.results.eigenvalues[k], 1e-11);
        EXPECT_LT(again.results.residuals[k], 1e-10);
      }
      // lobpcg keeps converged vectors to itself until all of a block are.
      if (eps == "lobpcg") continue;
      // The first pass after which a pair has converged is searched for.
      int found = 0;
      const bool blocks = eps == "blockkrylovschur";  // few passes, with many pairs in each
      for (std::int64_t passes = blocks ? 5 : 24; passes < 2000 && found == 0; passes += blocks ? 1 : passes / 4) {
        setting.most_passes = passes;
        try {
          const DiffusionMap part = make_map(setting, points());
          if (!part.interrupted) break;
          found = part.results.pairs;
          for (std::size_t k = 0; k < static_cast<std::size_t>(found); ++k) {
            EXPECT_NEAR(part.results.eigenvalues[k], all.results.eigenvalues[k], 1e-10) << passes << " passes";
            EXPECT_LT(part.results.residuals[k], 1e-10) << passes << " passes";
          }
        } catch (const Interrupted &) {  // not one pair yet
        }
      }
      EXPECT_GT(found, 0);
      EXPECT_LT(found, 12);
    }
  }
}

// Points, the columns of the widest pass and the solver's basis, and two visiting blocks where there are any; in fp32
// and for the ramp half as many numbers again for points in other precisions. (test_run_control holds the plan against
// runs.)
TEST(DiffusionMap, PlansToTakeLittleMoreThanItsVectors) {
  // 80 vectors or twice the pairs and a block, and two blocks of 8 beside.
  for (const int d : {3, 64, 784})
    for (const auto &[pairs, basis] : {std::pair{10, 96}, std::pair{100, 232}})
      for (const char *ramp : {"none", "fp32"})
        for (const char *precision : {"fp64", "fp32"}) {
          OperatorOptions options;
          for (const auto &[name, value] : {std::pair{"pair", "gaussian:beta=1"}, {"exchange", "ring"}})
            options.set(name, value);
          options.set("ramp", ramp);
          options.set("precision", precision);
          const RunPlan plan = plan_diffusion_map(world(), options, {1000000, d}, pairs, {});
          const double columns = residual_columns;
          const bool beside = std::string_view(ramp) != "none" || std::string_view(precision) != "fp64";
          double numbers = d + columns + basis + (beside ? 0.5 * d : 0);
          if (world().size() > 1) numbers += 2 * (d + 2 * columns);
          EXPECT_LE(plan.peak(), 1.3 * 8 * 1e6 / world().size() * numbers)
              << "d=" << d << " K=" << pairs << " ramp " << ramp << " " << precision;
        }
}

}  // namespace
}  // namespace flashring::test
