// Softmax attention, forward and backward.
//
//   forward   O_i = sum_j exp(x_ij - lse_i) v_j with x_ij = scale <q_i, k_j>: row rule logsumexp of the pair function
//             inner_exp, whose values are those of V
//   backward  row rule softmax_gradient with delta_i = <dO_i, O_i>: what K and V get travels home by the ring's route
//
// Batch entries and heads are sequences of the tiles, all in one pass, so that neither threads nor ranks wait for each
// other between them. Source: Dao et al., arXiv:2205.14135; rings: Liu, Zaharia, Abbeel, arXiv:2310.01889.
#include "flashring/attention.hpp"

#include <cmath>
#include <limits>
#include <utility>

#include "base/threads.hpp"
#include "flashring/check.hpp"
#include "flashring/tile_block.hpp"
#include "flashring/transport.hpp"
#include "methods/attention_tensors.hpp"

namespace flashring {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

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
  FLASHRING_CHECK(options.causal || !options.causal_offset, "causal_offset without a causal mask has no effect");
  FLASHRING_CHECK(!options.scale || std::isfinite(*options.scale), "scale ", *options.scale, " is not finite");
}

void check_input(const AttentionInput &input) {
  FLASHRING_CHECK(input.q.storage == input.k.storage && input.k.storage == input.v.storage, "q is ",
                  storage_name(input.q.storage), ", k ", storage_name(input.k.storage), ", v ",
                  storage_name(input.v.storage), ": all three must be stored alike");
}

}  // namespace

struct Attention::State {
  State(const Communicator &communicator_, const AttentionShape &shape_, AttentionOptions options_)
      : communicator(communicator_), shape(shape_), options(std::move(options_)) {}

  const Communicator &communicator;
  AttentionShape shape;
  AttentionOptions options;
  RowPartition queries, keys;
  const Backend *backend = nullptr;
  std::unique_ptr<Transport> transport;
  std::unique_ptr<Ring> ring;
  AttentionReport report;

  int rank() const { return communicator.rank(); }
  double scale() const { return options.scale.value_or(1 / std::sqrt(shape.width)); }
  /// Of queries, whose rows are numbered by the last key that they see.
  Sequences sequences() const {
    return {static_cast<int>(shape.batch) * shape.heads, options.causal_offset.value_or(0)};
  }
  int key_sequences() const { return static_cast<int>(shape.batch) * shape.key_heads; }
  TileShape tile_shape(RowKind row, Storage storage, int columns) const {
    const Precision precision = storage == Storage::fp64 ? Precision::fp64 : Precision::fp32;
    return {{PairKind::inner_exp, {scale(), 0}}, row, 0, precision, shape.width, columns, {options.causal, false}};
  }
  /// The whole rows of an array, of the query heads or of the key heads.
  TensorPart query_rows(const char *name, ConstTensor tensor, int width) const {
    return {tensor, {name, shape.heads, queries, rank()}, width, 0, width};
  }
  TensorPart key_rows(const char *name, ConstTensor tensor, int width) const {
    return {tensor, {name, shape.key_heads, keys, rank()}, width, 0, width};
  }

  void open(const Backend &chosen);
  const Backend &backend_for(const TileShape &tile) const;
  TileBlock pack_queries(const TileShape &tile, const AttentionInput &input) const;
  TileBlock pack_keys(const TileShape &tile, const AttentionInput &input) const;
  std::vector<double> log_weights(const AttentionInput &input) const;
  int value_columns(Storage storage) const;
  void run(const TileShape &tile, Sides sides, TileBlock &own, TileBlock &sources);
};

/// Ring and transport of a backend, kept from call to call.
void Attention::State::open(const Backend &chosen) {
  if (backend == &chosen) return;
  ring.reset();
  transport = make_transport(options.transport, communicator, chosen.device);
  ring = std::make_unique<Ring>(communicator, *transport, chosen, RingOptions{report.threads, options.route});
  backend = &chosen;
  report.backend = chosen.name;
}

const Backend &Attention::State::backend_for(const TileShape &tile) const {
  const Backend &chosen = find_backend(options.backend);
  if (chosen.supports(tile)) return chosen;
  FLASHRING_CHECK(options.backend == "auto", "backend ", chosen.name, " has no row rule ", row_rule(tile.row).name,
                  " for ", tile.features, " features and ", tile.columns, " columns; take auto, simd or ref");
  for (const std::string &name : backend_names())
    if (const Backend &other = find_backend(name); name == "simd" && other.supports(tile)) return other;
  return find_backend("ref");
}

/// 0, or -infinity for keys that are not to be seen: (key sequences, n_k, scalars of the rule) with zeros behind it.
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

TileBlock Attention::State::pack_queries(const TileShape &tile, const AttentionInput &input) const {
  return {*backend, tile, queries, rank(), sequences(), read_tensors({query_rows("q", input.q, shape.width)})};
}

