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
#include "flashring/ring.hpp"
#include "flashring/summation.hpp"
#include "operator/common_tiles.hpp"
#include "tile/calibrate.hpp"

namespace flashring {
namespace {

/// Sizes of the rank with most rows.
struct RankSize {
  RankSize(const Backend &backend, PointShape shape, int all_ranks)
      : ranks(all_ranks),
        rows(std::ceil(static_cast<double>(shape.rows) / ranks)),
        tiles(std::ceil(rows / backend.tile_rows)),
        padded(tiles * backend.tile_rows),
        steps(ranks / 2 + 1) {}
  int ranks;
  double rows, tiles, padded;
  int steps;  // of a square pass
};

TileShape tile_shape(const OperatorOptions &options, int features, Precision precision, int columns) {
  return {options.pair, RowKind::sum, 0, precision, features, columns, {}};
}

/// Numbers per point that the operator keeps for the pair function.
int scalars_of(const OperatorOptions &options, int features) {
  return scale_numbers(point_scale(options.pair.kind), features);
}

/// Packed points of one rank.
double payload_bytes(const Backend &backend, const OperatorOptions &options, int features, Precision precision,
                     double tiles) {
  return tiles * static_cast<double>(backend.payload_bytes(tile_shape(options, features, precision, 1)));
}

/// Of the largest precision beside fp64 that passes may be in; split products pack fp32 into more than fp64.
double beside_bytes(const Backend &backend, const OperatorOptions &options, int features, double tiles) {
  double bytes = 0;
  for (const Precision precision : precisions_of(options))
    if (precision != Precision::fp64)
      bytes = std::max(bytes, payload_bytes(backend, options, features, precision, tiles));
  return bytes;
}

/// Set-up and residuals want room for fp64, whatever the other passes are in.
double visiting_bytes(const Backend &backend, const OperatorOptions &options, int features, double tiles) {
  return std::max(payload_bytes(backend, options, features, Precision::fp64, tiles),
                  beside_bytes(backend, options, features, tiles));
}

/// Points of all other ranks that a rank meets.
double visitors_bytes(const Backend &backend, const OperatorOptions &options, PointShape shape, int ranks) {
  const RankSize size(backend, shape, ranks);
  return (size.steps - 1) * visiting_bytes(backend, options, shape.features, size.tiles);
}

/// What a rank can have on the device of the backend; ranks that share a GPU share its memory. Collective.
MemoryRoom device_room(const Communicator &communicator, const Backend &backend) {
  const std::string here = backend.device->identity();
  const std::vector<std::string> all = communicator.gather(here);
  const auto sharing = static_cast<double>(std::count(all.begin(), all.end(), here));
  return {communicator.min(static_cast<double>(backend.device->room()) / sharing), "the GPU"};
}

bool points_on_device(const Backend &backend, const OperatorOptions &options) {
  return backend.device != nullptr && options.points_memory != "host";
}

/// Packed points, and `visiting` bytes of those of other ranks.
std::vector<MemoryPart> points_parts(const Backend &backend, const OperatorOptions &options, PointShape shape,
                                     const RankSize &size, double visiting) {
  const bool there = points_on_device(backend, options);
  return {
      {"points in tiles", payload_bytes(backend, options, shape.features, Precision::fp64, size.tiles), there, true},
      {"points in tiles of other precisions", beside_bytes(backend, options, shape.features, size.tiles), there, true},
      {"points of other ranks", visiting, there, true}};
}

/// What a device holds beside points, columns and sums.
void add_device_parts(const Backend &backend, const OperatorOptions &options, PointShape shape, const RankSize &size,
                      int columns, std::vector<MemoryPart> &parts) {
  const double visiting = visiting_bytes(backend, options, shape.features, size.tiles);
  if (!points_on_device(backend, options))
    parts.push_back({"points at work", 2 * std::min<double>(visiting, RingOptions{}.part_bytes), true});
  parts.push_back({"vectors and scalings", 3 * size.rows * 8, true});
  parts.push_back({"lists of tiles", (size.ranks * size.tiles) * 16 + size.tiles * 8, true});
  parts.push_back(
      {"sums of a launch",
       static_cast<double>(backend.scratch_bytes(tile_shape(options, shape.features, Precision::fp64, columns))),
       true});
}

/// Of passes that carry `columns` numbers a row and sum `sums`.
std::vector<MemoryPart> pass_memory(const Backend &backend, const OperatorOptions &options, PointShape shape, int ranks,
                                    int columns, int sums, const std::string &exchange) {
  const RankSize size(backend, shape, ranks);
  const double column = size.padded * 8;  // of columns in fp64; sums are always fp64
  const int slots = std::min(2, size.steps - 1);
  // Visiting columns and two partial states in turn, and one state that arrives.
  const double moving = column * (slots * (columns + sums) + (slots > 0 ? sums : 0));
  const double visiting = visiting_bytes(backend, options, shape.features, size.tiles);
  std::vector<MemoryPart> parts =
      points_parts(backend, options, shape, size,
                   exchange == "resident" ? visitors_bytes(backend, options, shape, ranks) : slots * visiting);
  const bool on_device = backend.device != nullptr;
  parts.push_back({"columns and sums", (columns + sums) * column, on_device});
  parts.push_back({"columns and sums on their way", moving, on_device});
  parts.push_back({"weights, density, degree, scalings", size.rows * (5 + scalars_of(options, shape.features)) * 8});
  if (on_device) add_device_parts(backend, options, shape, size, sums, parts);
  return parts;
}

std::string share_text(const char *what, double bytes, bool fits, const char *share, double room) {
  std::array<char, 160> text{};
  std::snprintf(text.data(), text.size(), "%s take %.3g MB there, %s %s of the free %.3g GB", what, 1e-6 * bytes,
                fits ? "less than" : "more than", share, 1e-9 * room);
  return text.data();
}

}  // namespace

double sum_of(const std::vector<MemoryPart> &parts, bool on_device) {
  double bytes = 0;
  for (const MemoryPart &part : parts)
    if (part.on_device == on_device) bytes += part.bytes;
  return bytes;
}

Choice choose_points_memory(const Communicator &communicator, const OperatorOptions &options, PointShape shape) {
  const Backend &backend = common_backend(communicator, options.backend);
  communicator.agree([&] {
    FLASHRING_CHECK(backend.device != nullptr || options.points_memory != "device", "-points_memory device: backend ",
                    backend.name, " works in the host's memory; leave the option out, or name a backend of GPUs");
  });
  if (backend.device == nullptr) return {"host", "the backend works there"};
  if (options.points_memory != "auto") return {options.points_memory, "as asked"};
  const std::string exchange = options.exchange == "resident" ? "resident" : "ring";
  double bytes = 0;
  for (const MemoryPart &part : operator_memory(backend, options, shape, communicator.size(), 1, exchange))
    if (part.points) bytes += part.bytes;
  const double room = device_room(communicator, backend).bytes;
  const bool fits = bytes <= 0.75 * room;
  return {fits ? "device" : "host", share_text("points and those that visit", bytes, fits, "three quarters", room)};
}

Choice choose_exchange(const Communicator &communicator, const OperatorOptions &options, PointShape shape) {
  if (options.exchange != "auto") return {options.exchange, "as asked"};
  if (communicator.size() == 1) return {"ring", "on one rank no block moves"};
  const Backend &backend = common_backend(communicator, options.backend);
  const double bytes = visitors_bytes(backend, options, shape, communicator.size());
  const double room =
      (points_on_device(backend, options) ? device_room(communicator, backend) : memory_room(communicator)).bytes;
  const bool fits = 4 * bytes <= room;
  return {fits ? "resident" : "ring", share_text("the points a rank meets", bytes, fits, "a quarter", room)};
}

Choice choose_ramp(const Communicator &communicator, const OperatorOptions &options, PointShape shape) {
  if (options.ramp != "auto") return {options.ramp, "as asked"};
  const Backend &backend = common_backend(communicator, options.backend);
  const RankSize size(backend, shape, communicator.size());
  const double bytes = beside_bytes(backend, options, shape.features, size.tiles);
  const double points = payload_bytes(backend, options, shape.features, Precision::fp64, size.tiles);
  const double room =
      (points_on_device(backend, options) ? device_room(communicator, backend) : memory_room(communicator)).bytes -
      points;
  const bool fits = 4 * bytes <= room;
  return {fits ? "auto" : "none", share_text("points in other precisions", bytes, fits, "a quarter", room)};
}

std::vector<MemoryPart> operator_memory(const Backend &backend, const OperatorOptions &options, PointShape shape,
                                        int ranks, int columns, const std::string &exchange) {
  return pass_memory(backend, options, shape, ranks, columns, columns, exchange);
}

std::vector<MemoryPart> difference_memory(const OperatorOptions &options, PointShape shape, int ranks, int columns,
                                          const std::string &exchange) {
  const int sums = row_rule(RowKind::difference_product).outputs(columns);
  return pass_memory(find_backend(options.backend), options, shape, ranks, columns + 1, sums, exchange);
}

std::vector<MemoryPart> query_memory(const OperatorOptions &options, PointShape shape, int ranks, int columns) {
  const Backend &backend = find_backend(options.backend);
  const RankSize size(backend, shape, ranks);
  const int slots = std::min(2, ranks - 1);
  const double visiting = visiting_bytes(backend, options, shape.features, size.tiles);
  const double carried = size.padded * (columns + 1) * 8;
  const bool on_device = backend.device != nullptr;
  std::vector<MemoryPart> parts = points_parts(backend, options, shape, size, slots * visiting);
  parts.push_back({"columns and log weights", carried, on_device});
  parts.push_back({"columns and log weights on their way", slots * carried, on_device});
  if (on_device) add_device_parts(backend, options, shape, size, columns, parts);
  return parts;
}

std::vector<MemoryPart> neighbour_memory(const OperatorOptions &options, PointShape shape, std::int64_t queries,
                                         int ranks, int k) {
  const Backend &backend = find_backend(options.backend);
  const RankSize size(backend, shape, ranks);
  const RankSize asking(backend, {queries > 0 ? queries : shape.rows, shape.features}, ranks);
  const int slots = std::min(2, (queries > 0 ? ranks : size.steps) - 1);
  const double points = payload_bytes(backend, options, shape.features, options.precision, size.tiles);
  const double lists = asking.padded * 2 * k * 8;
  const bool there = points_on_device(backend, options);
  const bool on_device = backend.device != nullptr;
  std::vector<MemoryPart> parts = {
      {"points in tiles", points, there, true},
      {"points of other ranks", slots * points, there, true},
      {"lists of neighbours", lists, on_device},
      {"lists on their way", queries > 0 || slots == 0 ? 0 : (slots + 1) * lists, on_device}};
  if (queries > 0)
    parts.push_back({"queries in tiles",
                     payload_bytes(backend, options, shape.features, options.precision, asking.tiles), there, true});
  if (on_device) add_device_parts(backend, options, shape, size, 2 * k, parts);
  return parts;
}

std::vector<MemoryPart> operator_memory(const OperatorOptions &options, PointShape shape, int ranks, int columns,
                                        const std::string &exchange) {
  return operator_memory(find_backend(options.backend), options, shape, ranks, columns, exchange);
}

std::vector<MemoryPart> input_memory(const OperatorOptions &options, PointShape shape, int ranks) {
  const double rows = std::ceil(static_cast<double>(shape.rows) / ranks);
  std::vector<MemoryPart> parts{{"points", rows * point_numbers(options.pair, shape.features) * 8}};
  if (!options.median) return parts;
  const double sample = std::min<double>(static_cast<double>(shape.rows), median_sample);
  // Keys and their order; the sample as it is sent and as it arrives; its distances.
  parts.push_back(
      {"sample for the bandwidth", rows * 24 + 2 * sample * (shape.features + 1) * 8 + sample * sample * 4});
  return parts;
}

namespace {

double measure_tiles(const Communicator &communicator, const OperatorOptions &options, PointShape shape,
                     const TileShape &tile) {
  const Backend &backend = common_backend(communicator, options.backend);
  const double tiles = RankSize(backend, shape, communicator.size()).tiles * communicator.size();
  return seconds_per_pass(communicator, backend, tile, choose_threads(options.threads, communicator), tiles);
}

}  // namespace

double measure_pass(const Communicator &communicator, const OperatorOptions &options, PointShape shape,
                    Precision precision, int columns) {
  return measure_tiles(communicator, options, shape, tile_shape(options, shape.features, precision, columns));
}

double measure_differences(const Communicator &communicator, const OperatorOptions &options, PointShape shape,
                           int columns) {
  TileShape tile = tile_shape(options, shape.features, options.precision, std::min(columns, max_columns));
  tile.row = RowKind::difference_product;
  const Backend &backend = common_backend(communicator, options.backend);
  communicator.agree([&] { check_differences(backend, tile); });
  return measure_tiles(communicator, options, shape, tile);
}

double measure_queries(const Communicator &communicator, const OperatorOptions &options, PointShape shape,
                       std::int64_t rows, int columns) {
  const Backend &backend = common_backend(communicator, options.backend);
  TileShape tile = tile_shape(options, shape.features, options.precision, columns);
  tile.row = RowKind::logsumexp;
  const double one =
      communicator.max(seconds_per_tile_pair(backend, tile, choose_threads(options.threads, communicator)));
  const double pairs =
      static_cast<double>(rows) / backend.tile_rows * (static_cast<double>(shape.rows) / backend.tile_rows);
  return one * pairs / communicator.size();
}

double RunPlan::peak(bool on_device) const {
  double most = 0;
  for (const PlanPhase &phase : phases) most = std::max(most, sum_of(phase.memory, on_device));
  return most;
}

namespace {

/// What would do: resident points do not get fewer with more ranks, all other memory does.
std::string remedy_of(const std::string &exchange, bool points_on_device, std::int64_t ranks, const char *what) {
  if (exchange == "resident") return "-exchange ring needs less";
  return detail::concatenate("all of them on ", ranks, " ", what, "s with as much memory each",
                             points_on_device ? ", or -points_memory host, which needs less of the GPU" : "");
}

/// Throws where a rank needs more of its memory, or its GPU's, than there is room for. `exchange`: of points there.
void check_fits(PointShape shape, const std::string &unit, int ranks, const std::string &exchange,
                bool points_on_device, double needed, const MemoryRoom &room, const char *what) {
  if (needed <= room.bytes) return;
  const auto fitting = static_cast<std::int64_t>(std::floor(static_cast<double>(shape.rows) * room.bytes / needed));
  const auto more = static_cast<std::int64_t>(std::ceil(ranks * std::min(1e9, needed / std::max(1.0, room.bytes))));
  std::array<char, 160> text{};
  std::snprintf(text.data(), text.size(), "this run needs %.0f MB per %s and %.0f MB are free (limit: %s)",
                1e-6 * needed, what, 1e-6 * room.bytes, room.limit.c_str());
  throw Error(detail::concatenate(text.data(), "; about ", fitting, " of the ", shape.rows, " ", unit,
                                  " would fit, or ", remedy_of(exchange, points_on_device, more, what)));
}

}  // namespace

void RunPlan::check_room() const {
  const bool there = uses_device && points_memory.value == "device";
  check_fits(shape, unit, ranks, there ? "" : exchange.value, false, peak(), room, "rank");
  if (uses_device) check_fits(shape, unit, ranks, there ? exchange.value : "", there, peak(true), device_room, "GPU");
}

void check_device_room(const Communicator &communicator, const OperatorOptions &options, PointShape shape) {
  const Backend &backend = common_backend(communicator, options.backend);
  if (backend.device == nullptr) return;
  const MemoryRoom room = device_room(communicator, backend);
  const int ranks = communicator.size();
  const double needed = sum_of(operator_memory(backend, options, shape, ranks, 1, options.exchange), true);
  const bool there = points_on_device(backend, options);
  const std::string exchange = there ? options.exchange : std::string();
  communicator.agree([&] { check_fits(shape, RunPlan{}.unit, ranks, exchange, there, needed, room, "GPU"); });
}

RunPlan start_plan(const Communicator &communicator, const OperatorOptions &options, PointShape shape) {
  RunPlan plan;
  plan.shape = shape;
  plan.ranks = communicator.size();
  plan.threads = choose_threads(options.threads, communicator);
  const Backend &backend = common_backend(communicator, options.backend);
  communicator.agree([&] { check_pair(backend, options.pair, shape.features); });
  plan.uses_device = backend.device != nullptr;
  plan.points_memory = choose_points_memory(communicator, options, shape);
  OperatorOptions resolved = options;
  resolved.points_memory = plan.points_memory.value;
  plan.exchange = choose_exchange(communicator, resolved, shape);
  plan.started_bytes = communicator.max(resident_bytes());
  plan.room = memory_room(communicator);
  if (plan.uses_device) plan.device_room = device_room(communicator, backend);
  return plan;
}

}  // namespace flashring
