// flashring-committor as a user meets it: outputs, rank counts, the shipped example, exit codes, bad input.
#include <algorithm>
#include <cmath>

#include "drivers/diffmap.hpp"
#include "io/hdf5_reader.hpp"

namespace flashring::test {
namespace {

class CommittorDriver : public Diffmap {
 protected:
  static Outcome committor(int ranks, const std::string &arguments) {
    return run_command(on_ranks(ranks, FLASHRING_COMMITTOR " " + arguments) + " 2>&1");
  }
  static void refused(const std::string &arguments, std::initializer_list<const char *> words) {
    expect_refused(committor(1, arguments), arguments, words);
  }
  std::vector<double> array(const std::string &run_folder, const std::string &name) const {
    return read_dataset(folder_ / run_folder / "results.h5", name).values;
  }
};

const std::string well = "-generate double_well:n=600 -beta 30 -set_a ball:-1,0,r=0.3 ";

TEST_F(CommittorDriver, AnyNumberOfRanksAndSetsInFiles) {
  const std::string what = well + "-set_b ball:1,0,r=0.3 -times -tolerance 1e-11 -output ";
  const Outcome one = committor(1, what + path("one"));
  ASSERT_EQ(one.code, 0) << one.output;
  const std::vector<double> q = array("one", "/committor");
  const std::vector<double> t = array("one", "/first_passage");
  const std::vector<double> set = array("one", "/set");
  ASSERT_EQ(q.size(), 600U);
  std::ofstream rows(folder_ / "b.txt");
  for (std::size_t i = 0; i < 600; ++i) {
    EXPECT_TRUE(q[i] >= -1e-9 && q[i] <= 1 + 1e-9) << i;
    EXPECT_TRUE((set[i] == 1) == (q[i] == 0) && (set[i] == 2) == (q[i] == 1 && t[i] == 0)) << i;
    if (set[i] == 2) rows << i << "\n";
  }
  rows.close();
  const Outcome three = committor(3, well + "-set_b " + path("b.txt") + " -tolerance 1e-11 -output " + path("three"));
  ASSERT_EQ(three.code, 0) << three.output;
  const std::vector<double> again = array("three", "/committor");
  // Residuals of 1e-11 over the least eigenvalue, some 1e-3, and the least root of the law.
  for (std::size_t i = 0; i < 600; ++i) EXPECT_NEAR(again[i], q[i], 1e-6) << i;
  const nlohmann::json r = report("one");
  EXPECT_EQ(r["status"], "converged");
  EXPECT_LE(r["committor_residual"].get<double>(), 1e-11);
  EXPECT_LE(r["first_passage_residual"].get<double>(), 1e-11);
  EXPECT_EQ(r["rate"].get<double>(), read_number_attribute(folder_ / "one" / "results.h5", "rate"));
  EXPECT_EQ(read_text_attribute(folder_ / "one" / "results.h5", "/", "kind"), "a committor");
  EXPECT_TRUE(fs::exists(folder_ / "one" / "map.png"));
}

TEST_F(CommittorDriver, WhatHasNotConvergedIsWritten) {
  const Outcome result = committor(2, well + "-set_b ball:1,0,r=0.3 -max_it 3 -output " + path("short"));
  EXPECT_EQ(result.code, 3) << result.output;
  EXPECT_NE(result.output.find("not converged: relative residual "), std::string::npos) << result.output;
  EXPECT_EQ(report("short")["iterations"], 3);
  EXPECT_GT(report("short")["committor_residual"].get<double>(), 1e-8);
  EXPECT_EQ(array("short", "/committor").size(), 600U);
}

TEST_F(CommittorDriver, ShippedExample) {
  const Outcome result =
      committor(1, "-options_file " + std::string(FLASHRING_CONFIGS) + "/double_well.opts -output " + path("example"));
  ASSERT_EQ(result.code, 0) << result.output;
  const std::vector<double> q = array("example", "/committor");
  const std::vector<double> law = array("example", "/pi");
  double mean = 0;  // the wells are alike
  for (std::size_t i = 0; i < q.size(); ++i) mean += law[i] * q[i];
  EXPECT_NEAR(mean, 0.5, 0.05);
}

TEST_F(CommittorDriver, BadInput) {
  std::ofstream(folder_ / "far.txt") << "3\n600\n";
  std::ofstream(folder_ / "word.txt") << "3\nfour\n";
  const std::string set = well + "-output " + path("out") + " ";
  refused(set, {"-set_b is missing"});
  refused(set + "-set_b " + path("far.txt"), {"-set_b", "far.txt", "is 600, no row of 600"});
  refused(set + "-set_b " + path("word.txt"), {"word.txt", "four"});
  refused(set + "-set_b ball:9,9,r=1", {"-set_b ball:9,9,r=1", "holds no point"});
  refused(set + "-set_b ball:-1,0,r=0.2", {"is in both sets"});
  refused(set + "-set_b ball:1,0,r=0.3 -tolerance 0", {"tolerance: 0"});
  refused(set + "-set_b ball:1,0,r=0.3 -max_it 0", {"iterations: 0"});
  refused(set + "-set_b ball:1,0,r=0.3 -preconditioner ilu", {"'ilu'", "nystrom"});
  refused(set + "-set_b ball:1,0,r=0.3 -eps_tol 1", {"unused option -eps_tol"});
  expect_refused(committor(3, set + "-set_b ball:-1,0,r=0.2"), "3 ranks", {"is in both sets"});
  EXPECT_FALSE(fs::exists(folder_ / "out" / "report.json"));
}

}  // namespace
}  // namespace flashring::test
