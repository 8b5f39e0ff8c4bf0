// Memory and time of a search for neighbours: points as they are read, then in tiles with the lists, then the lists as
// they are given out.
#include <cmath>

#include "base/threads.hpp"
#include "flashring/devices.hpp"
#include "flashring/neighbours.hpp"
#include "operator/neighbour_shape.hpp"
#include "tile/calibrate.hpp"

namespace flashring {

RunPlan plan_neighbours(const Communicator &communicator, const OperatorOptions &options, PointShape shape,
                        std::int64_t queries, int k) {
  OperatorOptions searching = options;
  searching.pair = distance_pair();
  searching.exchange = "ring";
  searching.ramp = "none";
  RunPlan plan = start_plan(communicator, searching, shape);
  searching.points_memory = plan.points_memory.value;
  plan.exchange = {"ring", "one pass visits every block once"};
  const auto share = [&](std::int64_t rows) { return std::ceil(static_cast<double>(rows) / plan.ranks); };
  const double points = 8.0 * (share(shape.rows) + share(queries)) * shape.features;
  const double lists = 16.0 * k * share(queries > 0 ? queries : shape.rows);
  PlanPhase search{"searching", neighbour_memory(searching, shape, queries, plan.ranks, k)};
  search.memory.push_back({"lists as the states give them", lists});
  // Code and tables of MPI, HDF5 and OpenMP that the program as started had not touched: measured, whatever N.
  search.memory.push_back({"libraries at work", 8e6});
  plan.phases = {{"reading", {{"points", points}}},
                 search,
                 {"listing", {{"lists as the states give them", lists}, {"neighbours", lists}}}};
  return plan;
}

PlanPhase tuning_phase(const Communicator &communicator, const OperatorOptions &options, PointShape shape) {
  const RunPlan plan = plan_neighbours(communicator, options, shape, 0, options.knn);
  PlanPhase tuning = plan.phases[1];
  tuning.memory.insert(tuning.memory.end(), plan.phases.front().memory.begin(), plan.phases.front().memory.end());
  if (point_scale(options.pair.kind) == PointScale::covariance) {
    const double rows = std::ceil(static_cast<double>(shape.rows) / plan.ranks);
    tuning.memory.push_back({"neighbours, their order and sums",
                             rows * (32.0 * options.knn + 8 * (shape.features + covariance_numbers(shape.features)))});
  }
  return tuning;
}

double measure_neighbours(const Communicator &communicator, const OperatorOptions &options, PointShape shape,
                          std::int64_t queries, int k) {
  const Backend &backend = common_backend(communicator, options.backend);
  const TileShape tile = neighbour_shape(options.precision, shape.features, k, queries == 0);
  const double one =
      communicator.max(seconds_per_tile_pair(backend, tile, choose_threads(options.threads, communicator)));
  const auto tiles = [&](std::int64_t rows) { return std::ceil(static_cast<double>(rows) / backend.tile_rows); };
  const double all = tiles(shape.rows);
  return one * (queries > 0 ? tiles(queries) * all : all * (all + 1) / 2) / communicator.size();
}

}  // namespace flashring
