// The reader of text gives bitwise what the reader of NPY files gives for the same numbers, for any number of ranks,
// and names line and column of what is wrong.
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>

#include "flashring/check.hpp"
#include "flashring/readers.hpp"
#include "io/io_support.hpp"
#include "io/npy_bytes.hpp"
#include "support/world.hpp"

namespace flashring {
namespace {

using namespace test;

std::string digits17(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.17g", value);
  return text;
}

std::string as_text(const std::vector<double> &numbers, std::size_t features, const std::string &separator = ",",
                    const std::string &end = "\n") {
  std::string text;
  for (std::size_t i = 0; i < numbers.size(); ++i)
    text += digits17(numbers[i]) + ((i + 1) % features == 0 ? end : separator);
  return text;
}

// Few rows and short lines, so that shares of the bytes begin and end at every place of a line, and some are empty.
TEST(Csv, EqualsNpyBitByBit) {
  const std::string folder = scratch_folder("csv_bits");
  for (const std::size_t rows : {1U, 2U, 3U, 7U, 40U})
    for (const std::size_t features : {1U, 2U, 5U}) {
      const std::vector<double> numbers = difficult_numbers(rows * features);
      const PointBlock expected = through_npy(folder, numbers, static_cast<std::int64_t>(features));
      for (const char *separator : {",", ";", "\t", " ", " , "})
        for (const char *end : {"\n", "\r\n"}) {
          std::string text = as_text(numbers, features, separator, end);
          SCOPED_TRACE(text.substr(0, 200));
          write_file(folder + "/points.csv", text);
          expect_same(read_csv(folder + "/points.csv", world()), expected);
          while (text.back() == '\n' || text.back() == '\r') text.pop_back();
          write_file(folder + "/points.csv", text);
          expect_same(read_csv(folder + "/points.csv", world()), expected);
        }
    }
}

// Every length of a first line moves all the others against the borders of the shares.
TEST(Csv, SharesMayBeginAnywhere) {
  const std::string folder = scratch_folder("csv_shares");
  const std::vector<double> numbers = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
  const PointBlock expected = through_npy(folder, numbers, 2);
  for (std::size_t length = 1; length < 40; ++length) {
    write_file(folder + "/points.csv", "#" + std::string(length, '.') + "\n" + as_text(numbers, 2));
    expect_same(read_csv(folder + "/points.csv", world()), expected);
    const PointShape shape = points_shape(folder + "/points.csv", world());
    EXPECT_EQ(shape.rows, 6);
    EXPECT_EQ(shape.features, 2);
  }
}

TEST(Csv, ReadsTheSameInManySpellings) {
  const std::string folder = scratch_folder("csv_spellings");
  const PointBlock expected = through_npy(folder, std::vector<double>{1.5, -2, 0.001, 4, 5e10, 0}, 2);
  for (const char *text : {
           "1.5,-2\n0.001,4\n5e10,0\n",
           "x,y\n1.5,-2\n0.001,4\n5e10,0\n",
           "\xEF\xBB\xBF"
           "1.5,-2\n0.001,4\n5e10,0",
           "\xEF\xBB\xBFx,y\r\n1.5,-2\r\n0.001,4\r\n5e10,0\r\n",
           "# made by hand, and ; \t more\n\n  # again\nx;y\n1.5;-2\n\n0.001;4\n#5;6\n5e10;0\n\n\n",
           "\"x, long\",\"y \"\"quoted\"\"\"\n\"1.5\",\"-2\"\n\"0.001\",4\n5e10,\" 0 \"\n",
           "  +1.5   -2  \n 1e-3\t 4.\n+5E+10 .0e0 \n",
           "x\ty z\n1.5\t-2\n 0.001\t4 \n5e10\t0\n",
           "1.5 , -2.0000\n00.001,4\n50000000000,0\n",
           "1.5,-2\n.1e-2,4\n5e10,1e-400\n",  // below the smallest double: 0, as elsewhere
           "x,\n1.5,-2\n0.001,4\n5e10,0\n",
           "nan,y\n1.5,-2\n0.001,4\n5e10,0\n",
       }) {
    SCOPED_TRACE(text);
    write_file(folder + "/points.txt", text);
    expect_same(read_points(folder + "/points.txt", world()), expected);
    EXPECT_EQ(points_shape(folder + "/points.txt", world()).rows, 3);
  }
}

// In a .tsv file blanks and commas do not separate, whatever the header holds.
TEST(Csv, TsvIsSeparatedByTabs) {
  const std::string folder = scratch_folder("csv_tsv");
  const PointBlock expected = through_npy(folder, std::vector<double>{1, 2, 3, 4}, 2);
  for (const char *name : {"/points.tsv", "/points.TSV"}) {
    write_file(folder + name, "length, cm\twidth, cm\n1\t2\n3\t4\n");
    expect_same(read_points(folder + name, world()), expected);
  }
}

// Lines longer than the buffer that holds the first one, a file longer than the other.
TEST(Csv, ReadsBeyondTheBuffers) {
  const std::string folder = scratch_folder("csv_long");
  for (const std::size_t features : {2U, 30000U}) {
    const std::vector<double> numbers = difficult_numbers(300000);
    write_file(folder + "/points.csv", as_text(numbers, features));
    expect_same(read_csv(folder + "/points.csv", world()),
                through_npy(folder, numbers, static_cast<std::int64_t>(features)));
  }
}

/// Largest resident memory since it was last set back, bytes; -1 where the system does not tell. Linux.
double peak_since(bool set_back) {
  if (set_back && !(std::ofstream("/proc/self/clear_refs") << "5" << std::flush)) return -1;
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;)
    if (word == "VmHWM:") {
      double kilobytes = 0;
      status >> kilobytes;
      return 1024 * kilobytes;
    }
  return -1;
}

// Beside its points a rank holds a buffer of 4 MiB at a time; under asan freed ones stay for a while, and an eighth
// comes on top.
TEST(Csv, HoldsItsPointsAndABuffer) {
  const std::string folder = scratch_folder("csv_memory");
  constexpr std::int64_t rows = 4300000;  // more than 2^22: a vector that doubles holds twice as many then
  std::string text;
  for (std::int64_t i = 0; i < rows; ++i) text += "1\n";
  write_file(folder + "/points.csv", text);
  std::string().swap(text);
  const double before = peak_since(true);
  if (world().max(before < 0 ? 1.0 : 0.0) > 0) GTEST_SKIP() << "needs /proc/self/clear_refs";
  const PointBlock points = read_csv(folder + "/points.csv", world());
  EXPECT_EQ(points.partition().rows(), rows);
  EXPECT_LE(peak_since(false) - before, 8.0 * static_cast<double>(points.local_rows()) + 4 * 0x1p22);
}

struct BadText {
  std::string text;
  std::vector<std::string> message;
};

std::vector<BadText> bad_texts() {
  return {
      {"", {"is empty", "one row of numbers per point"}},
      {"\n\n# nothing\n  \n", {"holds no points, only empty lines and comments"}},
      {"x,y\n", {"holds a header in line 1 and no points"}},
      {"NA,0.3\n1,2\n", {"line 1, column 1: 'NA' stands among numbers"}},
      {"1,2x\n1,2\n", {"line 1, column 2: '2x' stands among numbers"}},
      {"# a\n\nx,y\n# b\n", {"holds a header in line 3 and no points"}},
      {"1,2\n3,4\n5,6,7\n8,9\n", {": line 3 has 3 fields and line 1 has 2 (separated by commas)", "give every row"}},
      {"# c\nx;y\n1;2\n3\n", {": line 4 has 1 fields and line 2 has 2 (separated by semicolons)"}},
      {"1 2\n3 4 a\n", {": line 2 has 3 fields and line 1 has 2 (separated by blanks)"}},
      {"1\t2\n3\t4\t\n", {": line 2 has 3 fields and line 1 has 2 (separated by tabs)"}},
      {"1,2\n\n3,x1\n", {": line 3, column 2: 'x1' is not a number", "1.5e-3"}},
      {"1,2\nNA,4\n", {": line 2, column 1: 'NA' is not a number"}},
      {"1,2\n3,4 5\n", {": line 2, column 2: '4 5' is not a number"}},
      {"1,2\n3,0x10\n", {": line 2, column 2: '0x10' is not a number"}},
      {"1,2\n3,+-1\n", {": line 2, column 2: '+-1' is not a number"}},
      {"1,2\n3,1e\n", {": line 2, column 2: '1e' is not a number"}},
      {"1,2\n3,\"4\"5\n", {": line 2, column 2: '\"4\"5' is not a number"}},
      {"x;y\n1,5;2,5\n", {": line 2, column 1: '1,5' is not a number; write decimals with a point"}},
      {"1,2\n3,\n", {": line 2, column 2: the field is empty"}},
      {"1,,3\n", {": line 1, column 2: the field is empty"}},
      {",x,y\n0,1,2\n", {": line 1, column 1: the name is empty", "index=False, row.names=FALSE"}},
      {"\"\",\"x\"\n\"1\",2\n", {": line 1, column 1: the name is empty"}},
      {"1,2\n\"\",4\n", {": line 2, column 1: the field is empty"}},
      {"1,2\n3,nan\n", {": line 2, column 2: 'nan' is not finite; drop or fill"}},
      {"nan,2\n3,4\n", {": line 1, column 1: 'nan' is not finite"}},
      {"1,2\n-inf,4\n", {": line 2, column 1: '-inf' is not finite"}},
      {"1,2\n3,1e400\n", {": line 2, column 2: '1e400' is not finite"}},
      {"1,2\n3," + std::string(60, 'z') + "\n", {": line 2, column 2: '" + std::string(40, 'z') + "...' is not"}},
      {"1,2\n3,a\x01\x02z\n", {": line 2, column 2: 'a??z' is not a number"}},
      {std::string("\xFF\xFE\x31\x00\x0A\x00", 6), {"is text in UTF-16; save it as UTF-8"}},
  };
}

TEST(Csv, NamesWhatIsWrong) {
  const std::string folder = scratch_folder("csv_bad");
  for (const BadText &bad : bad_texts()) {
    SCOPED_TRACE(bad.text);
    write_file(folder + "/bad.csv", bad.text);
    const std::string message = error_of([&] { read_csv(folder + "/bad.csv", world()); });
    expect_error(message, {"rank ", folder + "/bad.csv: "});
    expect_error(message, bad.message);
  }
}

TEST(Csv, NamesMissingFilesAndFolders) {
  const std::string folder = scratch_folder("csv_missing");
  expect_error(error_of([&] { read_csv(folder + "/none.csv", world()); }),
               {"rank 0: ", folder + "/none.csv: cannot be opened (No such file or directory)", "check the path"});
  expect_error(error_of([&] { read_csv(folder, world()); }), {folder + ": is a folder"});
}

// Whichever ranks meet bad lines: the first one in the file is named, with its number in the file.
TEST(Csv, NamesTheFirstBadLine) {
  const std::string folder = scratch_folder("csv_first");
  for (const std::size_t first : {2U, 37U, 80U, 100U}) {
    std::string text = "x,y\n";
    for (std::size_t line = 2; line <= 100; ++line)
      text += line == first ? "1\n" : line > first && line % 5 == 0 ? "1,bad\n" : line % 7 == 0 ? "\n" : "1.25,2\n";
    write_file(folder + "/points.csv", text);
    expect_error(error_of([&] { read_csv(folder + "/points.csv", world()); }),
                 {folder + "/points.csv: line " + std::to_string(first) + " has 1 fields and line 1 has 2"});
  }
}

TEST(Csv, OneRankWithAnotherFileStopsAll) {
  if (world().size() == 1) GTEST_SKIP() << "needs two ranks";
  const std::string folder = scratch_folder("csv_other");
  write_file(folder + "/a.csv", "1,2\n3,4\n");
  write_file(folder + "/b.csv", "1,2\n");
  const int last = world().size() - 1;
  const bool odd = world().rank() == last;
  const std::string prefix = "rank " + std::to_string(last) + ": ";
  expect_error(error_of([&] { read_csv(folder + (odd ? "/none.csv" : "/a.csv"), world()); }),
               {prefix + folder + "/none.csv: cannot be opened"});
  expect_error(
      error_of([&] { read_csv(folder + (odd ? "/b.csv" : "/a.csv"), world()); }),
      {prefix + folder + "/b.csv: has 4 bytes of 2 fields a line here and 8 bytes of 2 fields a line on rank 0"});
}

}  // namespace
}  // namespace flashring
