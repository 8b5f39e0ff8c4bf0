// flashring-diffmap as a user meets it: outputs, rank counts, bad input. Runs the program by mpirun and reads what it
// says.
#include <cmath>

#include "drivers/diffmap.hpp"

namespace flashring::test {
namespace {

TEST_F(Diffmap, FiveRanksGiveTheNumbersOfOne) {
  const std::string what = "-generate clusters:n=301,d=3,spread=0.3 -beta 2 -nev 6 -eps_tol 1e-12 -output ";
  std::vector<double> first;
  for (const int ranks : {1, 2, 3, 5}) {
    const std::string name = "run" + std::to_string(ranks);
    const Outcome result = run(ranks, what + path(name));
    ASSERT_EQ(result.code, 0) << result.output;
    for (const char *file : {"results.h5", "embedding.npy", "report.json", "spectrum.png", "map.png"})
      EXPECT_TRUE(fs::exists(folder_ / name / file)) << file;
    const nlohmann::json r = report(name);
    EXPECT_EQ(r["status"], "converged");
    EXPECT_EQ(r["ranks"], ranks);
    EXPECT_EQ(r["N"], 301);
    const std::vector<double> values = r["eigenvalues"];
    ASSERT_EQ(values.size(), 6U);
    if (first.empty()) first = values;
    for (std::size_t k = 0; k < 6; ++k) EXPECT_NEAR(values[k], first[k], 1e-13) << ranks;
    // embedding.npy: the same numbers with the same signs, whatever the rank count
    std::ifstream file(folder_ / name / "embedding.npy", std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(file)), {});
    static std::string reference;
    if (ranks == 1) reference = bytes;
    ASSERT_EQ(bytes.size(), reference.size());
    const std::size_t count = 301 * 5;
    std::vector<double> a(count);
    std::vector<double> b(count);
    std::memcpy(a.data(), bytes.data() + bytes.size() - count * 8, count * 8);
    std::memcpy(b.data(), reference.data() + reference.size() - count * 8, count * 8);
    for (std::size_t i = 0; i < count; ++i) EXPECT_NEAR(a[i], b[i], 1e-8) << ranks << " " << i;
  }
}

TEST_F(Diffmap, RepeatedRunsAndThreadsGiveTheSameBits) {
  const std::string what = "-generate normal:n=700,d=3 -precision fp32 -nev 4 -output ";
  std::string first;
  for (const char *variant : {"a -threads 1", "b -threads 1", "c -threads 2", "d -threads 3"}) {
    const Outcome result = run(2, what + path(variant));
    ASSERT_EQ(result.code, 0) << result.output;
    std::ifstream file(folder_ / std::string(1, *variant) / "embedding.npy", std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(file)), {});
    if (first.empty()) first = bytes;
    EXPECT_TRUE(bytes == first) << variant;
  }
}

/// configs/: slopes of the digits from the dense reference, to its printed digits. Of a circle the dimension is 1.218,
/// which its curvature makes of 1.
TEST_F(Diffmap, BandwidthByTheSlope) {
  const std::string configs = FLASHRING_CONFIGS;
  const Outcome digits = run(2, "-options_file " + configs + "/digits_slope.opts -points " + configs +
                                    "/digits.npy -nev 2 -output " + path("digits"));
  ASSERT_EQ(digits.code, 0) << digits.output;
  EXPECT_NE(digits.output.find("-beta slope took gaussian:beta=0.00246"), std::string::npos) << digits.output;
  EXPECT_TRUE(fs::exists(folder_ / "digits" / "slope.png"));
  const nlohmann::json of_digits = report("digits")["bandwidth"];
  const std::vector<double> slopes = of_digits["curve"]["slope"];
  const std::vector<double> dense = {2.38902123, 2.56485013, 2.46607729, 2.15868693, 1.83280616};
  ASSERT_EQ(slopes.size(), dense.size());
  for (std::size_t l = 0; l < dense.size(); ++l) EXPECT_NEAR(slopes[l], dense[l], 6e-9) << l;
  EXPECT_EQ(of_digits["rule"], "slope");
  EXPECT_FALSE(of_digits["at_edge"]);

  const Outcome circle = run(3, "-generate circle:n=400 -nev 2 -beta auto -output " + path("circle"));
  ASSERT_EQ(circle.code, 0) << circle.output;
  EXPECT_NE(circle.output.find("set of dimension 1.21"), std::string::npos) << circle.output;
  EXPECT_NEAR(report("circle")["bandwidth"]["dimension"], 1.2178, 0.01);
  const Outcome dry = run(1, "-generate circle:n=400 -beta slope -dry_run");
  EXPECT_NE(dry.output.find("memory per rank while choosing the bandwidth"), std::string::npos) << dry.output;
  EXPECT_NE(dry.output.find("-beta slope: one pass of"), std::string::npos) << dry.output;
}

