// What softmax attention and that of threshold families share: checks, partitions, tiles of the arrays. Batch entries
// and heads are sequences of the tiles, all in one pass, so that neither threads nor ranks wait for each other between
// them.
#include "flashring/attention.hpp"

#include <algorithm>
#include <cmath>

#include "base/threads.hpp"
#include "flashring/check.hpp"
#include "flashring/devices.hpp"
#include "methods/attention_state.hpp"

namespace flashring {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
/// Softmax differs from p of this w by at most w p ln^2(p)/2 < 0.28 w, less than half a rounding of 1 in fp64; the
/// host's steps to the threshold see y = 1 + O(w) with few digits below it.
constexpr double smallest_w = 0x1p-50;

void check_shape(const AttentionShape &s) {
  FLASHRING_CHECK(s.batch >= 1 && s.heads >= 1 && s.key_heads >= 1 && s.queries >= 1 && s.keys >= 1 && s.width >= 1 &&
                      s.value_width >= 1,
                  "attention of batch ", s.batch, ", heads ", s.heads, " and ", s.key_heads, ", rows ", s.queries,
                  " and ", s.keys, ", widths ", s.width, " and ", s.value_width, ": all must be at least 1");
  FLASHRING_CHECK(s.heads % s.key_heads == 0, "q has ", s.heads, " heads and k has ", s.key_heads,
                  ": the heads of q must be a multiple of those of k and v");
  FLASHRING_CHECK(s.batch <= std::numeric_limits<std::int32_t>::max() / s.heads, "batch ", s.batch, " times ", s.heads,
                  " heads: more than 2^31 sequences");
}

void check_options(const AttentionShape &shape, const AttentionOptions &options) {
  FLASHRING_CHECK(!options.causal || options.causal_offset || shape.queries == shape.keys, "a causal mask over ",
                  shape.queries, " queries and ", shape.keys,
                  " keys: say by causal_offset which keys a query sees (key <= query + offset; keys - queries where "
                  "both end together)");
  FLASHRING_CHECK(options.causal || !options.causal_offset,
                  "-causal_offset without a causal mask has no effect; add -causal, or leave it out");
  const std::int64_t offset = options.causal_offset.value_or(0);
  FLASHRING_CHECK(offset >= -shape.queries && offset <= shape.keys, "-causal_offset ", offset, " is outside [",
                  -shape.queries, ", ", shape.keys, "], beyond which no query sees less or more; give a number in it");
  FLASHRING_CHECK(!options.scale || std::isfinite(*options.scale), "-scale ", *options.scale,
                  " is not finite; give a finite number, or leave it out for D^(-1/2)");
}

/// Of every query head; none for softmax.
std::vector<ThresholdFamily> families_of(const AttentionShape &shape, const AttentionOptions &options) {
  std::vector<double> alpha = options.alpha;
  FLASHRING_CHECK(has_parameter(options.op) || alpha.empty(), "alpha has no effect on ", options.op,
                  "; diffmax and entmax have it");
  FLASHRING_CHECK(options.op == "diffmax" || options.family_scale == "tsallis", "the scale ", options.family_scale,
                  " has no effect on ", options.op, "; diffmax has it");
  FLASHRING_CHECK(!options.complements || !alpha.empty(), "complements without alpha has no effect; give 1 - alpha");
  if (options.op == "softmax") return {};
  if (alpha.empty()) alpha = {default_parameter(options.op)};
  const auto heads = static_cast<std::size_t>(shape.heads);
  FLASHRING_CHECK(alpha.size() == 1 || alpha.size() == heads, "alpha: ", alpha.size(), " numbers for ", heads,
                  " query heads; give one for all, or one for each");
  std::vector<ThresholdFamily> families = threshold_families(options.op, alpha, options.complements,
                                                             options.family_scale, "query head", options.first_head);
  for (ThresholdFamily &family : families)
    if (family.w < smallest_w) {
      FLASHRING_CHECK(family.scale != ThresholdScale::none, "1 - alpha = ", family.w,
                      " with scale none: below 1e-15 rounding decides which scores weigh; give more, or scale tsallis");
      family = threshold_family_at(options.op, smallest_w, options.family_scale);
    }
  if (families.size() == 1) families.resize(heads, families.front());
  return families;
}

/// That arrays of a caller lie on.
const Device *device_of_arrays(const AttentionOptions &options) {
  if (options.kernels != nullptr) return options.kernels->device;
  const std::string reason = why_no_device();
  FLASHRING_CHECK(reason.empty(), "memory device: ", reason, "; give arrays of the host");
  return find_backend("cuda").device;
}

/// `mine`: what must be the same on every rank, or blocks of other ranks would not fit. Collective.
void check_common(const Communicator &communicator, const std::string &mine) {
  const std::vector<std::string> all = communicator.gather(mine);
  communicator.agree([&] {
    FLASHRING_CHECK(mine == all.front(), "attention ", mine, ", but on rank 0 ", all.front(),
                    "; give every rank the same shape, mask and types");
  });
}

std::string shape_text(const AttentionShape &s, const AttentionOptions &options) {
  const std::string mask =
      options.causal ? detail::concatenate(", causal with offset ", options.causal_offset.value_or(0)) : "";
  return detail::concatenate("of batch ", s.batch, ", heads ", s.heads, " and ", s.key_heads, ", rows ", s.queries,
                             " and ", s.keys, ", widths ", s.width, " and ", s.value_width, mask);
}

void check_input(const AttentionInput &input) {
  FLASHRING_CHECK(input.q.storage == input.k.storage && input.k.storage == input.v.storage, "q is ",
                  storage_name(input.q.storage), ", k ", storage_name(input.k.storage), ", v ",
                  storage_name(input.v.storage), ": all three must be stored alike");
}

}  // namespace

