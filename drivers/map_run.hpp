// What flashring-diffmap does between options and exit code: one map, or a sweep of them.
#pragma once

#include <string>
#include <vector>

#include "driver.hpp"
#include "flashring/diffusion_map.hpp"
#include "flashring/sweep.hpp"

namespace flashring {

/// Options as read, and the size that they mean.
struct MapSettings {
  InputOptions input;
  OperatorOptions op;
  DiffusionMapRequest request;
  PointShape shape;
  std::vector<SweepPoint> sweep;  ///< empty: one map
  std::string doob, doob_set;     ///< file of h, and set outside which is killed, or empty
};

struct MapOutcome {
  DiffusionMap map;
  Report report;
};

/// From points to eigenpairs: reads the points, gives them to `folder`, and solves. `neighbour`, null for a single map,
/// is what the solution starts from, and what it leaves its density to. Collective. Throws Error, Interrupted.
MapOutcome solve_map(const Communicator &communicator, const DriverOptions &options, const MapSettings &settings,
                     OutputFolder &folder, Neighbour *neighbour);

/// What -doob and -doob_eigenvector add to a plan: h, in the operator and in the results.
void plan_doob(RunPlan &plan);

/// Those of -labels, one per row, or none. Collective.
std::vector<std::string> map_labels(const Communicator &communicator, const DriverOptions &options, std::int64_t rows);

/// "12 passes (3 in fp64, 9 in fp32)"
std::string passes_text(const Report &report);

int exit_code(const DiffusionMap &map);

/// All maps of settings.sweep, each into its own folder below -output, with a line for each on the screen. Returns an
/// exit code. Collective. Throws Error.
int run_sweep(const Communicator &communicator, const DriverOptions &options, const MapSettings &settings);

}  // namespace flashring
