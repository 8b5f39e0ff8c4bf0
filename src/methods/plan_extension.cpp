// Memory of an extension: the map as it is read, then its points in tiles with the columns, and a block of new points.
#include <algorithm>
#include <cmath>

#include "flashring/extend.hpp"

namespace flashring {

RunPlan plan_extension(const Communicator &communicator, const OperatorOptions &options, const ModelSummary &model,
                       int pairs, std::int64_t count) {
  const PointShape shape = model.shape;
  RunPlan plan = start_plan(communicator, options, shape);
  plan.exchange = {"ring", "new points are visited by blocks of the map's"};
  const double rows = std::ceil(static_cast<double>(shape.rows) / plan.ranks);  // of the rank that has most
  const double vectors = 8 * rows * pairs;
  OperatorOptions resolved = options;
  resolved.points_memory = plan.points_memory.value;
  const int columns = std::min(pairs, max_columns);
  PlanPhase extending{"extending", query_memory(resolved, shape, plan.ranks, columns)};
  extending.memory.push_back({"vectors of the map", vectors + 8 * rows});
  const std::int64_t block = std::min(extension_rows(shape.features, pairs), (count + plan.ranks - 1) / plan.ranks);
  extending.memory.push_back(
      {"new points at work", extension_bytes(shape.features, pairs) * static_cast<double>(block)});
  const int numbers = scale_numbers(point_scale(options.pair.kind), shape.features);
  if (numbers > 0)
    extending.memory.push_back(
        {"lengths or covariances of new points", 8 * numbers * std::ceil(static_cast<double>(count) / plan.ranks)});
  // Code and tables of MPI, HDF5 and OpenMP that the program as started had not touched: measured, whatever N.
  extending.memory.push_back({"libraries at work", 8e6});
  const PlanPhase reading{"reading",
                          {{"points or vectors as they come", 8 * rows * std::max(shape.features, model.pairs)},
                           {"vectors of the map", vectors}}};
  plan.phases = {reading, extending};
  const double matrix = 8.0 * static_cast<double>(model.features.factor().size());
  if (matrix > 0)
    for (PlanPhase &phase : plan.phases) phase.memory.push_back({"covariance of features", matrix});
  return plan;
}

}  // namespace flashring
