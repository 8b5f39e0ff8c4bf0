// Checkpoints under SIGKILL at random moments and on a full disk: of a program that does nothing but write them, and of
// flashring-diffmap.
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "drivers/kill_and_restart.hpp"

namespace flashring::test {
namespace {

namespace fs = std::filesystem;

class KillAndRestart : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("flashring-kill-" + std::to_string(::getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  static std::string command(int ranks, const fs::path &file, const std::string &arguments) {
    return std::string(FLASHRING_MPIEXEC) + " -n " + std::to_string(ranks) + " " + FLASHRING_WRITER + " " +
           file.string() + " " + arguments + " 2>&1";
  }
  static std::string answer_of(const std::string &output) {
    const std::size_t at = output.find("answer ");
    return at == std::string::npos ? "no answer" : output.substr(at, 23);
  }

  fs::path folder_;
};

TEST_F(KillAndRestart, TheAnswerIsThatOfAnUndisturbedRun) {
  const fs::path file = folder_ / "run" / "state.h5";
  fs::create_directories(file.parent_path());
  const std::string size = "60000 30";
  KillPlan plan;
  plan.program = FLASHRING_WRITER;
  // The ranks that are left end at once, not after a second.
  plan.start = "OMPI_MCA_odls_base_sigkill_timeout=0 " + command(2, file, size);
  plan.restart = [&](int moment) { return command(1 + moment % 3, file, size + " restart"); };
  plan.checkpoint = file;
  plan.log = folder_ / "log";
  plan.moments = 3;
  const Outcome undisturbed = run_command(plan.start);
  ASSERT_EQ(undisturbed.code, 0) << undisturbed.output;
  int resumed = 0;
  for (const KilledRun &run : kill_and_restart(plan, 0.4 * undisturbed.seconds, undisturbed.seconds)) {
    EXPECT_EQ(run.second.code, 0) << run.describe();
    EXPECT_EQ(answer_of(run.second.output), answer_of(undisturbed.output)) << run.describe();
    for (const std::string &name : run.files)
      EXPECT_TRUE(name == "state.h5" || name == "state.h5.previous" || name == "state.h5.unfinished" ||
                  name == "state.h5.owner")
          << name;
    if (run.killed && run.resumed) ++resumed;
  }
  EXPECT_GE(resumed, 1);  // the first moments may come before the first checkpoint, the last ones after the end
}

nlohmann::json json_in(const fs::path &file) {
  std::ifstream stream(file);
  return nlohmann::json::parse(stream, nullptr, false);
}

/// Of a report; none where it is not there.
std::vector<double> eigenvalues_in(const fs::path &report) {
  const nlohmann::json json = json_in(report);
  return json.is_object() ? json["eigenvalues"].get<std::vector<double>>() : std::vector<double>();
}

TEST_F(KillAndRestart, AMapGoesOnOnAnyNumberOfRanks) {
  const fs::path file = folder_ / "run" / "state.h5";
  const fs::path report = folder_ / "map" / "report.json";
  fs::create_directories(file.parent_path());
  const auto line = [&](int ranks, const std::string &more) {
    return "OMPI_MCA_odls_base_sigkill_timeout=0 " + std::string(FLASHRING_MPIEXEC) + " -n " + std::to_string(ranks) +
           " " + FLASHRING_DIFFMAP +
           " -generate random_swiss_roll:n=1000,seed=2 -beta 0.1 -nev 6 -threads 1 -overwrite " +
           "-eps_type blockkrylovschur -eps_blockkrylovschur_blocksize 2 -eps_tol 1e-9 -output " +
           report.parent_path().string() + " -checkpoint " + file.string() + " -checkpoint_every 0 " + more + " 2>&1";
  };
  KillPlan plan;
  plan.program = FLASHRING_DIFFMAP;
  plan.start = line(2, "");
  plan.restart = [&](int moment) { return line(1 + moment % 3, "-restart " + file.string()); };
  plan.checkpoint = file;
  plan.log = folder_ / "log";
  plan.moments = 12;
  const Outcome undisturbed = run_command(plan.start);
  ASSERT_EQ(undisturbed.code, 0) << undisturbed.output;
  const std::vector<double> expected = eigenvalues_in(report);
  ASSERT_EQ(expected.size(), 6U);
  int resumed = 0;
  const nlohmann::json seconds = json_in(report)["seconds"];
  const double end = undisturbed.seconds - seconds["write"].get<double>();
  for (const KilledRun &run : kill_and_restart(plan, end - seconds["solve"].get<double>(), end)) {
    EXPECT_EQ(run.second.code, 0) << run.describe();
    const std::vector<double> found = eigenvalues_in(report);
    ASSERT_EQ(found.size(), expected.size()) << run.describe();
    for (std::size_t k = 0; k < found.size(); ++k) EXPECT_NEAR(found[k], expected[k], 1e-9) << run.describe();
    if (run.killed && run.resumed) ++resumed;
  }
  EXPECT_GE(resumed, 4);
}

TEST_F(KillAndRestart, AnotherComputationIsRefused) {
  const fs::path file = folder_ / "state.h5";
  ASSERT_EQ(run_command(command(2, file, "100 2")).code, 0);
  expect_refused(run_command(command(3, file, "101 3 restart")), "restart",
                 {"error: rows: 100 in ", "state.h5, 101 here; steps: 2 in ", "state.h5, 3 here"});
}

/// Room for two checkpoints of 4.8 MB: the third does not fit, says so, and leaves the two; the computation goes on.
TEST_F(KillAndRestart, AFullDiskKeepsTheCheckpointsBefore) {
  if (std::system("unshare -m true 2>/dev/null") != 0) GTEST_SKIP() << "needs the right to mount a small tmpfs";
  const fs::path disk = folder_ / "disk";
  fs::create_directory(disk);
  const fs::path file = disk / "state.h5";
  const std::string expected = answer_of(run_command(command(1, folder_ / "other.h5", "100000 4")).output);
  const std::string script = "unshare -m sh -c 'mount -t tmpfs -o size=13m none " + disk.string() + " && " +
                             command(3, file, "100000 4") + "; ls " + disk.string() + "; " +
                             command(2, file, "100000 4 restart") + "'";
  const std::string output = run_command(script).output;
  for (const char *words : {"warning: rank 0: ", "state.h5.unfinished: a checkpoint needs 5.9 MB and ",
                            "earlier ones are as before", "\nstate.h5\nstate.h5.previous\nfrom step 2\n"})
    EXPECT_NE(output.find(words), std::string::npos) << words << "\n" << output;
  const std::size_t first = output.find(expected);
  EXPECT_NE(first, std::string::npos) << output;
  EXPECT_NE(output.find(expected, first + 1), std::string::npos) << output;
}

}  // namespace
}  // namespace flashring::test
