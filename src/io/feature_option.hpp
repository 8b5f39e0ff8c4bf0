// The option -features: which map takes coordinates to features before tiles see them.
#pragma once

#include <string>

#include "flashring/communicator.hpp"
#include "flashring/points.hpp"

namespace flashring {

/// d' that `text` makes of d coordinates, without reading anything; d where `text` is empty. Throws Error that names
/// the option, what is wrong and what is known.
int count_features(const std::string &text, int given);

/// Whether every rank keeps a matrix (d', d').
bool has_covariance(const std::string &text);

/// Maps the points as `text` says: a covariance is read from its file, or that of the points. Collective. Throws Error,
/// the same on every rank, as above, and for a covariance of another shape, not symmetric or not positive definite.
void apply_features(const std::string &text, PointBlock &points, const Communicator &communicator);

}  // namespace flashring
