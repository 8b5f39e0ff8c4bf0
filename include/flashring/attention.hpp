// Attention whose tokens are spread over ranks: O = P V with P = softmax(scale Q K^T), or a threshold family in its
// place (diffmax, entmax, sparsemax: flashring/threshold.hpp), forward and backward. P is never stored: memory
// O(B H N (D + D_v) / ranks). Blocks of keys and values come round a ring; every (query tile, key tile) pair is a call
// of the backend. The mathematics: docs/mathematics.md, "Attention" and "Threshold families".
//
// Cost of forward: B H_q N_q N_k pairs of D + D_v multiply-adds and an exponential (about half of the pairs with a
// causal mask), one pass for every 128 columns of values; of backward: D + D_v for the weights and 2 D + D_v for the
// gradients, one pass. A threshold takes a pass for a histogram and, in fp32, about two for sums before the pass of the
// output; what holds no weight is left out of all but the first. The same set-up gives the same bits, for any number of
// threads.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "flashring/buffer.hpp"
#include "flashring/communicator.hpp"
#include "flashring/partition.hpp"
#include "flashring/plan.hpp"
#include "flashring/ring.hpp"
#include "flashring/storage.hpp"
#include "flashring/threshold_attention.hpp"

namespace flashring {

/// Array (B, H, rows of this rank, width), C order, in this storage.
struct ConstTensor {
  const void *data = nullptr;
  Storage storage = Storage::fp32;
};
struct Tensor {
  void *data = nullptr;
  Storage storage = Storage::fp32;
  operator ConstTensor() const { return {data, storage}; }  // NOLINT(google-explicit-constructor): as with pointers
};

struct AttentionShape {
  std::int64_t batch = 1;    ///< B
  int heads = 1;             ///< H_q, a multiple of key_heads
  int key_heads = 1;         ///< H_kv: query head h reads key head h H_kv / H_q, rounded down
  std::int64_t queries = 0;  ///< N_q of all ranks
  std::int64_t keys = 0;     ///< N_k of all ranks
  int width = 0;             ///< D of Q and K
  int value_width = 0;       ///< D_v of V and O
};

struct AttentionOptions {
  std::string op = "softmax";                 ///< softmax, diffmax, entmax, sparsemax
  std::vector<double> alpha;                  ///< one number or one for each query head; default 0.5, entmax's a 1.5
  bool complements = false;                   ///< alpha holds w = 1 - alpha (entmax: a - 1); 0 is softmax
  std::string family_scale = "tsallis";       ///< of diffmax: tsallis, none, porous
  bool ensure_sum_one = true;                 ///< rows of P of a family are divided by their sum, 1 but for rounding
  bool gradient = true;                       ///< forward keeps what backward needs: of a family, a second output
  std::optional<double> scale;                ///< of scores; default D^(-1/2)
  bool causal = false;                        ///< key row <= query row + causal_offset
  std::optional<std::int64_t> causal_offset;  ///< default 0; to be given where N_q and N_k differ
  std::string backend = "auto";
  std::string transport = "auto";
  Route route = Route::direct;
  int threads = 0;  ///< 0: cores in the affinity mask divided by the ranks on this machine
  /// Where the arrays of all calls lie, but for key_padding, which is the host's. Those of a device, the current one of
  /// CUDA, are used where they lie by the backends of GPUs; for others they are copied once each to the host and
  /// results back, which PassReport's bytes_copied counts. What the caller queued for them must be done before a call,
  /// and a call returns when its results are there. Error where no GPU can be used.
  MemorySpace memory = MemorySpace::host;
  /// Numbers that messages give the first batch entry and query head: others than 0 where arrays are part of larger
  /// ones.
  std::int64_t first_batch = 0;
  int first_head = 0;
  /// Tiles of the caller's own, and their device, instead of those that `backend` names, or null.
  const Backend *kernels = nullptr;
};

/// One call's arrays of this rank: the rows of its part of the partitions.
struct AttentionInput {
  ConstTensor q;  // (B, H_q, n_q, D)
  ConstTensor k;  // (B, H_kv, n_k, D)
  ConstTensor v;  // (B, H_kv, n_k, D_v), all three in one storage
  /// (B, n_k), 1: a token, 0: not to be seen; or empty. Hidden tokens are read as zeros; in arrays that a device uses
  /// where they lie their numbers, and the scores that these would have, must be finite.
  std::span<const std::uint8_t> key_padding = {};
};

/// What backward needs of forward, (B, H_q, n_q) each.
struct AttentionSaved {
  std::vector<double> log_sum_exp;  ///< softmax: of the scores of a row; -infinity where it sees no key
  RowThresholds thresholds;         ///< the families
  /// These with `gradient`: O2 (B, H_q, n_q, D_v), fp64 or fp32; on the device where o is used there, else the host's.
  AlignedBuffer second_output{};
};

/// What the last call did.
struct AttentionReport {
  PassReport pass;  ///< of this rank
  int passes = 0;
  // Over all ranks; the first two of a family's forward:
  int iterations = 0;        ///< steps that the threshold took
  double sum_error = 0;      ///< largest |sum p - 1| of a row, before ensure_sum_one
  double tiles_visited = 0;  ///< pairs of tiles in all passes
  double tiles_skipped = 0;  ///< those without a weight, or whose keys are padding alone
  std::string backend;       ///< that ran it
  std::string target;        ///< its instruction set or device
  Precision precision = Precision::fp32;
  int threads = 1;
};

class Attention {
 public:
  /// Every rank gives the same shape and options. The communicator must outlive this. Throws Error for shapes and
  /// options that do not fit. Collective.
  Attention(const Communicator &communicator, const AttentionShape &shape, AttentionOptions options);
  ~Attention();
  Attention(Attention &&) noexcept;
  Attention &operator=(Attention &&) noexcept;

