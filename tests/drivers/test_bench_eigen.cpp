// flashring-bench-eigen: the arithmetic of its lines, missed pairs against exact eigenvalues, on 1, 2, 3 and 5 ranks,
// and what it says to bad input. Times are not tested.
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "drivers/program.hpp"
#include "eigen_bench.hpp"
#include "flashring/check.hpp"

namespace flashring::test {
namespace {

using Json = nlohmann::json;

/// `ranks` 0: without mpirun. Standard error is left out unless asked for. One thread: more of them would wait for each
/// other where tests share the cores.
Outcome run(int ranks, const std::string &arguments, bool with_errors = false, const std::string &launcher = {}) {
  const std::string mpirun =
      ranks == 0 ? std::string() : std::string(FLASHRING_MPIEXEC) + " -n " + std::to_string(ranks) + " ";
  return run_command(launcher + mpirun + FLASHRING_BENCH_EIGEN + " -threads 1 " + arguments +
                     (with_errors ? " 2>&1" : " 2>/dev/null") + " </dev/null");
}

std::vector<Json> lines_in(const std::string &output) {
  std::vector<Json> lines;
  std::istringstream stream(output);
  for (std::string line; std::getline(stream, line);) lines.push_back(Json::parse(line, nullptr, false));
  return lines;
}

std::vector<Json> lines_of(int ranks, const std::string &arguments, int code = 0) {
  const Outcome result = run(ranks, arguments);
  EXPECT_EQ(result.code, code) << arguments << "\n" << result.output;
  return lines_in(result.output);
}

void expect_error(int ranks, const std::string &arguments, std::initializer_list<const char *> words) {
  const Outcome result = run(ranks, arguments, true);
  expect_refused(result, arguments, words);
  EXPECT_EQ(result.output.find("error:"), result.output.rfind("error:")) << result.output;
}

SolverFindings findings(std::vector<double> values, double residual, bool complete = true) {
  SolverFindings found;
  found.residuals.assign(values.size(), residual);
  found.values = std::move(values);
  found.complete = complete;
  return found;
}

SolverRun run_of(double seconds) {
  SolverRun run;
  run.seconds = seconds;
  return run;
}

int missed(const std::vector<SolverFindings> &all, std::size_t which) {
  return count_missed(best_values(all), all[which]);
}

TEST(BenchEigen, SolversAreAList) {
  const std::vector<SolverEntry> entries = parse_solvers(" krylovschur;; lobpcg  -eps_lobpcg_blocksize 16 ; ");
  ASSERT_EQ(entries.size(), 2U);
  EXPECT_EQ(entries[0].text, "krylovschur");
  EXPECT_EQ(entries[0].options, "-eps_type krylovschur");
  EXPECT_EQ(entries[1].text, "lobpcg  -eps_lobpcg_blocksize 16");
  EXPECT_EQ(entries[1].options, "-eps_type lobpcg  -eps_lobpcg_blocksize 16");
  EXPECT_NE(entries[0].prefix, entries[1].prefix);
  EXPECT_EQ(parse_solvers("power").size(), 1U);
  for (const char *bad : {"", " ; ", "krylovschur;-eps_ncv 3"}) EXPECT_THROW(parse_solvers(bad), Error) << bad;
}

TEST(BenchEigen, AMissedValueIsCountedOnce) {
  // The second lacks one copy of 0.5 and has 0.25 in its place; the third lacks nothing, it is only less precise.
  const std::vector<SolverFindings> all{findings({1, 0.5, 0.5, 0.3}, 1e-9), findings({1, 0.5, 0.3, 0.25}, 1e-9),
                                        findings({1, 0.5 - 1e-6, 0.5 - 1e-6, 0.3}, 2e-6)};
  EXPECT_EQ(best_values(all).values, (std::vector<double>{1, 0.5, 0.5, 0.3}));
  EXPECT_EQ(missed(all, 0), 0);
  EXPECT_EQ(missed(all, 1), 1);
  EXPECT_EQ(missed(all, 2), 0);
}

TEST(BenchEigen, ValuesBelongTogetherWithinTheirResidualsAlone) {
  const std::vector<SolverFindings> far{findings({1, 0.5}, 1e-9), findings({1, 0.5 - 3e-9}, 1e-9)};
  EXPECT_EQ(missed(far, 1), 1);
  const std::vector<SolverFindings> near{findings({1, 0.5}, 1e-9), findings({1, 0.5 - 1.5e-9}, 1e-9)};
  EXPECT_EQ(missed(near, 1), 0);
  // The best of each place may come from different solvers.
  const std::vector<SolverFindings> mixed{findings({1, 0.9, 0.5}, 1e-9), findings({1, 0.8, 0.7}, 1e-9)};
  EXPECT_EQ(best_values(mixed).values, (std::vector<double>{1, 0.9, 0.7}));
  EXPECT_EQ(missed(mixed, 0), 1);
  EXPECT_EQ(missed(mixed, 1), 1);
  const std::vector<SolverFindings> few{findings({1, 0.5}, 1e-9), findings({}, 1e-9)};
  EXPECT_EQ(missed(few, 1), 2);
}

TEST(BenchEigen, TheFastestIsOneThatFoundAll) {
  std::vector<SolverFindings> all{findings({1, 0.5}, 1e-9), findings({1, 0.5}, 1e-9), findings({1, 0.5}, 1e-9),
                                  findings({1}, 1e-9, false), findings({1, 0.5}, 1e-9)};
  for (const double seconds : {4.0, 1.0, 3.0, 9.0}) all[0].runs.push_back(run_of(seconds));
  all[1].runs = {run_of(2)};
  all[2].runs = {run_of(1)};
  all[2].missed = 1;
  all[3].runs = {run_of(1)};
  EXPECT_EQ(all[0].median().seconds, 3);
  EXPECT_EQ(all[0].least_seconds(), 1);
  EXPECT_EQ(fastest_of(all, 2), 1);  // the last one was not timed
  all[1].runs = {run_of(3.5)};
  EXPECT_EQ(fastest_of(all, 2), 0);
  EXPECT_EQ(fastest_of(all, 3), -1);
}

void expect_arithmetic(const Json &line) {
  SCOPED_TRACE(line.dump());
  EXPECT_EQ(line["program"], "flashring-bench-eigen");
  const double passes = line["passes"];
  const double seconds = line["seconds"];
  const double inside = line["pass_seconds"];
  EXPECT_GT(passes, 0);
  EXPECT_GE(line["column_passes"], line["passes"]);
  EXPECT_LE(line["column_passes"], 64 * passes);
  EXPECT_GT(inside, 0);
  EXPECT_LE(inside, seconds);
  EXPECT_LE(line["seconds_best"], seconds);
  EXPECT_NEAR(line["seconds_per_pass"].get<double>() * passes, inside, 4e-16 * inside);
  EXPECT_EQ(line["other_seconds"].get<double>(), seconds - inside);
  EXPECT_GE(line["cpu_seconds"], 0);
  EXPECT_TRUE(line["memory_bytes"].is_null() || line["memory_bytes"] > 0);
}

/// Corners of a cube: 1 and, d times, tanh(beta/2). A block as large as that finds all copies.
TEST(BenchEigen, EveryCopyIsFoundOnEveryNumberOfRanks) {
  for (const int ranks : {1, 3}) {
    const std::vector<Json> lines =
        lines_of(ranks,
                 "-generate hypercube:d=6 -beta 1 -nev 7 -repeats 2 -ramp none -solvers 'blockkrylovschur "
                 "-eps_blockkrylovschur_blocksize 8;subspace -eps_ncv 20'");
    ASSERT_EQ(lines.size(), 2U);
    double least = HUGE_VAL;
    for (const Json &line : lines) {
      expect_arithmetic(line);
      EXPECT_EQ(line["ranks"], ranks);
      EXPECT_EQ(line["repeats"], 2);
      EXPECT_EQ(line["missed"], 0) << line.dump();
      EXPECT_TRUE(line["right"]);
      EXPECT_LT(line["residual"], 1e-7);
      ASSERT_EQ(line["eigenvalues"].size(), 7U);
      // Some eigenvalue lies within the residual; 64 sums of 64 terms round the values themselves.
      const double slack = line["residual"].get<double>() + 64 * 2.3e-16;
      for (std::size_t k = 0; k < 7; ++k)
        EXPECT_NEAR(line["eigenvalues"][k], k == 0 ? 1 : std::tanh(0.5), slack) << line.dump();
      least = std::min(least, line["ratio"].get<double>());
    }
    EXPECT_EQ(least, 1);
    EXPECT_EQ(lines[0]["solver"], "blockkrylovschur -eps_blockkrylovschur_blocksize 8");
    EXPECT_EQ(lines[0]["passes"].get<int>() * 8, lines[0]["column_passes"].get<int>());
  }
}

/// Neither the operator before nor the number of runs changes what a solver does.
TEST(BenchEigen, OneOperatorForAllGivesTheSamePasses) {
  const std::string common =
      "-generate random_torus:n=300,seed=4 -beta 2 -nev 4 -solvers 'krylovschur;lobpcg' -repeats ";
  const std::vector<Json> fresh = lines_of(2, common + "1");
  const std::vector<Json> same = lines_of(2, common + "2 -fresh false -eps_tol 1e-8");
  ASSERT_EQ(fresh.size(), 2U);
  ASSERT_EQ(same.size(), 2U);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(fresh[i]["passes"], same[i]["passes"]);
    EXPECT_EQ(fresh[i]["eigenvalues"], same[i]["eigenvalues"]);
    EXPECT_EQ(fresh[i]["residual"], same[i]["residual"]);
  }
  EXPECT_GT(fresh[1]["column_passes"], fresh[1]["passes"]);
  EXPECT_EQ(fresh[0]["column_passes"], fresh[0]["passes"]);
}

TEST(BenchEigen, WhoHasNotConvergedDoesNotWin) {
  const std::string problem = "-generate random_torus:n=300 -beta 12 -nev 5 -repeats 1 -solvers ";
  const std::vector<Json> lines = lines_of(0, problem + "'krylovschur -eps_ncv 6 -eps_max_it 1;krylovschur'");
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_FALSE(lines[0]["right"]);
  EXPECT_GT(lines[0]["missed"], 0);
  EXPECT_LT(lines[0]["found"], 5);
  EXPECT_LT(lines[0]["ratio"], 1);
  EXPECT_EQ(lines[1]["ratio"], 1);
  const std::vector<Json> none = lines_of(0, problem + "'krylovschur -eps_ncv 6 -eps_max_it 1'", 3);
  ASSERT_EQ(none.size(), 1U);
  EXPECT_TRUE(none[0]["ratio"].is_null());
}

TEST(BenchEigen, TheTableIsForReaders) {
  const Outcome words = run(0, "-generate circle:n=40 -beta 3 -nev 3 -repeats 1 -solvers krylovschur", true);
  EXPECT_EQ(words.code, 0) << words.output;
  for (const char *word : {"40 points, 2 features", "solver ", "ms/pass", "\nkrylovschur ", " all\n"})
    EXPECT_NE(words.output.find(word), std::string::npos) << word << "\n" << words.output;
}

TEST(BenchEigen, ASignalKeepsWhatWasTimed) {
  const Outcome result =
      run(0, "-generate circle:n=40 -beta 3 -nev 3 -repeats 1000000 -fresh false -solvers 'krylovschur;power'", false,
          "timeout --foreground --preserve-status -s USR1 2 ");
  EXPECT_EQ(result.code, 4) << result.output;
  const std::vector<Json> lines = lines_in(result.output);
  ASSERT_EQ(lines.size(), 2U) << result.output;
  EXPECT_GT(lines[0]["repeats"], 0);
  EXPECT_LT(lines[0]["repeats"], 1000000);
  expect_arithmetic(lines[0]);
}

TEST(BenchEigen, BadOptions) {
  const std::string circle = "-generate circle:n=40 ";
  expect_error(2, circle + "-solvers 'krylovschur;bisection'", {"-solvers: 'bisection'", "Unknown EPS type"});
  expect_error(2, circle + "-solvers 'krylovschur -eps_colour 3'", {"'krylovschur -eps_colour 3'", "eps_colour"});
  expect_error(0, circle + "-solvers 'power;-eps_ncv 3'", {"'-eps_ncv 3' names no solver"});
  expect_error(0, circle + "-eps_ncv 20", {"unused option -eps_ncv"});
  expect_error(0, circle + "-eps_tol -1", {"-eps_tol: -1", "positive"});
  expect_error(2, "", {"-points FILE", "-generate SET"});
}

}  // namespace
}  // namespace flashring::test