TEST_F(Diffmap, NotConvergedHasItsOwnExitCode) {
  const Outcome result =
      run(2, "-generate clusters:n=300,d=3,spread=0.2 -beta 20 -nev 6 -eps_max_it 1 -eps_ncv 8 -output " + path("run"));
  EXPECT_EQ(result.code, 3) << result.output;
  const nlohmann::json r = report("run");
  EXPECT_NE(r["status"], "converged");
  EXPECT_LT(r["eigenvalues"].size(), 6U);
}

/// Eigenvalues of a transform on any number of ranks; a checkpoint belongs to its h.
TEST_F(Diffmap, DoobTransforms) {
  std::string h;
  std::string other;
  for (int i = 0; i < 120; ++i) {
    h += doubles({1 + 0.01 * i});
    other += doubles({2 - 0.01 * i});
  }
  write_npy("h.npy", "<f8", "(120,)", h);
  write_npy("other.npy", "<f8", "(120,)", other);
  std::ofstream rows(folder_ / "rows.txt");
  for (int i = 20; i < 60; ++i) rows << i << "\n";
  rows.close();
  const std::string set = "-generate circle:n=120 -beta 20 -nev 3 -eps_tol 1e-11 -output ";
  std::vector<double> given;
  std::vector<double> killed;
  for (const int ranks : {1, 3}) {
    const std::string name = "run" + std::to_string(ranks);
    ASSERT_EQ(run(ranks, set + path(name) + " -doob " + path("h.npy")).code, 0);
    ASSERT_EQ(run(ranks, set + path(name + "s") + " -doob_eigenvector " + path("rows.txt")).code, 0);
    if (ranks == 1) given = report(name)["eigenvalues"].get<std::vector<double>>();
    if (ranks == 1) killed = report(name + "s")["eigenvalues"].get<std::vector<double>>();
    for (std::size_t k = 0; k < 3; ++k) {
      EXPECT_NEAR(report(name)["eigenvalues"][k].get<double>(), given[k], 1e-12) << ranks;
      EXPECT_NEAR(report(name + "s")["eigenvalues"][k].get<double>(), killed[k], 1e-12) << ranks;
    }
  }
  EXPECT_NEAR(given[0], 1, 1e-12);
  // Rows 40 +- 20 of the circle are the ball round row 40 up to between rows 20 and 19.
  const std::string ball = "ball:" + std::to_string(std::cos(2 * M_PI * 39.5 / 120)) + "," +
                           std::to_string(std::sin(2 * M_PI * 39.5 / 120)) + ",r=0.99";
  ASSERT_EQ(run(2, set + path("ball") + " -doob_eigenvector " + ball).code, 0);
  for (std::size_t k = 0; k < 3; ++k) EXPECT_NEAR(report("ball")["eigenvalues"][k].get<double>(), killed[k], 1e-12);
  const std::string kept = " -checkpoint " + path("state") + " -eps_max_it 1 -eps_ncv 8 -checkpoint_every 0";
  run(1, set + path("kept") + " -doob " + path("h.npy") + kept);
  expect_error(1, set + path("again") + " -doob " + path("other.npy") + " -restart " + path("state"),
               {"-restart: another problem", "h of the Doob transform"});
}

