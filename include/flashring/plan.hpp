// Plans: what a run will take of memory and time, before it takes it.
#pragma once

#include <string>
#include <vector>

#include "flashring/communicator.hpp"
#include "flashring/memory.hpp"
#include "flashring/options.hpp"
#include "flashring/points.hpp"
#include "flashring/tile.hpp"

namespace flashring {

/// What an option that says auto was resolved to, and why.
struct Choice {
  std::string value;
  std::string reason;  ///< in words, with numbers
};

/// Resolves -points_memory to device or host: auto keeps points on the host where they, with the blocks that visit,
/// take more than three quarters of what the GPU has free. host for a backend of the host. Collective; the same on
/// every rank. Throws Error where a backend of the host is asked for device.
Choice choose_points_memory(const Communicator &communicator, const OperatorOptions &options, PointShape shape);

/// Resolves -exchange to ring or resident: auto keeps the points of other ranks resident where they take at most a
/// quarter of the memory that a rank can still have where points are (options.points_memory, resolved). Collective; the
/// same on every rank.
Choice choose_exchange(const Communicator &communicator, const OperatorOptions &options, PointShape shape);

/// Resolves -ramp: auto becomes none where the points in other precisions would take more than a quarter of what those
/// in fp64 leave free on a rank. Collective; the same on every rank.
Choice choose_ramp(const Communicator &communicator, const OperatorOptions &options, PointShape shape);

struct MemoryPart {
  std::string name;
  double bytes = 0;        ///< on the rank with most rows
  bool on_device = false;  ///< of the GPU
  bool points = false;     ///< packed points
};

/// Of the host's memory, or of the GPU's.
double sum_of(const std::vector<MemoryPart> &parts, bool on_device = false);

/// Memory of a KernelOperator while its passes are in options.precision, or those that options.ramp allows
/// too, and carry up to `columns` columns. `exchange`: "ring" or "resident". Points are on a device where there is one,
/// unless options.points_memory is host.
std::vector<MemoryPart> operator_memory(const OperatorOptions &options, PointShape shape, int ranks, int columns,
                                        const std::string &exchange);
/// The same for tiles of `backend`, whatever the options name.
std::vector<MemoryPart> operator_memory(const Backend &backend, const OperatorOptions &options, PointShape shape,
                                        int ranks, int columns, const std::string &exchange);

/// The same while a pass sums all products of differences of `columns` functions (CarreDuChamp).
std::vector<MemoryPart> difference_memory(const OperatorOptions &options, PointShape shape, int ranks, int columns,
                                          const std::string &exchange);

/// The same of one whose points are the sources of queries (QueryOperator) and that makes no pass of its own; the
/// queries themselves are left out.
std::vector<MemoryPart> query_memory(const OperatorOptions &options, PointShape shape, int ranks, int columns);

/// The same of a search for k neighbours of the points, or of `queries` > 0 other ones; options.pair is that of the
/// search.
std::vector<MemoryPart> neighbour_memory(const OperatorOptions &options, PointShape shape, std::int64_t queries,
                                         int ranks, int k);

/// Throws Error on all ranks where the GPU of one has no room for that with one column; the message says which size
/// would fit, and on how many GPUs. Nothing for backends of the host. `options` are resolved. Collective.
void check_device_room(const Communicator &communicator, const OperatorOptions &options, PointShape shape);

/// Memory before the points are in tiles: they and what the median bandwidth takes, where it is asked for.
std::vector<MemoryPart> input_memory(const OperatorOptions &options, PointShape shape, int ranks);

/// Seconds of one pass of `columns`, 1 to max_columns, from some milliseconds of the very tiles. Collective.
double measure_pass(const Communicator &communicator, const OperatorOptions &options, PointShape shape,
                    Precision precision, int columns);

/// The same of a pass that sums all products of differences of `columns` functions in options.precision. Collective.
double measure_differences(const Communicator &communicator, const OperatorOptions &options, PointShape shape,
                           int columns);

/// Seconds of `rows` queries against `shape.rows` points by log-sum-exp with that many columns in options.precision.
/// Collective.
double measure_queries(const Communicator &communicator, const OperatorOptions &options, PointShape shape,
                       std::int64_t rows, int columns);

/// A stretch of the run with the memory that it holds.
struct PlanPhase {
  std::string name;
  std::vector<MemoryPart> memory;  ///< beyond what the program had when the plan was made
};

struct RunPlan {
  PointShape shape;
  std::string unit = "points";  ///< what rows of the shape are
  int ranks = 1, threads = 1;
  Choice points_memory;      ///< no value: there is no choice
  Choice exchange;           ///< the same
  double started_bytes = 0;  ///< resident memory when the plan was made, of the rank that has most
  MemoryRoom room;           ///< what a rank can have beyond that
  bool uses_device = false;
  MemoryRoom device_room;  ///< the same of its GPU
  std::vector<PlanPhase> phases;

  /// Largest of the phases, bytes per rank, of the host or of the GPU.
  double peak(bool on_device = false) const;
  /// Throws Error when the peak is more than there is room for; the message says which size would fit.
  void check_room() const;
};

/// Ranks, threads, exchange and memory as they are now; the phases are the caller's. Collective.
RunPlan start_plan(const Communicator &communicator, const OperatorOptions &options, PointShape shape);

}  // namespace flashring
