// Points, weights and feature scales by the options that name them, and readers chosen by the ending of a name.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "flashring/check.hpp"
#include "flashring/input.hpp"
#include "flashring/readers.hpp"
#include "io/hdf5_writer.hpp"
#include "io/io_support.hpp"
#include "io/npy_bytes.hpp"
#include "support/scatter.hpp"
#include "support/world.hpp"

namespace flashring {
namespace {

using namespace test;

std::string npy_bytes(const std::vector<double> &numbers, const std::string &shape) {
  std::string data;
  for (const double number : numbers) data += number_bytes(number, false);
  return with_header(dictionary("<f8", false, shape), data);
}

/// The same numbers in every format: files NAME.npy, NAME.h5, NAME.csv.
void write_formats(const std::string &name, const std::vector<double> &numbers, hsize_t rows, hsize_t features) {
  write_file(name + ".npy", npy_bytes(numbers, "(" + std::to_string(rows) + ", " + std::to_string(features) + ")"));
  std::string text;
  for (std::size_t i = 0; i < numbers.size(); ++i)
    text += detail::shortest(numbers[i]) + ((i + 1) % features == 0 ? "\n" : ",");
  write_file(name + ".csv", text);
  if (world().rank() == 0)
    Hdf5Writer(name + ".h5").dataset("p", H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, {rows, features}, numbers.data());
  world().sum(1.0);
}

Input input_of(const InputOptions &options) { return read_input(options, world()); }

std::string error_of_input(const InputOptions &options) {
  return error_of([&] { read_input(options, world()); });
}

TEST(Readers, AreChosenByTheEnding) {
  const std::string folder = scratch_folder("readers");
  const std::vector<double> numbers = difficult_numbers(9 * 4);
  write_formats(folder + "/a:b.c", numbers, 9, 4);
  const PointBlock expected = through_npy(folder, numbers, 4);
  for (const char *ending : {".npy", ".csv", ".h5", ".h5:/p", ".h5:p"}) {
    SCOPED_TRACE(ending);
    expect_same(read_points(folder + "/a:b.c" + ending, world()), expected);
    const PointShape shape = points_shape(folder + "/a:b.c" + ending, world());
    EXPECT_EQ(shape.rows, 9);
    EXPECT_EQ(shape.features, 4);
  }
  for (const char *name : {"/points.dat", "/points", "/points.npy:/p", "/.csv.gz"})
    for (const bool shape : {false, true})
      expect_error(error_of([&] {
                     shape ? (void)points_shape(folder + name, world()) : (void)read_points(folder + name, world());
                   }),
                   {"rank 0: " + folder + name + ": ", "known are FILE.npy, FILE.h5:/dataset", ".tsv or .txt"});
}

TEST(Readers, ShapesOfMissingAndBadFiles) {
  const std::string folder = scratch_folder("readers_shape");
  for (const char *name : {"/none.npy", "/none.h5", "/none.txt"})
    expect_error(error_of([&] { points_shape(folder + name, world()); }), {folder + name + ": cannot be opened"});
  write_file(folder + "/a.npy", npy_bytes({}, "(3, 0)"));
  expect_error(error_of([&] { points_shape(folder + "/a.npy", world()); }), {"shape (3, 0)", "d = 0"});
  write_file(folder + "/a.csv", "x,y\n");
  expect_error(error_of([&] { points_shape(folder + "/a.csv", world()); }), {"header in line 1 and no points"});
}

TEST(Readers, VectorsHoldOneNumberPerPoint) {
  const std::string folder = scratch_folder("readers_vector");
  const std::vector<double> numbers = difficult_numbers(11);
  write_formats(folder + "/v", numbers, 11, 1);
  write_file(folder + "/axis.npy", npy_bytes(numbers, "(11,)"));
  const PointBlock expected = through_npy(folder, numbers, 1);
  const std::vector<double> mine(expected.rows().begin(), expected.rows().end());
  for (const char *name : {"/v.npy", "/v.h5", "/v.csv", "/axis.npy"})
    EXPECT_EQ(read_vector("-weights", folder + name, 11, world()), mine);
  expect_error(error_of([&] { read_vector("-weights", folder + "/v.csv", 12, world()); }),
               {"rank 0: -weights " + folder + "/v.csv: holds 11 numbers for 12 points"});
  write_formats(folder + "/w", numbers, 1, 11);
  expect_error(error_of([&] { read_vector("-weights", folder + "/w.h5", 11, world()); }),
               {"rank 0: -weights " + folder + "/w.h5: has shape (1, 11)", "one number per point"});
  expect_error(error_of([&] { read_vector("-weights", folder + "/none.npy", 11, world()); }),
               {"rank 0: -weights " + folder + "/none.npy: cannot be opened"});
}

TEST(Readers, LabelsMayBeNumbers) {
  const std::string folder = scratch_folder("readers_labels");
  write_formats(folder + "/l", {3, -1, 0.5, 0, 7, 1e20}, 6, 1);
  std::vector<std::string> expected = {"3", "-1", "0.5", "0", "7", "1e+20"};
  if (world().rank() != 0) expected.clear();
  for (const char *name : {"/l.npy", "/l.h5", "/l.h5:/p"}) EXPECT_EQ(read_labels(folder + name, 6, world()), expected);
  expect_error(error_of([&] { read_labels(folder + "/l.npy", 5, world()); }),
               {"rank 0: -labels " + folder + "/l.npy: holds 6 numbers for 5 points"});
}

TEST(Input, OptionsAreDeclaredSetAndRead) {
  InputOptions options;
  for (const Option &option : input_options()) {
    EXPECT_EQ(options.get(option.name), option.fallback);
    options.set(option.name, std::string("value of ") + option.name);
  }
  EXPECT_EQ(options.points, "value of points");
  EXPECT_EQ(options.generate, "value of generate");
  EXPECT_EQ(options.get("weights"), "value of weights");
  EXPECT_EQ(options.get("feature_scales"), "value of feature_scales");
  EXPECT_EQ(options.get("point_scales"), "value of point_scales");
  EXPECT_THROW(options.set("point", "x"), Error);
  EXPECT_THROW((void)options.get("point"), Error);
}

TEST(Input, NeedsOneSource) {
  for (const InputOptions &options : {InputOptions{}, InputOptions{"a.npy", "circle:n=3", "", ""}}) {
    expect_error(error_of_input(options), {"give the points either by -points FILE or by -generate SET"});
    expect_error(error_of([&] { input_shape(options, world()); }), {"either by -points FILE or by -generate SET"});
  }
  expect_error(error_of_input({"none.npy", "", "", ""}), {"rank 0: -points none.npy: cannot be opened"});
  expect_error(error_of([] { input_shape({"none.csv", "", "", ""}, world()); }), {"rank 0: -points none.csv: cannot"});
  expect_error(error_of_input({"", "ring:n=3", "", ""}), {"-generate: 'ring' is unknown"});
  expect_error(error_of([] { input_shape({"", "ring:n=3", "", ""}, world()); }), {"-generate: 'ring' is unknown"});
}

TEST(Input, ReadsPointsAndWeights) {
  const std::string folder = scratch_folder("input_weights");
  const std::vector<double> numbers = difficult_numbers(7 * 2);
  const std::vector<double> weights = {1, 0.5, 2, 5e-324, 1e308, 3, 4};
  write_formats(folder + "/p", numbers, 7, 2);
  write_formats(folder + "/w", weights, 7, 1);
  const Input input = input_of({folder + "/p.csv", "", folder + "/w.h5:/p", ""});
  expect_same(input.points, through_npy(folder, numbers, 2));
  EXPECT_TRUE(input.points.feature_scales().empty());
  EXPECT_EQ(gather_columns(input.weights, 1, input.points.partition(), world()), weights);
  EXPECT_TRUE(input_of({folder + "/p.csv", "", "", ""}).weights.empty());
  const PointShape shape = input_shape({folder + "/p.h5", "", "", ""}, world());
  EXPECT_EQ(shape.rows, 7);
  EXPECT_EQ(shape.features, 2);
}

// Points that a program gives lie where it wants them: weights follow, and scales do not depend on it.
TEST(Input, WeightsAndScalesFollowAnyPartition) {
  const std::string folder = scratch_folder("input_partition");
  std::vector<double> weights;
  for (int i = 0; i < 19; ++i) weights.push_back(1 + 0.1 * i);
  write_formats(folder + "/w", weights, 19, 1);
  const PointSet points = random_points(19, 2, 5);
  for (const NamedPartition &to : partitions(19, world().size())) {
    SCOPED_TRACE(to.name);
    Input input;
    input.points = local_block(points, to.partition, world().rank());
    read_scales_and_weights({"", "", folder + "/w.csv", "2,0.5", "", folder + "/w.npy"}, world(), input);
    EXPECT_EQ(gather_columns(input.weights, 1, to.partition, world()), weights);
    const std::span<const double> lengths = input.points.point_scales();
    EXPECT_EQ(gather_columns({lengths.begin(), lengths.end()}, 1, to.partition, world()), weights);
    const PointSet scaled = gather_points(input.points, world());
    for (std::size_t i = 0; i < scaled.rows.size(); ++i)
      EXPECT_EQ(scaled.rows[i], points.rows[i] * (i % 2 == 0 ? 2 : 0.5));
  }
}

TEST(Input, TargetIsReadLikeWeights) {
  const std::string folder = scratch_folder("input_target");
  write_formats(folder + "/t", {1, 0.5, 2, 5, 1e308, 3, 4}, 7, 1);
  const Input input = input_of({"", "circle:n=7", "", "", folder + "/t.npy"});
  EXPECT_EQ(gather_columns(input.target, 1, input.points.partition(), world()),
            (std::vector<double>{1, 0.5, 2, 5, 1e308, 3, 4}));
  EXPECT_TRUE(input.weights.empty());
  write_file(folder + "/bad.csv", "1\n1\n0\n");
  expect_error(error_of_input({"", "circle:n=3", "", "", folder + "/bad.csv"}),
               {": -target " + folder + "/bad.csv: row 2 (counted from 0) is 0", "densities are positive"});
}

TEST(Input, WeightsArePositiveAndFinite) {
  const std::string folder = scratch_folder("input_bad_weights");
  for (const char *bad : {"0", "-2", "-0"}) {
    write_file(folder + "/w.csv", std::string("1\n1\n1\n1\n") + bad + "\n1\n");
    expect_error(error_of_input({"", "circle:n=6", folder + "/w.csv", ""}),
                 {": -weights " + folder + "/w.csv: row 4 (counted from 0) is " + bad, "weights are positive"});
    expect_error(error_of_input({"", "circle:n=6", "", "", "", folder + "/w.csv"}),
                 {": -point_scales " + folder + "/w.csv: row 4 (counted from 0) is " + bad, "a length is positive"});
  }
  write_file(folder + "/w.npy", npy_bytes({1, 1, std::nan("")}, "(3,)"));
  expect_error(error_of_input({"", "circle:n=3", folder + "/w.npy", ""}),
               {": -weights " + folder + "/w.npy: row 2, feature 0 (both counted from 0) is nan"});
  expect_error(error_of_input({"", "circle:n=4", folder + "/w.npy", ""}), {": -weights ", "nan"});
  write_file(folder + "/w.npy", npy_bytes({1, 1, 1}, "(3,)"));
  expect_error(error_of_input({"", "circle:n=4", folder + "/w.npy", ""}), {"holds 3 numbers for 4 points"});
}

TEST(Input, ScalesAreAListOrAFile) {
  const std::string folder = scratch_folder("input_scales");
  const std::vector<double> scales = {2, 0.5, 0.1};
  write_formats(folder + "/column", scales, 3, 1);
  write_formats(folder + "/row", scales, 1, 3);
  const std::string set = "normal:n=17,d=3,seed=4";
  const PointSet plain = gather_points(generate_points(set, world()), world());
  for (const std::string &text : {std::string("2,0.5,0.1"), folder + "/column.npy", folder + "/column.h5:/p",
                                  folder + "/row.csv", folder + "/column.csv"}) {
    SCOPED_TRACE(text);
    const Input input = input_of({"", set, "", text});
    EXPECT_EQ(std::vector<double>(input.points.feature_scales().begin(), input.points.feature_scales().end()), scales);
    const PointSet scaled = gather_points(input.points, world());
    for (std::size_t i = 0; i < scaled.rows.size(); ++i) EXPECT_EQ(scaled.rows[i], plain.rows[i] * scales[i % 3]);
  }
}

// Population deviation of two values a and b, half of each: |a - b| / 2. Feature 2 is constant, and no double equals
// the mean of 7 times 0.1 surely.
TEST(Input, DeviationScalesFeaturesToOne) {
  const std::string folder = scratch_folder("input_deviation");
  std::vector<double> numbers;
  for (int i = 0; i < 14; ++i)
    for (const double x : {i % 2 == 0 ? 1.0 : 5.0, i % 2 == 0 ? -100.0 : 100.0, 0.1}) numbers.push_back(x);
  write_formats(folder + "/p", numbers, 14, 3);
  const Input input = input_of({folder + "/p.npy", "", "", "deviation"});
  EXPECT_EQ(std::vector<double>(input.points.feature_scales().begin(), input.points.feature_scales().end()),
            (std::vector<double>{0.5, 0.01, 1}));
}

TEST(Input, NamesBadScales) {
  const std::string folder = scratch_folder("input_bad_scales");
  const auto message = [](const std::string &text) { return error_of_input({"", "normal:n=7,d=3", "", text}); };
  expect_error(message("std"),
               {"-feature_scales: 'std' is neither deviation, nor numbers such as 1,0.5,2, nor a file"});
  expect_error(message("1,,2"), {"-feature_scales: '1,,2' is neither"});
  expect_error(message("1,2"), {"-feature_scales 1,2: feature scales: 2 numbers given for 3 features"});
  for (const char *bad : {"1,2,0", "1,2,-1", "1,2,inf", "1,2,nan"})
    expect_error(message(bad), {std::string("-feature_scales ") + bad + ": feature scales: the one of feature 2",
                                "positive finite numbers"});
  expect_error(message(folder + "/none.npy"), {"rank 0: -feature_scales " + folder + "/none.npy: cannot be opened"});
  write_file(folder + "/s.npy", npy_bytes({1, 2, 3, 4}, "(2, 2)"));
  expect_error(message(folder + "/s.npy"), {": -feature_scales " + folder + "/s.npy: has shape (2, 2) for 3 features"});
}

}  // namespace
}  // namespace flashring
