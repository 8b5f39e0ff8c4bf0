// The folder of an extension: rows as they come from blocks, what is told beside them, and that failures change
// nothing.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "flashring/extension_results.hpp"
#include "io/sample_run.hpp"

namespace flashring::test {
namespace {

namespace fs = std::filesystem;

constexpr int pairs = 4;

double psi(std::int64_t row, std::int64_t k) {
  return k == 0 ? 1 : static_cast<double>(row) + static_cast<double>(k) / 8;
}

/// Rows [first, first + count) of new points; every fifth is far.
ExtendedRows rows_from(std::int64_t first, std::int64_t count) {
  ExtendedRows rows;
  for (int k = 0; k < pairs; ++k)
    for (std::int64_t i = 0; i < count; ++i) rows.right.push_back(psi(first + i, k));
  for (std::int64_t i = 0; i < count; ++i) {
    rows.log_density.push_back(-static_cast<double>(first + i) / 4);
    rows.far.push_back((first + i) % 5 == 0 ? 1 : 0);
  }
  return rows;
}

/// Pictures take most of the time, and only a few tests look at them.
class WithoutPictures {
 public:
  explicit WithoutPictures(const std::string &folder) { setenv("PATH", folder.c_str(), 1); }
  WithoutPictures(const WithoutPictures &) = delete;
  WithoutPictures &operator=(const WithoutPictures &) = delete;
  ~WithoutPictures() { setenv("PATH", path_.c_str(), 1); }

