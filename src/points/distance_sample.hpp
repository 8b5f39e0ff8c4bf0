// Distances between a random sample of points, the same for any number of ranks.
#pragma once

#include <cstdint>
#include <vector>

#include "flashring/communicator.hpp"
#include "flashring/points.hpp"

namespace flashring {

struct DistanceSample {
  std::int64_t points = 0;      ///< in the sample
  std::vector<double> squared;  ///< positive squared distances of its pairs i<j, length^2; pairs at 0 are left out
};

/// Of all points up to `most` of them, else of so many drawn at random. The same on every rank. Collective.
DistanceSample sample_distances(const Communicator &communicator, const PointBlock &points, std::uint64_t seed,
                                std::int64_t most = median_sample);

}  // namespace flashring
