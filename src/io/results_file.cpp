#include "io/results_file.hpp"

#include <fmt/format.h>

#include <cmath>

#include "flashring/check.hpp"
#include "io/npy_writer.hpp"
#include "io/report.hpp"

namespace flashring {
namespace {

void write_spectrum(Hdf5File &file, const Results &results) {
  file.write_vector("/eigenvalues", results.eigenvalues);
  describe(file, "/eigenvalues", "1", "eigenvalues of the Markov operator P, largest first");
  file.write_vector("/residuals", results.residuals);
  describe(file, "/residuals", "1", "norm of P psi - lambda psi over the norm of psi, both weighted by pi");
  file.write_vector("/residual_over_gap", results.residual_over_gap);
  describe(file, "/residual_over_gap", "1", "residual over the distance to the nearest other eigenvalue");
}

/// `measured`, `transformed`: points have weights, and an h, on this rank or on another one.
std::vector<RowArray> row_arrays(const Results &results, std::int64_t rows, const std::vector<double> &scale,
                                 bool measured, bool transformed) {
  const auto column = [&](const std::vector<double> &values) { return RowMatrix{values, rows, 1, false, {}, {}}; };
  const RowMatrix right{results.right, rows, results.pairs, false, {}, {}};
  const RowMatrix left{results.right, rows, results.pairs, false, {}, results.pi};
  std::vector<RowArray> arrays = {
      {"/right", "1", "right eigenvectors psi_k in columns, orthonormal under pi", right},
      {"/left", "1", "left eigenvectors phi_k = pi psi_k in columns", left},
      {"/embedding", "1", "diffusion coordinates lambda_k^t psi_k, k = 1 ... K-1, in columns",
       embedding_of(results, rows, scale)},
      {"/pi", "1", "stationary law of P, sums to 1", column(results.pi), true},
      {"/degree", "1", "degree d = w K(w m)", column(results.degree), true},
      {"/weight", "1",
       "weight w: P = diag(w/d) K diag(w m); D^(-alpha) for normalization density, with /doob_h times h",
       column(results.weight), true},
  };
  if (measured) arrays.push_back({"/measure", "1", "weights of the points, as given", column(results.measure), true});
  if (transformed)
    arrays.push_back({"/doob_h", "1", "h of the Doob transform, 0 where killed", column(results.doob_h), true});
  return arrays;
}

/// The steps from coordinates as given to features, those that there are.
void write_feature_map(Hdf5File &file, const FeatureMap &map) {
  if (!map.periods().empty()) {
    file.write_vector("/feature_periods", map.periods());
    describe(file, "/feature_periods", "as given",
             "coordinates x of period L > 0 became r cos(2 pi x/L), r sin(2 pi x/L)");
    file.write_vector("/feature_radii", map.radii());
    describe(file, "/feature_radii", "as given, or 1", "r");
  }
  if (map.factor().empty()) return;
  const auto d = static_cast<hsize_t>(map.features());
  file.write_array("/feature_factor", map.factor(), {d, d});
  describe(file, "/feature_factor", "as given", "U, upper triangular: U'U is a covariance, and y became U'^-1 y");
}

/// The points' file without their rows.
std::vector<std::int64_t> make_file(const std::string &file, const PointBlock &points,
                                    const std::vector<RowArray> &arrays) {
  const std::int64_t rows = points.partition().rows();
  const std::span<const double> scales = points.feature_scales();
  const FeatureMap &map = points.feature_map();
  const std::int64_t small = std::ssize(scales) + 2 * std::ssize(map.periods()) + std::ssize(map.factor());
  Hdf5File output(file, Hdf5File::Start::make, bytes_of(arrays, rows) + 8 * small);
  write_feature_map(output, map);
  if (!scales.empty()) {
    output.write_vector("/feature_scales", scales);
    describe(output, "/feature_scales", "1", "factor of every feature: points = features times these");
  }
  std::vector<std::int64_t> offsets = reserve_arrays(output, arrays, rows);
  output.close();
  return offsets;
}

/// All that the points' file lacks, without the rows.
std::vector<std::int64_t> complete_file(const std::string &file, const Results &results, const Report &report,
                                        const std::string &unit, const std::vector<RowArray> &arrays) {
  const std::int64_t small = 3 * std::int64_t{results.pairs} + std::ssize(results.mean);
  Hdf5File output(file, Hdf5File::Start::add, bytes_of(arrays, results.rows) + 8 * small);
  write_provenance(output, map_kind, results, report);
  if (!std::isnan(results.perron_value)) output.set_attribute("/", perron_attribute, results.perron_value);
  write_spectrum(output, results);
  if (!results.mean.empty()) {
    output.write_vector("/mean", results.mean);
    describe(output, "/mean", unit, "mean of every feature, subtracted before products");
  }
  std::vector<std::int64_t> offsets = reserve_arrays(output, arrays, results.rows);
  output.close();
  return offsets;
}

}  // namespace

std::int64_t bytes_of(const std::vector<RowArray> &arrays, std::int64_t rows) {
  std::int64_t numbers = 0;
  for (const RowArray &array : arrays) numbers += rows * array.matrix.columns;
  return 8 * numbers;
}

std::vector<std::int64_t> reserve_arrays(Hdf5File &output, const std::vector<RowArray> &arrays, std::int64_t rows) {
  std::vector<std::int64_t> offsets;
  for (const RowArray &array : arrays) {
    std::vector<hsize_t> extents = {static_cast<hsize_t>(rows)};
    const auto columns = static_cast<hsize_t>(array.matrix.columns);
    if (array.axes == 2) extents.push_back(columns);
    if (array.axes == 3) extents.resize(3, static_cast<hsize_t>(std::lround(std::sqrt(columns))));
    offsets.push_back(output.reserve(array.name, extents));
    describe(output, array.name, array.unit, array.description);
  }
  return offsets;
}

void write_arrays(const Communicator &communicator, const std::string &file, const std::vector<RowArray> &arrays,
                  const RowPartition &partition, const std::function<std::vector<std::int64_t>()> &prepare) {
  std::vector<std::int64_t> offsets(arrays.size());
  communicator.agree([&] {
    if (communicator.rank() == 0) offsets = prepare();
  });
  communicator.broadcast(std::as_writable_bytes(std::span(offsets)), 0);
  communicator.agree([&] {
    for (std::size_t a = 0; a < arrays.size(); ++a) {
      const RowMatrix &matrix = arrays[a].matrix;
      write_rows(file, offsets[a], matrix, row_pieces(partition, communicator.rank(), matrix.columns));
    }
  });
}

std::string normalization_text(const std::string &normalization, double alpha) {
  return normalization == "density" ? fmt::format("α = {:g}", alpha) : normalization;
}

void describe(Hdf5File &file, const std::string &dataset, const std::string &unit, const std::string &description) {
  file.set_attribute(dataset, "unit", unit);
  file.set_attribute(dataset, "description", description);
}

void write_origin(Hdf5File &file, const char *kind, const Report &report) {
  file.set_attribute("/", "kind", std::string(kind));
  file.set_attribute("/", "format", results_format);
  file.set_attribute("/", "version", report.version);
  file.set_attribute("/", "git", report.git);
  file.set_attribute("/", "status", report.status);
  file.set_attribute("/", "options", command_line(report));
  file.set_attribute("/", "precision", report.precision);
}

void write_provenance(Hdf5File &file, const char *kind, const Results &results, const Report &report) {
  write_origin(file, kind, report);
  file.set_attribute("/", "pair", report.pair);
  file.set_attribute("/", "alpha", results.alpha);
  file.set_attribute("/", "normalization", results.normalization);
  file.set_attribute("/", "time", results.time);
  file.set_attribute("/", "log_shift", results.log_shift);
  if (results.knn > 0) file.set_attribute("/", "knn", std::int64_t{results.knn});
  file.set_attribute("/", "N", results.rows);
  file.set_attribute("/", "d", std::int64_t{results.features});
}

std::vector<double> embedding_scale(const Results &results, std::vector<std::string> &findings) {
  std::vector<double> scale;
  for (std::size_t k = 1; k < results.eigenvalues.size(); ++k) {
    scale.push_back(std::pow(results.eigenvalues[k], results.time));
    if (!std::isnan(scale.back())) continue;
    findings.push_back(detail::concatenate("embedding: eigenvalue ", k, " is ", results.eigenvalues[k],
                                           " and has no power t = ", results.time,
                                           ", its coordinate is NaN; use a whole number for -time"));
  }
  return scale;
}

RowMatrix embedding_of(const Results &results, std::int64_t local_rows, const std::vector<double> &scale) {
  const std::span<const double> all(results.right);
  // Without any eigenpair there is no column of psi_0 to leave out.
  const std::size_t skipped = results.pairs > 0 ? static_cast<std::size_t>(local_rows) : 0;
  return {all.subspan(skipped), local_rows, static_cast<int>(scale.size()), false, scale, {}};
}

std::string coordinate_unit(const PointBlock &points) {
  const std::string unit = points.feature_map().identity() ? "as given" : "of the feature map";
  return points.feature_scales().empty() ? unit : unit + ", times feature_scales";
}

void write_points_file(const Communicator &communicator, const std::string &file, const PointBlock &points) {
  const RowMatrix coordinates{points.rows(), points.local_rows(), points.features(), true, {}, {}};
  std::vector<RowArray> arrays = {
      {"/points", coordinate_unit(points), "the points of the run, one row each", coordinates}};
  // A rank may hold no rows.
  const auto kind = static_cast<PointScale>(communicator.max(static_cast<double>(points.point_scale())));
  const int numbers = scale_numbers(kind, points.features());
  const RowMatrix scales{points.point_scales(), points.local_rows(), numbers, true, {}, {}};
  if (kind == PointScale::length)
    arrays.push_back(
        {"/scalars", coordinate_unit(points), "length of every point, which the pair function reads", scales, 1});
  if (kind == PointScale::covariance)
    arrays.push_back({"/covariances", "square of that of /points",
                      "covariance of every point, which the pair function reads: its lower triangle, row after row",
                      scales});
  write_arrays(communicator, file, arrays, points.partition(), [&] { return make_file(file, points, arrays); });
}

void add_results(const Communicator &communicator, const std::string &file, const Results &results,
                 const Report &report, const WrittenPoints &points, const std::vector<double> &scale) {
  const bool measured = communicator.max(results.measure.empty() ? 0.0 : 1.0) > 0;  // a rank may hold no rows
  const bool transformed = communicator.max(results.doob_h.empty() ? 0.0 : 1.0) > 0;
  const std::int64_t local_rows = points.partition.local_rows(communicator.rank());
  const std::vector<RowArray> arrays = row_arrays(results, local_rows, scale, measured, transformed);
  write_arrays(communicator, file, arrays, points.partition,
               [&] { return complete_file(file, results, report, points.unit, arrays); });
}

}  // namespace flashring
