// The C interface: matrices and maps of points that a program holds, moves and weighs.
#include <gtest/gtest.h>

#include <cmath>

#include "flashring/devices.hpp"
#include "petsc/simulation.hpp"
#include "support/petsc.hpp"

namespace flashring::test {
namespace {

const bool started = start_petsc();

/// Backend auto goes on without a GPU; a library that has backends for one says so once, on one rank. The first matrix
/// of this process.
TEST(CInterface, AMissingGpuIsSaidOnce) {
  testing::internal::CaptureStderr();
  for (const std::uint64_t seed : {36, 37}) {
    Simulation simulation(seed);
    check_petsc(MatSetUp(simulation.A), "MatSetUp");
  }
  const std::string text = testing::internal::GetCapturedStderr();
  const bool missing = !device_backend_names().empty() && list_devices().empty();
  const std::string expected = "note: no GPU is used: " + why_no_device() + "\n";
  EXPECT_EQ(text, missing && world().rank() == 0 ? expected : "");
}

TEST(CInterface, TheMapOfThePoints) {
  Simulation simulation(31);
  const std::vector<double> found = simulation.solve();
  EXPECT_NEAR(found[0], 1, 1e-12);
  // <psi_0, psi_0>_pi = 1 and <psi_0, psi_1>_pi = 0, by the law and the left vectors.
  const auto n = static_cast<std::size_t>(simulation.local);
  std::vector<double> law(n);
  std::vector<double> left(n);
  check_petsc(FlashringMapGetStationaryLaw(simulation.map, law.data()), "law");
  check_petsc(FlashringMapGetLeft(simulation.map, 1, left.data()), "left");
  double total = 0;
  double mixed = 0;
  double own = 0;
  for (std::size_t i = 0; i < n; ++i) {
    total += law[i];
    mixed += left[i];
    own += left[i] * found[1 + n + 1 + i];
  }
  EXPECT_NEAR(world().sum(total), 1, 1e-12);
  EXPECT_NEAR(world().sum(mixed), 0, 1e-7);
  EXPECT_NEAR(world().sum(own), 1, 1e-7);
}

TEST(CInterface, MovedPointsEqualAFreshOperator) {
  Simulation moved(32);
  moved.solve();
  moved.move(33);
  Simulation fresh(33);
  EXPECT_EQ(moved.solve(), fresh.solve());
}

TEST(CInterface, WeightsBeforeAndAfterSetUp) {
  Simulation early(34);
  std::vector<double> weights(static_cast<std::size_t>(early.local));
  for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = 1 + 0.5 * std::abs(early.coordinates[2 * i]);
  Simulation late(34);
  const std::vector<double> unweighted = late.solve();
  check_petsc(MatFlashringSetWeights(early.A, weights.data()), "weights");
  check_petsc(MatFlashringSetWeights(late.A, weights.data()), "weights");
  const std::vector<double> weighted = early.solve();
  EXPECT_EQ(weighted, late.solve());
  EXPECT_NE(weighted, unweighted);
  std::vector<double> measure(weights.size());
  check_petsc(MatFlashringGetVector(early.A, FLASHRING_MEASURE, measure.data()), "measure");
  EXPECT_EQ(measure, weights);
}

TEST(CInterface, VectorsAndCounters) {
  Simulation simulation(35);
  std::vector<double> density(static_cast<std::size_t>(simulation.local));
  std::vector<double> weight(density.size());
  PetscInt64 passes = -1;
  check_petsc(MatFlashringGetCounters(simulation.A, nullptr, &passes, nullptr), "counters");
  EXPECT_EQ(passes, 0);
  check_petsc(MatFlashringGetVector(simulation.A, FLASHRING_DENSITY, density.data()), "density");
  check_petsc(MatFlashringGetVector(simulation.A, FLASHRING_WEIGHT, weight.data()), "weight");
  for (std::size_t i = 0; i < density.size(); ++i) EXPECT_NEAR(weight[i], 1 / std::sqrt(density[i]), 1e-15);
  check_petsc(MatFlashringGetCounters(simulation.A, nullptr, &passes, nullptr), "counters");
  EXPECT_EQ(passes, 2);
  EXPECT_STREQ(FlashringVersion(), FLASHRING_VERSION);
  EXPECT_TRUE(FLASHRING_VERSION_GE(0, 0, 1));
}

TEST(CInterface, TargetsSetTheLaw) {
  Simulation early(30);
  Simulation late(30);
  std::vector<double> target;
  for (PetscInt i = 0; i < early.local; ++i) target.push_back(1 + 0.5 * std::abs(early.coordinates[2 * i]));
  check_petsc(MatFlashringSetTarget(early.A, target.data()), "target");
  const std::vector<double> plain = late.solve();
  check_petsc(MatFlashringSetTarget(late.A, target.data()), "target");
  EXPECT_EQ(early.solve(), late.solve());
  EXPECT_NE(early.solve(), plain);
  std::vector<double> density(target.size());
  std::vector<double> weight(target.size());
  check_petsc(MatFlashringGetVector(early.A, FLASHRING_DENSITY, density.data()), "density");
  check_petsc(MatFlashringGetVector(early.A, FLASHRING_WEIGHT, weight.data()), "weight");
  for (std::size_t i = 0; i < target.size(); ++i) EXPECT_NEAR(weight[i] * density[i], std::sqrt(target[i]), 1e-14);
}

TEST(CInterface, WrongUseIsNamed) {
  Simulation simulation(36);
  expect_failure(MatFlashringSetOption(simulation.A, "alfa", "1"), "alfa");
  expect_failure(MatFlashringSetOption(simulation.A, "alpha", "7"), "[0, 1]");
  expect_failure(FlashringMapSetPairs(simulation.map, 0), "0 pairs");
  expect_failure(FlashringMapSetTolerance(simulation.map, -1), "-1");
  double value = 0;
  expect_failure(FlashringMapGetEigenvalue(simulation.map, 0, &value, nullptr), "pair 0 of 0");
  simulation.solve();
  expect_failure(MatFlashringSetOption(simulation.A, "alpha", "1"), "set up");
  expect_failure(MatFlashringSetPoints(simulation.A, 3, simulation.coordinates.data()), "features");
  if (!simulation.coordinates.empty()) simulation.coordinates[0] = NAN;
  expect_failure(MatFlashringSetPoints(simulation.A, 2, simulation.coordinates.data()), "row 0");
  Mat dense = nullptr;
  FlashringMap map = nullptr;
  check_petsc(MatCreateDense(PETSC_COMM_WORLD, PETSC_DECIDE, PETSC_DECIDE, 4, 4, nullptr, &dense), "MatCreateDense");
  expect_failure(FlashringMapCreate(dense, &map), "flashring");
  expect_failure(MatFlashringSetPoints(dense, 2, simulation.coordinates.data()), "flashring");
  MatDestroy(&dense);
}

TEST(CInterface, AFailedSetUpMayBeTriedAgain) {
  Simulation simulation(39);
  std::vector<double> weights(static_cast<std::size_t>(simulation.local), 2.0);
  if (world().rank() == 0) weights[0] = -1;
  check_petsc(MatFlashringSetWeights(simulation.A, weights.data()), "weights");
  expect_failure(MatSetUp(simulation.A), "measure of row 0 is -1");
  simulation.set("backend", "none_such");
  expect_failure(MatSetUp(simulation.A), "none_such");
  simulation.set("backend", "auto");
  weights.assign(weights.size(), 2.0);
  check_petsc(MatFlashringSetWeights(simulation.A, weights.data()), "weights");
  check_petsc(MatSetUp(simulation.A), "MatSetUp");
  std::vector<double> measure(weights.size());
  check_petsc(MatFlashringGetVector(simulation.A, FLASHRING_MEASURE, measure.data()), "measure");
  EXPECT_EQ(measure, weights);
}

TEST(CInterface, EveryRankHasTheSameFeatures) {
  if (world().size() == 1) GTEST_SKIP() << "needs two ranks";
  const std::vector<double> coordinates(12, 0.5);
  const int features = world().rank() == 1 ? 2 : 3;
  Mat A = nullptr;
  check_petsc(MatCreateFlashring(PETSC_COMM_WORLD, 4, features, coordinates.data(), &A), "MatCreateFlashring");
  expect_failure(MatSetUp(A), "points have 2 features here and 3 on another rank");
  MatDestroy(&A);
}

TEST(CInterface, AnOldErrorIsNotToldAgain) {
  Simulation simulation(40);
  EXPECT_NE(MatFlashringSetOption(simulation.A, "alpha", "7"), PETSC_SUCCESS);  // the program goes on
  const ScopedOptions options({{"-eps_ncv", "2"}});                             // fewer than the pairs
  const PetscErrorCode code = FlashringMapSolve(simulation.map);
  EXPECT_NE(code, PETSC_SUCCESS);
  try {
    check_petsc(code, "solve");
  } catch (const std::exception &error) {
    EXPECT_EQ(std::string(error.what()).find("alpha"), std::string::npos) << error.what();
  }
}

TEST(CInterface, MapsWithOptionsOfTheirOwn) {
  const ScopedOptions options({{"-second_eps_max_it", "1"}, {"-second_eps_ncv", "5"}});
  Simulation first(42);
  Simulation second(42);
  check_petsc(FlashringMapSetOptionsPrefix(second.map, "second_"), "FlashringMapSetOptionsPrefix");
  for (int repeat = 0; repeat < 2; ++repeat) {
    first.solve();
    PetscInt pairs = 0;
    check_petsc(FlashringMapSolve(second.map), "FlashringMapSolve");
    check_petsc(FlashringMapGetConverged(second.map, &pairs, nullptr), "FlashringMapGetConverged");
    EXPECT_LT(pairs, 4);
  }
}

/// At the map's own points psi comes back up to the residual, 1e-8 by default, over eigenvalues above 0.1 and the root
/// of a law above 1e-3; a rank may ask for none, or for points that others hold.
TEST(CInterface, TheMapAtOtherPoints) {
  Simulation simulation(42);
  simulation.set("feature_scales", "1,0.5");
  std::vector<double> right(1);
  expect_failure(FlashringMapExtend(simulation.map, 0, nullptr, right.data(), nullptr, nullptr), "FlashringMapSolve");
  const std::vector<double> found = simulation.solve();
  const auto n = static_cast<std::size_t>(simulation.local);
  right.assign(4 * n, 0.0);
  std::vector<double> density(n);
  std::vector<PetscBool> far(n);
  check_petsc(FlashringMapExtend(simulation.map, simulation.local, simulation.coordinates.data(), right.data(),
                                 density.data(), far.data()),
              "FlashringMapExtend");
  std::vector<double> own(n);
  check_petsc(MatFlashringGetVector(simulation.A, FLASHRING_DENSITY, own.data()), "density");
  for (std::size_t k = 0; k < 4; ++k) {
    ASSERT_GT(found[k * (n + 1)], 0.1);
    for (std::size_t i = 0; i < n; ++i)
      EXPECT_NEAR(right[k * n + i], found[k * (n + 1) + 1 + i], 4e-6) << k << " " << i;
  }
  for (std::size_t i = 0; i < n; ++i) {
    EXPECT_NEAR(std::exp(density[i]), own[i], 1e-12 * own[i]);
    EXPECT_EQ(far[i], PETSC_FALSE);
  }
  const bool last = world().rank() + 1 == world().size();
  const std::vector<double> distant{0.1, 50};
  std::vector<double> psi(4);
  PetscBool flag = PETSC_FALSE;
  check_petsc(FlashringMapExtend(simulation.map, last ? 1 : 0, distant.data(), psi.data(), nullptr, &flag), "far");
  EXPECT_EQ(flag, last ? PETSC_TRUE : PETSC_FALSE);
  EXPECT_EQ(psi[0], last ? 1 : 0);
  expect_failure(FlashringMapExtend(simulation.map, last ? -1 : 1, distant.data(), psi.data(), nullptr, nullptr),
                 "0 or more");
  simulation.move(43);
  expect_failure(FlashringMapExtend(simulation.map, 0, nullptr, psi.data(), nullptr, nullptr), "the points have moved");
}

/// Lengths that are all the same make a gaussian; others come with moved points, or stay.
TEST(CInterface, LengthsOfPoints) {
  Simulation gaussian(36);
  const std::vector<double> expected = gaussian.solve();
  Simulation tuned(36);
  tuned.set("pair", "self_tuned");
  const auto n = static_cast<std::size_t>(tuned.local);
  std::vector<double> lengths(n, 1 / std::sqrt(1.5));
  check_petsc(MatFlashringSetPointScales(tuned.A, lengths.data()), "MatFlashringSetPointScales");
  const std::vector<double> found = tuned.solve();
  // Both stop at residuals of 1e-8, over gaps above 0.01 and vectors below 10.
  for (std::size_t at = 0; at < found.size(); ++at) EXPECT_NEAR(found[at], expected[at], 1e-5) << at;

  std::vector<double> right(4 * n);
  const auto extended = [&] {
    return FlashringMapExtend(tuned.map, tuned.local, tuned.coordinates.data(), right.data(), nullptr, nullptr);
  };
  expect_failure(extended(), "reads a length of every point");
  check_petsc(FlashringMapSetNewPointScales(tuned.map, tuned.local, lengths.data()), "FlashringMapSetNewPointScales");
  check_petsc(extended(), "FlashringMapExtend");
  for (std::size_t k = 0; k < 4; ++k)
    for (std::size_t i = 0; i < n; ++i)
      EXPECT_NEAR(right[k * n + i], found[k * (n + 1) + 1 + i], 4e-6) << k << " " << i;

  Simulation fresh(37);
  fresh.set("pair", "self_tuned");
  for (std::size_t i = 0; i < n; ++i) lengths[i] = 0.5 + 0.2 * std::abs(fresh.coordinates[2 * i]);
  check_petsc(MatFlashringSetPointScales(fresh.A, lengths.data()), "MatFlashringSetPointScales");
  check_petsc(MatFlashringSetPointScales(tuned.A, lengths.data()), "MatFlashringSetPointScales");
  tuned.move(37);
  const std::vector<double> moved = fresh.solve();
  EXPECT_EQ(tuned.solve(), moved);
  tuned.move(37);
  EXPECT_EQ(tuned.solve(), moved) << "lengths stay where none came";
}

/// Covariances that are all length^2 I make a gaussian, and so do those of new points.
TEST(CInterface, CovariancesOfPoints) {
  Simulation gaussian(36);
  const std::vector<double> expected = gaussian.solve();
  Simulation tuned(36);
  tuned.set("pair", "local_mahalanobis:beta=3");
  const auto n = static_cast<std::size_t>(tuned.local);
  std::vector<double> covariances;
  for (std::size_t i = 0; i < n; ++i) covariances.insert(covariances.end(), {2, 0, 0, 2});
  check_petsc(MatFlashringSetPointCovariances(tuned.A, 2, covariances.data()), "MatFlashringSetPointCovariances");
  const std::vector<double> found = tuned.solve();
  // Both stop at residuals of 1e-8, over gaps above 0.01 and vectors below 10.
  for (std::size_t at = 0; at < found.size(); ++at) EXPECT_NEAR(found[at], expected[at], 1e-5) << at;

  std::vector<double> right(4 * n);
  const auto extended = [&] {
    return FlashringMapExtend(tuned.map, tuned.local, tuned.coordinates.data(), right.data(), nullptr, nullptr);
  };
  expect_failure(extended(), "reads a covariance of every point");
  check_petsc(FlashringMapSetNewPointCovariances(tuned.map, tuned.local, 2, covariances.data()), "SetNew");
  check_petsc(extended(), "FlashringMapExtend");
  for (std::size_t k = 0; k < 4; ++k)
    for (std::size_t i = 0; i < n; ++i)
      EXPECT_NEAR(right[k * n + i], found[k * (n + 1) + 1 + i], 4e-6) << k << " " << i;
  expect_failure(FlashringMapSetNewPointCovariances(tuned.map, 0, 33, nullptr), "of 1 to 32 features");
  check_petsc(MatFlashringSetPointScales(tuned.A, covariances.data()), "MatFlashringSetPointScales");
  expect_failure(MatFlashringSetPoints(tuned.A, 2, tuned.coordinates.data()), "reads covariances of points");
}

TEST(CInterface, AMapNeedsTheOperatorItself) {
  Simulation simulation(41);
  std::vector<double> law(static_cast<std::size_t>(simulation.local));
  expect_failure(FlashringMapGetStationaryLaw(simulation.map, law.data()), "FlashringMapSolve");
  check_petsc(MatSetUp(simulation.A), "MatSetUp");
  check_petsc(MatScale(simulation.A, 2), "MatScale");
  expect_failure(FlashringMapSolve(simulation.map), "MatScale");
}

/// A matrix whose type and global size are set the PETSc way, then its points.
TEST(CInterface, PointsOfAMatrixMadeByName) {
  check_petsc(FlashringRegisterAll(), "register");
  Mat A = nullptr;
  check_petsc(MatCreate(PETSC_COMM_WORLD, &A), "MatCreate");
  check_petsc(MatSetType(A, MATFLASHRING), "MatSetType");
  const std::vector<double> one{0.5, 0.5};
  expect_failure(MatFlashringSetPoints(A, 2, one.data()), "MatSetSizes");
  check_petsc(MatSetSizes(A, PETSC_DECIDE, PETSC_DECIDE, rows, rows), "MatSetSizes");
  const PointSet points = random_points(rows, 2, 38);
  const PointBlock mine = local_block(points, RowPartition::contiguous(rows, world().size()), world().rank());
  check_petsc(MatFlashringSetPoints(A, 2, mine.rows().data()), "MatFlashringSetPoints");
  check_petsc(MatFlashringSetOption(A, "pair", "gaussian:beta=1"), "MatFlashringSetOption");
  check_petsc(MatSetUp(A), "MatSetUp");
  PetscInt local = 0;
  check_petsc(MatGetLocalSize(A, &local, nullptr), "MatGetLocalSize");
  EXPECT_EQ(local, mine.local_rows());
  std::vector<double> density(static_cast<std::size_t>(local));
  check_petsc(MatFlashringGetVector(A, FLASHRING_DENSITY, density.data()), "density");
  double total = 0;
  for (const double value : density) total += value;
  double expected = 0;
  for (std::size_t i = 0; i < rows; ++i)
    for (std::size_t j = 0; j < rows; ++j) {
      const double dx = points.rows[2 * i] - points.rows[2 * j];
      const double dy = points.rows[2 * i + 1] - points.rows[2 * j + 1];
      expected += std::exp(-dx * dx - dy * dy);
    }
  EXPECT_NEAR(world().sum(total), expected, 1e-10 * expected);
  MatDestroy(&A);
}

/// Coordinates are the program's own at every call: two circles of period 1, then white. A move by whole periods
/// changes rounding alone, so that values agree to what they are off, the squares of residuals below 1e-8.
TEST(CInterface, CoordinatesAreMapped) {
  Simulation simulation(42);
  simulation.set("features", "periodic:1+whiten");
  const std::vector<double> found = simulation.solve();
  const auto n = static_cast<std::size_t>(simulation.local);
  std::vector<double> right(4 * n);
  for (const double turns : {0.0, 8.0}) {
    for (double &x : simulation.coordinates) x += turns;
    check_petsc(MatFlashringSetPoints(simulation.A, 2, simulation.coordinates.data()), "MatFlashringSetPoints");
    const std::vector<double> moved = simulation.solve();
    for (std::size_t k = 0; k < 4; ++k) EXPECT_NEAR(moved[k * (n + 1)], found[k * (n + 1)], 1e-12) << k;
    check_petsc(FlashringMapExtend(simulation.map, simulation.local, simulation.coordinates.data(), right.data(),
                                   nullptr, nullptr),
                "FlashringMapExtend");
    for (std::size_t k = 0; k < 4; ++k) {
      ASSERT_GT(moved[k * (n + 1)], 0.05);
      for (std::size_t i = 0; i < n; ++i)
        EXPECT_NEAR(right[k * n + i], moved[k * (n + 1) + 1 + i], 8e-6) << k << " " << i;
    }
  }
  expect_failure(MatFlashringSetPoints(simulation.A, 4, simulation.coordinates.data()), "had 2 before");
}

TEST(CInterface, OptionsOfTheCommandLine) {
  const ScopedOptions options({{"-mat_flashring_alpha", "0"}, {"-mat_flashring_feature_scales", "2,1"}});
  Simulation by_options(37);
  check_petsc(MatSetFromOptions(by_options.A), "MatSetFromOptions");
  Simulation by_calls(37);
  by_calls.set("alpha", "0");
  by_calls.set("feature_scales", "2,1");
  Simulation plain(37);
  const std::vector<double> found = by_options.solve();
  EXPECT_EQ(found, by_calls.solve());
  EXPECT_NE(found, plain.solve());
}

}  // namespace
}  // namespace flashring::test
