#include "io/results_file.hpp"

#include <cmath>

#include "flashring/check.hpp"
#include "io/hdf5_file.hpp"
#include "io/npy_writer.hpp"
#include "io/report.hpp"

namespace flashring {
namespace {

void describe(Hdf5File &file, const std::string &dataset, const std::string &unit, const std::string &description) {
  file.set_attribute(dataset, "unit", unit);
  file.set_attribute(dataset, "description", description);
}

void write_provenance(Hdf5File &file, const Results &results, const Report &report) {
  file.set_attribute("/", "version", report.version);
  file.set_attribute("/", "git", report.git);
  file.set_attribute("/", "status", report.status);
  file.set_attribute("/", "options", command_line(report));
  file.set_attribute("/", "pair", report.pair);
  file.set_attribute("/", "precision", report.precision);
  file.set_attribute("/", "alpha", results.alpha);
  file.set_attribute("/", "time", results.time);
  file.set_attribute("/", "log_shift", results.log_shift);
  file.set_attribute("/", "N", results.rows);
  file.set_attribute("/", "d", std::int64_t{results.features});
}

void write_spectrum(Hdf5File &file, const Results &results) {
  file.write_vector("/eigenvalues", results.eigenvalues);
  describe(file, "/eigenvalues", "1", "eigenvalues of the Markov operator P, largest first");
  file.write_vector("/residuals", results.residuals);
  describe(file, "/residuals", "1", "norm of P psi - lambda psi over the norm of psi, both weighted by pi");
  file.write_vector("/residual_over_gap", results.residual_over_gap);
  describe(file, "/residual_over_gap", "1", "residual over the distance to the nearest other eigenvalue");
}

/// An array over rows: what it is, and this rank's share.
struct RowArray {
  std::string name, unit, description;
  RowMatrix matrix;
  bool one_axis = false;  ///< (N) instead of (N, columns)
};

/// Of coordinates.
std::string units(const PointBlock &points) {
  return points.feature_scales().empty() ? "as given" : "as given, times feature_scales";
}

/// `measured`: points have weights, on this rank or on another one.
std::vector<RowArray> row_arrays(const Results &results, const PointBlock &points, const std::vector<double> &scale,
                                 bool measured) {
  const std::int64_t rows = points.local_rows();
  const auto column = [&](const std::vector<double> &values) { return RowMatrix{values, rows, 1, false, {}}; };
  const auto columns = [&](const std::vector<double> &v) { return RowMatrix{v, rows, results.pairs, false, {}}; };
  const RowMatrix coordinates{points.rows(), rows, points.features(), true, {}};
  std::vector<RowArray> arrays = {
      {"/right", "1", "right eigenvectors psi_k in columns, orthonormal under pi", columns(results.right)},
      {"/left", "1", "left eigenvectors phi_k = pi psi_k in columns", columns(results.left)},
      {"/embedding", "1", "diffusion coordinates lambda_k^t psi_k, k = 1 ... K-1, in columns",
       embedding_of(results, rows, scale)},
      {"/pi", "1", "stationary law of P, sums to 1", column(results.pi), true},
      {"/degree", "1", "degree d_alpha = w (K w)", column(results.degree), true},
      {"/weight", "1", "weight w = D^(-alpha), D = K 1", column(results.weight), true},
      {"/points", units(points), "the points of the run, one row each", coordinates},
  };
  if (measured) arrays.push_back({"/measure", "1", "weights of the points, as given", column(results.measure), true});
  return arrays;
}

/// The file without the rows. Returns where each array over rows begins.
std::vector<std::int64_t> make_file(const std::string &file, const Results &results, const Report &report,
                                    const PointBlock &points, const std::vector<RowArray> &arrays) {
  const std::span<const double> scales = points.feature_scales();
  std::int64_t numbers =
      3 * std::int64_t{results.pairs} + static_cast<std::int64_t>(results.mean.size() + scales.size());
  for (const RowArray &array : arrays) numbers += results.rows * array.matrix.columns;
  Hdf5File output(file, 8 * numbers);
  write_provenance(output, results, report);
  write_spectrum(output, results);
  if (!results.mean.empty()) {
    output.write_vector("/mean", results.mean);
    describe(output, "/mean", units(points), "mean of every feature, subtracted before products");
  }
  if (!scales.empty()) {
    output.write_vector("/feature_scales", scales);
    describe(output, "/feature_scales", "1", "factor of every feature: points = given coordinates times these");
  }
  std::vector<std::int64_t> offsets;
  for (const RowArray &array : arrays) {
    std::vector<hsize_t> extents = {static_cast<hsize_t>(results.rows)};
    if (!array.one_axis) extents.push_back(static_cast<hsize_t>(array.matrix.columns));
    offsets.push_back(output.reserve(array.name, extents));
    describe(output, array.name, array.unit, array.description);
  }
  output.close();
  return offsets;
}

}  // namespace

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
  return {all.subspan(skipped), local_rows, static_cast<int>(scale.size()), false, scale};
}

void write_results_file(const Communicator &communicator, const std::string &file, const Results &results,
                        const Report &report, const PointBlock &points, const std::vector<double> &scale) {
  const bool measured = communicator.max(results.measure.empty() ? 0.0 : 1.0) > 0;  // a rank may hold no rows
  const std::vector<RowArray> arrays = row_arrays(results, points, scale, measured);
  std::vector<std::int64_t> offsets(arrays.size());
  communicator.agree([&] {
    if (communicator.rank() == 0) offsets = make_file(file, results, report, points, arrays);
  });
  communicator.broadcast(std::as_writable_bytes(std::span(offsets)), 0);
  communicator.agree([&] {
    for (std::size_t a = 0; a < arrays.size(); ++a) {
      const RowMatrix &matrix = arrays[a].matrix;
      write_rows(file, offsets[a], matrix, row_pieces(points.partition(), communicator.rank(), matrix.columns));
    }
  });
}

}  // namespace flashring
