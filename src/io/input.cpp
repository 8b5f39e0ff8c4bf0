// The points of a run, with weights and feature scales, from the options that name them.
#include "flashring/input.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "flashring/check.hpp"
#include "flashring/plan.hpp"
#include "flashring/readers.hpp"
#include "io/feature_option.hpp"
#include "io/numbers.hpp"
#include "io/point_file.hpp"

namespace flashring {
namespace {

void check_source(const InputOptions &options, const Communicator &communicator) {
  const bool both = !options.points.empty() && !options.generate.empty();
  const bool none = options.points.empty() && options.generate.empty();
  communicator.agree([&] {
    FLASHRING_CHECK(!both && !none, "give the points either by -points FILE or by -generate SET",
                    both ? ", not both" : "");
  });
}

/// Rows of `width` numbers that lie contiguously over the ranks, as `wanted` has them.
std::vector<double> rows_on(const RowPartition &wanted, int width, std::vector<double> numbers,
                            const Communicator &communicator) {
  const RowPartition partition = RowPartition::contiguous(wanted.rows(), communicator.size());
  const PointBlock moved =
      redistribute(communicator, PointBlock(partition, communicator.rank(), width, std::move(numbers)), wanted);
  return {moved.rows().begin(), moved.rows().end()};
}

/// One positive number per point. `option` as the user typed it, `remedy` for one that is not positive.
std::vector<double> read_positive(const std::string &option, const std::string &file, const char *remedy,
                                  const RowPartition &wanted, const Communicator &communicator) {
  if (file.empty()) return {};
  std::vector<double> numbers = read_vector(option, file, wanted.rows(), communicator);
  const RowPartition partition = RowPartition::contiguous(wanted.rows(), communicator.size());
  communicator.agree([&] {
    const auto bad = std::find_if(numbers.begin(), numbers.end(), [](double number) { return !(number > 0); });
    if (bad == numbers.end()) return;
    const GlobalRow row = partition.global_row(communicator.rank(), LocalRow{bad - numbers.begin()});
    throw Error(
        detail::concatenate(option, " ", file, ": row ", row.value, " (counted from 0) is ", *bad, "; ", remedy));
  });
  return rows_on(wanted, 1, std::move(numbers), communicator);
}

/// 1/(standard deviation over all points) of every feature; 1 for a feature that is the same everywhere.
std::vector<double> deviation_scales(const PointBlock &points, const Communicator &communicator) {
  const auto d = static_cast<std::size_t>(points.features());
  const std::vector<double> mean = global_mean(communicator, points);
  std::vector<double> range(2 * d, -HUGE_VAL);  // largest values, then largest negatives
  std::vector<double> squares(d, 0.0);
  for (std::int64_t i = 0; i < points.local_rows(); ++i)
    for (std::size_t k = 0; k < d; ++k) {
      const double x = points.row(LocalRow{i})[k];
      range[k] = std::max(range[k], x);
      range[d + k] = std::max(range[d + k], -x);
      squares[k] += (x - mean[k]) * (x - mean[k]);
    }
  communicator.max(std::span<double>(range));
  communicator.sum(std::span<double>(squares));
  std::vector<double> scales(d, 1.0);
  for (std::size_t k = 0; k < d; ++k) {
    // Equal values are seen by comparing: the rounding of the mean leaves them a tiny deviation.
    if (range[k] == -range[d + k]) continue;
    scales[k] = 1 / std::sqrt(squares[k] / static_cast<double>(points.partition().rows()));
  }
  return scales;
}

void apply_scales(const std::string &text, PointBlock &points, const Communicator &communicator) {
  if (text.empty()) return;
  const bool deviation = text == "deviation";
  const bool file = parse_point_file(text).format != PointFormat::none;
  std::vector<double> scales;
  if (deviation) scales = deviation_scales(points, communicator);
  if (file) scales = read_numbers("-feature_scales", text, points.features(), "feature", communicator);
  communicator.agree([&] {
    if (!deviation && !file) scales = parse_numbers("-feature_scales", text, "deviation");
    try {
      points.set_feature_scales(std::move(scales));
    } catch (const Error &error) {
      throw Error(detail::concatenate("-feature_scales ", text, ": ", error.what()));
    }
  });
}

/// The member of that name; `Options` is InputOptions, const or not.
template <class Options>
auto &find_option(Options &options, std::string_view name) {
  if (name == "points") return options.points;
  if (name == "generate") return options.generate;
  if (name == "weights") return options.weights;
  if (name == "target") return options.target;
  if (name == "feature_scales") return options.feature_scales;
  if (name == "point_scales") return options.point_scales;
  if (name == "point_covariances") return options.point_covariances;
  if (name == "features") return options.features;
  throw Error(detail::concatenate("option '", name, "' is unknown to the input"));
}

}  // namespace

void InputOptions::set(std::string_view name, std::string_view value) { find_option(*this, name) = value; }

const std::string &InputOptions::get(std::string_view name) const { return find_option(*this, name); }

std::span<const Option> input_options() {
  static constexpr std::array<Option, 8> declarations{{
      {"points", "", "FILE.npy|.h5[:/dataset]|.csv|.tsv|.txt", "points, shape (N, d)"},
      {"generate", "", "SET:key=value,...",
       "generated points: circle:n= torus:n=,q= hypercube:d= swiss_roll:n=,m= random_swiss_roll:n=,seed= "
       "random_torus:n=,seed= double_well:n=,t=,seed= clusters:n=,d=,k=,spread=,seed= normal:n=,d=,seed="},
      {"weights", "", "FILE", "one positive number per point: how much it counts; without: 1"},
      {"features", "", "torsion:degrees|torsion:radians|periodic:L1,...,Ld|whiten|mahalanobis:FILE",
       "what coordinates become first: points of circles, or features of unit covariance, by that of the points or by "
       "one in a file; one of each kind are joined by +, as in torsion:degrees+whiten"},
      {"feature_scales", "", "deviation|NUMBER,...|FILE",
       "factor of every feature; deviation: 1/standard deviation, 1 for a constant feature"},
      {"target", "", "FILE",
       "one positive number per point: density of the law that the diffusion is to have; alpha has no effect then"},
      {"point_scales", "", "FILE",
       "one positive length per point, in units of the scaled features: sigma of self_tuned, rho of "
       "variable_bandwidth"},
      {"point_covariances", "", "FILE",
       "a covariance per point, d^2 numbers or its lower triangle, of the scaled features: local_mahalanobis"},
  }};
  return declarations;
}

PointShape input_shape(const InputOptions &options, const Communicator &communicator) {
  check_source(options, communicator);
  PointShape shape;
  if (!options.points.empty())
    shape = with_purpose("-points", [&] { return points_shape(options.points, communicator); });
  communicator.agree([&] {
    if (options.points.empty()) shape = generated_shape(options.generate);
    shape.features = count_features(options.features, shape.features);
  });
  return shape;
}

void plan_features(const InputOptions &options, RunPlan &plan) {
  if (!has_covariance(options.features)) return;
  const double matrix = 8.0 * plan.shape.features * plan.shape.features;
  for (std::size_t p = 0; p < plan.phases.size(); ++p)  // while it is made there are its sums, too
    plan.phases[p].memory.push_back({"covariance of features", p == 0 ? 2 * matrix : matrix});
}

PointBlock read_input_points(const InputOptions &options, const Communicator &communicator) {
  check_source(options, communicator);
  if (options.points.empty()) return generate_points(options.generate, communicator);
  return with_purpose("-points", [&] { return read_points(options.points, communicator); });
}

void read_scales_and_weights(const InputOptions &options, const Communicator &communicator, Input &input) {
  const RowPartition &partition = input.points.partition();
  input.weights = read_positive("-weights", options.weights, "weights are positive: drop points that do not count",
                                partition, communicator);
  input.target = read_positive("-target", options.target, "densities are positive: drop points where it is zero",
                               partition, communicator);
  apply_features(options.features, input.points, communicator);
  apply_scales(options.feature_scales, input.points, communicator);
  read_scales_of_points(options, communicator, input.points);
}

void read_scales_of_points(const InputOptions &options, const Communicator &communicator, PointBlock &points) {
  const bool lengths = !options.point_scales.empty();
  if (!lengths && options.point_covariances.empty()) return;
  communicator.agree([&] {
    FLASHRING_CHECK(!lengths || options.point_covariances.empty(),
                    "-point_scales and -point_covariances: a pair function reads one of them; leave the other out");
  });
  std::vector<double> scales =
      lengths ? read_point_scales(options.point_scales, points.partition(), communicator)
              : read_point_covariances(options.point_covariances, points.features(), points.partition(), communicator);
  communicator.agree(
      [&] { points.set_point_scales(std::move(scales), lengths ? PointScale::length : PointScale::covariance); });
}

std::vector<double> read_point_scales(const std::string &file, const RowPartition &partition,
                                      const Communicator &communicator) {
  return read_positive("-point_scales", file, "a length is positive: drop copies, or give a floor", partition,
                       communicator);
}

std::vector<double> read_point_covariances(const std::string &file, int features, const RowPartition &partition,
                                           const Communicator &communicator) {
  return with_purpose("-point_covariances", [&] {
    const PointBlock given = read_points(file, communicator);
    std::vector<double> triangles;
    communicator.agree([&] {
      FLASHRING_CHECK(given.partition().rows() == partition.rows(), file, ": holds ", given.partition().rows(),
                      " covariances for ", partition.rows(), " points; give one per point, in the order of the points");
      const int rank = communicator.rank();
      const GlobalRow first = given.local_rows() > 0 ? given.partition().global_row(rank, LocalRow{0}) : GlobalRow{};
      triangles = covariance_triangles({given.rows().begin(), given.rows().end()}, given.features(), features, first);
    });
    return rows_on(partition, covariance_numbers(features), std::move(triangles), communicator);
  });
}

Input read_input(const InputOptions &options, const Communicator &communicator) {
  Input input;
  input.points = read_input_points(options, communicator);
  read_scales_and_weights(options, communicator, input);
  return input;
}

}  // namespace flashring