/// Ring and transport of a backend, kept from call to call.
void Attention::State::open(const Backend &chosen) {
  if (backend == &chosen) return;
  ring.reset();
  transport = make_transport(options.transport, communicator, chosen.device);
  ring = std::make_unique<Ring>(communicator, *transport, chosen, RingOptions{report.threads, options.route});
  backend = &chosen;
  place = in_place(chosen) ? chosen.device : nullptr;
  report.backend = chosen.name;
  report.target = chosen.target;
}

const Backend &Attention::State::backend_for(const TileShape &tile) const {
  const Backend &chosen = named();
  if (chosen.supports(tile)) return chosen;
  FLASHRING_CHECK(options.backend == "auto", "backend ", chosen.name, " has no row rule ", row_rule(tile.row).name,
                  " for ", tile.features, " features and ", tile.columns, " columns; take auto, simd or ref");
  for (const std::string &name : backend_names())
    if (const Backend &other = find_backend(name); name == "simd" && other.supports(tile)) return other;
  return find_backend("ref");
}

TileShape Attention::State::forward_tile(Storage storage) const {
  if (is_softmax()) return tile_shape(RowKind::logsumexp, storage, value_columns(storage));
  return tile_shape(RowKind::threshold_sum, storage, shape.value_width);
}

TileShape Attention::State::backward_tile(Storage storage) const {
  return tile_shape(is_softmax() ? RowKind::softmax_gradient : RowKind::threshold_gradient, storage,
                    shape.width + shape.value_width);
}

/// 0, or -infinity for keys that are not to be seen: (key sequences, n_k).
std::vector<double> Attention::State::log_weights(const AttentionInput &input) const {
  const std::int64_t rows = keys.local_rows(rank());
  std::vector<double> weights(static_cast<std::size_t>(rows * key_sequences()), 0.0);
  if (input.key_padding.empty()) return weights;
  FLASHRING_CHECK(input.key_padding.size() == static_cast<std::size_t>(rows * shape.batch), "key_padding has ",
                  input.key_padding.size(), " numbers on this rank, and batch ", shape.batch, " times ", rows,
                  " rows are ", rows * shape.batch);
  for (std::int64_t s = 0; s < key_sequences(); ++s)
    for (std::int64_t i = 0; i < rows; ++i)
      if (input.key_padding[static_cast<std::size_t>(s / shape.key_heads * rows + i)] == 0)
        weights[static_cast<std::size_t>(s * rows + i)] = -infinity;
  return weights;
}

