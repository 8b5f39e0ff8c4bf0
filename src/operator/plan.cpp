// What an operator will take: the arrays of points, tiles, ring and operator, counted as these make them.
//
// Rows of a rank n = ceil(N/P), padded to tiles of T rows. Memory is linear in n, so a size that fits follows from one
// that does not.
#include "flashring/plan.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "base/threads.hpp"
#include "flashring/check.hpp"
#include "flashring/devices.hpp"
#include "flashring/summation.hpp"
#include "tile/calibrate.hpp"

namespace flashring {
namespace {

/// Sizes of the rank with most rows.
struct RankSize {
  RankSize(const Backend &backend, PointShape shape, int ranks)
      : rows(std::ceil(static_cast<double>(shape.rows) / ranks)),
        tiles(std::ceil(rows / backend.tile_rows)),
        padded(tiles * backend.tile_rows),
        steps(ranks / 2 + 1) {}
  double rows, tiles, padded;
  int steps;  // of a square pass
};

TileShape tile_shape(const OperatorOptions &options, int features, Precision precision, int columns) {
  return {options.pair, RowKind::sum, 0, precision, features, columns, {}};
}

/// Packed points of one rank.
double payload_bytes(const Backend &backend, const OperatorOptions &options, int features, Precision precision,
                     double tiles) {
  return tiles * static_cast<double>(backend.payload_bytes(tile_shape(options, features, precision, 1)));
}

/// Set-up and residuals want room for fp64, whatever the other passes are in; split products pack fp32 into more.
double visiting_bytes(const Backend &backend, const OperatorOptions &options, int features, double tiles) {
  return std::max(payload_bytes(backend, options, features, Precision::fp64, tiles),
                  payload_bytes(backend, options, features, options.precision, tiles));
}

double visitors_bytes(const OperatorOptions &options, PointShape shape, int ranks) {
  const Backend &backend = find_backend(options.backend);
  const RankSize size(backend, shape, ranks);
  return (size.steps - 1) * visiting_bytes(backend, options, shape.features, size.tiles);
}

/// What a rank can have where the tiles of the backend are; ranks that share a GPU share its memory. Collective.
MemoryRoom tile_room(const Communicator &communicator, const Backend &backend) {
  if (backend.device == nullptr) return memory_room(communicator);
  const std::string here = backend.device->identity();
  const std::vector<std::string> all = communicator.gather(here);
  const auto sharing = static_cast<double>(std::count(all.begin(), all.end(), here));
  return {communicator.min(static_cast<double>(backend.device->room()) / sharing), "the GPU"};
}

}  // namespace

double sum_of(const std::vector<MemoryPart> &parts, bool on_device) {
  double bytes = 0;
  for (const MemoryPart &part : parts)
    if (part.on_device == on_device) bytes += part.bytes;
  return bytes;
}

ExchangeChoice choose_exchange(const Communicator &communicator, const OperatorOptions &options, PointShape shape) {
  if (options.exchange != "auto") return {options.exchange, "as asked"};
  if (communicator.size() == 1) return {"ring", "on one rank no block moves"};
  const Backend &backend = common_backend(communicator, options.backend);
  const double bytes = visitors_bytes(options, shape, communicator.size());
  const double room = tile_room(communicator, backend).bytes;
  const bool fits = 4 * bytes <= room;
  std::array<char, 128> text{};
  std::snprintf(text.data(), text.size(),
                "the points a rank meets take %.3g MB there, %s a quarter of the free %.3g GB", 1e-6 * bytes,
                fits ? "less than" : "more than", 1e-9 * room);
  return {fits ? "resident" : "ring", text.data()};
}

std::vector<MemoryPart> operator_memory(const OperatorOptions &options, PointShape shape, int ranks, int columns,
                                        const std::string &exchange) {
  const Backend &backend = find_backend(options.backend);
  const RankSize size(backend, shape, ranks);
  const double column_numbers = size.padded * columns * 8;  // of columns in fp64; sums are always fp64
  const int slots = std::min(2, size.steps - 1);
  // Visiting columns and two partial states in turn, and one state that arrives.
  const double moving = slots * 2 * column_numbers + (slots > 0 ? column_numbers : 0);
  const double payload = payload_bytes(backend, options, shape.features, Precision::fp64, size.tiles);
  const double beside = options.precision == Precision::fp64
                            ? 0
                            : payload_bytes(backend, options, shape.features, options.precision, size.tiles);
  const bool on_device = backend.device != nullptr;
  std::vector<MemoryPart> parts{
      {"points in tiles", payload, on_device},
      {"points in tiles of the working precision", beside, on_device},
      {"points of other ranks",
       exchange == "resident" ? visitors_bytes(options, shape, ranks)
                              : slots * visiting_bytes(backend, options, shape.features, size.tiles),
       on_device},
      {"columns and sums", 2 * column_numbers, on_device},
      {"columns and sums on their way", moving, on_device},
      {"weights, density, degree, scalings", size.rows * 5 * 8}};
  if (!on_device) return parts;
  parts.push_back({"vectors and scalings", 3 * size.rows * 8, true});
  parts.push_back({"lists of tiles", (ranks * size.tiles) * 16 + size.tiles * 8, true});
  parts.push_back(
      {"sums of a launch",
       static_cast<double>(backend.scratch_bytes(tile_shape(options, shape.features, Precision::fp64, columns))),
       true});
  return parts;
}

std::vector<MemoryPart> input_memory(const OperatorOptions &options, PointShape shape, int ranks) {
  const double rows = std::ceil(static_cast<double>(shape.rows) / ranks);
  std::vector<MemoryPart> parts{{"points", rows * shape.features * 8}};
  if (!options.median) return parts;
  const double sample = std::min<double>(static_cast<double>(shape.rows), median_sample);
  // Keys and their order; the sample as it is sent and as it arrives; its distances.
  parts.push_back(
      {"sample for the bandwidth", rows * 24 + 2 * sample * (shape.features + 1) * 8 + sample * sample * 4});
  return parts;
}

PassTime measure_pass(const Communicator &communicator, const OperatorOptions &options, PointShape shape, int columns) {
  const int threads = choose_threads(options.threads, communicator);
  const Backend &backend = common_backend(communicator, options.backend);
  const double tiles = RankSize(backend, shape, communicator.size()).tiles * communicator.size();
  const auto seconds = [&](Precision precision, int c) {
    return seconds_per_pass(communicator, backend, tile_shape(options, shape.features, precision, c), threads, tiles);
  };
  PassTime time;
  time.fp64 = seconds(Precision::fp64, 1);
  time.working = options.precision == Precision::fp64 ? time.fp64 : seconds(options.precision, 1);
  time.block = columns == 1 ? time.fp64 : seconds(Precision::fp64, columns);
  return time;
}

double RunPlan::peak(bool on_device) const {
  double most = 0;
  for (const PlanPhase &phase : phases) most = std::max(most, sum_of(phase.memory, on_device));
  return most;
}

namespace {

void check_fits(const RunPlan &plan, double needed, const MemoryRoom &room, const char *what) {
  if (needed <= room.bytes) return;
  const auto rows = static_cast<double>(plan.shape.rows);
  const auto fitting = static_cast<std::int64_t>(std::floor(rows * room.bytes / needed));
  const auto more =
      static_cast<std::int64_t>(std::ceil(plan.ranks * std::min(1e9, needed / std::max(1.0, room.bytes))));
  std::array<char, 160> text{};
  std::snprintf(text.data(), text.size(), "this run needs %.0f MB per %s and %.0f MB are free (limit: %s)",
                1e-6 * needed, what, 1e-6 * room.bytes, room.limit.c_str());
  // Resident points do not get fewer with more ranks.
  const std::string remedy =
      plan.exchange.exchange == "resident"
          ? std::string("-exchange ring needs less")
          : detail::concatenate("all of them on ", more, " ", what, "s with as much memory each");
  throw Error(detail::concatenate(text.data(), "; about ", fitting, " of the ", plan.shape.rows,
                                  " points would fit, or ", remedy));
}

}  // namespace

void RunPlan::check_room() const {
  check_fits(*this, peak(), room, "rank");
  if (uses_device) check_fits(*this, peak(true), device_room, "GPU");
}

RunPlan start_plan(const Communicator &communicator, const OperatorOptions &options, PointShape shape) {
  RunPlan plan;
  plan.shape = shape;
  plan.ranks = communicator.size();
  plan.threads = choose_threads(options.threads, communicator);
  const Backend &backend = common_backend(communicator, options.backend);
  plan.uses_device = backend.device != nullptr;
  plan.exchange = choose_exchange(communicator, options, shape);
  plan.started_bytes = communicator.max(resident_bytes());
  plan.room = memory_room(communicator);
  if (plan.uses_device) plan.device_room = tile_room(communicator, backend);
  return plan;
}

}  // namespace flashring
