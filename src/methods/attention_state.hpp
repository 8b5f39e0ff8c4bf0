// What an Attention keeps, and the steps that softmax and the threshold families share.
#pragma once

#include <cmath>
#include <limits>
#include <utility>

#include "flashring/attention.hpp"
#include "flashring/threshold.hpp"
#include "flashring/tile_block.hpp"
#include "flashring/transport.hpp"
#include "methods/attention_tensors.hpp"
#include "tile/host_arrays.hpp"

namespace flashring {

/// The arrays of one backward pass.
struct Gradients {
  const AttentionInput &input;
  const AttentionSaved &saved;
  ConstTensor o, d_o;
  Tensor d_q, d_k, d_v;
};

struct Attention::State {
  State(const Communicator &group, const AttentionShape &arrays, AttentionOptions asked)
      : communicator(group), shape(arrays), options(std::move(asked)) {}

  const Communicator &communicator;
  AttentionShape shape;
  AttentionOptions options;
  RowPartition queries, keys;
  std::vector<ThresholdFamily> families;  // (H_q); empty: softmax
  const Device *device = nullptr;         // that has the caller's arrays; null: the host
  const Device *place = nullptr;          // the same where passes run on it, too: arrays are used where they lie
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
    return {tensor, {name, shape.heads, queries, rank(), options.first_batch, options.first_head}, width, 0, width,
            place};
  }
  TensorPart key_rows(const char *name, ConstTensor tensor, int width, std::span<const std::uint8_t> real) const {
    const int first = static_cast<int>(std::int64_t{options.first_head} * shape.key_heads / shape.heads);
    return {tensor, {name, shape.key_heads, keys, rank(), options.first_batch, first, real}, width, 0, width, place};
  }

  void open(const Backend &chosen);
  /// Whether passes on this backend use the caller's arrays where they lie, on a device.
  bool in_place(const Backend &chosen) const { return device != nullptr && chosen.device != nullptr; }
  /// The shape of the last pass of a call.
  TileShape forward_tile(Storage storage) const;
  TileShape backward_tile(Storage storage) const;
  const Backend &named() const { return options.kernels != nullptr ? *options.kernels : find_backend(options.backend); }
  /// That of the options, or by auto one that has the row rule.
  const Backend &backend_for(const TileShape &tile) const;
  std::vector<double> log_weights(const AttentionInput &input) const;
  /// Pairs of tiles whose keys are not padding alone; empty where all tiles hold a key. Collective.
  TileBits pairs_with_keys(const AttentionInput &input, TileBlock &own, const TileBlock &sources) const;
  int value_columns(Storage storage) const;
  void run(const TileShape &tile, Sides sides, TileBlock &own, TileBlock &sources, const TileBits &kept);
  void start_report(const TileShape &tile);
  /// Counts of all ranks, after the last pass. Collective.
  void close_report();

  /// Of a call whose backend is open: arrays that its passes do not use where they lie are copied to the host.
  HostArrays host_arrays() const { return HostArrays(place == nullptr ? device : nullptr); }
  /// An array (B, heads, rows of this rank, width) of the caller, where it is read.
  ConstTensor readable(HostArrays &arrays, ConstTensor tensor, int heads, const RowPartition &rows, int width) const {
    return {arrays.in(tensor.data, tensor_bytes(tensor.storage, heads, rows, width)), tensor.storage};
  }
  /// The same, where it is written.
  Tensor writable(HostArrays &arrays, Tensor tensor, int heads, const RowPartition &rows, int width) const {
    return {arrays.out(tensor.data, tensor_bytes(tensor.storage, heads, rows, width)), tensor.storage};
  }
  AttentionInput readable(HostArrays &arrays, const AttentionInput &input) const {
    return {readable(arrays, input.q, shape.heads, queries, shape.width),
            readable(arrays, input.k, shape.key_heads, keys, shape.width),
            readable(arrays, input.v, shape.key_heads, keys, shape.value_width), input.key_padding};
  }
  std::size_t tensor_bytes(Storage storage, int heads, const RowPartition &rows, int width) const {
    return static_cast<std::size_t>(shape.batch * heads * rows.local_rows(rank()) * width) * storage_bytes(storage);
  }

  void give(HostArrays &arrays);

  bool is_softmax() const { return families.empty(); }
  void finish_softmax(const TileShape &tile, TileBlock &own, const TensorSlice &to,
                      std::vector<double> &log_sum_exp) const;
  AttentionSaved forward_softmax(const AttentionInput &input, Tensor o);
  void finish_threshold(TileBlock &own, const TensorSlice &first, const TensorSlice &second) const;
  AttentionSaved forward_threshold(const AttentionInput &input, Tensor o);
  void backward_softmax(const Gradients &g);
  std::vector<double> backward_threshold(const Gradients &g);
  /// Both sides on the backend that has the rule, the keys with their log weights.
  std::pair<TileBlock, TileBlock> pack(const TileShape &tile, const AttentionInput &input);
  /// Both sides with the columns of a gradient rule: [q | dO] and [k | v].
  std::pair<TileBlock, TileBlock> pack_gradient(const TileShape &tile, const Gradients &g);
  void write_gradients(const TileShape &tile, TileBlock &own, TileBlock &sources, const Gradients &g) const;
  ThresholdRequest request(std::vector<double> &s, std::vector<double> &e_minus_1) const;
  std::vector<double> parameter_gradients(TileBlock &own) const;

  MemoryPart array_memory(Storage storage, bool backward) const;
  std::vector<MemoryPart> pass_memory(const TileShape &tile, std::size_t state_bytes) const;
  double bits_memory(const Backend &chosen) const;
  PlanPhase forward_phase(Storage storage) const;
  PlanPhase backward_phase(Storage storage) const;
};

}  // namespace flashring
