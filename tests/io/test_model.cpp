// A diffusion map read back from results.h5, and every file that is none.
#include <gtest/gtest.h>

#include <filesystem>

#include "flashring/model.hpp"
#include "io/hdf5_writer.hpp"
#include "io/sample_run.hpp"

namespace flashring::test {
namespace {

namespace fs = std::filesystem;

/// The bytes of results.h5 of a run of 17 points.
std::string model_bytes() {
  static const std::string bytes = [] {
    const std::string folder = scratch_folder("model_bytes");
    write_run(folder, make_run(RowPartition::contiguous(17, world().size()), 3, 4));
    return read_file(folder + "/results.h5");
  }();
  return bytes;
}

/// A copy of it; `change` is made to the file, on rank 0.
template <class Change>
std::string changed_model(const std::string &name, const Change &change) {
  const std::string file = scratch_folder(name) + "/results.h5";
  write_file(file, model_bytes());
  if (world().rank() == 0) {
    const hid_t handle = H5Fopen(file.c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
    change(handle);
    H5Fclose(handle);
  }
  world().sum(1.0);
  return file;
}

void set_text(hid_t file, const char *name, const char *value) {
  const hid_t type = H5Tcopy(H5T_C_S1);
  H5Tset_size(type, H5T_VARIABLE);
  const hid_t space = H5Screate(H5S_SCALAR);
  H5Adelete(file, name);
  const hid_t attribute = H5Acreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
  H5Awrite(attribute, type, &value);
  H5Aclose(attribute);
  H5Sclose(space);
  H5Tclose(type);
}

void set_number(hid_t file, const char *name, std::int64_t value) {
  const hid_t attribute = H5Aopen(file, name, H5P_DEFAULT);
  H5Awrite(attribute, H5T_NATIVE_INT64, &value);
  H5Aclose(attribute);
}

void set_values(hid_t file, const char *name, const std::vector<hsize_t> &extents, double value) {
  hsize_t count = 1;
  for (const hsize_t extent : extents) count *= extent;
  const std::vector<double> values(count, value);
  const hid_t space = H5Screate_simple(static_cast<int>(extents.size()), extents.data(), nullptr);
  if (H5Lexists(file, name, H5P_DEFAULT) > 0) H5Ldelete(file, name, H5P_DEFAULT);
  const hid_t set = H5Dcreate2(file, name, H5T_IEEE_F64LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  H5Dwrite(set, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data());
  H5Dclose(set);
  H5Sclose(space);
}

const auto nothing = [](hid_t /*file*/) {};

std::string refusal(const std::string &file) {
  return error_of([&] { read_model(file, 2, world()); });
}

TEST(Model, IsWhatTheRunWrote) {
  const int ranks = world().size();
  for (const RowPartition &partition :
       {RowPartition::contiguous(17, ranks), RowPartition::zigzag(17, ranks), RowPartition::contiguous(2, ranks)}) {
    const std::string folder = scratch_folder("model");
    SampleRun run = make_run(partition, 3, 4);
    run.results.measure = local_array(partition, measure_array, 1, false);
    run.points.set_feature_scales({0.5, 1, 2});
    write_run(folder, run);
    for (const int pairs : {1, 3, 4}) {
      const Model model = read_model(folder + "/results.h5", pairs, world());
      EXPECT_EQ(to_string(model.summary.pair), "gaussian:beta=0.5");
      EXPECT_EQ(model.summary.pairs, 4);
      EXPECT_EQ(model.summary.feature_scales, (std::vector<double>{0.5, 1, 2}));
      EXPECT_EQ(model.results.rows, partition.rows());
      EXPECT_EQ(model.results.features, 3);
      EXPECT_EQ(model.results.pairs, pairs);
      EXPECT_EQ(model.results.time, 2);
      EXPECT_EQ(model.results.alpha, 0.25);
      EXPECT_EQ(model.results.log_shift, -3.5);
      const auto count = static_cast<std::size_t>(pairs);
      EXPECT_EQ(model.results.eigenvalues,
                std::vector<double>(run.results.eigenvalues.begin(), run.results.eigenvalues.begin() + pairs));
      EXPECT_EQ(model.results.residuals.size(), count);
      // On contiguous rows, whatever they were on in the run.
      const RowPartition here = RowPartition::contiguous(partition.rows(), ranks);
      EXPECT_EQ(model.points.partition(), here);
      EXPECT_EQ(model.results.right, local_array(here, right_array, pairs, false));
      EXPECT_EQ(model.results.weight, local_array(here, weight_array, 1, false));
      EXPECT_EQ(model.results.measure, local_array(here, measure_array, 1, false));
      const std::vector<double> points = local_array(here, points_array, 3, true);
      for (std::size_t at = 0; at < points.size(); ++at)
        EXPECT_EQ(model.points.rows()[at], points[at] * std::pow(2, static_cast<double>(at % 3) - 1));
    }
  }
}

TEST(Model, PlainRunsHaveNoMeasureAndNoScales) {
  const Model model = read_model(changed_model("model_plain", nothing), 4, world());
  EXPECT_TRUE(model.results.measure.empty());
  EXPECT_TRUE(model.summary.feature_scales.empty());
}

/// The map comes back to the bit, and belongs to the coordinates as they were given.
TEST(Model, FeatureMaps) {
  const RowPartition partition = RowPartition::zigzag(17, world().size());
  for (const bool circles : {false, true}) {
    const std::string folder = scratch_folder("model_map");
    SampleRun run = make_run(partition, 2, 4);
    FeatureMap map(2);
    if (circles) map.set_circles({0, 7}, {0, 0.1});
    map.set_factor(circles ? std::vector<double>{2, 1, 0.5, 0, 1, 0.1, 0, 0, 3} : std::vector<double>{2, 0.3, 0, 4});
    run.points.map_features(map);
    run.results.features = map.features();
    run.results.mean.clear();
    write_run(folder, run);
    const Model model = read_model(folder + "/results.h5", 2, world());
    const FeatureMap &found = model.summary.features;
    EXPECT_EQ(found.given(), 2);
    EXPECT_EQ(found.features(), model.summary.shape.features);
    const auto equal = [](std::span<const double> a, std::span<const double> b) {
      return std::equal(a.begin(), a.end(), b.begin(), b.end());
    };
    EXPECT_TRUE(equal(found.periods(), map.periods()) && equal(found.radii(), map.radii()));
    EXPECT_TRUE(equal(found.factor(), map.factor()));
  }
  expect_error(refusal(changed_model("model_periods",
                                     [](hid_t file) {
                                       set_values(file, "/feature_periods", {3}, 1);
                                       set_values(file, "/feature_radii", {3}, 1);
                                     })),
               {"holds a map to 6 features for points of 3"});
  expect_error(refusal(changed_model("model_factor",
                                     [](hid_t file) {
                                       set_values(file, "/feature_factor", {3, 3}, -1);
                                     })),
               {"feature map: factor of a covariance: its diagonal is not positive"});
  expect_error(
      refusal(changed_model("model_factor_axes", [](hid_t file) { set_values(file, "/feature_factor", {9}, 1); })),
      {"/feature_factor is no matrix of numbers"});
}

TEST(Model, LengthsOfPoints) {
  const RowPartition partition = RowPartition::zigzag(17, world().size());
  const std::string folder = scratch_folder("model_lengths");
  SampleRun run = make_run(partition, 3, 4);
  run.points.set_point_scales(local_array(partition, measure_array, 1, false));
  run.report.pair = "self_tuned";
  write_run(folder, run);
  const Model model = read_model(folder + "/results.h5", 4, world());
  EXPECT_EQ(to_string(model.summary.pair), "self_tuned");
  const std::span<const double> found = model.points.point_scales();
  EXPECT_EQ(std::vector<double>(found.begin(), found.end()),
            local_array(RowPartition::contiguous(17, world().size()), measure_array, 1, false));
  expect_error(refusal(changed_model("model_no_lengths", [](hid_t file) { set_text(file, "pair", "self_tuned"); })),
               {"holds no /scalars, the lengths that pair self_tuned reads"});
}

TEST(Model, CovariancesOfPoints) {
  const RowPartition partition = RowPartition::zigzag(17, world().size());
  const std::string folder = scratch_folder("model_covariances");
  SampleRun run = make_run(partition, 3, 4);
  run.points.set_point_length(0.5, PointScale::covariance);
  run.report.pair = "local_mahalanobis:beta=2";
  write_run(folder, run);
  const Model model = read_model(folder + "/results.h5", 4, world());
  const bool rows = model.points.local_rows() > 0;
  EXPECT_EQ(model.points.point_scale(), rows ? PointScale::covariance : PointScale::none);
  const std::vector<double> one = {0.25, 0, 0.25, 0, 0, 0.25};
  const std::span<const double> found = model.points.point_scales();
  for (std::size_t at = 0; at < found.size(); ++at) EXPECT_EQ(found[at], one[at % 6]);
  const auto make = [](hid_t file) { set_text(file, "pair", "local_mahalanobis:beta=2"); };
  expect_error(refusal(changed_model("model_no_covariances", make)),
               {"holds no /covariances, the covariances that pair local_mahalanobis:beta=2 reads"});
}

TEST(Model, FilesThatAreNoneAreRefused) {
  const fs::path folder = scratch_folder("model_none");
  write_file(folder / "text.h5", "no HDF5 at all");
  expect_error(refusal((folder / "text.h5").string()), {"text.h5: is not an HDF5 file"});
  expect_error(refusal((folder / "missing.h5").string()), {"missing.h5", "check the path"});
  expect_error(refusal(folder.string()), {"is a folder, not a file"});
  if (world().rank() == 0) const Hdf5Writer other(folder / "other.h5");
  world().sum(1.0);
  expect_error(refusal((folder / "other.h5").string()),
               {"other.h5: is not a diffusion map; name the results.h5 of a run of flashring-diffmap"});
  write_file(folder / "cut.h5", model_bytes().substr(0, model_bytes().size() / 2));
  expect_error(refusal((folder / "cut.h5").string()), {"cut.h5: cannot be opened as HDF5", "copy the file again"});
}

TEST(Model, WhatANewerOrAnotherProgramWroteIsRefused) {
  expect_error(refusal(changed_model("model_newer", [](hid_t file) { set_number(file, "format", 2); })),
               {"is of format 2, and version ", " reads up to 1; take version 9.8.7, which wrote it, or a later one"});
  expect_error(refusal(changed_model("model_kind", [](hid_t file) { set_text(file, "kind", "an extension"); })),
               {"holds an extension, not a diffusion map"});
  expect_error(refusal(changed_model("model_pair", [](hid_t file) { set_text(file, "pair", "cosine:beta=2"); })),
               {"pair cosine:beta=2", "gaussian", "inner_exp"});
  expect_error(refusal(changed_model("model_bare", [](hid_t file) { set_text(file, "pair", "gaussian"); })),
               {"pair gaussian has no parameter"});
}

TEST(Model, MissingAndMisshapenPartsAreNamed) {
  for (const char *part : {"/points", "/right", "/weight", "/eigenvalues", "/residuals"}) {
    const auto remove = [&](hid_t file) { H5Ldelete(file, part, H5P_DEFAULT); };
    expect_error(refusal(changed_model("model_part", remove)), {"results.h5", part});
  }
  for (const char *name : {"kind", "format", "pair", "N", "alpha", "time", "log_shift"}) {
    const auto remove = [&](hid_t file) { H5Adelete(file, name); };
    expect_error(refusal(changed_model("model_attribute", remove)), {"results.h5: ", "name the results.h5 of a run"});
  }
  expect_error(refusal(changed_model("model_points", [](hid_t file) { H5Ldelete(file, "/points", H5P_DEFAULT); })),
               {"holds no /points, with which new points would be compared; run flashring-diffmap again"});
  expect_error(refusal(changed_model("model_few", [](hid_t file) { set_values(file, "/weight", {16}, 1); })),
               {"/weight: has shape (16, 1), not (17, 1)"});
  expect_error(refusal(changed_model("model_zero", [](hid_t file) { set_values(file, "/weight", {17}, 0); })),
               {"/weight: holds a number that is not positive"});
  expect_error(refusal(changed_model("model_wide",
                                     [](hid_t file) {
                                       set_values(file, "/points", {17, 4}, 1);
                                     })),
               {"/points: has shape (17, 4), not (17, 3)"});
  expect_error(refusal(changed_model("model_nan",
                                     [](hid_t file) {
                                       set_values(file, "/right", {17, 4}, NAN);
                                     })),
               {"/right: row 0, feature 0", "nan"});
  expect_error(refusal(changed_model("model_scales", [](hid_t file) { set_values(file, "/feature_scales", {2}, 1); })),
               {"holds 2 feature scales for 3 features"});
}

}  // namespace
}  // namespace flashring::test
