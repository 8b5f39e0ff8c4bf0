// flashring-diffmap from outside: dry runs against real ones, signals, too little memory, a full disk, and the same map
// from every kind of input.
#include <cmath>

#include "drivers/diffmap.hpp"
#include "io/hdf5_reader.hpp"

namespace flashring::test {
namespace {

class RunControl : public Diffmap {
 protected:
  static double number_after(const std::string &text, const std::string &words) {
    const std::size_t at = text.find(words);
    EXPECT_NE(at, std::string::npos) << words << " is not in:\n" << text;
    return at == std::string::npos ? NAN : std::strtod(text.c_str() + at + words.size(), nullptr);
  }
  std::string files_in(const std::string &folder) const {
    std::string names;
    if (fs::exists(folder_ / folder))
      for (const auto &entry : fs::directory_iterator(folder_ / folder))
        names += entry.path().filename().string() + " ";
    return names;
  }

  /// The points are there: set-up begins.
  bool has_begun(const std::string &folder) const { return !files_in(folder).empty(); }
};

TEST_F(RunControl, ADryRunComputesNothing) {
  const Outcome result = run(2, "-generate normal:n=100000000,d=3 -precision fp32 -dry_run -output " + path("out"));
  EXPECT_EQ(result.code, 0) << result.output;
  EXPECT_LT(result.seconds, 20);
  EXPECT_FALSE(fs::exists(folder_ / "out"));
  for (const char *words : {"exchange ", "basis of the solver", "points in tiles", "pairs per pass: 1e+16",
                            "seconds per pass", "expected total", "slow spectrum"})
    EXPECT_NE(result.output.find(words), std::string::npos) << words << "\n" << result.output;
  EXPECT_GT(number_after(result.output, "seconds per pass:"), 10);
}

TEST_F(RunControl, ADryRunRefusesWhatItDoesNotKnow) {
  expect_error(2, "-generate circle:n=20 -precison fp32 -dry_run", {"unused option -precison"});
  EXPECT_EQ(run(2, "-generate circle:n=20 -eps_ncv 15 -dry_run").code, 0);
}

/// The peak that a dry run announces against that of the run, at two sizes: within 25 %, of the whole and of what the
/// run adds to the program as it starts. Points of many features: much memory in little time, and landmarks count.
TEST_F(RunControl, TheAnnouncedMemoryIsTheRealOne) {
  for (const auto &[set, solver] :
       {std::pair{"clusters:n=2400,d=960,k=3,spread=0.05", ""},
        std::pair{"clusters:n=6000,d=960,k=3,spread=0.05", " -eps_type krylovschur -eps_ncv 6"}}) {
    const std::string arguments = std::string("-generate ") + set + solver +
                                  " -beta 0.1 -nev 3 -precision fp32 -exchange resident -overwrite -output " +
                                  path("out");
    const Outcome dry = run(2, arguments + " -dry_run");
    const Outcome real = run(2, arguments);
    ASSERT_EQ(real.code, 0) << real.output;
    const double started = number_after(dry.output, "program as started");
    const double peak = number_after(dry.output, "peak");
    double measured = 0;
    const nlohmann::json r = report("out");
    for (const double bytes : r["peak_bytes_per_rank"]) measured = std::max(measured, 1e-6 * bytes);
    std::printf("%s: started %.1f MB, announced %.1f MB, measured %.1f MB\n", set, started, peak, measured);
    EXPECT_NEAR(peak, measured, 0.25 * measured) << set;
    EXPECT_NEAR(peak - started, measured - started, 0.25 * (measured - started)) << set;
  }
}

TEST_F(RunControl, TooLittleMemoryIsSaidWithTheSizeThatWouldFit) {
  const std::string set = "-generate normal:n=40000000,d=8 -beta 1 -output " + path("out");
  expect_error(2, set,
               {"error: rank 0: this run needs ", " MB are free (limit: ulimit -v)", " of the 40000000 points "},
               "ulimit -v 3000000;");
  EXPECT_FALSE(fs::exists(folder_ / "out" / "report.json"));
}

/// Pairs that converged before the signal are written; the process signalled is one of the ranks. A basis hardly larger
/// than the pairs that are wanted: the first converge soon, the last seconds later.
TEST_F(RunControl, SignalsWriteWhatHasConverged) {
  const std::string out = path("out");
  const std::string arguments =
      "-generate normal:n=5000,d=3 -beta 2 -nev 30 -eps_type krylovschur -eps_ncv 32 -threads 1 " +
      std::string("-eps_monitor -overwrite -output ") + out;
  for (const char *signal : {"INT", "TERM", "USR1"}) {
    const auto converged = [&] { return has_converged_pair(bytes_of("log")); };
    const Outcome result = run_and_signal(2, arguments, {signal, "^[^ ]*/flashring-diffmap .*" + out, converged}, 1);
    EXPECT_EQ(result.code, 4) << signal << "\n" << result.output;
    EXPECT_NE(result.output.find("interrupted by the user"), std::string::npos) << result.output;
    const nlohmann::json r = report("out");
    EXPECT_EQ(r["status"], "interrupted by the user");
    EXPECT_GE(r["eigenvalues"].size(), 1U);
    EXPECT_LT(r["eigenvalues"].size(), 30U);
    for (const double residual : r["residuals"]) EXPECT_LT(residual, 1e-7);
  }
}

/// The first pairs could converge after 200 passes, each of which is much shorter than mpirun's patience.
TEST_F(RunControl, CtrlCOnMpirunReachesTheRanks) {
  const std::string out = path("out");
  const Outcome result =
      run_and_signal(2, "-generate normal:n=20000,d=3 -beta 1 -eps_type krylovschur -eps_ncv 200 -output " + out,
                     {"INT", "^[^ ]*mpi(run|exec) -n 2.*" + out, [&] { return has_begun("out"); }}, 2);
  EXPECT_NE(result.code, 0);
  EXPECT_NE(result.output.find("interrupted before any pair had converged; nothing is written"), std::string::npos)
      << result.output;
  expect_no_process_of(out);
}

/// One rank killed in mid-pass, which takes minutes: every process ends within ten seconds.
TEST_F(RunControl, AKilledRankEndsTheOthers) {
  const std::string out = path("out");
  const auto in_a_pass = [&] {
    if (!has_begun("out")) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
    return true;
  };
  const Outcome result = run_and_signal(3, "-generate normal:n=400000,d=3 -beta 1 -output " + out,
                                        {"KILL", "^[^ ]*/flashring-diffmap .*" + out, in_a_pass}, 1);
  EXPECT_NE(result.code, 0);
  EXPECT_LT(result.seconds, 10);
  expect_no_process_of(out);
}

/// HDF5, CSV and NPY with the same numbers give the same bits.
TEST_F(RunControl, EveryKindOfInputGivesTheSameMap) {
  const std::string common = " -beta 2 -nev 4 -output ";
  ASSERT_EQ(run(3, "-generate normal:n=150,d=3" + common + path("first")).code, 0);
  // The run's own results are the HDF5 file; the others are written from what it holds.
  const std::string h5 = path("first/results.h5") + ":/points";
  ASSERT_EQ(run(3, "-points " + h5 + common + path("h5")).code, 0);
  const std::vector<double> points = read_dataset(folder_ / "first/results.h5", "/points").values;
  ASSERT_EQ(points.size(), 450U);
  std::ofstream csv(folder_ / "points.csv");
  csv << "x,y,z\n";
  for (std::size_t at = 0; at < points.size(); ++at) {
    std::array<char, 40> text{};
    std::snprintf(text.data(), text.size(), "%.17g%s", points[at], at % 3 == 2 ? "\n" : ",");
    csv << text.data();
  }
  csv.close();
  std::string bytes(points.size() * 8, '\0');
  std::memcpy(bytes.data(), points.data(), bytes.size());
  write_npy("points.npy", "<f8", "(150, 3)", bytes);
  ASSERT_EQ(run(3, "-points " + path("points.csv") + common + path("csv")).code, 0);
  ASSERT_EQ(run(3, "-points " + path("points.npy") + common + path("npy")).code, 0);
  for (const char *folder : {"h5", "csv", "npy"})
    EXPECT_EQ(bytes_of("first/embedding.npy"), bytes_of(std::string(folder) + "/embedding.npy")) << folder;
}

/// A disk that fills while the results are written: an error that says what was lost, and no half-written file.
TEST_F(RunControl, AFullDisk) {
  if (std::system("unshare -m true 2>/dev/null") != 0) GTEST_SKIP() << "needs the right to mount a small tmpfs";
  const std::string disk = path("disk");
  fs::create_directory(disk);
  const std::string script = "unshare -m sh -c 'mount -t tmpfs -o size=3m none " + disk + " && " + FLASHRING_MPIEXEC +
                             " -n 3 " + FLASHRING_DIFFMAP +
                             " -generate normal:n=20000,d=3 -beta 30 -nev 9 -eps_max_it 1 -output " + disk +
                             "/out 2>&1; ls " + disk + "/out'";
  const std::string output = run_command(script).output;
  for (const char *words : {"error", "make room", "not written: results.h5"})
    EXPECT_NE(output.find(words), std::string::npos) << words << "\n" << output;
  for (const char *file : {"\nresults.h5", "\nreport.json", "unfinished\n"})
    EXPECT_EQ(output.find(file), std::string::npos) << file << "\n" << output;
}

}  // namespace
}  // namespace flashring::test
