// Input: the points of a run with their weights, target density, feature map and scales, by the options that name them.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "flashring/communicator.hpp"
#include "flashring/neighbours.hpp"
#include "flashring/options.hpp"
#include "flashring/points.hpp"

namespace flashring {

struct RunPlan;

/// Where points come from and what they weigh, as the user typed it; empty: not given. Drivers read the options as
/// -NAME, the matrix type as -[prefix]mat_flashring_NAME.
struct InputOptions {
  std::string points, generate, weights, feature_scales;
  std::string target = {}, point_scales = {}, features = {}, point_covariances = {};

  /// Throws Error for a name that is not declared.
  void set(std::string_view name, std::string_view value);
  const std::string &get(std::string_view name) const;
};

/// Declarations of the input options: points, generate, weights, features, feature_scales, target, point_scales,
/// point_covariances.
std::span<const Option> input_options();

/// Size of the points, N and d' of their features, found without reading more of them than that needs (headers; a CSV
/// file is counted). Collective. Throws Error as read_input does.
PointShape input_shape(const InputOptions &options, const Communicator &communicator);

/// Adds to a plan what the options' feature map takes: the matrix of a covariance, which every rank keeps.
void plan_features(const InputOptions &options, RunPlan &plan);

struct Input {
  PointBlock points;            ///< feature map and scales applied and remembered, point scales set
  std::vector<double> weights;  // (local_rows), positive and finite; empty: not given
  std::vector<double> target;   // the same
  ScaleSearch search = {};      ///< where tune_point_scales was asked for the points
};

/// The points alone, as given, on contiguous row ranges. Collective. Throws Error, the same on every rank, that names
/// file, place, value and remedy; so do the following.
PointBlock read_input_points(const InputOptions &options, const Communicator &communicator);

/// Feature map and scales, lengths or covariances, weights and target of the options onto points that are here already,
/// as they were given, on any partition. Collective.
void read_scales_and_weights(const InputOptions &options, const Communicator &communicator, Input &input);

/// Lengths of points from a file, one positive number each: those of this rank's rows of any partition. Collective.
std::vector<double> read_point_scales(const std::string &file, const RowPartition &partition,
                                      const Communicator &communicator);

/// Covariances of points from a file: matrices, (N, features^2), or lower triangles; these, of this rank's rows of any
/// partition. Collective.
std::vector<double> read_point_covariances(const std::string &file, int features, const RowPartition &partition,
                                           const Communicator &communicator);

/// The lengths or covariances that the options name, if any, onto points whose features are made. Collective.
void read_scales_of_points(const InputOptions &options, const Communicator &communicator, PointBlock &points);

/// All of it. Collective.
Input read_input(const InputOptions &options, const Communicator &communicator);

}  // namespace flashring
