// Reading a diffusion map. Attributes and small arrays are read by every rank, rows as points are (hdf5_points.cpp).
#include "flashring/model.hpp"

#include <algorithm>
#include <cmath>
#include <memory>

#include "flashring/check.hpp"
#include "flashring/readers.hpp"
#include "flashring/version.hpp"
#include "io/hdf5_input.hpp"
#include "io/point_file.hpp"
#include "io/results_file.hpp"

namespace flashring {
namespace {

constexpr const char *name_a_map = "name the results.h5 of a run of flashring-diffmap";

void check_kind(const std::string &file, const Hdf5Input &input) {
  FLASHRING_CHECK(input.has_attribute("kind") && input.has_attribute("format"), file, ": is not a diffusion map; ",
                  name_a_map);
  const std::string kind = input.text("kind");
  FLASHRING_CHECK(kind == map_kind, file, ": holds ", kind, ", not ", map_kind, "; ", name_a_map);
  const std::int64_t format = input.whole_number("format");
  FLASHRING_CHECK(format >= 1 && format <= results_format, file, ": is of format ", format, ", and version ", version(),
                  " reads up to ", results_format, "; take version ", input.text("version"),
                  ", which wrote it, or a later one");
}

PairFunction read_pair(const std::string &file, const Hdf5Input &input) {
  const std::string text = input.text("pair");
  PairFunction pair;
  try {
    pair = parse_pair(text);
  } catch (const Error &error) {
    throw Error(detail::concatenate(file, ": pair ", text, ": ", error.what()));
  }
  FLASHRING_CHECK(!std::isnan(pair.parameters[0]), file, ": pair ", text, " has no parameter; ", name_a_map);
  return pair;
}

FeatureMap read_feature_map(const std::string &file, const Hdf5Input &input, int features) {
  std::vector<double> periods;
  if (input.has("/feature_periods")) periods = input.vector("/feature_periods");
  FeatureMap map(periods.empty() ? features : static_cast<int>(periods.size()));
  try {
    if (!periods.empty()) map.set_circles(std::move(periods), input.vector("/feature_radii"));
    if (input.has("/feature_factor")) map.set_factor(input.vector("/feature_factor", 2));
  } catch (const Error &error) {
    throw Error(detail::concatenate(file, ": feature map: ", error.what()));
  }
  FLASHRING_CHECK(map.features() == features, file, ": holds a map to ", map.features(), " features for points of ",
                  features, "; ", name_a_map);
  return map;
}

const char *scales_name(PointScale scale) { return scale == PointScale::covariance ? "/covariances" : "/scalars"; }

ModelSummary read_summary(const std::string &file) {
  const Hdf5Input input(file, name_a_map);
  check_kind(file, input);
  FLASHRING_CHECK(!input.has_attribute(perron_attribute), file, ": is the map of a set outside which points were ",
                  "killed (-doob_eigenvector), and says nothing of other points; ", name_a_map, " without that option");
  ModelSummary summary;
  summary.pair = read_pair(file, input);
  FLASHRING_CHECK(input.has("/points"), file, ": holds no /points, with which new points would be compared; run ",
                  "flashring-diffmap again, which writes them");
  const PointScale scale = point_scale(summary.pair.kind);
  FLASHRING_CHECK(scale == PointScale::none || input.has(scales_name(scale)), file, ": holds no ", scales_name(scale),
                  ", the ", scale == PointScale::length ? "lengths" : "covariances", " that pair ",
                  to_string(summary.pair), " reads; run flashring-diffmap again, which writes them");
  summary.shape = {input.whole_number("N"), static_cast<int>(input.whole_number("d"))};
  summary.pairs = static_cast<int>(input.vector("/eigenvalues").size());
  if (input.has_attribute("knn")) summary.knn = static_cast<int>(input.whole_number("knn"));
  summary.features = read_feature_map(file, input, summary.shape.features);
  if (input.has("/feature_scales")) summary.feature_scales = input.vector("/feature_scales");
  const auto d = static_cast<std::size_t>(summary.shape.features);
  FLASHRING_CHECK(summary.feature_scales.empty() || summary.feature_scales.size() == d, file, ": holds ",
                  summary.feature_scales.size(), " feature scales for ", d, " features; ", name_a_map);
  return summary;
}

/// An array over the points, of `columns` columns.
PointBlock read_rows(const std::string &file, const std::string &name, const ModelSummary &model, int columns,
                     const Communicator &communicator) {
  PointBlock rows = read_hdf5(file, name, communicator);
  communicator.agree([&] {
    FLASHRING_CHECK(rows.partition().rows() == model.shape.rows && rows.features() == columns, file, ":", name,
                    ": has shape (", rows.partition().rows(), ", ", rows.features(), "), not (", model.shape.rows, ", ",
                    columns, ") as its attributes and eigenvalues say; ", name_a_map);
  });
  return rows;
}

std::vector<double> read_column(const std::string &file, const std::string &name, const ModelSummary &model,
                                const Communicator &communicator) {
  const PointBlock rows = read_rows(file, name, model, 1, communicator);
  communicator.agree([&] {
    FLASHRING_CHECK(std::all_of(rows.rows().begin(), rows.rows().end(), [](double value) { return value > 0; }), file,
                    ":", name, ": holds a number that is not positive; ", name_a_map);
  });
  return {rows.rows().begin(), rows.rows().end()};
}

void read_covariances(const std::string &file, const Communicator &communicator, Model &model) {
  const char *name = scales_name(PointScale::covariance);
  const PointBlock rows =
      read_rows(file, name, model.summary, covariance_numbers(model.summary.shape.features), communicator);
  communicator.agree([&] {
    try {
      model.points.set_point_scales({rows.rows().begin(), rows.rows().end()}, PointScale::covariance);
    } catch (const Error &error) {
      throw Error(detail::concatenate(file, ":", name, ": ", error.what(), "; ", name_a_map));
    }
  });
}

/// The first `pairs` columns of an (n, K) array, column after column.
std::vector<double> first_columns(const PointBlock &rows, int pairs) {
  const auto n = static_cast<std::size_t>(rows.local_rows());
  const auto all = static_cast<std::size_t>(rows.features());
  std::vector<double> columns(n * static_cast<std::size_t>(pairs));
  for (std::size_t at = 0; at < columns.size(); ++at) columns[at] = rows.rows()[at % n * all + at / n];
  return columns;
}

/// Numbers and small arrays; true where the points have weights.
bool read_small(const std::string &file, int pairs, Results &results) {
  const Hdf5Input input(file, name_a_map);
  results.alpha = input.number("alpha");
  results.normalization = input.text("normalization");
  results.time = input.number("time");
  results.log_shift = input.number("log_shift");
  results.eigenvalues = input.vector("/eigenvalues");
  results.residuals = input.vector("/residuals");
  FLASHRING_CHECK(results.residuals.size() == results.eigenvalues.size(), file, ": holds ", results.residuals.size(),
                  " residuals of ", results.eigenvalues.size(), " eigenvalues; ", name_a_map);
  results.eigenvalues.resize(static_cast<std::size_t>(pairs));
  results.residuals.resize(static_cast<std::size_t>(pairs));
  return input.has("/measure");
}

ModelSummary common_summary(const std::string &file, const Communicator &communicator) {
  ModelSummary summary;
  communicator.agree([&] { summary = read_summary(file); });
  check_common(file, detail::concatenate(to_string(summary.pair), " on ", summary.shape.rows, " points"), communicator);
  return summary;
}

Model read_all(const std::string &file, int pairs, const Communicator &communicator) {
  Model model;
  model.summary = common_summary(file, communicator);
  const ModelSummary &summary = model.summary;
  Results &results = model.results;
  results.rows = summary.shape.rows;
  results.features = summary.shape.features;
  results.pairs = pairs;
  bool measured = false;
  communicator.agree([&] {
    FLASHRING_REQUIRE(pairs >= 1 && pairs <= summary.pairs, pairs, " of ", summary.pairs, " pairs");
    measured = read_small(file, pairs, results);
  });
  results.right = first_columns(read_rows(file, "/right", summary, summary.pairs, communicator), pairs);
  results.weight = read_column(file, "/weight", summary, communicator);
  results.degree = read_column(file, "/degree", summary, communicator);
  if (measured) results.measure = read_column(file, "/measure", summary, communicator);
  model.points = read_rows(file, "/points", summary, summary.shape.features, communicator);
  const PointScale scale = point_scale(summary.pair.kind);
  if (scale == PointScale::length)
    model.points.set_point_scales(read_column(file, scales_name(scale), summary, communicator));
  if (scale == PointScale::covariance) read_covariances(file, communicator, model);
  return model;
}

}  // namespace

ModelSummary read_model_summary(const std::string &file, const Communicator &communicator) {
  return with_purpose("-model", [&] { return common_summary(file, communicator); });
}

Model read_model(const std::string &file, int pairs, const Communicator &communicator) {
  return with_purpose("-model", [&] { return read_all(file, pairs, communicator); });
}

}  // namespace flashring
