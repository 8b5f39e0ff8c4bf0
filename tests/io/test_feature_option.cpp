// -features: its text, the files of covariances, and every mistake by name.
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "flashring/check.hpp"
#include "flashring/input.hpp"
#include "flashring/plan.hpp"
#include "flashring/readers.hpp"
#include "io/io_support.hpp"
#include "io/npy_bytes.hpp"
#include "support/scatter.hpp"

namespace flashring::test {
namespace {

InputOptions options_of(const std::string &set, const std::string &features, const std::string &scales = "") {
  InputOptions options;
  options.generate = set;
  options.features = features;
  options.feature_scales = scales;
  return options;
}

Input input_of(const std::string &set, const std::string &features, const std::string &scales = "") {
  return read_input(options_of(set, features, scales), world());
}

/// Of three coordinates.
void expect_refusal(const std::string &features, const std::vector<std::string> &words) {
  SCOPED_TRACE(features);
  expect_error(error_of([&] { input_of("normal:n=9,d=3", features); }), words);
}
/// The same, seen without reading points or files.
void expect_early_refusal(const std::string &features, const std::vector<std::string> &words) {
  expect_refusal(features, words);
  expect_error(error_of([&] { input_shape(options_of("normal:n=9,d=3", features), world()); }), words);
}

std::vector<double> map_numbers(std::span<const double> numbers) { return {numbers.begin(), numbers.end()}; }

TEST(FeatureOption, MapsAreReadFromTheirText) {
  const FeatureMap degrees = input_of("normal:n=9,d=3", "torsion:degrees").points.feature_map();
  EXPECT_EQ(map_numbers(degrees.periods()), std::vector<double>(3, 360));
  EXPECT_EQ(map_numbers(degrees.radii()), std::vector<double>(3, 1));
  const FeatureMap radians = input_of("normal:n=9,d=3", "torsion:radians").points.feature_map();
  EXPECT_EQ(map_numbers(radians.periods()), std::vector<double>(3, 2 * std::numbers::pi));
  const FeatureMap box = input_of("normal:n=9,d=3", "periodic:2,0,1e1").points.feature_map();
  EXPECT_EQ(map_numbers(box.periods()), (std::vector<double>{2, 0, 10}));
  EXPECT_EQ(box.radii()[2], 10 / (2 * std::numbers::pi));
  EXPECT_EQ(map_numbers(input_of("normal:n=9,d=3", "periodic:2").points.feature_map().periods()),
            std::vector<double>(3, 2));
  EXPECT_TRUE(input_of("normal:n=9,d=3", "").points.feature_map().identity());
}

TEST(FeatureOption, ShapesAreThoseOfFeatures) {
  for (const auto &[text, features] :
       {std::pair("", 3), std::pair("torsion:degrees", 6), std::pair("periodic:1,0,0", 4), std::pair("whiten", 3),
        std::pair("torsion:radians+whiten", 6), std::pair("mahalanobis:not_read.npy", 3)}) {
    const PointShape shape = input_shape(options_of("normal:n=20,d=3", text), world());
    EXPECT_EQ(shape.rows, 20) << text;
    EXPECT_EQ(shape.features, features) << text;
  }
  const Input input = input_of("normal:n=20,d=3", "torsion:radians+whiten", "1,2,3,4,5,6");  // scales are of features
  EXPECT_EQ(input.points.features(), 6);
  EXPECT_EQ(input.points.feature_map().factor().size(), 36U);
}

TEST(FeatureOption, PlansCountTheCovariance) {
  for (const bool covariance : {false, true}) {
    RunPlan plan;
    plan.shape = {20, 6};
    plan.phases = {{"reading", {{"points", 1}}}, {"solving", {}}};
    plan_features(options_of("normal:n=20,d=3", covariance ? "torsion:degrees+whiten" : "torsion:degrees"), plan);
    EXPECT_EQ(sum_of(plan.phases[0].memory), covariance ? 1 + 2 * 8 * 36 : 1);
    EXPECT_EQ(sum_of(plan.phases[1].memory), covariance ? 8 * 36 : 0);
  }
}

TEST(FeatureOption, CovariancesComeFromAnyFile) {
  const std::string folder = scratch_folder("features+file");  // a '+' in a name separates nothing
  write_file(folder + "/c.csv", "4,0,0\n0,0.25,0\n0,0,1\n");
  const PointSet plain = gather_points(generate_points("normal:n=17,d=3,seed=4", world()), world());
  const Input input = input_of("normal:n=17,d=3,seed=4", "mahalanobis:" + folder + "/c.csv");
  const PointSet mapped = gather_points(input.points, world());
  const double factors[] = {0.5, 2, 1};
  for (std::size_t at = 0; at < mapped.rows.size(); ++at) EXPECT_EQ(mapped.rows[at], plain.rows[at] * factors[at % 3]);
}

TEST(FeatureOption, NamesMistakes) {
  const std::string known = "known are torsion:degrees, torsion:radians, periodic:L1,...,Ld, mahalanobis:FILE, whiten";
  for (const char *text : {"white", "torsion", "torsion:grad", "periodic", "mahalanobis:", "whitening"})
    expect_early_refusal(text, {std::string("-features ") + text + ": '" + text + "' is unknown; " + known});
  expect_early_refusal("torsion:degrees+", {"-features torsion:degrees+: nothing follows '+'; " + known});
  for (const char *text : {"whiten+torsion:degrees", "periodic:1+torsion:radians", "whiten+whiten"})
    expect_early_refusal(text, {std::string("-features ") + text, "comes too late; give torsion or periodic first"});
  expect_early_refusal("periodic:1,2", {"-features periodic:1,2: 2 periods", "for 3 coordinates (d)"});
  expect_early_refusal("periodic:1,-2,3", {"the period of coordinate 1 (counted from 0) is -2"});
  expect_early_refusal("periodic:1,nan,3", {"the period of coordinate 1 (counted from 0) is nan"});
  expect_early_refusal("periodic:1,,3", {"-features periodic:1,,3: '' is not a number"});
}

TEST(FeatureOption, NamesBadCovariances) {
  const std::string folder = scratch_folder("features_bad");
  const std::string file = folder + "/c.csv";
  const std::string text = "mahalanobis:" + file;
  expect_refusal(text, {"-features mahalanobis " + file + ": cannot be opened"});
  write_file(file, "4,0\n0,1\n");
  expect_refusal(text, {file + ": has shape (2, 2) for 3 features; a covariance has a row and a column for each"});
  write_file(file, "1,2,0\n2,1,0\n0,0,1\n");
  expect_refusal(text, {"-features " + text + ": covariance: not positive definite: pivot 1 (counted from 0) is -3",
                        "or add a small number to the diagonal"});
  write_file(file, "1,2,0\n3,9,0\n0,0,1\n");
  expect_refusal(text, {"entry (1, 0), counted from 0, is 3 and entry (0, 1) is 2; a covariance is symmetric"});
  write_file(folder + "/c.npy", with_header(dictionary("<f8", false, "(3, 3)"), [] {
               std::string data;
               for (const double x : {1.0, 0.0, 0.0, 0.0, std::nan(""), 0.0, 0.0, 0.0, 1.0})
                 data += number_bytes(x, false);
               return data;
             }()));
  expect_refusal("mahalanobis:" + folder + "/c.npy", {"row 1, feature 1 (both counted from 0) is nan"});
  expect_error(error_of([&] { input_of("normal:n=3,d=3", "whiten"); }),  // three points lie in a plane
               {"-features whiten: covariance: not positive definite: pivot 2"});
}

/// Angles 350 and -350 are 20 degrees apart on a circle; the ball is one of chords, round the angle as it is given.
TEST(FeatureOption, BallsAreGivenInCoordinates) {
  const std::string folder = scratch_folder("features_ball");
  write_file(folder + "/p.csv", "350\n-350\n0\n90\n180\n1\n");
  InputOptions options;
  options.points = folder + "/p.csv";
  options.features = "torsion:degrees";
  options.feature_scales = "2,2";
  const Input input = read_input(options, world());
  const std::vector<char> inside = read_point_set("-set_a", "ball:360,r=0.2", input.points, world());
  const std::vector<double> local(inside.begin(), inside.end());
  EXPECT_EQ(gather_columns(local, 1, input.points.partition(), world()), (std::vector<double>{1, 1, 1, 0, 0, 1}));
  expect_error(error_of([&] { read_point_set("-set_a", "ball:1,0,r=0.2", input.points, world()); }),
               {"the centre has 2 coordinates, and the points have 1"});
}

}  // namespace
}  // namespace flashring::test
