// The reader of HDF5 files gives bitwise what the reader of NPY files gives for the same numbers, and names what is
// wrong with a file on every rank alike.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "flashring/check.hpp"
#include "flashring/readers.hpp"
#include "io/hdf5_writer.hpp"
#include "io/io_support.hpp"
#include "io/npy_bytes.hpp"
#include "support/world.hpp"

namespace flashring {
namespace {

using namespace test;

/// Rank 0 writes a file that no rank reads any longer (HDF5 locks it); all ranks come back when it is closed.
void write_hdf5(const std::string &file, const std::function<void(const Hdf5Writer &)> &fill) {
  world().sum(1.0);
  if (world().rank() == 0) fill(Hdf5Writer(file));
  world().sum(1.0);
}

template <class T>
std::vector<T> numbers_of(std::size_t count) {
  std::vector<T> numbers;
  for (std::size_t i = 0; i < count; ++i) {
    if (std::is_floating_point_v<T>)
      numbers.push_back(static_cast<T>(std::ldexp(static_cast<double>(i * i) - 1000.0 / 3, static_cast<int>(i) - 20)));
    else
      numbers.push_back(static_cast<T>(i * 7));
  }
  numbers.front() = std::numeric_limits<T>::max();
  if (count > 1) numbers[1] = std::numeric_limits<T>::lowest();
  if (count > 2) numbers[2] = static_cast<T>(std::numeric_limits<T>::max() - 1);
  if (count > 4 && std::is_floating_point_v<T>) numbers[4] = std::numeric_limits<T>::denorm_min();
  return numbers;
}

/// Types as they lie in files: little- and big-endian.
template <class T>
std::vector<hid_t> file_types() {
  const hid_t native = native_type<T>();
  std::vector<hid_t> types;
  for (const H5T_order_t order : {H5T_ORDER_LE, H5T_ORDER_BE}) {
    types.push_back(H5Tcopy(native));
    H5Tset_order(types.back(), order);
  }
  return types;
}

template <class T>
class Hdf5Types : public testing::Test {};

using ReadableTypes = testing::Types<float, double, std::int8_t, std::int16_t, std::int32_t, std::int64_t, std::uint8_t,
                                     std::uint16_t, std::uint32_t, std::uint64_t>;
TYPED_TEST_SUITE(Hdf5Types, ReadableTypes);

// Rows fewer than, equal to and more than ranks; both byte orders; every layout.
TYPED_TEST(Hdf5Types, AreReadAsFromNpy) {
  using T = TypeParam;
  const std::string folder = scratch_folder("hdf5_types");
  const std::vector<hid_t> types = file_types<T>();
  for (const hsize_t rows : {1, 2, 5, 23}) {
    const std::vector<T> numbers = numbers_of<T>(rows * 3);
    const PointBlock expected = through_npy(folder, numbers, 3);
    for (const hid_t type : types) {
      write_hdf5(folder + "/points.h5", [&](const Hdf5Writer &file) {
        file.dataset("/contiguous", type, native_type<T>(), {rows, 3}, numbers.data());
        file.dataset("/chunked", type, native_type<T>(), {rows, 3}, numbers.data(), {2, 2});
        file.dataset("/gzip", type, native_type<T>(), {rows, 3}, numbers.data(), {4, 3}, 6);
      });
      for (const char *name : {"/contiguous", "/chunked", "/gzip"}) {
        SCOPED_TRACE(name);
        expect_same(read_hdf5(folder + "/points.h5", name, world()), expected);
      }
    }
  }
  for (const hid_t type : types) H5Tclose(type);
}

TEST(Hdf5, DoublesKeepEveryBit) {
  const std::string folder = scratch_folder("hdf5_bits");
  const std::vector<double> numbers = difficult_numbers(23 * 4);
  const PointBlock expected = through_npy(folder, numbers, 4);
  for (const hid_t type : {H5T_IEEE_F64LE, H5T_IEEE_F64BE}) {
    write_hdf5(folder + "/points.h5", [&](const Hdf5Writer &file) {
      file.dataset("p", type, H5T_NATIVE_DOUBLE, {23, 4}, numbers.data(), {5, 4}, 1);
    });
    expect_same(read_hdf5(folder + "/points.h5", "p", world()), expected);
  }
}

// 16 bits as h5py stores float16, long double, and a boolean as h5py stores it: an enumeration of one byte.
TEST(Hdf5, ReadsOtherWidthsAndBooleans) {
  const std::string folder = scratch_folder("hdf5_widths");
  const std::vector<double> exact = {0.5, -2, 65504, 0.000060975551605224609375, 5.9604644775390625e-8, 0};
  const std::vector<long double> longer = {0.1L, -2, 1e300L, 3, 4, 5};
  const std::vector<std::int8_t> truth = {1, 0, 0, 1, 1, 0};
  write_hdf5(folder + "/points.h5", [&](const Hdf5Writer &file) {
    const hid_t half = H5Tcopy(H5T_IEEE_F32LE);
    H5Tset_fields(half, 15, 10, 5, 0, 10);
    H5Tset_size(half, 2);
    H5Tset_ebias(half, 15);
    file.dataset("half", half, H5T_NATIVE_DOUBLE, {3, 2}, exact.data());
    H5Tclose(half);
    file.dataset("long", H5T_NATIVE_LDOUBLE, H5T_NATIVE_LDOUBLE, {3, 2}, longer.data());
    const hid_t boolean = H5Tenum_create(H5T_STD_I8LE);
    const std::int8_t values[] = {0, 1};
    H5Tenum_insert(boolean, "FALSE", &values[0]);
    H5Tenum_insert(boolean, "TRUE", &values[1]);
    file.dataset("truth", boolean, boolean, {3, 2}, truth.data());
    H5Tclose(boolean);
  });
  const std::vector<double> rounded(longer.begin(), longer.end());
  expect_same(read_hdf5(folder + "/points.h5", "half", world()), through_npy(folder, exact, 2));
  expect_same(read_hdf5(folder + "/points.h5", "long", world()), through_npy(folder, rounded, 2));
  expect_same(read_hdf5(folder + "/points.h5", "truth", world()), through_npy(folder, truth, 2));
}

TEST(Hdf5, FindsDatasets) {
  const std::string folder = scratch_folder("hdf5_find");
  const std::vector<double> numbers = numbers_of<double>(7);
  const PointBlock expected = through_npy(folder, numbers, 1);
  const auto fill = [&](const Hdf5Writer &file) {
    file.group("a");
    file.group("a/b");
    file.dataset("/a/b/points", H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, {7}, numbers.data());
    H5Lcreate_soft("/a/b/points", file.id(), "link", H5P_DEFAULT, H5P_DEFAULT);
    H5Lcreate_soft("/nowhere", file.id(), "broken", H5P_DEFAULT, H5P_DEFAULT);
  };
  for (const char *name : {"/points.h5", "/points.HDF5", "/points.hdf"}) {
    write_hdf5(folder + name, fill);
    for (const char *dataset : {"", ":", ":/a/b/points", ":a/b/points", ":/link"}) {
      SCOPED_TRACE(dataset);
      expect_same(read_points(folder + name + dataset, world()), expected);
      const PointShape shape = points_shape(folder + name + dataset, world());
      EXPECT_EQ(shape.rows, 7);
      EXPECT_EQ(shape.features, 1);
    }
  }
}

// More than HDF5's conversion buffer on every rank, chunks that lie across ranks.
TEST(Hdf5, ReadsBeyondTheBuffer) {
  const std::string folder = scratch_folder("hdf5_long");
  const std::vector<double> numbers = difficult_numbers(600001 * 2);
  write_hdf5(folder + "/points.h5", [&](const Hdf5Writer &file) {
    file.dataset("p", H5T_IEEE_F64BE, H5T_NATIVE_DOUBLE, {600001, 2}, numbers.data(), {70001, 2});
  });
  expect_same(read_points(folder + "/points.h5", world()), through_npy(folder, numbers, 2));
}

void fill_bad(const Hdf5Writer &file) {
  const std::vector<double> zeros(8, 0);
  const auto plain = [&](const char *name, const std::vector<hsize_t> &extents) {
    file.dataset(name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, extents, zeros.data());
  };
  file.group("/group");
  plain("/group/inner", {2, 2});
  plain("/three", {2, 2, 2});
  plain("/scalar", {});
  plain("/no_rows", {0, 3});
  plain("/no_features", {3, 0});
  file.dataset("/wide", H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, {1, 3000000000U}, nullptr);
  const hid_t text = H5Tcopy(H5T_C_S1);
  H5Tset_size(text, 4);
  file.dataset("/text", text, text, {2}, "abc\0def");
  H5Tcommit2(file.id(), "/type", text, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  H5Tclose(text);
  const hid_t complex = H5Tcreate(H5T_COMPOUND, 16);
  H5Tinsert(complex, "r", 0, H5T_NATIVE_DOUBLE);
  H5Tinsert(complex, "i", 8, H5T_NATIVE_DOUBLE);
  file.dataset("/complex", complex, complex, {2}, zeros.data());
  H5Tclose(complex);
  const hid_t pair = H5Tarray_create2(H5T_NATIVE_DOUBLE, 1, std::vector<hsize_t>{2}.data());
  file.dataset("/pairs", pair, pair, {2}, zeros.data());
  H5Tclose(pair);
}

struct BadDataset {
  const char *name;
  std::vector<std::string> message;
};

TEST(Hdf5, NamesWhatIsWrongWithADataset) {
  const std::string folder = scratch_folder("hdf5_bad");
  const std::string file = folder + "/bad.h5";
  write_hdf5(file, fill_bad);
  const std::vector<BadDataset> bad = {
      {"", {"holds several datasets; name one as " + file + ":/complex", "/group/inner, /no_features", "/text"}},
      {":/none", {":/none: there is no such dataset (", "its datasets are /complex, /group/inner"}},
      {":/three/deeper", {":/three/deeper: there is no such dataset ("}},
      {":/group", {":/group: is a group, not a dataset", "/group/inner"}},
      {":/", {":/: is a group"}},
      {":/type", {":/type: is a named type, not a dataset"}},
      {":/three", {":/three: has shape (2, 2, 2), 3 axes", "(N, d) or (N,)"}},
      {":/scalar", {":/scalar: has shape (), 0 axes"}},
      {":/no_rows", {"shape (0, 3)", "N = 0"}},
      {":/no_features", {"shape (3, 0)", "d = 0"}},
      {":/wide", {"has 3000000000 features", "transposed?"}},
      {":/text", {":/text: holds text; readable are"}},
      {":/complex", {"holds compound values (records, or complex numbers)"}},
      {":/pairs", {"holds arrays as single values"}},
  };
  for (const BadDataset &one : bad) {
    SCOPED_TRACE(one.name);
    for (const bool shape : {false, true}) {
      const std::string message = error_of(
          [&] { shape ? (void)points_shape(file + one.name, world()) : (void)read_points(file + one.name, world()); });
      expect_error(message, {"rank 0: " + file});
      expect_error(message, one.message);
    }
  }
}

TEST(Hdf5, ListsAtMostTwentyDatasets) {
  const std::string folder = scratch_folder("hdf5_many");
  write_hdf5(folder + "/many.h5", [](const Hdf5Writer &file) {
    const double zero = 0;
    for (int i = 10; i < 60; ++i) file.dataset("/d" + std::to_string(i), H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, {1}, &zero);
  });
  const std::string message = error_of([&] { read_points(folder + "/many.h5:/x", world()); });
  expect_error(message, {"/d10, /d11", "/d29, ..."});
  EXPECT_EQ(message.find("/d30"), std::string::npos);
}

TEST(Hdf5, NamesWhatIsWrongWithAFile) {
  const std::string folder = scratch_folder("hdf5_file");
  const auto message_of = [&](const std::string &name) {
    return error_of([&] { read_points(folder + name, world()); });
  };
  expect_error(message_of("/none.h5:/p"), {"rank 0: " + folder + "/none.h5: cannot be opened (No such file"});
  write_file(folder + "/text.h5", "1,2\n");
  expect_error(message_of("/text.h5"), {"/text.h5: is not an HDF5 file"});
  write_file(folder + "/empty.h5", "");
  expect_error(message_of("/empty.h5:/p"), {"/empty.h5: is not an HDF5 file"});
  write_hdf5(folder + "/blank.h5", [](const Hdf5Writer &file) { file.group("g"); });
  expect_error(message_of("/blank.h5"), {"/blank.h5: holds no dataset"});
  expect_error(message_of("/blank.h5:/p"), {"there is no such dataset", "it has no datasets"});
  if (world().rank() == 0) std::filesystem::create_directory(folder + "/folder.h5");
  world().sum(1.0);
  expect_error(message_of("/folder.h5"), {"/folder.h5: is a folder"});
  write_hdf5(folder + "/whole.h5", [](const Hdf5Writer &file) {
    const std::vector<double> zeros(10000, 0);
    file.dataset("/p", H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, {10000}, zeros.data());
  });
  const std::string bytes = read_file(folder + "/whole.h5");
  write_file(folder + "/cut.h5", bytes.substr(0, bytes.size() / 2));
  expect_error(message_of("/cut.h5"), {"/cut.h5: cannot be opened as HDF5 (", "truncated", "copy the file again"});
}

// Damage inside a compressed chunk is met while values are read, by the rank that reads them.
TEST(Hdf5, NamesRowsThatCannotBeRead) {
  const std::string folder = scratch_folder("hdf5_damage");
  write_hdf5(folder + "/good.h5", [](const Hdf5Writer &file) {
    const std::vector<double> numbers = difficult_numbers(20000);
    file.dataset("/p", H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, {10000, 2}, numbers.data(), {10000, 2}, 9);
  });
  std::string bytes = read_file(folder + "/good.h5");
  for (std::size_t i = bytes.size() / 2; i < bytes.size() / 2 + 64; ++i) bytes[i] = '\x55';
  write_file(folder + "/bad.h5", bytes);
  expect_error(error_of([&] { read_points(folder + "/bad.h5", world()); }),
               {"rank 0: " + folder + "/bad.h5:/p: rows 0 to ", "cannot be read (", "copy the file again"});
}

TEST(Hdf5, NamesRowAndFeatureOfValuesThatAreNotFinite) {
  const std::string folder = scratch_folder("hdf5_nan");
  for (const double value : {std::nan(""), -HUGE_VAL})
    for (const std::size_t row : {0U, 9U, 16U}) {
      std::vector<double> numbers(17 * 3, 1.0);
      numbers[row * 3 + 2] = value;
      write_hdf5(folder + "/points.h5", [&](const Hdf5Writer &file) {
        file.dataset("/p", H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, {17, 3}, numbers.data());
      });
      expect_error(error_of([&] { read_points(folder + "/points.h5", world()); }),
                   {folder + "/points.h5:/p: row " + std::to_string(row) + ", feature 2 (both counted from 0) is ",
                    std::isnan(value) ? "nan" : "-inf"});
    }
}

// HDF5's own printing is off while we read, and back afterwards.
TEST(Hdf5, LeavesErrorPrintingAsItWas) {
  const std::string folder = scratch_folder("hdf5_print");
  H5E_auto2_t before = nullptr;
  H5E_auto2_t after = nullptr;
  void *data = nullptr;
  H5Eset_auto2(H5E_DEFAULT, reinterpret_cast<H5E_auto2_t>(H5Eprint2), stderr);
  H5Eget_auto2(H5E_DEFAULT, &before, &data);
  testing::internal::CaptureStderr();
  error_of([&] { read_points(folder + "/none.h5", world()); });
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  H5Eget_auto2(H5E_DEFAULT, &after, &data);
  EXPECT_EQ(after, before);
  EXPECT_NE(after, nullptr);
}

}  // namespace
}  // namespace flashring
