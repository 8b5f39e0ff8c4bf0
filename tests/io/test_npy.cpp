// Readers of NPY files and labels. The files are made byte by byte here, so that writer and reader share no code.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "flashring/check.hpp"
#include "flashring/readers.hpp"
#include "io/io_support.hpp"
#include "io/npy_bytes.hpp"
#include "support/world.hpp"

namespace flashring {
namespace {

using namespace test;

/// Value of row i, feature k: all different, the extremes of the type among them.
template <class T>
T value_at(std::int64_t i, std::int64_t k, std::int64_t features) {
  if (i == 0 && k == 0) return std::numeric_limits<T>::max();
  if (i == 1 && k == 0) return std::numeric_limits<T>::lowest();
  return static_cast<T>(static_cast<double>(i * features + k) / (std::is_integral_v<T> ? 1 : 8));
}

template <class T>
std::string array_bytes(std::int64_t rows, std::int64_t features, bool fortran, bool big_endian) {
  std::string data;
  for (std::int64_t a = 0; a < (fortran ? features : rows); ++a)
    for (std::int64_t b = 0; b < (fortran ? rows : features); ++b)
      data += number_bytes(fortran ? value_at<T>(b, a, features) : value_at<T>(a, b, features), big_endian);
  return data;
}

/// Every rank holds its contiguous share with the right values.
template <class T>
void expect_points(const PointBlock &points, std::int64_t rows, int features) {
  ASSERT_EQ(points.partition().rows(), rows);
  ASSERT_EQ(points.features(), features);
  const std::int64_t size = world().size();
  const std::int64_t expected_rows = rows / size + (world().rank() < rows % size ? 1 : 0);
  ASSERT_EQ(points.local_rows(), expected_rows);
  std::int64_t wrong = 0;
  for (std::int64_t i = 0; i < points.local_rows(); ++i)
    for (int k = 0; k < features; ++k) {
      const std::int64_t row = points.partition().global_row(world().rank(), LocalRow{i}).value;
      wrong += points.row(LocalRow{i})[k] != static_cast<double>(value_at<T>(row, k, features)) ? 1 : 0;
    }
  EXPECT_EQ(wrong, 0);
}

template <class T>
class NpyTypes : public testing::Test {};

using ReadableTypes = testing::Types<float, double, std::int8_t, std::int16_t, std::int32_t, std::int64_t, std::uint8_t,
                                     std::uint16_t, std::uint32_t, std::uint64_t>;
TYPED_TEST_SUITE(NpyTypes, ReadableTypes);

// Rows fewer than, equal to and more than ranks; both byte orders; both orders of axes.
TYPED_TEST(NpyTypes, ReadsEveryOrderAndSize) {
  using T = TypeParam;
  const std::string folder = scratch_folder("npy_types");
  const char kind = std::is_floating_point_v<T> ? 'f' : std::is_signed_v<T> ? 'i' : 'u';
  for (const std::int64_t rows : {1, 2, 5, 23})
    for (const int features : {1, 3})
      for (const bool fortran : {false, true})
        for (const bool big_endian : {false, true}) {
          const std::string name = std::string(1, kind) + std::to_string(sizeof(T));
          const std::string descr = (sizeof(T) == 1 ? "|" : big_endian ? ">" : "<") + name;
          SCOPED_TRACE(descr + shape_text(rows, features) + (fortran ? " Fortran" : " C"));
          write_file(folder + "/points.npy", with_header(dictionary(descr, fortran, shape_text(rows, features)),
                                                         array_bytes<T>(rows, features, fortran, big_endian)));
          expect_points<T>(read_npy(folder + "/points.npy", world()), rows, features);
        }
}

TEST(Npy, ReadsFormats2And3AndOldSpellings) {
  const std::string folder = scratch_folder("npy_formats");
  const std::string data = array_bytes<double>(7, 2, false, false);
  for (const int major : {1, 2, 3}) {
    write_file(folder + "/points.npy", with_header(dictionary("<f8", false, "(7, 2)"), data, major));
    expect_points<double>(read_npy(folder + "/points.npy", world()), 7, 2);
  }
  // Python 2 wrote long integers; other writers use double quotes, other orders of keys and no spaces.
  write_file(folder + "/points.npy",
             with_header("{\"shape\":(7L,2L),\"fortran_order\":False,\"descr\":\"<f8\"}   ", data));
  expect_points<double>(read_npy(folder + "/points.npy", world()), 7, 2);
}

TEST(Npy, ReadsOneAxisAsOneFeature) {
  const std::string folder = scratch_folder("npy_one_axis");
  for (const bool fortran : {false, true}) {
    write_file(folder + "/points.npy",
               with_header(dictionary("<f4", fortran, "(11,)"), array_bytes<float>(11, 1, fortran, false)));
    expect_points<float>(read_npy(folder + "/points.npy", world()), 11, 1);
  }
}

TEST(Npy, ReadsBool) {
  const std::string folder = scratch_folder("npy_bool");
  write_file(folder + "/points.npy", with_header(dictionary("|b1", false, "(4, 1)"), std::string("\1\0\1\1", 4)));
  const PointBlock points = read_npy(folder + "/points.npy", world());
  const double expected[] = {1, 0, 1, 1};
  for (std::int64_t i = 0; i < points.local_rows(); ++i)
    EXPECT_EQ(points.row(LocalRow{i})[0], expected[points.partition().global_row(world().rank(), LocalRow{i}).value]);
}

// Longer than the reader's buffer, with a size that no power of two divides.
TEST(Npy, ReadsBeyondTheBuffer) {
  const std::string folder = scratch_folder("npy_long");
  for (const bool fortran : {false, true}) {
    const std::string data = world().rank() == 0 ? array_bytes<double>(600001, 2, fortran, false) : std::string();
    write_file(folder + "/points.npy", with_header(dictionary("<f8", fortran, "(600001, 2)"), data));
    expect_points<double>(read_npy(folder + "/points.npy", world()), 600001, 2);
  }
}

struct BadFile {
  std::string what;
  std::string bytes;
  std::vector<std::string> message;
};

std::vector<BadFile> bad_files() {
  const std::string f8(24, '\0');
  const auto typed = [&](const std::string &descr) {
    return with_header(dictionary(descr, false, "(1, 1)"), std::string(64, '\0'));
  };
  const auto shaped = [&](const std::string &shape) { return with_header(dictionary("<f8", false, shape), f8); };
  const std::string good = with_header(dictionary("<f8", false, "(100, 1)"), std::string(40, '\0'));
  return {
      {"cut off in the data",
       good,
       {"holds 40 of the 800 bytes", "(100, 1) of <f8", "cut off", "copy or write it again"}},
      {"cut off in the header", good.substr(0, 30), {"ends inside its header", "at byte 30", "cut off"}},
      {"cut off in the length", good.substr(0, 9), {"ends inside its header", "at byte 9"}},
      {"empty", "", {"is empty, not an NPY file", "numpy.save"}},
      {"text", "1.0,2.0\n", {"not an NPY file", "first bytes", "numpy.save"}},
      {"archive", "PK\3\4 and so on", {"not an NPY file", ".npz"}},
      {"unknown format", std::string("\x93NUMPY\x09\x00", 8) + std::string(20, ' '), {"format 9.0", "at byte 6"}},
      {"no dictionary", with_header("what is this", ""), {"no 'descr'", "what is this"}},
      {"no shape", with_header("{'descr': '<f8', 'fortran_order': False}", f8), {"no 'shape'"}},
      {"strange order", with_header("{'descr': '<f8', 'fortran_order': 1, 'shape': (1,)}", f8), {"fortran_order is 1"}},
      {"strange shape", shaped("(3, x)"), {"shape is (3, x)", "damaged"}},
      {"negative shape", shaped("(-3, 1)"), {"shape is (-3, 1)", "damaged"}},
      {"half", typed("<f2"), {"<f2 (float16)", "readable are f4, f8", "astype('f8')"}},
      {"long double", typed("<f16"), {"<f16 (long double)", "readable are"}},
      {"complex", typed("<c16"), {"<c16 (complex)", "readable are"}},
      {"text values", typed("<U5"), {"<U5 (text)", "readable are"}},
      {"records",
       with_header("{'descr': [('x', '<f8'), ('y', '<f8')], 'fortran_order': False, 'shape': (1,), }", f8),
       {"structured type [('x', '<f8'), ('y', '<f8')]", "readable are"}},
      {"no rows", shaped("(0, 3)"), {"shape (0, 3)", "N = 0"}},
      {"no features", shaped("(3, 0)"), {"shape (3, 0)", "d = 0"}},
      {"three axes", shaped("(1, 1, 3)"), {"shape (1, 1, 3)", "3 axes", "(N, d) or (N,)"}},
      {"no axis", shaped("()"), {"0 axes"}},
      {"overflow", shaped("(4611686018427387904, 4)"), {"more bytes than a file can hold", "damaged"}},
      {"wide", shaped("(1, 3000000000)"), {"3000000000 features", "transposed?"}},
  };
}

TEST(Npy, NamesWhatIsWrongWithAFile) {
  const std::string folder = scratch_folder("npy_bad");
  for (const BadFile &bad : bad_files()) {
    SCOPED_TRACE(bad.what);
    write_file(folder + "/bad.npy", bad.bytes);
    const std::string message = error_of([&] { read_npy(folder + "/bad.npy", world()); });
    expect_error(message, {"rank 0: ", folder + "/bad.npy: "});
    expect_error(message, bad.message);
  }
}

TEST(Npy, NamesMissingFilesAndFolders) {
  const std::string folder = scratch_folder("npy_missing");
  expect_error(error_of([&] { read_npy(folder + "/none.npy", world()); }),
               {"rank 0: ", folder + "/none.npy: cannot be opened (No such file or directory)", "check the path"});
  expect_error(error_of([&] { read_npy(folder, world()); }), {folder + ": is a folder"});
}

TEST(Npy, NamesRowAndFeatureOfValuesThatAreNotFinite) {
  const std::string folder = scratch_folder("npy_nan");
  constexpr std::int64_t rows = 17;
  const std::string values[] = {number_bytes(std::nan(""), false), number_bytes(-HUGE_VAL, false)};
  for (const std::int64_t row : {std::int64_t{0}, std::int64_t{9}, rows - 1})
    for (const bool fortran : {false, true})
      for (const std::string &value : values) {
        std::string data(rows * 3 * 8, '\0');
        data.replace(static_cast<std::size_t>(8 * (fortran ? 2 * rows + row : row * 3 + 2)), 8, value);
        write_file(folder + "/points.npy", with_header(dictionary("<f8", fortran, "(17, 3)"), data));
        const std::string message = error_of([&] { read_npy(folder + "/points.npy", world()); });
        int owner = 0;
        std::int64_t end = 0;
        const RowPartition partition = RowPartition::contiguous(rows, world().size());
        while ((end += partition.local_rows(owner)) <= row) ++owner;
        expect_error(message, {"rank " + std::to_string(owner) + ": " + folder + "/points.npy: row " +
                                   std::to_string(row) + ", feature 2 (both counted from 0) is ",
                               &value == &values[0] ? "nan" : "-inf", "drop or fill"});
      }
}

// A machine with a stale or missing copy: every rank ends with the message of the one that sees it.
TEST(Npy, OneRankWithAnotherFileStopsAll) {
  if (world().size() == 1) GTEST_SKIP() << "needs two ranks";
  const std::string folder = scratch_folder("npy_other");
  write_file(folder + "/a.npy", with_header(dictionary("<f8", false, "(3, 1)"), std::string(24, '\0')));
  write_file(folder + "/b.npy", with_header(dictionary("<f8", false, "(2, 1)"), std::string(16, '\0')));
  const int last = world().size() - 1;
  const bool odd = world().rank() == last;
  const std::string prefix = "rank " + std::to_string(last) + ": ";
  expect_error(error_of([&] { read_npy(folder + (odd ? "/none.npy" : "/a.npy"), world()); }),
               {prefix + folder + "/none.npy: cannot be opened"});
  expect_error(error_of([&] { read_npy(folder + (odd ? "/b.npy" : "/a.npy"), world()); }),
               {prefix + folder + "/b.npy: has 2 rows of 1 features here and 3 rows of 1 features on rank 0",
                "shared file system"});
}

TEST(Labels, AreOnTheFirstRankWithoutBlanks) {
  const std::string folder = scratch_folder("labels");
  const std::vector<std::string> expected = {"zero", "one two", "", "3"};
  const std::vector<std::string> none;
  for (const char *text :
       {"zero\none two\n\n3", "zero\none two\n\n3\n", "\xEF\xBB\xBFzero\r\n one two \r\n\r\n3\r\n\r\n"}) {
    write_file(folder + "/labels.txt", text);
    EXPECT_EQ(read_labels(folder + "/labels.txt", 4, world()), world().rank() == 0 ? expected : none);
  }
}

TEST(Labels, NameBothCountsAndMissingFiles) {
  const std::string folder = scratch_folder("labels_bad");
  write_file(folder + "/labels.txt", "a\nb\nc\n");
  expect_error(error_of([&] { read_labels(folder + "/labels.txt", 5, world()); }),
               {"rank 0: ", folder + "/labels.txt: holds 3 labels for 5 points", "one label per line"});
  expect_error(error_of([&] { read_labels(folder + "/none.txt", 5, world()); }), {"none.txt: cannot be opened"});
  expect_error(error_of([&] { read_labels(folder, 5, world()); }), {folder + ": is a folder"});
}

}  // namespace
}  // namespace flashring
