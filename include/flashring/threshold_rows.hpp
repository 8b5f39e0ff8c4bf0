// Threshold families on rows of given scores: diffmax, entmax, sparsemax and softmax over one dimension of an array,
// forward and backward. The families: flashring/threshold.hpp.
//
//   forward    p_i = [s (x_i - max x) - t + 1]_+^e with t such that sum p = 1, divided by its sum where asked
//   backward   dx = s e u (g - <u, g>/sum u), u = p^((e-1)/e) on the support, and d alpha = sum r (g - <u, g>/sum u);
//              the division by the sum is taken as a constant
// x = -infinity marks a masked entry: p = dx = 0. A row without a finite entry gives zeros.
// Source: docs/mathematics.md, "Threshold families".
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "flashring/communicator.hpp"
#include "flashring/plan.hpp"
#include "flashring/storage.hpp"
#include "flashring/threshold.hpp"

namespace flashring {

struct ThresholdBackend;

/// Arrays are (outer, n, inner), C order, and a row is the n numbers with the same outer and inner index: for dimension
/// k of an array, outer is the product of those before, inner of those behind it. Row number o inner + i.
struct RowsShape {
  std::int64_t outer = 1;
  std::int64_t n = 0;  ///< on this rank, where rows are split over ranks
  std::int64_t inner = 1;
  std::int64_t rows() const { return outer * inner; }
};

struct ThresholdRowsOptions {
  std::string op = "diffmax";            ///< softmax, diffmax, entmax, sparsemax
  std::string family_scale = "tsallis";  ///< of diffmax: tsallis, none, porous
  /// alpha of diffmax, a of entmax: one number, or one for each group of rows. Not read by softmax and sparsemax.
  std::vector<double> parameters = {0.5};
  /// The parameters are w = 1 - alpha (entmax: a - 1) instead; w = 0 is softmax.
  bool complements = false;
  /// That many rows after each other are of one group; behind the last group comes the first again. With parameters per
  /// head of scores (B, H, N, N): N. With one for each row: 1.
  std::int64_t rows_per_group = 1;
  bool ensure_sum_one = true;  ///< p is divided by its sum, which is 1 but for rounding
  bool monitor = false;        ///< fill the metrics that cost time: support, zeros, entropy, gradient norms
  int threads = 0;             ///< 0: as many as KernelOperator takes
  /// auto, ref, simd, or simd with an instruction set (simd:avx2); cuda, sm80 or sm90 for a GPU. auto is a processor
  /// for arrays of the host and a GPU for those of a device.
  std::string backend = "auto";
  /// Where x, p, g and dx of all calls lie. `device` takes a backend of GPUs and copies none of them: what the caller
  /// queued for them must be done before a call, and a call returns when its result is there. With a backend of GPUs
  /// and arrays of the host, each array is copied once to the device or from it, whole, so all fit there together.
  MemorySpace memory = MemorySpace::host;
  /// Kernels of the caller's own instead of those that `backend` names (kernels/threshold_kernels.hpp), or null.
  const ThresholdBackend *kernels = nullptr;
};

/// What backward needs beside x: (rows) each.
struct ThresholdSaved {
  std::vector<double> row_maximum;  ///< -infinity: no finite entry
  std::vector<double> t;
};

/// What the last calls did. Of rows with a finite entry, without masked entries; of all rows split over ranks, and of
/// this rank's whole rows. Those marked * are NaN without `monitor`.
struct ThresholdMetrics {
  static constexpr double unknown = std::numeric_limits<double>::quiet_NaN();
  std::int64_t rows = 0;                     ///< with a finite entry
  int iterations = 0;                        ///< of the row that took most
  double largest_step = unknown;             ///< last change of t, times e, largest of the rows
  double sum_error = 0;                      ///< largest |sum p - 1| before the division
  double scores = unknown;                   ///< * of these rows, that are not masked
  double mean_support = unknown;             ///< * entries with p > 0 of a row
  double zeros = unknown;                    ///< * their share of exact zeros
  double mean_entropy = unknown;             ///< * -sum p ln p, nats
  double alpha_min = unknown;                ///< of the parameters (a of entmax); NaN where there is none
  double alpha_mean = unknown;               ///< the same
  double alpha_max = unknown;                ///< the same
  double gradient_norm = unknown;            ///< * 2-norm of all dx; NaN of a forward
  double parameter_gradient_norm = unknown;  ///< of what backward returned; NaN of a forward
  void set_alphas(const std::vector<double> &alphas);
};

class ThresholdRows {
 public:
  /// Whole rows, each call of this process alone. Throws Error that names the parameter or option for what is out of
  /// range.
  ThresholdRows(RowsShape shape, ThresholdRowsOptions options);
  /// Rows split over the ranks of the communicator, which must outlive this: every rank has its n >= 0 entries of every
  /// row, outer and inner alike. Collective, as are all calls then. Costs two all-reduces and one for each iteration
  /// (at most 12), each of a few numbers per row. On one rank rows are whole.
  ThresholdRows(const Communicator &communicator, RowsShape shape, ThresholdRowsOptions options);
  ~ThresholdRows();
  ThresholdRows(ThresholdRows &&) noexcept;
  ThresholdRows &operator=(ThresholdRows &&) noexcept;

  /// x -> p, (outer, n, inner) in `storage` both; they may be the same array. Throws Error that names the row of a NaN
  /// or +infinity; p is then undefined. Reads x once or twice, writes p once.
  ThresholdSaved forward(const void *x, Storage storage, void *p);
  /// x as forward got it, g = dL/dp -> dx, (outer, n, inner) in `storage` each; dx may be x or g. Returns dL/dalpha
  /// (entmax: dL/da), one number for each parameter, 0 for softmax and sparsemax; rows are summed in their order.
  std::vector<double> backward(const void *x, const ThresholdSaved &saved, const void *g, Storage storage, void *dx);
  const ThresholdMetrics &metrics() const;
  int threads() const;
  std::string backend() const;
  std::string target() const;  ///< instruction set
  /// Of arrays, by the last call of this rank, from the host to a device and back.
  double bytes_copied() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Of whole rows that every rank has some of: those of all of them. Collective.
ThresholdMetrics join_metrics(const Communicator &communicator, const ThresholdMetrics &mine);

/// Memory per rank of a program that holds scores and weights of this rank's `shape`, with `backward` two gradients
/// more; `split`: rows are split over ranks, otherwise each rank has some. Collective.
RunPlan plan_rows(const Communicator &communicator, const RowsShape &shape, const ThresholdRowsOptions &options,
                  Storage storage, bool backward, bool split);

/// Seconds of one forward and one backward call, from some milliseconds of such rows of standard normal numbers.
/// Messages between ranks that share a row are left out. Collective.
struct RowsCost {
  double forward_seconds = 0, backward_seconds = 0;
};
RowsCost measure_rows(const Communicator &communicator, const RowsShape &shape, const ThresholdRowsOptions &options,
                      Storage storage, bool backward);

}  // namespace flashring