TileBlock Attention::State::pack_keys(const TileShape &tile, const AttentionInput &input) const {
  return {*backend, tile, keys, rank(), {key_sequences()}, read_tensors({key_rows("k", input.k, shape.width)})};
}

void Attention::State::run(const TileShape &tile, Sides sides, TileBlock &own, TileBlock &sources) {
  report.pass += ring->run(tile, sides, own, sources);
  ++report.passes;
  report.precision = tile.precision;
}

/// Columns of V that one pass carries: all, or halves of them until a backend takes so many.
int Attention::State::value_columns(Storage storage) const {
  int columns = shape.value_width;
  while (columns > 1 && !find_backend(options.backend).supports(tile_shape(RowKind::logsumexp, storage, columns)))
    columns = (columns + 1) / 2;
  return columns;
}

Attention::Attention(const Communicator &communicator, const AttentionShape &shape, AttentionOptions options)
    : state_(std::make_unique<State>(communicator, shape, std::move(options))) {
  State &s = *state_;
  communicator.agree([&] {
    check_shape(shape);
    check_options(shape, s.options);
    find_backend(s.options.backend);
  });
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
  s.report.pass = {};
  s.report.passes = 0;
  AttentionSaved saved;
  const int most = s.value_columns(input.q.storage);
  TileShape tile = s.tile_shape(RowKind::logsumexp, input.q.storage, most);
  TileBlock own;
  TileBlock sources;
  s.communicator.agree([&] {
    check_input(input);
    s.open(s.backend_for(tile));
    own = s.pack_queries(tile, input);
    sources = s.pack_keys(tile, input);
    sources.set_pass_scalars(s.log_weights(input), -infinity);
  });
  saved.log_sum_exp.resize(static_cast<std::size_t>(own.local_rows()));
  for (int first = 0; first < s.shape.value_width; first += most) {
    tile.columns = std::min(most, s.shape.value_width - first);
    TensorPart values = s.key_rows("v", input.v, s.shape.value_width);
    values.first = first;
    values.count = tile.columns;
    s.communicator.agree([&] { sources.set_columns(tile.columns, read_tensors({values})); });
    s.run(tile, Sides::own, own, sources);
    const TensorSlice slice{o, s.shape.value_width, first, tile.columns};
    own.finish(tile.row, tile.columns,
               [&](LocalRow row, std::int64_t count, const double *answers, std::int64_t stride) {
                 std::copy_n(answers, count, saved.log_sum_exp.begin() + row.value);
                 write_rows(slice, row, count, answers + stride, stride, 1);
               });
  }
  return saved;
}

void Attention::backward(const AttentionInput &input, ConstTensor o, const AttentionSaved &saved, ConstTensor d_o,
                         Tensor d_q, Tensor d_k, Tensor d_v) {
  State &s = *state_;
  s.report.pass = {};
  s.report.passes = 0;
  const int width = s.shape.width;
  const int columns = width + s.shape.value_width;
  const TileShape tile = s.tile_shape(RowKind::softmax_gradient, input.q.storage, columns);
  TileBlock own;
  TileBlock sources;
  s.communicator.agree([&] {
    check_input(input);
    s.open(s.backend_for(tile));
    own = s.pack_queries(tile, input);
    sources = s.pack_keys(tile, input);
    own.set_columns(columns,
                    read_tensors({s.query_rows("q", input.q, width), s.query_rows("dO", d_o, s.shape.value_width)}));
    sources.set_columns(columns,
                        read_tensors({s.key_rows("k", input.k, width), s.key_rows("v", input.v, s.shape.value_width)}));
    const auto rows = static_cast<std::size_t>(own.local_rows());
    FLASHRING_CHECK(saved.log_sum_exp.size() == rows, "saved rows are ", saved.log_sum_exp.size(), ", and queries of ",
                    "this rank ", rows, "; give what forward gave for these arrays");
    std::vector<double> of_queries = saved.log_sum_exp;  // (rows), then delta
    const std::vector<double> delta = row_products(d_o, o, own.local_rows(), s.shape.value_width);
    of_queries.insert(of_queries.end(), delta.begin(), delta.end());
    own.set_pass_scalars({of_queries.data(), own.local_rows(), 2}, 0);
    std::vector<double> of_keys = s.log_weights(input);  // (rows), then what nobody reads
    of_keys.resize(2 * of_keys.size());
    sources.set_pass_scalars({of_keys.data(), sources.local_rows(), 2}, -infinity);
  });
  s.run(tile, Sides::both, own, sources);
  own.finish(tile.row, columns, [&](LocalRow row, std::int64_t count, const double *answers, std::int64_t stride) {
    write_rows({d_q, width, 0, width}, row, count, answers, stride, s.scale());
  });
  sources.finish(tile.row, columns, [&](LocalRow row, std::int64_t count, const double *answers, std::int64_t stride) {
    write_rows({d_k, width, 0, width}, row, count, answers, stride, s.scale());
    write_rows({d_v, s.shape.value_width, 0, s.shape.value_width}, row, count, answers + width * stride, stride, 1);
  });
}

}  // namespace flashring
