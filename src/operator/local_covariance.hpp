// Covariances of neighbourhoods.
#pragma once

#include <vector>

#include "flashring/neighbours.hpp"

namespace flashring {

/// Part of the mean variance that is added to every variance of a neighbourhood.
constexpr double covariance_ridge = 0.01;

/// Throws Error unless k neighbours can span the features.
void check_neighbourhood(int k, int features);

/// Of every centre and its k nearest points, (local_rows of the centres, d (d + 1) / 2) lower triangles, ridge added;
/// zeros where all are at one place. `found`: k of them, or k + 1 where a first one at distance 0 may be the centre
/// itself. Cost: k d^2 / 2 products for each; all points come to every rank, half a MiB at a time. Collective.
std::vector<double> local_covariances(const Communicator &communicator, const PointBlock &centres,
                                      const PointBlock &points, const Neighbours &found, int k);

}  // namespace flashring
