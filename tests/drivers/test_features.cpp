// -features as a user meets it: angles and distorted sets with the spectra that are known of what they become, models
// that take new points as they were given, restarts, neighbours.
#include <algorithm>
#include <cmath>

#include "drivers/diffmap.hpp"
#include "io/hdf5_reader.hpp"

namespace flashring::test {
namespace {

const std::string configs = FLASHRING_CONFIGS;

class Features : public Diffmap {
 protected:
  static Outcome start(int ranks, const char *program, const std::string &arguments) {
    return run_command(on_ranks(ranks, program + (" " + arguments)) + " 2>&1");
  }
  std::vector<double> array(const std::string &run_folder, const std::string &name,
                            const std::string &file = "results.h5") const {
    return read_dataset(folder_ / run_folder / file, name).values;
  }
  void expect_spectrum(int ranks, const std::string &arguments, const std::vector<double> &values) {
    const std::string name = "run" + std::to_string(ranks);
    const Outcome result =
        start(ranks, FLASHRING_DIFFMAP, arguments + " -overwrite -eps_tol 1e-12 -output " + path(name));
    ASSERT_EQ(result.code, 0) << result.output;
    // An eigenvalue is off by its residual; weights of 16 digits add some 1e-15.
    for (std::size_t k = 0; k < values.size(); ++k)
      EXPECT_NEAR(report(name)["eigenvalues"][k].get<double>(), values[k], 2e-12) << ranks << " " << k;
  }
};

/// Eigenvalue m of the regular n-gon on the unit circle.
double circle_value(int n, double beta, int m) {
  double sum = 0;
  double all = 0;
  for (int j = 0; j < n; ++j) {
    const double angle = 2 * M_PI * j / n;
    const double weight = std::exp(-beta * (2 - 2 * std::cos(angle)));
    sum += weight * std::cos(m * angle);
    all += weight;
  }
  return sum / all;
}

/// The examples of configs/. White points of the ellipse lie on a circle of squared radius 2.
TEST_F(Features, ExamplesHaveTheSpectraOfUndistortedSets) {
  const double one = circle_value(30, 2, 1);
  const std::vector<double> torus = {1, one, one, one, one, one * one, one * one, one * one, one * one};
  const double first = circle_value(300, 10, 1);
  const double second = circle_value(300, 10, 2);
  const std::vector<double> circle = {1, first, first, second, second};
  const std::string angles = "-points " + configs + "/torus_angles.csv -options_file " + configs + "/torsion.opts";
  const std::string ellipse = "-points " + configs + "/ellipse.csv -options_file " + configs + "/mahalanobis.opts";
  expect_spectrum(1, angles, torus);
  expect_spectrum(3, angles, torus);
  expect_spectrum(2, ellipse + " -features mahalanobis:" + configs + "/ellipse_covariance.csv", circle);
  expect_spectrum(5, ellipse + " -features whiten -beta 5", circle);
}

/// One covariance for all points of the ellipse makes it a circle; those of the mushroom, the rectangle that it was
/// made of.
TEST_F(Features, CovariancesOfPointsUndoDistortions) {
  std::ofstream covariances(folder_ / "same.csv");
  for (int i = 0; i < 300; ++i) covariances << "9,3,1.25\n";
  covariances.close();
  const double first = circle_value(300, 10, 1);
  const double second = circle_value(300, 10, 2);
  const std::string ellipse = "-points " + configs + "/ellipse.csv -pair local_mahalanobis:beta=10 -nev 5 ";
  expect_spectrum(3, ellipse + "-point_covariances " + path("same.csv"), {1, first, first, second, second});

  const Outcome made =
      start(2, FLASHRING_DIFFMAP,
            "-points " + configs + "/mushroom.csv -options_file " + configs + "/mushroom.opts -point_covariances " +
                configs + "/mushroom_covariances.csv -eps_tol 1e-10 -output " + path("mushroom"));
  ASSERT_EQ(made.code, 0) << made.output;
  // Those of a dense solver; the file's numbers have 12 digits, and so has a point's weight.
  const std::vector<double> dense = {1, 0.992486508311, 0.979825514013, 0.972551482317, 0.969822616045, 0.950354278458};
  for (std::size_t k = 0; k < dense.size(); ++k)
    EXPECT_NEAR(report("mushroom")["eigenvalues"][k].get<double>(), dense[k], 2e-11) << k;
  // psi_1 goes as cos(pi u): in the order of u, point by point along v = 0.31.
  const std::vector<double> embedding = array("mushroom", "/embedding");
  for (int i = 1; i < 30; ++i) {
    const auto psi = [&](int at) { return embedding[static_cast<std::size_t>(18 * at + 9) * 5]; };
    EXPECT_GT((psi(i) - psi(i - 1)) * (psi(29) - psi(0)), 0) << i;
  }
}

/// A model maps new points, given as its own were, and refuses others. Values agree as test_extend.cpp says.
TEST_F(Features, ModelsMapNewPoints) {
  const std::string points = "-points " + configs + "/torus_angles.csv ";
  const Outcome made = run(2, points + "-features torsion:degrees+whiten -feature_scales 1,2,1,2 -beta 1 -nev 4 " +
                                  "-eps_tol 1e-12 -output " + path("map"));
  ASSERT_EQ(made.code, 0) << made.output;
  EXPECT_EQ(array("map", "/feature_periods"), (std::vector<double>{360, 360}));
  EXPECT_EQ(array("map", "/feature_factor").size(), 16U);
  EXPECT_EQ(array("map", "/points").size(), 900U * 4);
  const std::vector<double> expected = array("map", "/embedding");
  ASSERT_GT(array("map", "/eigenvalues")[3], 0.1);
  std::ofstream turned(folder_ / "turned.csv");
  for (int i = 0; i < 900; ++i)
    turned << 12 * (i / 30) + 180 << "," << 12 * (i % 30) - 900 << "\n";  // whole turns away
  turned.close();
  const std::string model = "-model " + path("map/results.h5") + " ";
  for (const int ranks : {1, 3}) {
    const std::string name = "out" + std::to_string(ranks);
    const Outcome result =
        start(ranks, FLASHRING_EXTEND, model + "-points " + path("turned.csv") + " -output " + path(name));
    ASSERT_EQ(result.code, 0) << result.output;
    const std::vector<double> found = array(name, "/embedding");
    ASSERT_EQ(found.size(), expected.size());
    for (std::size_t i = 0; i < found.size(); ++i) ASSERT_NEAR(found[i], expected[i], 4e-10) << ranks << " " << i;
  }
  std::ofstream(folder_ / "mapped.csv") << "1,0,1,0\n0,1,0,1\n";
  const std::string wrong = model + "-points " + path("mapped.csv") + " -output " + path("out");
  expect_refused(start(1, FLASHRING_EXTEND, wrong), wrong,
                 {"mapped.csv: has 4 features (d), and the points of the model", "2; give new points"});
}

/// White points have the same bits on any number of ranks, so that a checkpoint fits; it fits no other map.
TEST_F(Features, CheckpointsBelongToTheMap) {
  const std::string problem = "-generate normal:n=700,d=3 -beta 1 -nev 5 ";
  const std::string state = path("state");
  start(1, FLASHRING_DIFFMAP,
        problem + "-features whiten -checkpoint " + state + " -checkpoint_every 0 -eps_max_it 1 -eps_ncv 16 -output " +
            path("first"));
  ASSERT_TRUE(fs::exists(state));
  const Outcome second = run(3, problem + "-features whiten -restart " + state + " -output " + path("second"));
  EXPECT_EQ(second.code, 0) << second.output;
  std::ofstream(folder_ / "c.csv") << "1,0,0\n0,1,0\n0,0,1.1\n";
  const auto expect_other = [&](const std::string &features) {
    const std::string line = problem + features + " -restart " + state + " -output " + path("third");
    expect_refused(start(1, FLASHRING_DIFFMAP, line), line, {"-restart: another problem", "points"});
  };
  expect_other("");
  expect_other("-features periodic:0,0,9");
  expect_other("-features mahalanobis:" + path("c.csv"));
}

/// On a circle of 360 degrees 350 is 10 degrees from 0, and 21 from 11. Queries are mapped as points are.
TEST_F(Features, NeighboursAcrossThePeriod) {
  std::ofstream(folder_ / "angles.csv") << "0\n11\n60\n350\n";
  std::ofstream(folder_ / "new.csv") << "-5\n";
  const std::string points = "-points " + path("angles.csv") + " -features periodic:360 -k 2 ";
  const Outcome own = start(2, FLASHRING_KNN, points + "-output " + path("own"));
  ASSERT_EQ(own.code, 0) << own.output;
  EXPECT_EQ(array("own", "/indices", "neighbours.h5"), (std::vector<double>{3, 1, 0, 3, 1, 0, 0, 1}));
  const Outcome found = start(1, FLASHRING_KNN, points + "-queries " + path("new.csv") + " -output " + path("found"));
  ASSERT_EQ(found.code, 0) << found.output;
  const std::vector<double> distances = array("found", "/distances", "neighbours.h5");
  // Chords of arcs of 5 degrees; two points that are 6e-15 apart by rounding.
  for (const double distance : distances) EXPECT_NEAR(distance, 360 / M_PI * std::sin(M_PI * 5 / 360), 1e-12);
}

}  // namespace
}  // namespace flashring::test