TileBits Attention::State::pairs_with_keys(const AttentionInput &input, TileBlock &own,
                                           const TileBlock &sources) const {
  if (own.payload().device() != backend->device) return {};  // of points sent in parts every pair is visited
  std::string mine;  // (B, tiles of a sequence) of this rank: '1' where one of its keys is no padding
  const std::size_t tiles = sources.tiles().size() / static_cast<std::size_t>(key_sequences());
  auto key = input.key_padding.begin();
  for (std::size_t n = 0; n < static_cast<std::size_t>(shape.batch) * tiles; ++n) {
    const auto end = key + (input.key_padding.empty() ? 0 : sources.tiles()[n % tiles].rows);
    mine += input.key_padding.empty() || std::any_of(key, end, [](std::uint8_t real) { return real != 0; }) ? '1' : '0';
    key = end;
  }
  const std::vector<std::string> of_ranks = communicator.gather(mine);
  const auto has_all = [](const std::string &rank) { return rank.find('0') == std::string::npos; };
  TileBits bits;
  if (std::all_of(of_ranks.begin(), of_ranks.end(), has_all)) return bits;
  communicator.agree([&] {
    const auto own_tiles = static_cast<std::int64_t>(own.tiles().size());
    const std::int64_t of_batch = own_tiles / shape.batch;
    for (std::size_t step = 0; step < of_ranks.size(); ++step) {
      const std::string &there = of_ranks[(static_cast<std::size_t>(rank()) + step) % of_ranks.size()];
      const std::int64_t visiting = static_cast<std::int64_t>(there.size()) / shape.batch;
      const std::int64_t words = kept_words(visiting);
      std::vector<std::uint64_t> &words_of_step = bits.steps.emplace_back(static_cast<std::size_t>(own_tiles * words));
      for (std::int64_t i = 0; i < own_tiles; ++i)
        for (std::int64_t j = 0; j < visiting; ++j)
          if (there[static_cast<std::size_t>(i / of_batch * visiting + j)] == '1')
            words_of_step[static_cast<std::size_t>(i * words + j / 64)] |= std::uint64_t{1} << (j % 64);
    }
  });
  return bits;
}

void Attention::State::run(const TileShape &tile, Sides sides, TileBlock &own, TileBlock &sources,
                           const TileBits &kept) {
  report.pass += ring->run(tile, sides, own, sources, {kept.steps.empty() ? nullptr : &kept, nullptr});
  ++report.passes;
}

void Attention::State::start_report(const TileShape &tile) {
  const int threads = report.threads;
  report = {};
  report.threads = threads;
  report.backend = backend->name;
  report.target = backend->target;
  report.precision = tile.precision;
}

void Attention::State::close_report() {
  report.tiles_visited = communicator.sum(report.pass.tile_pairs);
  report.tiles_skipped = communicator.sum(report.pass.tile_pairs_skipped);
}

std::pair<TileBlock, TileBlock> Attention::State::pack(const TileShape &tile, const AttentionInput &input) {
  const std::vector<double> weights = log_weights(input);
  TileBlock own = pack_tensor(*backend, tile, sequences(), query_rows("q", input.q, shape.width), report.threads);
  TileBlock sources = pack_tensor(*backend, tile, {key_sequences()},
                                  key_rows("k", input.k, shape.width, input.key_padding), report.threads);
  sources.set_pass_scalars(weights, -infinity);
  return {std::move(own), std::move(sources)};
}

std::pair<TileBlock, TileBlock> Attention::State::pack_gradient(const TileShape &tile, const Gradients &g) {
  auto [own, sources] = pack(tile, g.input);
  set_columns(own, {query_rows("q", g.input.q, shape.width), query_rows("dO", g.d_o, shape.value_width)});
  set_columns(sources, {key_rows("k", g.input.k, shape.width, g.input.key_padding),
                        key_rows("v", g.input.v, shape.value_width, g.input.key_padding)});
  return {std::move(own), std::move(sources)};
}

/// Sums of a gradient rule: its first `width` are dQ and dK but for the scale, then those of dV.
void Attention::State::write_gradients(const TileShape &tile, TileBlock &own, TileBlock &sources,
                                       const Gradients &g) const {
  const int width = shape.width;
  const int values = shape.value_width;
  if (place != nullptr) {
    write_answers(own, tile.row, tile.columns, {0, -1, scale()}, {g.d_q, width, 0, width});
    write_answers(sources, tile.row, tile.columns, {0, -1, scale()}, {g.d_k, width, 0, width});
    return write_answers(sources, tile.row, tile.columns, {width, -1, 1}, {g.d_v, values, 0, values});
  }
  own.finish(
      tile.row, tile.columns,
      [&](LocalRow row, std::int64_t count, const double *sums, std::int64_t stride) {
        write_rows({g.d_q, width, 0, width}, row, count, sums, stride, scale());
      },
      report.threads);
  sources.finish(
      tile.row, tile.columns,
      [&](LocalRow row, std::int64_t count, const double *sums, std::int64_t stride) {
        write_rows({g.d_k, width, 0, width}, row, count, sums, stride, scale());
        write_rows({g.d_v, values, 0, values}, row, count, sums + width * stride, stride, 1);
      },
      report.threads);
}

