#include "tile/calibrate.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <vector>

#include "flashring/check.hpp"
#include "flashring/random.hpp"
#include "flashring/tile_block.hpp"
#include "tile/sweep.hpp"

namespace flashring {
namespace {

using Clock = std::chrono::steady_clock;

/// Features that are really measured: beyond, the time per pair grows as its operations do.
constexpr int most_features = 128;

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

/// Enough tiles for every thread, and no more than a sweep of some milliseconds takes: 1e8 operations a thread. A
/// device is filled twice.
int tiles_to_sweep(const Backend &backend, const TileShape &shape, int threads) {
  if (backend.device != nullptr) return 2 * backend.device->tiles_at_once;
  const double rows = backend.tile_rows;
  const double operations = rows * rows * backend.cost(shape, Sides::both).flops();
  int tiles = 8 * threads;
  while (tiles > 2 * threads && 0.5 * tiles * (tiles + 1) * operations > 1e8 * threads) --tiles;
  return tiles;
}

/// Independent standard normal features: two points are about sqrt(2 d) apart, which is their length where they have
/// one.
PointBlock normal_points(std::int64_t rows, int features, const PairFunction &pair) {
  std::vector<double> values(static_cast<std::size_t>(rows * features));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = random_normal(1, RandomStream::sample, i);
  PointBlock points(RowPartition::contiguous(rows, 1), 0, features, std::move(values));
  points.set_point_length(std::sqrt(2.0 * features), point_scale(pair.kind));
  return points;
}

/// Of `run`, in some milliseconds. The lower quartile: other programs on the machine come and go, a long pass sees them
/// on the average only.
double typical_seconds(const std::function<void()> &run) {
  run();  // buffers, frequency
  std::vector<double> seconds;
  for (const auto begin = Clock::now(); seconds.size() < 4 || seconds_since(begin) < 0.02;) {
    const auto before = Clock::now();
    run();
    seconds.push_back(seconds_since(before));
  }
  const auto quartile = seconds.begin() + static_cast<std::ptrdiff_t>(seconds.size() / 4);
  std::nth_element(seconds.begin(), quartile, seconds.end());
  return *quartile;
}

}  // namespace

double seconds_per_tile_pair(const Backend &backend, TileShape shape, int threads) {
  const bool both = shape.row != RowKind::logsumexp;
  const Sides sides = both ? Sides::both : Sides::own;
  if (shape.features > most_features) {
    TileShape narrow = shape;
    narrow.features = most_features;
    return seconds_per_tile_pair(backend, narrow, threads) * backend.cost(shape, sides).flops() /
           backend.cost(narrow, sides).flops();
  }
  if (shape.pair.kind == PairKind::inner_exp)
    shape.pair.parameters = {1.0 / shape.features, 1.0, 0, 0};
  else if (point_scale(shape.pair.kind) != PointScale::none)
    shape.pair = {shape.pair.kind, {0.25, 0, 0, 0}};  // 4 epsilon = 1
  else
    set_length_scale(shape.pair, 2.0 * shape.features);
  const int tiles = tiles_to_sweep(backend, shape, threads);
  const std::int64_t rows = static_cast<std::int64_t>(tiles) * backend.tile_rows;
  TileBlock block(backend, shape, normal_points(rows, shape.features, shape.pair), {});
  const std::vector<double> ones(static_cast<std::size_t>(block.local_rows() * shape.columns), 1.0);
  block.set_columns({ones.data(), block.local_rows(), shape.columns});
  if (row_rule(shape.row).scalars > 0)
    block.set_pass_scalars(std::span(ones).first(static_cast<std::size_t>(block.local_rows())), -HUGE_VAL);
  block.state().resize(static_cast<std::size_t>(tiles) * state_bytes(backend, shape));
  reset_states(backend, shape, static_cast<std::size_t>(tiles), block.state().data());
  const auto all = std::make_shared<const std::vector<TileInfo>>(block.tiles().begin(), block.tiles().end());
  const PairPattern pattern = both ? PairPattern::square : PairPattern::rectangle;
  const PairList pairs(pattern, sides, {}, all, all, tiles_of_group(backend.payload_bytes(shape)));
  const TileSide side = block.side(true);
  const SweepWork work{shape, side, side, pairs};
  Sweep sweep(backend, threads);
  const auto run = [&] {
    sweep.run(work, [] {});
    wait_for(backend.device);
  };
  const double seconds = typical_seconds(run);
  return seconds / (both ? 0.5 * tiles * (tiles + 1) : 1.0 * tiles * tiles);
}

double seconds_per_pass(const Communicator &communicator, const Backend &backend, const TileShape &shape, int threads,
                        double tiles) {
  const double one = communicator.max(seconds_per_tile_pair(backend, shape, threads));
  return one * tiles * (tiles + 1) / 2 / communicator.size();
}

}  // namespace flashring
