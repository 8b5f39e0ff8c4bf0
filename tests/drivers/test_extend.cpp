// flashring-extend as a user meets it: the coordinates of a map at its own points and at others, on any number of
// ranks, from every kind of file; bad input; dry run; signals.
#include <algorithm>
#include <cmath>
#include <thread>

#include "drivers/diffmap.hpp"
#include "io/hdf5_reader.hpp"

namespace flashring::test {
namespace {

class Extend : public Diffmap {
 protected:
  static Outcome extend(int ranks, const std::string &arguments) {
    return run_command(on_ranks(ranks, FLASHRING_EXTEND " " + arguments) + " 2>&1");
  }
  /// On one rank, without mpirun, which takes most of the time.
  static void expect_refusal(const std::string &arguments, std::initializer_list<const char *> words) {
    expect_refused(run_command(std::string(FLASHRING_EXTEND) + " " + arguments + " 2>&1"), arguments, words);
  }
  std::vector<double> array(const std::string &run_folder, const std::string &name) const {
    return read_dataset(folder_ / run_folder / "results.h5", name).values;
  }
  /// Numbers that look random, (count) in (0, 1).
  static std::vector<double> numbers(std::size_t count) {
    std::vector<double> values;
    for (std::size_t i = 0; i < count; ++i)
      values.push_back(std::fmod(0.618033988749895 * static_cast<double>(i * i + 7), 1));
    return values;
  }
  void write_points(const std::string &name, const std::vector<double> &values, int features) const {
    std::string bytes(values.size() * 8, '\0');
    std::memcpy(bytes.data(), values.data(), bytes.size());
    write_npy(name, "<f8",
              "(" + std::to_string(values.size() / static_cast<std::size_t>(features)) + ", " +
                  std::to_string(features) + ")",
              bytes);
  }
  /// A map of 80 points of 3 features in folder map.
  std::string small_map(const std::string &more = "") const {
    write_points("old.npy", numbers(240), 3);
    const Outcome made =
        run(2, "-points " + path("old.npy") + " -beta 3 -nev 5 -eps_tol 1e-12 " + more + " -output " + path("map"));
    EXPECT_EQ(made.code, 0) << made.output;
    return "-model " + path("map/results.h5") + " ";
  }
};

/// The map is one of 2 ranks, with features that are scaled and points that weigh differently. Residuals are 1e-12, the
/// least eigenvalue above 0.1 and the least law 1e-3, so that values agree to 1e-12 / 0.1 / 1e-3^(1/2).
TEST_F(Extend, OwnPointsKeepTheirCoordinatesOnAnyNumberOfRanks) {
  std::vector<double> weights = numbers(80);
  for (double &w : weights) w += 0.5;
  write_points("weights.npy", weights, 1);
  const std::string model = small_map("-feature_scales 1,0.5,2 -time 2 -weights " + path("weights.npy"));
  const std::vector<double> expected = array("map", "/embedding");
  const std::vector<double> values = array("map", "/eigenvalues");
  ASSERT_EQ(expected.size(), 80U * 4);
  ASSERT_GT(values[4], 0.1);
  for (const int ranks : {1, 2, 3, 5}) {
    const std::string name = "out" + std::to_string(ranks);
    const Outcome result = extend(ranks, model + "-points " + path("old.npy") + " -output " + path(name));
    ASSERT_EQ(result.code, 0) << result.output;
    const std::vector<double> found = array(name, "/embedding");
    ASSERT_EQ(found.size(), expected.size());
    for (std::size_t i = 0; i < found.size(); ++i) ASSERT_NEAR(found[i], expected[i], 4e-10) << ranks << " " << i;
    const nlohmann::json r = report(name);
    EXPECT_EQ(r["status"], "complete");
    EXPECT_EQ(r["M"], 80);
    EXPECT_EQ(r["N"], 80);
    EXPECT_EQ(r["far"], 0);
    EXPECT_EQ(r["passes"], 1);
    EXPECT_EQ(r["ranks"], ranks);
    EXPECT_TRUE(fs::exists(folder_ / name / "map.png"));
  }
  const Outcome fewer = extend(2, model + "-nev 3 -points " + path("old.npy") + " -output " + path("fewer"));
  ASSERT_EQ(fewer.code, 0) << fewer.output;
  const std::vector<double> two = array("fewer", "/embedding");
  ASSERT_EQ(two.size(), 160U);
  for (std::size_t i = 0; i < two.size(); ++i) ASSERT_NEAR(two[i], expected[i / 2 * 4 + i % 2], 4e-10) << i;
}

/// A map by self_tuned: the lengths go into results.h5, and new points bring theirs.
TEST_F(Extend, PointsWithLengths) {
  std::vector<double> lengths = numbers(80);
  for (double &length : lengths) length = 0.3 + 0.4 * length;
  write_points("lengths.npy", lengths, 1);
  write_points("old.npy", numbers(240), 3);
  const std::string points = "-points " + path("old.npy") + " ";
  const std::string scales = "-point_scales " + path("lengths.npy") + " ";
  const Outcome made = run(3, points + scales + "-pair self_tuned -nev 4 -eps_tol 1e-12 -output " + path("map"));
  ASSERT_EQ(made.code, 0) << made.output;
  EXPECT_EQ(array("map", "/scalars"), lengths);
  const std::string model = "-model " + path("map/results.h5") + " ";
  const std::vector<double> expected = array("map", "/embedding");
  for (const int ranks : {1, 2}) {
    const std::string name = "out" + std::to_string(ranks);
    const Outcome result = extend(ranks, model + points + scales + "-output " + path(name));
    ASSERT_EQ(result.code, 0) << result.output;
    const std::vector<double> found = array(name, "/embedding");
    ASSERT_EQ(found.size(), expected.size());
    // As above, for eigenvalues above 0.1.
    for (std::size_t i = 0; i < found.size(); ++i) ASSERT_NEAR(found[i], expected[i], 4e-10) << ranks << " " << i;
  }
  ASSERT_GT(array("map", "/eigenvalues")[3], 0.1);
  expect_refusal(model + points + "-output " + path("out"), {"-point_scales is missing", "of -pair self_tuned"});
  write_points("few.npy", {1, 2}, 1);
  expect_refusal(model + points + "-point_scales " + path("few.npy") + " -output " + path("out"),
                 {"-point_scales ", "holds 2 numbers for 80 points"});
}

/// A map by local_mahalanobis: covariances go into results.h5 as lower triangles, and new points bring theirs, or take
/// those of their neighbours where the map's points did.
TEST_F(Extend, PointsWithCovariances) {
  std::vector<double> matrices;
  std::vector<double> triangles;
  for (const double a : numbers(80)) {
    matrices.insert(matrices.end(), {0.05 + 0.05 * a, 0.02 * a, 0.02 * a, 0.03});
    triangles.insert(triangles.end(), {0.05 + 0.05 * a, 0.02 * a, 0.03});
  }
  write_points("matrices.npy", matrices, 4);
  write_points("triangles.npy", triangles, 3);
  write_points("old.npy", numbers(160), 2);
  const std::string points = "-points " + path("old.npy") + " ";
  const std::string common = points + "-pair local_mahalanobis:beta=0.8 -nev 4 -eps_tol 1e-12 ";
  const std::string whole = "-point_covariances " + path("matrices.npy") + " ";
  for (const auto &[name, given, knn] : {std::tuple{"map", whole, ""}, std::tuple{"tuned", std::string(), "-knn 12"}}) {
    const Outcome made = run(given.empty() ? 1 : 3, common + given + knn + " -output " + path(name));
    ASSERT_EQ(made.code, 0) << made.output;
    ASSERT_GT(array(name, "/eigenvalues")[3], 0.1);
    const std::vector<double> expected = array(name, "/embedding");
    const std::string out = std::string("out_") + name;
    const std::string lower = given.empty() ? "" : "-point_covariances " + path("triangles.npy") + " ";
    const Outcome result = extend(2, "-model " + path(name) + "/results.h5 " + points + lower + "-output " + path(out));
    ASSERT_EQ(result.code, 0) << result.output;
    const std::vector<double> found = array(out, "/embedding");
    ASSERT_EQ(found.size(), expected.size());
    // As above, for eigenvalues above 0.1.
    for (std::size_t i = 0; i < found.size(); ++i) ASSERT_NEAR(found[i], expected[i], 4e-10) << name << " " << i;
  }
  EXPECT_EQ(array("map", "/covariances"), triangles);
  const std::string model = "-model " + path("map/results.h5") + " ";
  expect_refusal(model + points + "-output " + path("out"), {"-point_covariances is missing", "reads a covariance"});
  expect_refusal(model + points + "-point_scales " + path("old.npy") + " " + whole + "-output " + path("out"),
                 {"which reads no lengths; leave -point_scales out"});
  expect_refused(run(1, common + "-point_covariances " + path("old.npy") + " -output " + path("bad")), "bad",
                 {"covariances of 2 numbers for points of 2 features; give 4"});
}

/// Without -point_scales lengths are distances to the k-th neighbour, and new points have theirs among those of the
/// map.
TEST_F(Extend, SelfTunedModelsTuneNewPoints) {
  std::vector<double> rows = numbers(240);
  for (std::size_t i = 0; i < 5; ++i) std::copy_n(rows.begin(), 3, rows.begin() + 3 * (10 + i));  // six at one place
  write_points("old.npy", rows, 3);
  const std::string points = "-points " + path("old.npy") + " ";
  const Outcome made = run(3, points + "-pair self_tuned -knn 5 -nev 4 -eps_tol 1e-12 -output " + path("map"));
  ASSERT_EQ(made.code, 0) << made.output;
  EXPECT_NE(made.output.find("6 points have 5 neighbours in the same place"), std::string::npos) << made.output;
  const std::vector<double> lengths = array("map", "/scalars");
  ASSERT_EQ(lengths.size(), 80U);
  EXPECT_EQ(lengths[0], *std::min_element(lengths.begin(), lengths.end()));
  const nlohmann::json r = report("map");
  EXPECT_EQ(r["neighbour_passes"], 1);
  EXPECT_NE(made.output.find("; 1 for neighbours)"), std::string::npos) << made.output;
  std::int64_t passes = 0;
  for (const auto &in_precision : r["passes_in"]) passes += in_precision.get<std::int64_t>();
  EXPECT_EQ(r["passes"], passes);
  const std::vector<double> expected = array("map", "/embedding");
  for (const int ranks : {1, 2}) {
    const std::string name = "tuned" + std::to_string(ranks);
    const Outcome result = extend(ranks, "-model " + path("map/results.h5") + " " + points + "-output " + path(name));
    ASSERT_EQ(result.code, 0) << result.output;
    EXPECT_EQ(report(name)["passes"], 2) << "one of them for neighbours";
    const std::vector<double> found = array(name, "/embedding");
    // As above: residuals over eigenvalues above 0.1.
    for (std::size_t i = 0; i < found.size(); ++i) ASSERT_NEAR(found[i], expected[i], 4e-10) << ranks << " " << i;
  }
  ASSERT_GT(array("map", "/eigenvalues")[3], 0.1);
}

/// More points than one block holds, as text: 70,000 times the same forty, one of them far away.
TEST_F(Extend, StreamsPoints) {
  write_points("line.npy", numbers(50), 1);
  ASSERT_EQ(run(1, "-points " + path("line.npy") + " -beta 20 -nev 4 -output " + path("map")).code, 0);
  const std::vector<double> some = numbers(40);
  std::ofstream text(folder_ / "new.csv");
  for (int i = 0; i < 70000; ++i) text << (i % 40 == 39 ? 99.0 : some[static_cast<std::size_t>(i % 40)]) << "\n";
  text.close();
  const Outcome result = extend(
      1, "-model " + path("map/results.h5") + " -threads 2 -points " + path("new.csv") + " -output " + path("out"));
  ASSERT_EQ(result.code, 0) << result.output;
  EXPECT_NE(result.output.find("note: far points: 1750 of 70000"), std::string::npos) << result.output;
  const std::vector<double> found = array("out", "/embedding");
  const std::vector<double> far = array("out", "/far");
  ASSERT_EQ(found.size(), 70000U * 3);
  for (std::size_t i = 40; i < 70000; ++i) {
    for (std::size_t c = 0; c < 3; ++c) ASSERT_NEAR(found[3 * i + c], found[3 * (i % 40) + c], 1e-12) << i;
    ASSERT_EQ(far[i], i % 40 == 39 ? 1 : 0);
  }
  EXPECT_EQ(report("out")["far"], 1750);
}

/// configs/: the map of the first 1,200 digits, the others extended. The dense reference has 93.3 % of them right by
/// the majority of the ten nearest of the map; with the others in the map it would be 94.5 %.
TEST_F(Extend, DigitsFindTheirNeighbours) {
  const std::string configs = FLASHRING_CONFIGS;
  ASSERT_EQ(run(2, "-options_file " + configs + "/digits.opts -points " + configs + "/digits_first.npy -output " +
                       path("map"))
                .code,
            0);
  const Outcome result = extend(2, "-options_file " + configs + "/digits_extend.opts -model " + path("map/results.h5") +
                                       " -points " + configs + "/digits_rest.npy -labels " + configs +
                                       "/digits_rest_labels.txt -output " + path("rest"));
  ASSERT_EQ(result.code, 0) << result.output;
  const std::vector<double> known = array("map", "/embedding");
  const std::vector<double> found = array("rest", "/embedding");
  std::ifstream file(configs + "/digits_labels.txt");
  std::vector<std::size_t> labels;
  for (std::size_t label = 0; file >> label;) labels.push_back(label);
  int right = 0;
  for (std::size_t i = 0; i < 597; ++i) {
    std::vector<std::pair<double, std::size_t>> near;
    for (std::size_t j = 0; j < 1200; ++j) {
      double square = 0;
      for (std::size_t c = 0; c < 9; ++c) square += std::pow(found[9 * i + c] - known[9 * j + c], 2);
      near.emplace_back(square, labels[j]);
    }
    std::partial_sort(near.begin(), near.begin() + 10, near.end());
    std::vector<int> votes(10, 0);
    for (std::size_t n = 0; n < 10; ++n) ++votes[near[n].second];
    const auto most = std::max_element(votes.begin(), votes.end());
    right += static_cast<std::size_t>(most - votes.begin()) == labels[1200 + i] ? 1 : 0;
  }
  EXPECT_EQ(right, 557) << "of 597";
}

/// More of it in tests/io (models, points) and tests/methods.
TEST_F(Extend, BadInput) {
  const std::string model = small_map();
  const std::string out = " -output " + path("out");
  const std::string old = "-points " + path("old.npy");
  expect_refusal(old + out, {"-model is missing"});
  expect_refusal(model + out, {"-points is missing"});
  expect_refusal("-model " + path("old.npy") + " " + old + out, {"old.npy: is not an HDF5 file"});
  write_points("flat.npy", numbers(20), 2);
  expect_refusal(model + "-points " + path("flat.npy") + out, {"flat.npy: has 2 features (d)", "map/results.h5 3;"});
  std::ofstream(folder_ / "empty.csv").close();
  expect_refusal(model + "-points " + path("empty.csv") + out, {"empty.csv: is empty"});
  write_points("huge.npy", {0, 0, 0, 0, 1e150, 0}, 3);
  expect_refusal(model + "-points " + path("huge.npy") + out, {"row 1 is ", "length scales away from the mean"});
  for (const char *pairs : {"-nev 6 ", "-nev 1 "})
    expect_refusal(model + pairs + old + out, {"-nev: ", " is outside [2, 5]"});
  expect_refusal(model + old + out + " -beta 2", {"unused option -beta"});
  expect_refusal(model + old + out + " -point_scales " + path("old.npy"),
                 {"which reads no lengths; leave -point_scales"});
  expect_refusal(model + old + " -overwrite -output " + path("map"), {"holds the model", "choose another folder"});
  write_points("nan.npy", {1, 2, 3, 4, NAN, 6}, 3);
  const Outcome two_ranks = extend(2, model + "-points " + path("nan.npy") + out);
  expect_refused(two_ranks, "nan", {"error: rank 1: ", "nan.npy: row 1, feature 1 (both counted from 0) is nan"});
  EXPECT_TRUE(fs::is_empty(folder_ / "out")) << "an error after the files were begun leaves nothing";
  ASSERT_EQ(extend(2, model + old + out).code, 0);
  expect_refusal("-model " + path("out/results.h5") + " " + old + " -output " + path("again"),
                 {"holds an extension, not a diffusion map"});
  expect_refusal(model + old + out, {"holds another run", "-overwrite"});
}

TEST_F(Extend, ADryRunComputesNothing) {
  const std::string model = small_map();
  const Outcome result = extend(2, model + "-dry_run -points " + path("old.npy") + " -output " + path("out"));
  EXPECT_EQ(result.code, 0) << result.output;
  for (const char *words : {"while reading", "while extending", "new points at work", "extension of 80 new points: "})
    EXPECT_NE(result.output.find(words), std::string::npos) << words << "\n" << result.output;
  EXPECT_FALSE(fs::exists(folder_ / "out"));
}

/// A signal after the first block: exit code 4, and what was done is there. Nine blocks of half a second or more each.
TEST_F(Extend, ASignalKeepsWhatIsDone) {
  write_points("old.npy", numbers(10000), 1);
  ASSERT_EQ(run(2, "-points " + path("old.npy") + " -beta 1 -nev 2 -output " + path("map")).code, 0);
  write_points("new.npy", numbers(600000), 1);
  const std::string out = path("out");
  const auto written = [&] {  // some thousand numbers of the first block
    const std::string bytes = bytes_of("out/results.h5.unfinished");
    return bytes.size() - static_cast<std::size_t>(std::count(bytes.begin(), bytes.end(), '\0')) > 100000;
  };
  std::thread sender([&] {
    for (int tenth = 0; tenth < 300 && !written(); ++tenth) std::this_thread::sleep_for(std::chrono::milliseconds(100));
    std::system(("kill -USR1 $(pgrep -f '^[^ ]*/flashring-extend .*" + out + "' | tail -n 1)").c_str());
  });
  const Outcome result =
      extend(2, "-model " + path("map/results.h5") + " -points " + path("new.npy") + " -output " + out);
  sender.join();
  EXPECT_EQ(result.code, 4) << result.output;
  const nlohmann::json r = report("out");
  EXPECT_EQ(r["status"], "interrupted by the user");
  const auto extended = r["extended"].get<std::int64_t>();
  EXPECT_GT(extended, 0);
  EXPECT_LT(extended, 600000);
  EXPECT_NE(result.output.find(std::to_string(extended) + " of 600000 new points have coordinates"), std::string::npos)
      << result.output;
  const std::vector<double> found = array("out", "/embedding");
  ASSERT_EQ(found.size(), 600000U);
  EXPECT_EQ(std::count_if(found.begin(), found.end(), [](double x) { return std::isfinite(x); }), extended);
}

/// h is a factor of the weights that the model carries; a killed map says nothing of other points.
TEST_F(Extend, DoobTransforms) {
  write_points("h.npy", numbers(80), 1);
  const std::string model = small_map("-doob " + path("h.npy"));
  const Outcome result = extend(1, model + "-points " + path("old.npy") + " -output " + path("out"));
  ASSERT_EQ(result.code, 0) << result.output;
  const std::vector<double> expected = array("map", "/embedding");
  const std::vector<double> found = array("out", "/embedding");
  ASSERT_EQ(array("map", "/doob_h"), numbers(80));
  // As above; the least law is some 1e-6 by small h.
  for (std::size_t i = 0; i < found.size(); ++i) ASSERT_NEAR(found[i], expected[i], 2e-8) << i;
  expect_refusal(small_map("-overwrite -doob_eigenvector ball:0.5,0.5,0.5,r=0.5") + "-points " + path("old.npy") +
                     " -output " + path("none"),
                 {"map/results.h5", "were killed"});
}

}  // namespace
}  // namespace flashring::test