/// Results are where the caller wants them, and what was copied is told.
void Attention::State::give(HostArrays &arrays) {
  if (device == nullptr) return;
  communicator.agree([&] { arrays.give(); });
  report.pass.bytes_copied += arrays.bytes_copied();
}

Attention::Attention(const Communicator &communicator, const AttentionShape &shape, AttentionOptions options)
    : state_(std::make_unique<State>(communicator, shape, std::move(options))) {
  State &s = *state_;
  communicator.agree([&] {
    check_shape(shape);
    check_options(shape, s.options);
    s.families = families_of(shape, s.options);
    s.named();
    if (s.options.memory == MemorySpace::device) s.device = device_of_arrays(s.options);
  });
  check_common(communicator, shape_text(shape, s.options));
  const auto cut = [&](std::int64_t rows) {
    return s.options.causal ? RowPartition::zigzag(rows, communicator.size())
                            : RowPartition::contiguous(rows, communicator.size());
  };
  s.queries = cut(shape.queries);
  s.keys = cut(shape.keys);
  s.report.threads = choose_threads(s.options.threads, communicator);
}

Attention::~Attention() = default;
Attention::Attention(Attention &&) noexcept = default;
Attention &Attention::operator=(Attention &&) noexcept = default;

const AttentionShape &Attention::shape() const { return state_->shape; }
const RowPartition &Attention::query_partition() const { return state_->queries; }
const RowPartition &Attention::key_partition() const { return state_->keys; }
const AttentionReport &Attention::report() const { return state_->report; }

AttentionSaved Attention::forward(const AttentionInput &input, Tensor o) {
  State &s = *state_;
  s.communicator.agree([&] { check_input(input); });
  check_common(s.communicator, detail::concatenate("of arrays in ", storage_name(input.q.storage)));
  s.communicator.agree([&] { s.open(s.backend_for(s.forward_tile(input.q.storage))); });
  HostArrays arrays = s.host_arrays();
  AttentionInput here;
  Tensor to;
  s.communicator.agree([&] {
    here = s.readable(arrays, input);
    to = s.writable(arrays, o, s.shape.heads, s.queries, s.shape.value_width);
  });
  AttentionSaved saved = s.is_softmax() ? s.forward_softmax(here, to) : s.forward_threshold(here, to);
  s.give(arrays);
  return saved;
}

std::vector<double> Attention::backward(const AttentionInput &input, ConstTensor o, const AttentionSaved &saved,
                                        ConstTensor d_o, Tensor d_q, Tensor d_k, Tensor d_v) {
  State &s = *state_;
  const AttentionShape &shape = s.shape;
  s.communicator.agree([&] { check_input(input); });
  check_common(s.communicator, detail::concatenate("of arrays in ", storage_name(input.q.storage)));
  s.communicator.agree([&] { s.open(s.backend_for(s.backward_tile(input.q.storage))); });
  HostArrays arrays = s.host_arrays();
  AttentionInput here;
  std::optional<Gradients> gradients;
  s.communicator.agree([&] {
    here = s.readable(arrays, input);
    gradients.emplace(Gradients{here, saved, s.readable(arrays, o, shape.heads, s.queries, shape.value_width),
                                s.readable(arrays, d_o, shape.heads, s.queries, shape.value_width),
                                s.writable(arrays, d_q, shape.heads, s.queries, shape.width),
                                s.writable(arrays, d_k, shape.key_heads, s.keys, shape.width),
                                s.writable(arrays, d_v, shape.key_heads, s.keys, shape.value_width)});
  });
  std::vector<double> of_parameters;
  if (s.is_softmax())
    s.backward_softmax(*gradients);
  else
    of_parameters = s.backward_threshold(*gradients);
  s.give(arrays);
  return of_parameters;
}

}  // namespace flashring