  const AttentionShape &shape() const;
  /// Rows of every rank: zigzag with a causal mask, so that all ranks have as much to do, else contiguous.
  const RowPartition &query_partition() const;
  const RowPartition &key_partition() const;

  /// o (B, H_q, n_q, D_v). A row that sees no key gets zeros. Arithmetic is fp64 for fp64 storage and fp32 for the
  /// others, with fp64 sums between tiles. Throws Error that names array, batch, head, row and column of what is not
  /// finite. Collective.
  AttentionSaved forward(const AttentionInput &input, Tensor o);
  /// From dL/dO the gradients dL/dQ, dL/dK, dL/dV, shaped as q, k, v; `o` and `saved` are what forward gave. K and V of
  /// grouped heads get the sum over their query heads. Returns dL/d alpha (entmax: a), one number for each of
  /// options.alpha, of all ranks; none for softmax and sparsemax. Runs on backend simd (or ref) where the chosen one,
  /// by auto, has no gradients. Collective.
  std::vector<double> backward(const AttentionInput &input, ConstTensor o, const AttentionSaved &saved, ConstTensor d_o,
                               Tensor d_q, Tensor d_k, Tensor d_v);
  const AttentionReport &report() const;

  /// Memory per rank of a program that holds q, k, v, o in `storage` and calls forward, and with `backward` also dO,
  /// dQ, dK, dV and backward. What the machine has free is asked now. Collective.
  RunPlan plan(Storage storage, bool backward) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Passes and seconds of one forward and one backward call.
struct AttentionCost {
  int forward_passes = 0, backward_passes = 0;
  double forward_seconds = 0, backward_seconds = 0;
};
/// From some milliseconds of a head of the same widths on every rank, with standard normal numbers, which decide how
/// many passes a threshold takes. Without a backward call its numbers are 0. Collective.
AttentionCost measure_attention(const Communicator &communicator, const AttentionShape &shape,
                                const AttentionOptions &options, Storage storage, bool backward);

}  // namespace flashring
