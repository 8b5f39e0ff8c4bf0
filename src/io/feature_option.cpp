#include "io/feature_option.hpp"

#include <numbers>
#include <optional>

#include "base/parse.hpp"
#include "flashring/check.hpp"
#include "flashring/readers.hpp"
#include "io/point_file.hpp"

namespace flashring {
namespace {

constexpr std::string_view torsion = "torsion:";
constexpr std::string_view periodic = "periodic:";
constexpr std::string_view mahalanobis = "mahalanobis:";
constexpr std::string_view whiten = "whiten";
constexpr const char *known_maps = "torsion:degrees, torsion:radians, periodic:L1,...,Ld, mahalanobis:FILE, whiten";

/// -features, taken apart.
struct FeatureOption {
  std::vector<double> periods;  // one for all coordinates, (d), or empty: no circles
  bool unit = false;            ///< circles of radius 1; else those whose chords are near the arcs
  bool whiten = false;
  std::string covariance;  ///< file, or empty
};

void parse_circles(const std::string &place, std::string_view map, FeatureOption &option) {
  if (map == "torsion:degrees") option.periods = {360};
  if (map == "torsion:radians") option.periods = {2 * std::numbers::pi};
  option.unit = !option.periods.empty();
  if (map.starts_with(periodic)) option.periods = parse_reals(place, map.substr(periodic.size()));
}

/// Circles, then a covariance; a file's name goes to the end of the text, and may hold a '+'.
FeatureOption parse_option(const std::string &text) {
  const std::string place = "-features " + text;
  FeatureOption option;
  for (std::string_view rest = text; !rest.empty();) {
    const std::size_t plus = rest.starts_with(mahalanobis) ? std::string_view::npos : rest.find('+');
    const std::string_view map = rest.substr(0, plus);
    const bool circles = map.starts_with(torsion) || map.starts_with(periodic);
    const bool before = !option.periods.empty() || option.whiten;  // of this one
    FLASHRING_CHECK(!option.whiten && !(circles && before), place, ": '", map,
                    "' comes too late; give torsion or periodic first, then whiten or mahalanobis, each at most once");
    if (circles) parse_circles(place, map, option);
    option.whiten = map == whiten;
    if (map.starts_with(mahalanobis)) option.covariance = map.substr(mahalanobis.size());
    FLASHRING_CHECK(option.whiten || !option.covariance.empty() || (circles && !option.periods.empty()), place, ": '",
                    map, "' is unknown; known are ", known_maps);
    rest = plus == std::string_view::npos ? std::string_view() : rest.substr(plus + 1);
    FLASHRING_CHECK(plus == std::string_view::npos || !rest.empty(), place, ": nothing follows '+'; known are ",
                    known_maps);
  }
  return option;
}

/// The map of d coordinates, as far as the text tells it.
FeatureMap make_circles(const std::string &text, const FeatureOption &option, int given) {
  FeatureMap map(given);
  if (option.periods.empty()) return map;
  std::vector<double> periods = option.periods;
  if (periods.size() == 1) periods.resize(static_cast<std::size_t>(given), periods[0]);
  std::vector<double> radii;
  for (const double period : periods) radii.push_back(option.unit ? 1 : period / (2 * std::numbers::pi));
  try {
    map.set_circles(std::move(periods), std::move(radii));
  } catch (const Error &error) {
    throw Error(detail::concatenate("-features ", text, ": ", error.what()));
  }
  return map;
}

/// (d', d'), every rank all of it.
std::vector<double> read_covariance(const std::string &file, int features, const Communicator &communicator) {
  return with_purpose("-features mahalanobis", [&] {
    const PointShape shape = points_shape(file, communicator);
    communicator.agree([&] {
      FLASHRING_CHECK(shape.rows == features && shape.features == features, file, ": has shape (", shape.rows, ", ",
                      shape.features, ") for ", features, " features; a covariance has a row and a column for each");
    });
    return gather_values(read_points(file, communicator), communicator);
  });
}

}  // namespace

int count_features(const std::string &text, int given) {
  return make_circles(text, parse_option(text), given).features();
}

bool has_covariance(const std::string &text) {
  const FeatureOption option = parse_option(text);
  return option.whiten || !option.covariance.empty();
}

void apply_features(const std::string &text, PointBlock &points, const Communicator &communicator) {
  if (text.empty()) return;
  FeatureOption option;
  FeatureMap map;
  communicator.agree([&] {
    option = parse_option(text);
    map = make_circles(text, option, points.features());
  });
  FeatureCovariance covariance;
  if (option.whiten) covariance = feature_covariance(communicator, points, map);
  if (!option.covariance.empty()) covariance.matrix = read_covariance(option.covariance, map.features(), communicator);
  communicator.agree([&] {
    try {
      if (!covariance.matrix.empty())
        map.set_factor(cholesky_factor(std::move(covariance.matrix), map.features(), covariance.error));
      points.map_features(std::move(map));
    } catch (const Error &error) {
      throw Error(detail::concatenate("-features ", text, ": ", error.what()));
    }
  });
}

}  // namespace flashring
