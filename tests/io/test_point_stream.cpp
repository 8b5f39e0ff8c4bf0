// Points block by block: the numbers of the whole file, whatever the blocks; bad values named with their row in the
// file.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "flashring/point_stream.hpp"
#include "flashring/readers.hpp"
#include "io/hdf5_writer.hpp"
#include "io/io_support.hpp"
#include "io/npy_bytes.hpp"
#include "support/scatter.hpp"

namespace flashring::test {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t rows = 23;
constexpr int features = 3;

/// Value (i, k) is i + k/8; one of them may be another.
std::vector<double> values_of(std::int64_t bad_row = -1, double bad = NAN) {
  std::vector<double> values;
  for (std::int64_t i = 0; i < rows; ++i)
    for (int k = 0; k < features; ++k)
      values.push_back(i == bad_row && k == 1 ? bad : static_cast<double>(i) + k / 8.0);
  return values;
}

std::string npy_file(const std::vector<double> &values, std::int64_t announced_rows) {
  std::string data;
  for (const double value : values) data += number_bytes(value, false);
  return with_header(dictionary("<f8", false, shape_text(announced_rows, features)), data);
}

/// The same numbers in every format.
std::vector<std::string> write_all(const fs::path &folder, const std::vector<double> &values) {
  std::string text = "# a comment\nx,y,z\n";
  for (std::size_t at = 0; at < values.size(); ++at)
    text += std::to_string(values[at]) + (at % features == features - 1 ? "\n" : ",");
  write_file(folder / "points.csv", text);
  write_file(folder / "points.npy", npy_file(values, rows));
  if (world().rank() == 0) {
    const Hdf5Writer file(folder / "points.h5");
    file.dataset("/points", H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, {rows, features}, values.data(), {4, 2}, 1);
  }
  world().sum(1.0);
  return {(folder / "points.csv").string(), (folder / "points.npy").string(), (folder / "points.h5").string()};
}

TEST(PointStream, BlocksAreTheFile) {
  const std::vector<double> values = values_of();
  for (const std::string &file : write_all(scratch_folder("stream"), values))
    for (const std::int64_t most : {1, 4, 100}) {
      SCOPED_TRACE(file);
      PointStream stream("-points", file, world());
      EXPECT_EQ(stream.shape().rows, rows);
      EXPECT_EQ(stream.shape().features, features);
      EXPECT_EQ(stream.partition().rows(), rows);
      const std::int64_t mine = stream.partition().local_rows(world().rank());
      std::int64_t given = 0;
      while (!stream.ended()) {
        const PointStream::Block block = stream.next(most);
        const std::int64_t count = block.points.local_rows();
        EXPECT_EQ(count, std::min(most, mine - given));
        EXPECT_EQ(world().sum(count), block.points.partition().rows());
        if (count > 0) {
          EXPECT_EQ(block.first, stream.partition().global_row(world().rank(), LocalRow{given}));
        }
        for (std::int64_t at = 0; at < count * features; ++at)
          EXPECT_EQ(block.points.rows()[static_cast<std::size_t>(at)],
                    values[static_cast<std::size_t>(block.first.value * features + at)]);
        given += count;
      }
      EXPECT_EQ(given, mine);
    }
}

TEST(PointStream, FewerRowsThanRanks) {
  const fs::path folder = scratch_folder("stream_few");
  write_file(folder / "one.csv", "1 2\n");
  PointStream stream("-points", (folder / "one.csv").string(), world());
  ASSERT_FALSE(stream.ended());
  EXPECT_EQ(stream.next(10).points.partition().rows(), 1);
  EXPECT_TRUE(stream.ended());
}

/// The words of the error, the same on every rank, after `good` blocks of two rows.
std::string error_in_stream(const std::string &file, int good) {
  PointStream stream("-points", file, world());
  for (int b = 0; b < good; ++b) stream.next(2);
  return error_of([&] {
    while (!stream.ended()) stream.next(2);
  });
}

TEST(PointStream, BadValuesAreNamedWithTheirRow) {
  const std::vector<std::string> files = write_all(scratch_folder("stream_bad"), values_of(rows - 1));
  expect_error(error_in_stream(files[0], 1), {"points.csv: line 25", "nan"});  // behind a comment and a header
  expect_error(error_in_stream(files[1], 1), {"-points /", "points.npy: row 22, feature 1", "nan"});
  expect_error(error_in_stream(files[2], 1), {"points.h5:/points: row 22, feature 1", "nan"});
  // A ragged line is one of the second half.
  const fs::path folder = scratch_folder("stream_ragged");
  write_file(folder / "points.txt", "1 2\n3 4\n5 6\n7 8\n9 10\n11 12\n13\n");
  expect_error(error_in_stream((folder / "points.txt").string(), 0), {"line 7", "1 "});
}

TEST(PointStream, BadFilesAreRefusedWhenTheyAreOpened) {
  const fs::path folder = scratch_folder("stream_refused");
  write_file(folder / "empty.csv", "");
  write_file(folder / "header.csv", "x,y\n");
  write_file(folder / "empty.npy", npy_file({}, 0));
  write_file(folder / "cut.npy", npy_file(values_of(), 2 * rows));
  const auto opening = [&](const char *name) {
    return error_of([&] { const PointStream stream("-points", (folder / name).string(), world()); });
  };
  expect_error(opening("missing.npy"), {"missing.npy", "check the path"});
  expect_error(opening("points.dat"), {"points.dat", "does not end as a file of points does"});
  expect_error(opening("empty.csv"), {"empty.csv", "is empty"});
  expect_error(opening("header.csv"), {"header.csv", "no points"});
  expect_error(opening("empty.npy"), {"empty.npy", "no points (N = 0)"});
  expect_error(opening("cut.npy"), {"cut.npy", "cut off"});
}

}  // namespace
}  // namespace flashring::test
