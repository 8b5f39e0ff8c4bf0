// The folder of a run: what it refuses, what it writes, and that it changes nothing when it fails. The files are read
// back by means that share no code with the writers: the C interface of HDF5, bytes, a JSON parser.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "flashring/check.hpp"
#include "flashring/results.hpp"
#include "io/file_size_limit.hpp"
#include "io/hdf5_reader.hpp"
#include "io/io_support.hpp"
#include "io/point_sample.hpp"
#include "io/sample_run.hpp"
#include "support/world.hpp"

namespace flashring {
namespace {

namespace fs = std::filesystem;
using namespace test;

bool has_gnuplot() { return std::system("command -v gnuplot >/dev/null 2>&1") == 0; }

TEST(OutputFolder, WritesEveryArrayInTheUsersOrder) {
  const WithoutGnuplot without;
  const int ranks = world().size();
  std::vector<std::int64_t> last_only(static_cast<std::size_t>(ranks), 0);
  last_only.back() = 9;
  // More rows than ranks, fewer (empty ranks), all on one rank, and two ranges per rank.
  for (const RowPartition &partition : {RowPartition::contiguous(23, ranks), RowPartition::contiguous(2, ranks),
                                        RowPartition::from_counts(last_only), RowPartition::zigzag(17, ranks)}) {
    const std::string folder = scratch_folder("output_arrays");
    const SampleRun run = make_run(partition, 3, 4);
    write_run(folder, run);
    expect_arrays(folder, run);
    expect_embedding(folder, run);
  }
}

// 2,500 rows of 1,000 features pass the 8 MiB buffer; with all of them on one rank the others only take part.
TEST(OutputFolder, WritesBeyondTheBuffer) {
  const WithoutGnuplot without;
  std::vector<std::int64_t> counts(static_cast<std::size_t>(world().size()), 0);
  counts.back() = 2500;
  for (const RowPartition &partition :
       {RowPartition::contiguous(2500, world().size()), RowPartition::from_counts(counts)}) {
    const std::string folder = scratch_folder("output_long");
    const SampleRun run = make_run(partition, 1000, 2);
    write_run(folder, run);
    expect_arrays(folder, run);
  }
}

// Weights and feature scales are written where a run has them; a rank without rows says nothing about either.
TEST(OutputFolder, WritesMeasureAndFeatureScales) {
  const WithoutGnuplot without;
  const int ranks = world().size();
  for (const RowPartition &partition : {RowPartition::contiguous(1, ranks), RowPartition::zigzag(17, ranks)}) {
    const std::string folder = scratch_folder("output_measure");
    SampleRun run = make_run(partition, 3, 4);
    run.results.measure = local_array(partition, measure_array, 1, false);
    run.points.set_feature_scales({0.5, 1, 2});
    write_run(folder, run);
    if (world().rank() != 0) continue;
    const fs::path file = fs::path(folder) / "results.h5";
    const auto n = static_cast<hsize_t>(partition.rows());
    expect_rows(file, "/measure", measure_array, {n});
    EXPECT_EQ(read_dataset(file, "/feature_scales").values, (std::vector<double>{0.5, 1, 2}));
    const Dataset points = read_dataset(file, "/points");
    for (std::size_t at = 0; at < points.values.size(); ++at) {
      const auto column = static_cast<std::int64_t>(at % 3);
      const double given = exact(points_array, static_cast<std::int64_t>(at / 3), column);
      EXPECT_EQ(points.values[at], given * std::pow(2, static_cast<double>(column - 1)));
    }
    EXPECT_EQ(read_text_attribute(file, "/points", "unit"), "as given, times feature_scales");
    for (const char *name : {"/measure", "/feature_scales"})
      EXPECT_NE(read_text_attribute(file, name, "description"), "no such attribute") << name;
  }
}

TEST(OutputFolder, PlainRunsHaveNeitherMeasureNorFeatureScales) {
  const WithoutGnuplot without;
  const std::string folder = scratch_folder("output_plain");
  const SampleRun run = small_run();
  write_run(folder, run);
  if (world().rank() != 0) return;
  EXPECT_EQ(dataset_names(folder + "/results.h5"),
            (std::vector<std::string>{"degree", "eigenvalues", "embedding", "left", "mean", "pi", "points",
                                      "residual_over_gap", "residuals", "right", "weight"}));
  EXPECT_EQ(read_text_attribute(folder + "/results.h5", "/points", "unit"), "as given");
}

TEST(OutputFolder, WritesRunsWithoutConvergedPairs) {
  for (const int pairs : {0, 1}) {
    const std::string folder = scratch_folder("output_no_pairs");
    const SampleRun run = make_run(RowPartition::contiguous(5, world().size()), 2, pairs);
    const auto findings = write_run(folder, run);
    expect_arrays(folder, run);
    expect_embedding(folder, run);
    ASSERT_FALSE(findings.empty());
    EXPECT_NE(findings.back().find("pictures: "), std::string::npos) << findings.back();
    EXPECT_FALSE(fs::exists(fs::path(folder) / "map.png"));
    EXPECT_TRUE(fs::exists(fs::path(folder) / "report.json"));
  }
}

TEST(OutputFolder, SaysWhereResultsComeFrom) {
  const WithoutGnuplot without;
  const std::string folder = scratch_folder("output_attributes");
  const SampleRun run = small_run();
  write_run(folder, run);
  if (world().rank() != 0) return;
  const fs::path file = fs::path(folder) / "results.h5";
  EXPECT_EQ(read_text_attribute(file, "/", "kind"), "a diffusion map");
  EXPECT_EQ(read_number_attribute(file, "format"), 1);
  EXPECT_EQ(read_text_attribute(file, "/", "version"), "9.8.7");
  EXPECT_EQ(read_text_attribute(file, "/", "git"), "0123456789ab");
  EXPECT_EQ(read_text_attribute(file, "/", "status"), "converged");
  EXPECT_EQ(read_text_attribute(file, "/", "pair"), "gaussian:beta=0.5");
  EXPECT_EQ(read_text_attribute(file, "/", "precision"), "fp64");
  EXPECT_EQ(read_text_attribute(file, "/", "options"), "-points 'my points.npy' -nev 4 -overwrite");
  EXPECT_EQ(read_number_attribute(file, "alpha"), 0.25);
  EXPECT_EQ(read_number_attribute(file, "time"), 2);
  EXPECT_EQ(read_number_attribute(file, "log_shift"), -3.5);
  EXPECT_EQ(read_number_attribute(file, "N"), 7);
  EXPECT_EQ(read_number_attribute(file, "d"), 3);
  for (const char *name : {"/eigenvalues", "/residuals", "/residual_over_gap", "/right", "/left", "/pi", "/degree",
                           "/weight", "/embedding", "/points", "/mean"}) {
    EXPECT_NE(read_text_attribute(file, name, "unit"), "no such attribute") << name;
    EXPECT_NE(read_text_attribute(file, name, "description"), "no such attribute") << name;
  }
}

TEST(OutputFolder, ReportHasItsKeysInOrder) {
  const std::string folder = scratch_folder("output_report");
  const SampleRun run = small_run();
  const auto findings = write_run(folder, run);
  const auto json = nlohmann::ordered_json::parse(read_file(fs::path(folder) / "report.json"));
  std::string keys;
  for (const auto &item : json.items()) keys += item.key() + " ";
  EXPECT_EQ(keys,
            "version git status options ranks threads backend target precision exchange pair N d bandwidth calls "
            "passes passes_in column_passes neighbour_passes all_runs start landmark_pairs pairs_per_second "
            "evaluated_pairs_per_second ring_wait_fraction device_copy_bytes seconds peak_bytes_per_rank eigenvalues "
            "residuals residual_over_gap diagnoses ");
  EXPECT_EQ(json["options"]["points"], "my points.npy");
  EXPECT_EQ(json["N"], 7);
  EXPECT_EQ(json["passes"], 12);
  EXPECT_EQ(json["peak_bytes_per_rank"].dump(), "[3000000000]");
  EXPECT_EQ(json["eigenvalues"].get<std::vector<double>>(), run.results.eigenvalues);
  EXPECT_TRUE(json["residual_over_gap"][0].is_null());  // infinite: JSON has no word for it
  EXPECT_EQ(json["diagnoses"].size(), 1 + findings.size());
  EXPECT_EQ(json["diagnoses"][0], "a finding");
  EXPECT_GT(json["seconds"]["write"].get<double>(), 0);
  EXPECT_DOUBLE_EQ(json["seconds"]["total"].get<double>(), 10 + json["seconds"]["write"].get<double>());
}

// A name is not UTF-8, an eigenvalue has no such power: the results are written all the same, and it is said.
TEST(OutputFolder, OddValuesDoNotLoseTheResults) {
  const std::string folder = scratch_folder("output_odd");
  SampleRun run = small_run();
  run.report.options[0].second = "caf\xE9.npy";
  run.results.eigenvalues[3] = -0.125;
  run.results.time = 0.5;
  const auto findings = write_run(folder, run);
  ASSERT_FALSE(findings.empty());
  EXPECT_NE(findings[0].find("eigenvalue 3 is -0.125 and has no power t = 0.5"), std::string::npos) << findings[0];
  EXPECT_EQ(nlohmann::json::parse(read_file(fs::path(folder) / "report.json"))["options"]["points"], "caf\uFFFD.npy");
}

TEST(OutputFolder, DrawsPicturesWhateverTheNames) {
  if (!has_gnuplot()) GTEST_SKIP() << "gnuplot is not installed";
  const std::string folder = scratch_folder("output_pictures") + "/it's `touch pwned` $(touch pwned) \"x\"";
  SampleRun run = small_run(50);
  run.report.options[0].second = "a'b\nset output 'pwned'\n.npy";
  std::vector<std::string> labels;
  for (int i = 0; i < 50; ++i)
    labels.push_back(i % 2 == 0 ? "it's {/:Bold x}_1^2 `touch pwned`" : "@b'; system 'touch pwned");
  const auto findings = write_run(folder, run, labels);
  EXPECT_TRUE(findings.empty()) << findings[0];
  for (const char *name : {"spectrum.png", "map.png"}) {
    const std::string bytes = read_file(fs::path(folder) / name);
    EXPECT_EQ(bytes.substr(0, 4), "\x89PNG") << name;
    EXPECT_GT(bytes.size(), 5000U) << name;
  }
  EXPECT_EQ(names_in(folder),
            (std::vector<std::string>{"embedding.npy", "map.png", "report.json", "results.h5", "spectrum.png"}));
  EXPECT_FALSE(fs::exists("pwned"));
}

// 60,000 rows of which every sixth is one class: a picture of every third row would lose four of the six.
TEST(PointSample, HoldsEveryClassOfPeriodicRows) {
  constexpr std::int64_t rows = 60000;
  const int ranks = world().size();
  for (const RowPartition &partition : {RowPartition::contiguous(rows, ranks), RowPartition::zigzag(rows, ranks)}) {
    const SampleRun run = make_run(partition, 1, 3);
    const PointSample sample = sample_points(world(), run.results, {1.0, 2.0}, partition, {});
    if (world().rank() != 0) {
      EXPECT_TRUE(sample.points.empty());
      continue;
    }
    ASSERT_EQ(sample.points.size(), 20000U);
    std::vector<int> classes(6, 0);
    std::vector<int> seen(rows, 0);
    for (const SamplePoint &point : sample.points) {
      const auto row = static_cast<std::int64_t>(point.coordinates[0] - exact(right_array, 0, 1));
      ASSERT_EQ(point.coordinates[0], exact(right_array, row, 1));
      EXPECT_EQ(point.coordinates[1], 2 * exact(right_array, row, 2));
      EXPECT_TRUE(std::isnan(point.coordinates[2]));
      EXPECT_EQ(++seen[static_cast<std::size_t>(row)], 1);
      ++classes[static_cast<std::size_t>(row % 6)];
    }
    // Six standard deviations of a binomial count, 6 sqrt(20000 * 5/36).
    for (const int count : classes) EXPECT_NEAR(count, 20000 / 6.0, 317);
  }
}

TEST(OutputFolder, MissingGnuplotIsAFinding) {
  const std::string folder = scratch_folder("output_no_gnuplot");
  const SampleRun run = small_run();
  const WithoutGnuplot without;
  const auto findings = write_run(folder, run);
  EXPECT_EQ(findings, std::vector<std::string>{"pictures: gnuplot not found; install gnuplot-nox"});
  EXPECT_EQ(names_in(folder), (std::vector<std::string>{"embedding.npy", "report.json", "results.h5"}));
  const auto json = nlohmann::json::parse(read_file(fs::path(folder) / "report.json"));
  EXPECT_EQ(json["diagnoses"].back(), findings[0]);
}

TEST(OutputFolder, MakesFoldersAndLeavesNoTemporaryNames) {
  const std::string folder = scratch_folder("output_new") + "/a/b c/d";
  OutputFolder output(world(), folder, false);
  EXPECT_EQ(output.path(), folder);
  world().sum(1.0);
  EXPECT_TRUE(names_in(folder).empty());
  const SampleRun run = small_run();
  write_run(output, run);
  for (const std::string &name : names_in(folder)) EXPECT_EQ(name.find("unfinished"), std::string::npos) << name;
}

TEST(OutputFolder, BelowARegularFileIsRefused) {
  const std::string folder = scratch_folder("output_below");
  write_file(folder + "/file", "text");
  for (const char *below : {"/file", "/file/run", "/file/a/b"})
    expect_error(error_of([&] { OutputFolder(world(), folder + below, true); }),
                 {"rank 0: output folder " + folder + below + ": " + folder + "/file is a file, not a folder",
                  "choose another path"});
  EXPECT_EQ(read_file(folder + "/file"), "text");
  expect_error(error_of([&] { OutputFolder(world(), "", false); }), {"the path is empty"});
}

// /proc refuses new files to everybody, root too.
TEST(OutputFolder, WhereNothingCanBeWrittenIsRefused) {
  if (!fs::exists("/proc/self")) GTEST_SKIP() << "needs /proc";
  expect_error(error_of([&] { OutputFolder(world(), "/proc", false); }),
               {"output folder /proc: no file can be written there", "choose another folder"});
  expect_error(error_of([&] { OutputFolder(world(), "/proc/run", false); }),
               {"output folder /proc/run: cannot be made"});
}

TEST(OutputFolder, AnotherRunNeedsOverwrite) {
  for (const char *name : {"report.json", "results.h5"}) {
    const std::string folder = scratch_folder("output_other_run");
    write_file(folder + "/" + name, "old");
    expect_error(error_of([&] { OutputFolder(world(), folder, false); }),
                 {"output folder " + folder + ": holds another run (" + folder + "/" + name + ")", "-overwrite"});
    EXPECT_EQ(names_in(folder), std::vector<std::string>{name});
    world().sum(1.0);
    // Nothing changes before the results are there; then all old outputs go, and what is not ours stays.
    write_file(folder + "/map.png", "old");
    write_file(folder + "/notes.txt", "mine");
    OutputFolder output(world(), folder, true);
    EXPECT_EQ(read_file(folder + "/" + name), "old");
    const SampleRun run = make_run(RowPartition::contiguous(5, world().size()), 2, 1);
    write_run(output, run);
    EXPECT_NE(read_file(folder + "/" + name), "old");
    EXPECT_FALSE(fs::exists(folder + "/map.png"));
    EXPECT_EQ(read_file(folder + "/notes.txt"), "mine");
  }
}

TEST(OutputFolder, OneRunAtATime) {
  const std::string folder = scratch_folder("output_twice");
  const SampleRun run = small_run();
  {
    OutputFolder first(world(), folder, false);
    first.write_points(run.points);
    const std::string error = error_of([&] { OutputFolder(world(), folder, true); });
    EXPECT_NE(error.find("another run is using it now"), std::string::npos) << error;
    if (world().rank() == 0) expect_rows(folder + "/results.h5.unfinished", "/points", points_array, {7, 3});
  }
  EXPECT_EQ(error_of([&] { OutputFolder(world(), folder, true); }), error_of([] {}));
}

// An error or a signal ended the run: its points go, and an older run stays as it was.
TEST(OutputFolder, AnAbandonedRunLeavesNothing) {
  const std::string folder = scratch_folder("output_abandoned");
  write_run(folder, small_run());
  world().sum(1.0);
  const std::vector<std::string> names = names_in(folder);
  const std::string report = read_file(folder + "/report.json");
  world().sum(1.0);  // all ranks have looked before the next folder probes
  const SampleRun run = small_run(11);
  const auto abandoned_run = [&] {
    OutputFolder output(world(), folder, true);
    output.write_points(run.points);
    if (world().rank() == 0) expect_rows(folder + "/results.h5.unfinished", "/points", points_array, {11, 3});
    world().sum(1.0);
    throw Error("stopped", true);
  };
  EXPECT_EQ(error_of(abandoned_run), "stopped");
  world().sum(1.0);
  EXPECT_EQ(names_in(folder), names);
  EXPECT_EQ(read_file(folder + "/report.json"), report);
  expect_arrays(folder, small_run());
}

// Neither their size nor their contents matter, and a picture among them is not taken for one of this run.
TEST(OutputFolder, ReplacesWhatAKilledRunLeft) {
  for (const std::size_t size : {10U, 5000000U}) {
    const std::string folder = scratch_folder("output_killed");
    for (const char *name : {"results.h5", "embedding.npy", "map.png"})
      write_file(folder + "/" + name + ".unfinished", std::string(size, 'x'));
    const SampleRun run = make_run(RowPartition::contiguous(5, world().size()), 2, 1);
    write_run(folder, run);
    EXPECT_FALSE(fs::exists(folder + "/map.png"));
    for (const std::string &name : names_in(folder)) EXPECT_EQ(name.find("unfinished"), std::string::npos) << name;
    expect_arrays(folder, run);
    expect_embedding(folder, run);
    EXPECT_LT(fs::file_size(folder + "/results.h5"), 1000000U);
    world().sum(1.0);  // all ranks have looked before the folder is emptied
  }
}

TEST(OutputFolder, ResultsNeedPoints) {
  const WithoutGnuplot without;
  const std::string folder = scratch_folder("output_no_points");
  const SampleRun run = small_run();
  OutputFolder output(world(), folder, false);
  const auto write = [&] { output.write(run.results, run.report, {}); };
  expect_error(error_of(write), {"write_points comes before write"});
  write_run(output, run);
  expect_error(error_of(write), {"write_points comes before write"});
  expect_arrays(folder, run);
}

// Whichever rank meets it, before the computation or after it, the old run stays whole, no temporary name stays, and
// every rank gets the same message.
TEST(OutputFolder, FullDiskChangesNothing) {
  const std::string folder = scratch_folder("output_full");
  const SampleRun old = small_run();
  write_run(folder, old);
  world().sum(1.0);
  const std::vector<std::string> names = names_in(folder);
  const std::string report = read_file(folder + "/report.json");
  world().sum(1.0);  // all ranks have looked before the next folder probes
  const SampleRun run = small_run(5000);
  OutputFolder output(world(), folder, true);
  const int last = world().size() - 1;
  for (const bool everywhere : {true, false})
    for (const bool points_fit : {true, false}) {
      if (points_fit) output.write_points(run.points);
      std::string message;
      {
        const FileSizeLimit limit(everywhere || world().rank() == last ? 100000 : RLIM_INFINITY);
        message = error_of([&] {
          if (points_fit) output.write(run.results, run.report, {});
          if (!points_fit) output.write_points(run.points);
        });
      }
      const std::string reporter = "rank " + std::to_string(everywhere ? 0 : last) + ": ";
      expect_error(message,
                   {reporter + folder + "/results.h5.unfinished: cannot be", "(File too large)", "free space"});
      EXPECT_EQ(message.find("; not written: results.h5, ") != std::string::npos, points_fit) << message;
      EXPECT_EQ(names_in(folder), names);
      EXPECT_EQ(read_file(folder + "/report.json"), report);
      expect_arrays(folder, old);
      world().sum(1.0);
    }
  write_run(output, run);
  expect_arrays(folder, run);
}

}  // namespace
}  // namespace flashring
