// A sample of s points costs s^2 d/2 operations on every rank; it is chosen by the s smallest counter-based keys, so it
// is the same for any number of ranks.
#include "points/distance_sample.hpp"

#include <algorithm>
#include <cstring>

#include "points/row_sample.hpp"

namespace flashring {
namespace {

/// This rank's points among the chosen, each as (row as double, features).
std::vector<double> chosen_points(const Communicator &communicator, const PointBlock &points, std::uint64_t seed,
                                  std::int64_t most) {
  std::vector<double> chosen;
  const std::vector<double> keys = uniform_keys(points.partition(), points.rank(), seed, RandomStream::sample);
  for (const GlobalRow row : smallest_rows(communicator, points.partition(), keys, most)) {
    const auto local = points.partition().local_row(points.rank(), row);
    if (!local) continue;
    chosen.push_back(static_cast<double>(row.value));
    const double *x = points.row(*local);
    chosen.insert(chosen.end(), x, x + points.features());
  }
  return chosen;
}

/// Those of all ranks, (sample, 1 + features).
std::vector<double> chosen_everywhere(const Communicator &communicator, const PointBlock &points, std::uint64_t seed,
                                      std::int64_t most) {
  const std::vector<std::byte> bytes =
      communicator.gather(std::as_bytes(std::span<const double>(chosen_points(communicator, points, seed, most))));
  std::vector<double> all(bytes.size() / sizeof(double));
  if (!all.empty()) std::memcpy(all.data(), bytes.data(), bytes.size());
  return all;
}

double squared_distance(const double *x, const double *y, std::size_t d) {
  double sum = 0;
  for (std::size_t k = 0; k < d; ++k) sum += (x[k] - y[k]) * (x[k] - y[k]);
  return sum;
}

}  // namespace

DistanceSample sample_distances(const Communicator &communicator, const PointBlock &points, std::uint64_t seed,
                                std::int64_t most) {
  const auto d = static_cast<std::size_t>(points.features());
  const std::vector<double> all = chosen_everywhere(communicator, points, seed, most);
  const std::size_t count = all.size() / (d + 1);
  DistanceSample sample;
  sample.points = static_cast<std::int64_t>(count);
  sample.squared.reserve(count * count / 2);
  for (std::size_t i = 0; i < count; ++i)
    for (std::size_t j = i + 1; j < count; ++j) {
      const double r2 = squared_distance(&all[i * (d + 1) + 1], &all[j * (d + 1) + 1], d);
      if (r2 > 0) sample.squared.push_back(r2);
    }
  return sample;
}

}  // namespace flashring
