// Median bandwidth (docs/mathematics.md). A sample of s points costs s^2 d/2 operations on every rank; the sample
// is chosen by the s smallest counter-based keys, so it is the same for any number of ranks.
#include <algorithm>
#include <cstring>

#include "flashring/check.hpp"
#include "flashring/points.hpp"
#include "flashring/random.hpp"

namespace flashring {
namespace {

struct Candidate {
  double key = 0;
  std::int64_t row = 0;
  bool operator<(const Candidate &other) const { return key != other.key ? key < other.key : row < other.row; }
};

/// This rank's points among the chosen, each as (row as double, features).
std::vector<double> chosen_points(const Communicator &communicator, const PointBlock &points, std::uint64_t seed,
                                  std::int64_t most) {
  std::vector<Candidate> mine(static_cast<std::size_t>(points.local_rows()));
  for (std::size_t i = 0; i < mine.size(); ++i) {
    const GlobalRow row = points.partition().global_row(points.rank(), LocalRow{static_cast<std::int64_t>(i)});
    mine[i] = {random_uniform(seed, RandomStream::sample, static_cast<std::uint64_t>(row.value)), row.value};
  }
  std::vector<std::size_t> order(mine.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return mine[a] < mine[b]; });
  order.resize(std::min<std::size_t>(order.size(), static_cast<std::size_t>(most)));

  std::vector<Candidate> best;
  for (const std::size_t i : order) best.push_back(mine[i]);
  const std::vector<std::byte> bytes = communicator.gather(std::as_bytes(std::span<const Candidate>(best)));
  std::vector<Candidate> all(bytes.size() / sizeof(Candidate));
  if (!all.empty()) std::memcpy(all.data(), bytes.data(), bytes.size());
  std::sort(all.begin(), all.end());
  const Candidate last = all[std::min<std::size_t>(all.size(), static_cast<std::size_t>(most)) - 1];

  std::vector<double> chosen;
  for (const std::size_t i : order) {
    if (last < mine[i]) break;
    chosen.push_back(static_cast<double>(mine[i].row));
    const double *x = points.row(LocalRow{static_cast<std::int64_t>(i)});
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

MedianBandwidth median_bandwidth(const Communicator &communicator, const PointBlock &points, std::uint64_t seed,
                                 std::int64_t most) {
  const auto d = static_cast<std::size_t>(points.features());
  const std::vector<double> all = chosen_everywhere(communicator, points, seed, most);
  const std::size_t count = all.size() / (d + 1);

  std::vector<double> squared;
  squared.reserve(count * count / 2);
  for (std::size_t i = 0; i < count; ++i)
    for (std::size_t j = i + 1; j < count; ++j) {
      const double r2 = squared_distance(&all[i * (d + 1) + 1], &all[j * (d + 1) + 1], d);
      if (r2 > 0) squared.push_back(r2);
    }
  communicator.agree([&] {
    FLASHRING_CHECK(!squared.empty(), "-beta median: all ", count,
                    " sampled points coincide, so there is no median distance; give -beta a number");
  });
  const auto middle = squared.begin() + static_cast<std::ptrdiff_t>(squared.size() / 2);
  std::nth_element(squared.begin(), middle, squared.end());
  double median = *middle;
  if (squared.size() % 2 == 0) median = 0.5 * (median + *std::max_element(squared.begin(), middle));
  return {median, static_cast<std::int64_t>(count)};
}

}  // namespace flashring