TEST_F(Diffmap, BadDoobTransforms) {
  write_npy("h.npy", "<f8", "(5,)", doubles({1, 2, 3, -1, 2}));
  write_npy("rows.npy", "<f8", "(2,)", doubles({0, 5}));
  write_npy("half.npy", "<f8", "(1,)", doubles({0.5}));
  const std::string set = "-generate circle:n=5 -beta 1 -nev 2 -output " + path("out") + " ";
  const auto refused = [](const std::string &arguments, std::initializer_list<const char *> words) {
    expect_refused(run_command(std::string(FLASHRING_DIFFMAP) + " " + arguments + " 2>&1"), arguments, words);
  };  // on one rank, without mpirun, which takes most of the time
  expect_error(3, set + "-doob " + path("h.npy"), {"h of row 3 is -1", "positive"});
  refused(set + "-doob_eigenvector " + path("rows.npy"), {"-doob_eigenvector", "rows.npy", "is 5, no row of 5"});
  refused(set + "-doob_eigenvector " + path("half.npy"), {"half.npy", "0.5"});
  refused(set + "-doob_eigenvector ball:7,7,r=1", {"ball:7,7,r=1", "holds no point"});
  refused(set + "-doob_eigenvector ball:1,r=1", {"the centre has 1 coordinates"});
  refused(set + "-doob_eigenvector ball:1,0", {"no radius"});
  refused(set + "-doob_eigenvector ball:1,0,r=0.1", {"-nev: 2 is outside [1, 1]"});
  refused(set + "-doob h.npy -doob_eigenvector x.txt", {"give one of them"});
}

TEST_F(Diffmap, HelpNamesEveryOption) {
  const Outcome result = run(1, "-help");
  EXPECT_EQ(result.code, 0);
  for (const char *option : {"-points", "-generate", "-pair", "-beta", "-alpha", "-nev", "-time", "-precision",
                             "-backend", "-threads", "-seed", "-output", "-overwrite", "-options_file"})
    EXPECT_NE(result.output.find(option), std::string::npos) << option;
}

TEST_F(Diffmap, BadFiles) {
  const std::string out = " -output " + path("out");
  expect_error(3, "-points " + path("none.npy") + out, {"error: rank 0: ", "none.npy"});
  write_npy("cut.npy", "<f8", "(100, 2)", doubles({1, 2, 3}));
  expect_error(3, "-points " + path("cut.npy") + out, {"cut.npy", "24", "1600", "cut off"});
  write_npy("complex.npy", "<c16", "(2, 1)", doubles({1, 2, 3, 4}));
  expect_error(3, "-points " + path("complex.npy") + out, {"complex.npy", "c16"});
  write_npy("nan.npy", "<f8", "(3, 2)", doubles({1, 2, 3, NAN, 5, 6}));
  expect_error(3, "-points " + path("nan.npy") + " -nev 2" + out, {"nan.npy", "row 1", "nan"});
  write_npy("inf.npy", "<f8", "(3, 2)", doubles({1, 2, 3, 4, 5, INFINITY}));
  expect_error(2, "-points " + path("inf.npy") + " -nev 2" + out, {"inf.npy", "row 2", "inf"});
  write_npy("flat.npy", "<f8", "(3, 0)", "");
  expect_error(2, "-points " + path("flat.npy") + out, {"flat.npy", "(3, 0)"});
  EXPECT_FALSE(fs::exists(folder_ / "out" / "report.json"));
}