 private:
  std::string path_ = std::getenv("PATH");
};

std::vector<std::string> write_extension(const std::string &folder, const RowPartition &partition, std::int64_t most,
                                         bool overwrite = false, const std::vector<std::string> &labels = {}) {
  const RowPartition map_rows = RowPartition::contiguous(7, world().size());
  const SampleRun run = make_run(map_rows, 3, pairs);
  ExtensionFolder output(world(), folder, overwrite, "no model");
  output.begin(partition, run.results, map_rows);
  const int rank = world().rank();
  const std::int64_t mine = partition.local_rows(rank);
  const std::int64_t longest = static_cast<std::int64_t>(world().max(static_cast<double>(mine)));
  for (std::int64_t at = 0; at < longest; at += most) {
    const std::int64_t count = std::clamp<std::int64_t>(mine - at, 0, most);
    const GlobalRow first = count > 0 ? partition.global_row(rank, LocalRow{at}) : GlobalRow{0};
    output.write(first, rows_from(first.value, count));
  }
  return output.complete(run.report, labels);
}

TEST(ExtensionFolder, RowsAreWrittenWhateverTheBlocks) {
  const int ranks = world().size();
  std::vector<std::int64_t> last_only(static_cast<std::size_t>(ranks), 0);
  last_only.back() = 9;
  for (const RowPartition &partition :
       {RowPartition::contiguous(23, ranks), RowPartition::contiguous(2, ranks), RowPartition::from_counts(last_only)})
    for (const std::int64_t most : {1, 5, 100}) {
      const std::string folder = scratch_folder("extension");
      const WithoutPictures fast(folder);
      write_extension(folder, partition, most);
      if (world().rank() != 0) continue;
      const fs::path file = fs::path(folder) / "results.h5";
      const Dataset embedding = read_dataset(file, "/embedding");
      const auto count = static_cast<hsize_t>(partition.rows());
      ASSERT_EQ(embedding.extents, (std::vector<hsize_t>{count, pairs - 1}));
      EXPECT_TRUE(embedding.little_endian_double);
      const Dataset density = read_dataset(file, "/log_density");
      const Dataset far = read_dataset(file, "/far");
      for (std::size_t i = 0; i < count; ++i) {
        const auto row = static_cast<std::int64_t>(i);
        for (std::size_t k = 1; k < pairs; ++k)  // time 2: 0.5^k squared, exact
          EXPECT_EQ(embedding.values[i * (pairs - 1) + k - 1],
                    std::pow(0.25, static_cast<double>(k)) * psi(row, static_cast<std::int64_t>(k)));
        EXPECT_EQ(density.values[i], -static_cast<double>(row) / 4);
        EXPECT_EQ(far.values[i], row % 5 == 0 ? 1 : 0);
      }
    }
}

TEST(ExtensionFolder, SaysWhatItIs) {
  const std::string folder = scratch_folder("extension_report");
  const WithoutPictures fast(folder);
  const auto findings = write_extension(folder, RowPartition::contiguous(23, world().size()), 4);
  ASSERT_FALSE(findings.empty());
  EXPECT_NE(findings[0].find("far points: 5 of 23 have no neighbour among the points of the map"), std::string::npos);
  if (world().rank() != 0) return;
  const fs::path file = fs::path(folder) / "results.h5";
  EXPECT_EQ(read_text_attribute(file, "/", "kind"), "an extension");
  EXPECT_EQ(read_text_attribute(file, "/", "pair"), "gaussian:beta=0.5");
  EXPECT_EQ(read_number_attribute(file, "format"), 1);
  EXPECT_EQ(read_number_attribute(file, "N"), 7);
  EXPECT_EQ(read_number_attribute(file, "M"), 23);
  EXPECT_EQ(read_dataset(file, "/eigenvalues").values, (std::vector<double>{1, 0.5, 0.25, 0.125}));
  for (const char *name : {"/eigenvalues", "/embedding", "/log_density", "/far"})
    for (const char *attribute : {"unit", "description"})
      EXPECT_NE(read_text_attribute(file, name, attribute), "no such attribute") << name;
  const auto json = nlohmann::ordered_json::parse(read_file(fs::path(folder) / "report.json"));
  std::string keys;
  for (const auto &item : json.items()) keys += item.key() + " ";
  EXPECT_EQ(keys,
            "version git status options ranks threads backend target precision exchange pair N d M extended far passes "
            "neighbour_passes pairs_per_second ring_wait_fraction device_copy_bytes seconds peak_bytes_per_rank "
            "eigenvalues residuals "
            "diagnoses ");
  EXPECT_EQ(json["M"], 23);
  EXPECT_EQ(json["far"], 5);
  EXPECT_EQ(json["diagnoses"].get<std::vector<std::string>>(), findings);
}

/// As when a signal ends the run after the first blocks.
TEST(ExtensionFolder, RowsThatWereNotReachedAreNaN) {
  const std::string folder = scratch_folder("extension_part");
  const WithoutPictures fast(folder);
  const RowPartition partition = RowPartition::contiguous(23, world().size());
  const int rank = world().rank();
  const RowPartition map_rows = RowPartition::contiguous(7, world().size());
  const SampleRun run = make_run(map_rows, 3, pairs);
  const std::int64_t mine = std::min<std::int64_t>(3, partition.local_rows(rank));  // done by each rank
  ExtensionFolder output(world(), folder, false, "no model");
  output.begin(partition, run.results, map_rows);
  output.write(partition.global_row(rank, LocalRow{0}), rows_from(partition.global_row(rank, LocalRow{0}).value, mine));
  const std::vector<std::string> findings = output.complete(run.report, {});
  const std::int64_t done = world().sum(mine);
  EXPECT_EQ(findings.at(0),
            std::to_string(done) + " of 23 new points have coordinates; the rows of the others are NaN");
  if (rank != 0) return;
  const fs::path file = fs::path(folder) / "results.h5";
  EXPECT_EQ(read_number_attribute(file, "extended"), static_cast<double>(done));
  for (const char *name : {"/embedding", "/log_density", "/far"}) {
    const std::vector<double> values = read_dataset(file, name).values;
    const auto columns = static_cast<std::int64_t>(values.size()) / 23;
    for (int r = 0; r < world().size(); ++r)
      for (std::int64_t i = 0; i < partition.local_rows(r); ++i) {
        const std::int64_t row = partition.global_row(r, LocalRow{i}).value;
        for (std::int64_t c = 0; c < columns; ++c)
          EXPECT_EQ(std::isnan(values[static_cast<std::size_t>(row * columns + c)]), i >= 3) << name << " " << row;
      }
  }
  const auto json = nlohmann::ordered_json::parse(read_file(fs::path(folder) / "report.json"));
  EXPECT_EQ(json["extended"], done);
}

TEST(ExtensionFolder, TheModelIsNotReplaced) {
  const std::string folder = scratch_folder("extension_model");
  const SampleRun run = small_run();
  write_run(folder, run);
  const std::string before = read_file(folder + "/results.h5");
  expect_error(error_of([&] {
                 ExtensionFolder(world(), folder, true,
                                 folder + "/../" + fs::path(folder).filename().string() + "/results.h5");
               }),
               {"holds the model", "choose another folder"});
  EXPECT_EQ(read_file(folder + "/results.h5"), before);
}

TEST(ExtensionFolder, ReplacesAnotherRunWholly) {
  const std::string folder = scratch_folder("extension_overwrite");
  write_run(folder, small_run());
  const RowPartition some = RowPartition::contiguous(3, world().size());
  expect_error(error_of([&] { write_extension(folder, some, 3); }), {"holds another run", "-overwrite"});
  write_extension(folder, some, 3, true, {"a", "b", "a"});
  for (const char *gone : {"embedding.npy", "spectrum.png"}) EXPECT_FALSE(fs::exists(fs::path(folder) / gone)) << gone;
  for (const std::string &name : names_in(folder)) EXPECT_EQ(name.find("unfinished"), std::string::npos) << name;
}

TEST(ExtensionFolder, ARunThatEndsEarlyLeavesNothing) {
  const std::string folder = scratch_folder("extension_early");
  {
    const RowPartition map_rows = RowPartition::contiguous(7, world().size());
    ExtensionFolder output(world(), folder, false, "no model");
    output.begin(RowPartition::contiguous(9, world().size()), make_run(map_rows, 3, pairs).results, map_rows);
    world().sum(1.0);
    EXPECT_EQ(names_in(folder), std::vector<std::string>{"results.h5.unfinished"});
    world().sum(1.0);
  }
  world().sum(1.0);
  EXPECT_TRUE(names_in(folder).empty());
}

}  // namespace
}  // namespace flashring::test
