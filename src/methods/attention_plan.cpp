// What attention takes of memory and time: the arrays of its passes, counted as tiles and ring make them.
//
// All but the bits of pairs of tiles is linear in the tokens of a rank, so a size that fits follows from one that does
// not. Seconds are those of one head over some tokens of the same widths and backend, times the heads and pairs of
// tokens.
#include <algorithm>
#include <chrono>

#include "base/threads.hpp"
#include "flashring/buffer.hpp"
#include "flashring/check.hpp"
#include "flashring/median.hpp"
#include "flashring/random.hpp"
#include "methods/attention_state.hpp"

namespace flashring {
namespace {

/// Tiles of the rank that has most.
double most_tiles(const RowPartition &partition, int tile_rows, Sequences sequences) {
  std::int64_t most = 0;
  for (int rank = 0; rank < partition.ranks(); ++rank)
    most = std::max(most, count_tiles(partition, rank, tile_rows, sequences));
  return static_cast<double>(most);
}

double most_rows(const RowPartition &partition) {
  std::int64_t most = 0;
  for (int rank = 0; rank < partition.ranks(); ++rank) most = std::max(most, partition.local_rows(rank));
  return static_cast<double>(most);
}

/// Pairs of a query and a key that a causal mask leaves.
double seen_pairs(const AttentionShape &shape, const AttentionOptions &options) {
  const auto queries = static_cast<double>(shape.queries);
  const auto keys = static_cast<double>(shape.keys);
  if (!options.causal) return queries * keys;
  const auto offset = static_cast<double>(options.causal_offset.value_or(0));
  const double first = std::clamp(-offset, 0.0, queries);            // the first query that sees a key
  const double all = std::clamp(keys - 1 - offset, first, queries);  // the first that sees all of them
  return (all - first) * (first + all + 1 + 2 * offset) / 2 + (queries - all) * keys;
}

/// Normal numbers as an array in that storage.
std::vector<std::byte> normal_numbers(std::int64_t count, Storage storage, std::uint64_t role) {
  std::vector<double> numbers(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = random_normal(1, RandomStream::sample, i, role);
  std::vector<std::byte> stored(numbers.size() * storage_bytes(storage));
  store_numbers(numbers.data(), count, stored.data(), storage, 0, 1);
  return stored;
}

/// One head of the keys with its queries, and so few tokens that a call takes some ten milliseconds: enough for the
/// products to outweigh what is linear in tokens.
AttentionShape small_shape(const AttentionShape &shape, int tile_rows, int threads) {
  AttentionShape small = shape;
  small.batch = 1;
  small.heads = shape.heads / shape.key_heads;
  small.key_heads = 1;
  const double tile = 2.0 * small.heads * tile_rows * tile_rows * (shape.width + shape.value_width);  // operations
  std::int64_t tiles = 8;
  while (tiles > 1 && tile * static_cast<double>(tiles * tiles) > 1e9 * threads) --tiles;
  small.queries = small.keys = tiles * tile_rows;
  return small;
}

/// Median seconds of three calls, after one that allocates.
template <class Call>
double seconds_of(const Call &call) {
  using Clock = std::chrono::steady_clock;
  call();
  std::vector<double> seconds;
  for (int n = 0; n < 3; ++n) {
    const auto start = Clock::now();
    call();
    seconds.push_back(std::chrono::duration<double>(Clock::now() - start).count());
  }
  return median_of(seconds);
}

/// Of this process alone.
AttentionCost time_calls(const AttentionShape &shape, const AttentionOptions &options, Storage storage, bool backward) {
  const std::unique_ptr<Communicator> alone = make_self_communicator();
  Attention attention(*alone, shape, options);
  const auto normal = [&](int heads, int width, std::uint64_t role) {
    return normal_numbers(heads * shape.queries * width, storage, role);
  };
  std::vector<std::byte> q = normal(shape.heads, shape.width, 0);
  std::vector<std::byte> k = normal(shape.key_heads, shape.width, 1);
  std::vector<std::byte> v = normal(shape.key_heads, shape.value_width, 2);
  std::vector<std::byte> o = normal(shape.heads, shape.value_width, 3);
  const auto tensor = [&](std::vector<std::byte> &array) { return Tensor{array.data(), storage}; };
  const AttentionInput input{tensor(q), tensor(k), tensor(v), {}};
  AttentionSaved saved;
  AttentionCost cost;
  cost.forward_seconds = seconds_of([&] { saved = attention.forward(input, tensor(o)); });
  cost.forward_passes = attention.report().passes;
  if (!backward) return cost;
  std::vector<std::byte> d_q(q.size());
  std::vector<std::byte> d_k(k.size());
  std::vector<std::byte> d_v(v.size());
  cost.backward_seconds = seconds_of(
      [&] { attention.backward(input, tensor(o), saved, tensor(o), tensor(d_q), tensor(d_k), tensor(d_v)); });
  cost.backward_passes = attention.report().passes;
  return cost;
}

}  // namespace

/// The arrays of the caller: q, k, v, o, and for a gradient dO, dQ, dK, dV.
MemoryPart Attention::State::array_memory(Storage storage, bool backward) const {
  const double own = most_rows(queries) * sequences().count * (shape.width + shape.value_width);
  const double sources = most_rows(keys) * key_sequences() * (shape.width + shape.value_width);
  return {"arrays as they are stored",
          (own + sources) * (backward ? 2 : 1) * static_cast<double>(storage_bytes(storage)), in_place(named())};
}

/// Of a pass over tiles whose states have the largest size of the passes before it, too.
std::vector<MemoryPart> Attention::State::pass_memory(const TileShape &tile, std::size_t state_bytes) const {
  const Backend &chosen = backend_for(tile);
  const RowRule &rule = row_rule(tile.row);
  const bool both = tile.row == RowKind::softmax_gradient || tile.row == RowKind::threshold_gradient;
  const bool there = chosen.device != nullptr;
  const double own = most_tiles(queries, chosen.tile_rows, sequences());
  const double sources = most_tiles(keys, chosen.tile_rows, {key_sequences()});
  const double number = static_cast<double>(column_bytes(tile.precision)) * chosen.tile_rows;  // of every row of a tile
  const auto payload = static_cast<double>(chosen.payload_bytes(tile));
  const auto state = static_cast<double>(state_bytes);
  const double columns = number * rule.value_columns(tile.columns);
  const int slots = std::min(2, communicator.size() - 1);
  return {{"queries and keys in tiles", (own + sources) * payload, there},
          {"values and gradients in tiles", ((both ? own : 0) + sources) * columns, there},
          {"numbers of rows in tiles", (own * rule.own_scalars + sources * rule.scalars) * number, there},
          {"sums", (own + (both ? sources : 0)) * state, there},
          {"keys and values of other ranks", slots * sources * (payload + columns + rule.scalars * number), there},
          {"sums on their way", both && slots > 0 ? (slots + 1) * sources * state : 0, there},
          {"scratch of threads", report.threads * static_cast<double>(chosen.scratch_bytes(tile)), there},
          {"tickets of tiles", (own + sources) * 160}};
}

/// Pairs of tiles, a bit each.
double Attention::State::bits_memory(const Backend &chosen) const {
  const std::int64_t of_sequence = static_cast<std::int64_t>(most_tiles(keys, chosen.tile_rows, {}));
  return 8.0 * communicator.size() * most_tiles(queries, chosen.tile_rows, sequences()) *
         static_cast<double>(kept_words(of_sequence));
}

PlanPhase Attention::State::forward_phase(Storage storage) const {
  const double rows = most_rows(queries) * sequences().count;
  if (is_softmax()) {
    const TileShape tile = tile_shape(RowKind::logsumexp, storage, value_columns(storage));
    PlanPhase phase{"going forward", pass_memory(tile, state_bytes(backend_for(tile), tile))};
    phase.memory.push_back({"numbers of rows", 8 * rows});  // log-sum-exp
    return phase;
  }
  const TileShape tile = tile_shape(RowKind::threshold_sum, storage, shape.value_width);
  const TileShape bins = tile_shape(RowKind::score_bins, storage, ThresholdRequest{}.bins);
  const Backend &chosen = backend_for(tile);
  const TileShape list = tile_shape(RowKind::score_list, storage, most_listed);
  const std::size_t lists = chosen.supports(list) ? state_bytes(chosen, list) : 0;
  PlanPhase phase{"going forward",
                  pass_memory(tile, std::max({state_bytes(chosen, tile), state_bytes(chosen, bins), lists}))};
  phase.memory.push_back({"numbers of rows", 8 * 24 * rows});  // s, e - 1; those of a search, 11; of tiles, 8; kept, 3
  phase.memory.push_back({"pairs of tiles", 2 * bits_memory(chosen)});
  return phase;
}

PlanPhase Attention::State::backward_phase(Storage storage) const {
  const double rows = most_rows(queries) * sequences().count;
  const RowKind row = is_softmax() ? RowKind::softmax_gradient : RowKind::threshold_gradient;
  const TileShape tile = tile_shape(row, storage, shape.width + shape.value_width);
  const Backend &chosen = backend_for(tile);
  PlanPhase phase{"going backward", pass_memory(tile, state_bytes(chosen, tile))};
  // log-sum-exp, twice more as it is joined with delta; or s, e - 1, delta, seven of tiles, three kept.
  phase.memory.push_back({"numbers of rows", 8 * (is_softmax() ? 5 : 13) * rows});
  if (!is_softmax()) phase.memory.push_back({"pairs of tiles", bits_memory(chosen)});
  return phase;
}

RunPlan Attention::plan(Storage storage, bool backward) const {
  const State &s = *state_;
  OperatorOptions searched;  // for what a plan asks of the machine
  searched.backend = s.options.backend;
  searched.threads = s.report.threads;
  searched.exchange = "ring";
  if (s.named().device != nullptr) searched.points_memory = "device";
  RunPlan plan = start_plan(s.communicator, searched, {std::max(s.shape.queries, s.shape.keys), s.shape.width});
  plan.unit = "tokens";
  plan.exchange = {"ring", "keys and values visit every rank"};
  plan.points_memory = {};
  const double wide = storage == Storage::fp64 ? 8 : 4;
  const double second = !s.is_softmax() && s.options.gradient
                            ? wide * most_rows(s.queries) * s.sequences().count * s.shape.value_width
                            : 0;
  const MemoryPart arrays = s.array_memory(storage, backward);
  s.communicator.agree([&] {
    plan.phases = {{"reading", {}}, s.forward_phase(storage)};
    if (backward) plan.phases.push_back(s.backward_phase(storage));
  });
  for (PlanPhase &phase : plan.phases) {
    phase.memory.insert(phase.memory.begin(), arrays);
    if (phase.name == "reading") continue;
    if (second > 0) phase.memory.push_back({"second output", second, arrays.on_device});
    // Code and tables of MPI, HDF5 and OpenMP that the program as started had not touched: measured, whatever N.
    phase.memory.push_back({"libraries at work", 8e6});
  }
  return plan;
}

AttentionCost measure_attention(const Communicator &communicator, const AttentionShape &shape,
                                const AttentionOptions &options, Storage storage, bool backward) {
  AttentionOptions how = options;
  how.causal = false;
  how.causal_offset.reset();
  how.memory = MemorySpace::host;  // of the numbers that are drawn
  how.transport = "auto";
  how.gradient = backward;
  how.threads = choose_threads(options.threads, communicator);
  AttentionCost cost;
  communicator.agree([&] {
    const AttentionShape small = small_shape(shape, find_backend(options.backend).tile_rows, how.threads);
    if (how.alpha.size() > 1) how.alpha.erase(how.alpha.begin() + small.heads, how.alpha.end());
    cost = time_calls(small, how, storage, backward);
    const double pairs = static_cast<double>(small.queries) * static_cast<double>(small.keys);
    const double heads = static_cast<double>(shape.batch) * shape.key_heads;
    const double times = seen_pairs(shape, options) * heads / pairs / communicator.size();
    cost.forward_seconds *= times;
    cost.backward_seconds *= times;
  });
  cost.forward_seconds = communicator.max(cost.forward_seconds);
  cost.backward_seconds = communicator.max(cost.backward_seconds);
  return cost;
}

}  // namespace flashring
