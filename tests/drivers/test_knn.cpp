// flashring-knn as a user meets it: neighbours of the digits on any number of ranks, queries, files, dry run, bad
// input.
#include "drivers/diffmap.hpp"
#include "io/hdf5_reader.hpp"

namespace flashring::test {
namespace {

class Knn : public Diffmap {
 protected:
  static Outcome knn(int ranks, const std::string &arguments) {
    return run_command(on_ranks(ranks, FLASHRING_KNN " " + arguments) + " 2>&1");
  }
  static void expect_refusal(const std::string &arguments, std::initializer_list<const char *> words) {
    expect_refused(run_command(std::string(FLASHRING_KNN) + " " + arguments + " 2>&1"), arguments, words);
  }
  std::vector<double> array(const std::string &run_folder, const std::string &name) const {
    return read_dataset(folder_ / run_folder / "neighbours.h5", name).values;
  }
};

/// configs/: pixels are whole numbers, so squares of distances are exact: sorted, those of the seventh neighbours begin
/// with 140, have 467 in the middle and end with 1297.
TEST_F(Knn, DigitsOnAnyNumberOfRanks) {
  const std::string configs = FLASHRING_CONFIGS;
  const std::string input = "-points " + configs + "/digits.npy -options_file " + configs + "/digits_knn.opts -output ";
  std::vector<double> distances;
  std::vector<double> indices;
  for (const int ranks : {1, 3}) {
    const std::string name = "out" + std::to_string(ranks);
    const Outcome result = knn(ranks, input + path(name));
    ASSERT_EQ(result.code, 0) << result.output;
    const nlohmann::json r = report(name);
    EXPECT_EQ(r["status"], "complete");
    EXPECT_EQ(r["N"], 1797);
    EXPECT_EQ(r["d"], 64);
    EXPECT_EQ(r["k"], 7);
    EXPECT_EQ(r["passes"], 1);
    EXPECT_EQ(r["duplicates"], 0);
    EXPECT_EQ(r["distance"]["min"], std::sqrt(140.0));
    EXPECT_EQ(r["distance"]["median"], std::sqrt(467.0));
    EXPECT_EQ(r["distance"]["max"], std::sqrt(1297.0));
    EXPECT_TRUE(fs::exists(folder_ / name / "neighbours.png"));
    if (ranks == 1) distances = array(name, "/distances");
    if (ranks == 1) indices = array(name, "/indices");
    ASSERT_EQ(distances.size(), 1797U * 7);
    EXPECT_TRUE(array(name, "/distances") == distances && array(name, "/indices") == indices) << ranks;
  }
  EXPECT_EQ(std::vector<double>(indices.begin(), indices.begin() + 7),
            (std::vector<double>{877, 1365, 1541, 1167, 1029, 464, 957}));
}

/// Points 0, 1, 3, 3, 10 on a line, as text; queries 2 and 9. Features are doubled.
TEST_F(Knn, QueriesAndDuplicates) {
  std::ofstream(folder_ / "line.csv") << "0\n1\n3\n3\n10\n";
  std::ofstream(folder_ / "new.csv") << "2\n9\n";
  const std::string points = "-points " + path("line.csv") + " -feature_scales 2 ";
  const Outcome found = knn(2, points + "-queries " + path("new.csv") + " -k 3 -output " + path("out"));
  ASSERT_EQ(found.code, 0) << found.output;
  EXPECT_EQ(array("out", "/indices"), (std::vector<double>{1, 2, 3, 4, 2, 3}));
  EXPECT_EQ(array("out", "/distances"), (std::vector<double>{2, 2, 2, 2, 12, 12}));
  EXPECT_EQ(report("out")["M"], 2);
  const Outcome own = knn(1, points + "-k 2 -precision fp32 -overwrite -output " + path("out"));
  ASSERT_EQ(own.code, 0) << own.output;
  EXPECT_EQ(array("out", "/indices"), (std::vector<double>{1, 2, 0, 2, 3, 1, 2, 1, 2, 3}));
  EXPECT_NE(own.output.find("note: duplicates: 2 of 5 points are at distance 0 of another point"), std::string::npos)
      << own.output;
  std::ofstream(folder_ / "same.csv") << "4\n4\n4\n";
  const Outcome same = knn(1, "-points " + path("same.csv") + " -k 2 -output " + path("same"));
  ASSERT_EQ(same.code, 0) << same.output;
  EXPECT_NE(same.output.find("note: every distance is 0"), std::string::npos) << same.output;
}

TEST_F(Knn, DryRunWritesNothing) {
  const Outcome plan = knn(2, "-generate normal:n=3000,d=3 -dry_run -output " + path("none"));
  ASSERT_EQ(plan.code, 0) << plan.output;
  for (const char *words : {"memory per rank while searching", "lists of neighbours", "one pass: "})
    EXPECT_NE(plan.output.find(words), std::string::npos) << plan.output;
  EXPECT_FALSE(fs::exists(folder_ / "none"));
}

TEST_F(Knn, BadInputIsRefused) {
  std::ofstream(folder_ / "line.csv") << "0\n1\n3\n";
  std::ofstream(folder_ / "wide.csv") << "0,1\n";
  std::ofstream(folder_ / "hole.csv") << "0\nnan\n3\n";
  const std::string points = "-points " + path("line.csv") + " -output " + path("out");
  expect_refusal("-output " + path("out"), {"-points"});
  expect_refusal("-points " + path("hole.csv"), {"nan"});
  expect_refusal(points + " -k 0", {"-k: 0 is outside [1, 64]"});
  expect_refusal(points + " -k 3", {"k = 3 nearest neighbours: there are 2 to choose from"});
  expect_refusal(points + " -k 4 -queries " + path("line.csv"), {"there are 3 to choose from"});
  expect_refusal(points + " -k 1 -queries " + path("wide.csv"), {"has 2 features (d), and the points 1"});
  expect_refusal(points + " -k 1 -precision reduced",
                 {"-precision reduced: distances of neighbours need fp64 or fp32"});
  expect_refusal(points + " -pair laplacian", {"unused option -pair"});
}

}  // namespace
}  // namespace flashring::test
