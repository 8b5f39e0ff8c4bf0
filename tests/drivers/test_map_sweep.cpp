// Sweeps of flashring-diffmap from outside: the maps of single runs in fewer passes, and what stands in the folder when
// a sweep is interrupted, fails or does not converge.
#include <algorithm>
#include <cmath>

#include "drivers/diffmap.hpp"

namespace flashring::test {
namespace {

class MapSweep : public Diffmap {
 protected:
  nlohmann::json sweep(const std::string &folder) const {
    std::ifstream file(folder_ / folder / "sweep.json");
    return nlohmann::json::parse(file);
  }
  static std::string folders(const nlohmann::json &sweep) {
    std::string names;
    for (const auto &map : sweep["maps"]) names += map["folder"].get<std::string>() + " ";
    return names;
  }
  static std::string statuses(const nlohmann::json &sweep) {
    std::string words;
    for (const auto &map : sweep["maps"]) words += map["status"].get<std::string>() + ", ";
    return words;
  }
};

const std::string blocks = " -eps_type blockkrylovschur -ramp none ";

/// Eigenvalues of two solutions with residuals r and s differ by r + s at most.
TEST_F(MapSweep, EveryMapIsThatOfASingleRun) {
  const std::string set = "-generate random_swiss_roll:n=400 -nev 6 -threads 1" + blocks;
  const Outcome all = run(3, set + "-beta_list 0.2,0.22 -alpha_list 0.5,1 -output " + path("all"));
  ASSERT_EQ(all.code, 0) << all.output;
  const nlohmann::json record = sweep("all");
  EXPECT_EQ(record["status"], "complete");
  EXPECT_EQ(record["N"], 400);
  EXPECT_EQ(record["options"]["beta_list"], "0.2,0.22");
  EXPECT_FALSE(record["options"].contains("alpha"));
  EXPECT_EQ(folders(record), "beta_0.2_alpha_0.5 beta_0.2_alpha_1 beta_0.22_alpha_1 beta_0.22_alpha_0.5 ");
  EXPECT_TRUE(fs::exists(folder_ / "all" / "sweep.png"));
  std::int64_t passes = 0;
  std::int64_t single_passes = 0;
  for (const auto &map : record["maps"]) {
    const std::string folder = map["folder"];
    SCOPED_TRACE(folder);
    for (const char *file : {"results.h5", "embedding.npy", "report.json", "spectrum.png", "map.png"})
      EXPECT_TRUE(fs::exists(folder_ / "all" / folder / file)) << file;
    const nlohmann::json own = report("all/" + folder);
    for (const char *key : {"status", "pair", "start", "passes", "passes_in", "column_passes", "landmark_pairs",
                            "eigenvalues", "residuals"})
      EXPECT_EQ(map[key], own[key]) << key;
    EXPECT_EQ(map["start"], &map == &record["maps"][0] ? "landmarks" : "neighbour");
    EXPECT_FALSE(own["options"].contains("beta_list"));
    if (own["options"]["alpha"] != "1") continue;  // two of them
    const Outcome one = run(3, set + "-overwrite -beta " + map["beta"].dump() + " -alpha " + map["alpha"].dump() +
                                   " -output " + path("one"));
    ASSERT_EQ(one.code, 0) << one.output;
    const nlohmann::json single = report("one");
    EXPECT_EQ(own["pair"], single["pair"]);
    EXPECT_EQ(own["options"]["alpha"], single["options"]["alpha"]);
    for (std::size_t k = 0; k < 6; ++k)
      EXPECT_NEAR(map["eigenvalues"][k].get<double>(), single["eigenvalues"][k].get<double>(),
                  map["residuals"][k].get<double>() + single["residuals"][k].get<double>());
    passes += map["passes"].get<std::int64_t>();
    single_passes += single["passes"].get<std::int64_t>();
  }
  EXPECT_LT(passes, single_passes);
}

TEST_F(MapSweep, RepeatedSweepsGiveTheSameBits) {
  const std::string set = "-generate normal:n=150,d=3 -nev 5 -beta_list 0.5,0.6" + blocks + "-output ";
  for (const char *folder : {"a", "b"}) ASSERT_EQ(run(2, set + path(folder)).code, 0);
  for (const char *map : {"beta_0.5", "beta_0.6"}) {
    const std::string first = bytes_of(std::string("a/") + map + "/embedding.npy");
    EXPECT_GT(first.size(), 150U * 4 * 8);
    EXPECT_TRUE(first == bytes_of(std::string("b/") + map + "/embedding.npy")) << map;
  }
}

/// Solvers that take no start go through the same lists; the number of ranks changes rounding.
TEST_F(MapSweep, AnySolverOnAnyRanks) {
  const std::string set = "-generate normal:n=100,d=3 -nev 4 -beta 0.5 -alpha_list 1,0 -output ";
  std::vector<double> first;
  for (const auto &[ranks, solver] : {std::pair{1, "krylovschur"}, std::pair{5, "blockkrylovschur"}}) {
    SCOPED_TRACE(std::string(solver) + " " + std::to_string(ranks));
    const std::string name = solver + std::to_string(ranks);
    const Outcome result = run(ranks, set + path(name) + " -eps_tol 1e-12 -eps_type " + solver);
    ASSERT_EQ(result.code, 0) << result.output;
    const nlohmann::json record = sweep(name);
    EXPECT_EQ(folders(record), "alpha_1 alpha_0 ");
    EXPECT_FALSE(record["maps"][0].contains("beta"));
    EXPECT_EQ(record["maps"][1]["start"], std::string(solver) == "krylovschur" ? "random vectors" : "neighbour");
    std::vector<double> values;
    for (const auto &map : record["maps"])
      for (const double value : map["eigenvalues"]) values.push_back(value);
    if (first.empty()) first = values;
    ASSERT_EQ(values.size(), 8U);
    // Residuals are below 1e-12 each; the matrices of other rank counts differ by rounding, a part of that.
    for (std::size_t k = 0; k < 8; ++k) EXPECT_NEAR(values[k], first[k], 3e-12) << k;
  }
}

/// The map under way writes what has converged, the rest is not run; what is left is another sweep.
TEST_F(MapSweep, AnInterruptedSweep) {
  const std::string out = path("out");
  const std::string set = "-generate normal:n=3000,d=3 -nev 100 -eps_type krylovschur -eps_ncv 115 -threads 1 ";
  const auto converged = [&] { return has_converged_pair(bytes_of("log")); };
  const Outcome result = run_and_signal(2, set + "-eps_monitor -beta_list 2,3,4 -output " + out,
                                        {"USR1", "^[^ ]*/flashring-diffmap .*" + out, converged}, 1);
  EXPECT_EQ(result.code, 4) << result.output;
  EXPECT_NE(result.output.find("interrupted by the user; not run: beta_3, beta_4"), std::string::npos) << result.output;
  const nlohmann::json record = sweep("out");
  EXPECT_EQ(record["status"], "interrupted by the user");
  EXPECT_EQ(statuses(record), "interrupted by the user, not run, not run, ");
  EXPECT_GE(record["maps"][0]["eigenvalues"].size(), 1U);
  EXPECT_EQ(record["maps"][0]["eigenvalues"], report("out/beta_2")["eigenvalues"]);
  EXPECT_FALSE(fs::exists(folder_ / "out" / "beta_3"));
}

TEST_F(MapSweep, AMapThatDoesNotConvergeIsNotTheEnd) {
  const Outcome result = run(2, "-generate normal:n=300,d=3 -nev 6 -beta_list 20,0.1 -eps_max_it 3" + blocks +
                                    "-eps_blockkrylovschur_blocksize 6 -output " + path("out"));
  EXPECT_EQ(result.code, 3) << result.output;
  const nlohmann::json record = sweep("out");
  EXPECT_EQ(record["status"], "complete");
  EXPECT_NE(statuses(record).find("not converged: the iteration limit"), std::string::npos) << statuses(record);
  EXPECT_TRUE(fs::exists(folder_ / "out" / "beta_0.1" / "report.json"));
}

/// An Error ends the sweep; maps before it stay, and the record says why.
TEST_F(MapSweep, AnErrorEndsTheSweep) {
  const std::string set = "-generate normal:n=100,d=2 -nev 3 -precision fp32" + blocks + "-output ";
  const Outcome result = run(3, set + path("out") + " -beta_list 1,1e40,2");
  EXPECT_EQ(result.code, 2) << result.output;
  EXPECT_NE(result.output.find("length scales away from the mean"), std::string::npos) << result.output;
  const nlohmann::json record = sweep("out");
  EXPECT_NE(record["status"].get<std::string>().find("error: "), std::string::npos);
  EXPECT_EQ(record["maps"][0]["status"], "converged");
  EXPECT_EQ(record["maps"][1]["status"], record["status"]);
  EXPECT_EQ(record["maps"][2]["status"], "not run");
  EXPECT_TRUE(fs::exists(folder_ / "out" / "beta_1" / "report.json"));

  // What is there is not written over, in the folder of a sweep and below it.
  expect_error(2, set + path("out") + " -beta_list 1", {"holds another run", "sweep.json", "-overwrite"});
  fs::remove(folder_ / "out" / "sweep.json");
  expect_error(2, set + path("out") + " -beta_list 3,1", {"holds another run", "beta_1/report.json"});
  EXPECT_FALSE(fs::exists(folder_ / "out" / "beta_3"));
  EXPECT_EQ(run(2, set + path("out") + " -beta_list 1 -overwrite").code, 0);
  EXPECT_EQ(folders(sweep("out")), "beta_1 ");
}

/// A checkpoint is of the map under way: the sweep goes on with that map first, and those after it start anew.
TEST_F(MapSweep, GoesOnFromACheckpoint) {
  const std::string set =
      "-generate random_swiss_roll:n=600 -alpha 1 -nev 6 -checkpoint_every 0 " + blocks + "-output ";
  const Outcome first =
      run(2, set + path("first") + " -beta_list 0.3,0.31 -eps_max_it 4 -checkpoint " + path("state.h5"));
  ASSERT_EQ(first.code, 3) << first.output;
  const Outcome second = run(3, set + path("second") + " -beta_list 0.31,0.32 -restart " + path("state.h5"));
  ASSERT_EQ(second.code, 0) << second.output;
  const nlohmann::json record = sweep("second");
  EXPECT_EQ(record["maps"][0]["start"], "checkpoint");
  EXPECT_EQ(record["maps"][1]["start"], "neighbour");
  expect_error(2, set + path("third") + " -beta_list 0.32,0.31 -restart " + path("state.h5"),
               {"-restart: another problem"});
}

TEST_F(MapSweep, DryRunsTellTheNumberOfMaps) {
  const Outcome result =
      run(2, "-generate normal:n=100000,d=3 -beta_list 1,2,3 -alpha_list 0,1 -dry_run -output " + path("out"));
  EXPECT_EQ(result.code, 0) << result.output;
  for (const char *words : {"eigenvectors of the map before", "a sweep of 6 maps: 6 times that at most"})
    EXPECT_NE(result.output.find(words), std::string::npos) << result.output;
  EXPECT_FALSE(fs::exists(folder_ / "out"));
}

TEST_F(MapSweep, BadOptions) {
  const std::string set = "-generate circle:n=20 -nev 2 -output " + path("out") + " ";
  expect_error(3, set + "-beta_list 1,x", {"-beta_list, value 2: 'x' is not a number"});
  expect_error(1, set + "-beta_list 1,2 -beta 3", {"-beta and -beta_list both say what beta is"});
  expect_error(1, set + "-alpha_list 0,1 -alpha 1", {"-alpha and -alpha_list both say what alpha is"});
  expect_error(1, set + "-pair gaussian:beta=2 -beta_list 1,2", {"-pair gaussian:beta=2 and -beta_list both say"});
  expect_error(1, set + "-pair matern32 -beta_list 1,2", {"-beta_list belongs to gaussian, not to -pair matern32"});
  EXPECT_FALSE(fs::exists(folder_ / "out"));
}

}  // namespace
}  // namespace flashring::test
