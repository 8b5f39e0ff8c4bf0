// Median bandwidth (docs/mathematics.md).
#include "flashring/median.hpp"
#include "flashring/check.hpp"
#include "flashring/points.hpp"
#include "points/distance_sample.hpp"

namespace flashring {

MedianBandwidth median_bandwidth(const Communicator &communicator, const PointBlock &points, std::uint64_t seed,
                                 std::int64_t most) {
  DistanceSample sample = sample_distances(communicator, points, seed, most);
  communicator.agree([&] {
    FLASHRING_CHECK(!sample.squared.empty(), "-beta median: all ", sample.points,
                    " sampled points coincide, so there is no median distance; give -beta a number");
  });
  return {median_of(std::move(sample.squared)), sample.points};
}

}  // namespace flashring