TEST_F(Diffmap, BadOptions) {
  const std::string set = "-generate circle:n=20 -output " + path("out") + " ";
  expect_error(2, set + "-beta 0", {"-beta: 0", "positive"});
  expect_error(2, set + "-beta -1", {"-beta: -1", "positive"});
  expect_error(2, set + "-beta nan", {"-beta: nan"});
  expect_error(2, set + "-alpha 1.5", {"-alpha: 1.5", "[0, 1]"});
  expect_error(2, set + "-nev 21", {"-nev: 21", "20"});
  expect_error(2, set + "-pair gausian", {"gausian", "gaussian", "matern32", "inner_exp"});
  expect_error(2, set + "-backend gpu", {"gpu", "ref", "simd"});
  expect_error(2, set + "-precision half", {"half", "fp64", "fp32"});
  expect_error(2, set + "-pair self_tuned -knn 20", {"k = 20 nearest neighbours", "there are 19 to choose from"});
  expect_error(2, set + "-pair self_tuned -knn 64", {"-knn: 64 is outside [1, 63]"});
  expect_error(2, set + "-pair self_tuned -beta 2", {"-beta 2 belongs to gaussian", "leave it out"});
  expect_error(2, set + "-pair self_tuned -time 1.5", {"-time: 1.5 is no whole number", "take -time 2"});
  expect_error(2, set + "-betta 2", {"unused option -betta"});
  expect_error(2, set + "-eps_tool 2", {"unused option -eps_tool"});
  expect_error(2, set + "stray", {"'stray'"});
  expect_error(2, "-generate cirle:n=20", {"cirle", "circle", "hypercube"});
  expect_error(2, "-output " + path("out"), {"-points", "-generate"});
}

/// The library with CUDA inside on a machine without a driver, and the one without CUDA.
TEST_F(Diffmap, WithoutAGpu) {
  const std::string version = run(1, "-version").output;
  if (version.find("GPUs here:") != std::string::npos) GTEST_SKIP() << "there is a GPU here";
  const bool with_cuda = version.find("this build has no CUDA") == std::string::npos;
  const auto times = [](const std::string &text, const std::string &words) {
    int count = 0;
    for (std::size_t at = text.find(words); at != std::string::npos; at = text.find(words, at + 1)) ++count;
    return count;
  };
  const std::string set = "-generate circle:n=40 -beta 1 -nev 2 -output " + path("out") + " ";
  for (const char *backend : {"cuda", "sm80", "sm90", "sm80:tensor"}) {
    const Outcome result = run(3, set + "-backend " + backend);
    const std::string name = backend;
    if (with_cuda || name == "cuda") {
      expect_refused(result, name,
                     {("error: rank 0: -backend " + name + ": no GPU can be used: ").c_str(),
                      "; -backend simd runs on the processor"});
    } else {
      expect_refused(result, name, {("'" + name + "' is unknown").c_str(), "known here are auto, ref"});
    }
    EXPECT_EQ(times(result.output, "error: "), 1) << result.output;
  }
  EXPECT_FALSE(fs::exists(folder_ / "out" / "report.json"));
  const Outcome automatic = run(3, set);
  EXPECT_EQ(automatic.code, 0) << automatic.output;
  EXPECT_EQ(times(automatic.output, "note: no GPU is used: "), with_cuda ? 1 : 0) << automatic.output;
  EXPECT_NE(report("out")["backend"], "sm80");
  EXPECT_EQ(times(run(3, set + "-overwrite -backend ref").output, "no GPU"), 0);
}

TEST_F(Diffmap, BadOutputFoldersAreSaidBeforeTheComputation) {
  // So many points that a pass would take hours: the error must come first.
  const std::string set = "-generate circle:n=3000000 -nev 2 -output ";
  std::ofstream(folder_ / "file") << "a regular file\n";
  expect_error(2, set + path("file"), {"file"});
  expect_error(2, set + path("file/below"), {"file is a file, not a folder"});
  ASSERT_EQ(run(1, "-generate circle:n=20 -beta 1 -nev 2 -output " + path("taken")).code, 0);
  expect_error(2, set + path("taken"), {"taken", "-overwrite"});
  EXPECT_EQ(run(1, "-generate circle:n=20 -beta 1 -nev 2 -overwrite -output " + path("taken")).code, 0);
}

}  // namespace
}  // namespace flashring::test
