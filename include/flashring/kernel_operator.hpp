// KernelOperator: Y = op(X) for the kernel matrix of a point set and its diffusion normalisations.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "flashring/communicator.hpp"
#include "flashring/options.hpp"
#include "flashring/points.hpp"
#include "flashring/slope.hpp"
#include "flashring/summation.hpp"

namespace flashring {

class NoiseSample;

/// 2-norms of a product A x, of its error in some precision, and its part along x: |x' A x| / |x|.
struct ProductNoise {
  double product = 0, error = 0, along = 0;
};

/// Work done since construction. A call of c columns is ceil(c/64) passes and c column passes.
struct Counters {
  std::int64_t calls = 0;
  std::int64_t passes = 0;
  std::int64_t column_passes = 0;
  std::array<std::int64_t, 3> passes_in{};  ///< of each Precision
  PassReport ring;
  PassReport landmarks;               ///< of products with landmarks (LandmarkOperator), which are no passes
  PassReport queries;                 ///< of averages at other points (QueryOperator), which are none either
  std::int64_t neighbour_passes = 0;  ///< of passes: searches that lengths or covariances of the points come from
  std::int64_t earlier_passes = 0;    ///< of the runs before, up to the checkpoint that this one goes on from
  double earlier_seconds = 0;         ///< that those passes took
};

/// Set-up passes, about: each of one column in fp64.
constexpr int set_up_passes(Normalization normalization) { return normalization == Normalization::density ? 2 : 18; }

/// The operators of docs/mathematics.md, "Operators", with a measure m (per-point weights, ones by default):
///   D = K m, w = D^-alpha (or as options().normalization and a target say), d = w o K(w o m), r = w o (m/d)^(1/2),
///   kernel K_ij = k(x_i,x_j);  symmetric M = diag(r) K diag(r);  markov P = diag(w/d) K diag(w o m).
/// Set-up costs two fp64 passes (about 18 for bistochastic), made when first needed. All vectors here are the rows of
/// this rank, in user order.
class KernelOperator {
 public:
  /// Resolves the bandwidth, the unit of lengths and the global shift of inner_exp, packs the points and gives
  /// them up: from here on they are what the tiles hold. Collective. The communicator must outlive the operator.
  KernelOperator(const Communicator &communicator, OperatorOptions options, PointBlock points);
  ~KernelOperator();

  std::int64_t rows() const { return partition_.rows(); }
  std::int64_t local_rows() const { return partition_.local_rows(communicator_.rank()); }
  int features() const { return features_; }
  const RowPartition &partition() const { return partition_; }
  /// Of a row of this rank.
  GlobalRow global_row(LocalRow row) const { return partition_.global_row(communicator_.rank(), row); }
  const Communicator &communicator() const { return communicator_; }
  /// Options as used: bandwidth, exchange, memory of points and ramp resolved, threads chosen.
  const OperatorOptions &options() const { return options_; }
  /// How the length scale was found. -beta slope and auto take one pass for it.
  const Bandwidth &bandwidth() const { return bandwidth_; }
  /// Why the exchange is the one it is, in words.
  const std::string &exchange_reason() const { return exchange_reason_; }
  /// The same of where packed points are.
  const std::string &points_memory_reason() const { return points_memory_reason_; }
  std::span<const double> mean() const { return mean_; }
  /// What the coordinates of points became: feature_map().given() of them.
  const FeatureMap &feature_map() const { return feature_map_; }
  /// Factor of every feature, (features), or empty: ones.
  std::span<const double> feature_scales() const { return feature_scales_; }
  /// Of the points that the tiles hold now (flashring/fingerprint.hpp); that of the measure is apart:
  /// fingerprint(communicator(), partition(), measure()).
  std::uint64_t fingerprint() const { return fingerprint_; }

  /// Y = op(X): x (local_rows, columns) with leading dimension ldx, y likewise. Any number of columns, cut into passes
  /// of at most 64. Collective.
  /// `on_device`: x and y are in the memory of the backend's device.
  void apply(const double *x, std::int64_t ldx, double *y, std::int64_t ldy, int columns, bool transpose = false,
             bool on_device = false);
  /// The same in fp64 whatever the working precision: residuals.
  void apply_fp64(const double *x, std::int64_t ldx, double *y, std::int64_t ldy, int columns);
  /// Diagonal entries of op, (local_rows). No pass beyond set-up.
  void diagonal(std::span<double> out);

  /// The vectors above, (local_rows) each; the first call makes the set-up passes. For inner_exp the density and
  /// degree are those of K * exp(-log_shift()).
  std::span<const double> density();
  std::span<const double> weight();
  std::span<const double> degree();
  /// (m o d)^(1/2), (local_rows): right eigenvectors of P times it are eigenvectors of M.
  std::vector<double> root_law();
  /// Takes these vectors, (local_rows) each, of an operator with the same points, measure, target and options: the
  /// set-up passes are not made.
  void restore_set_up(std::vector<double> density, std::vector<double> weight, std::vector<double> degree);
  /// Passes and their seconds that were made before a restart, for counters().
  void restore_work(std::int64_t passes, double seconds);
  /// Counts the search that the points' lengths or covariances come from (tune_point_scales) as a pass.
  void count_neighbours(const PassReport &search);
  /// The density alone, (local_rows), of an operator of the same points, measure and pair function, whatever its alpha:
  /// one set-up pass is left.
  void restore_density(std::vector<double> density);
  /// The measure, (local_rows), or empty where none was given: ones.
  std::span<const double> measure() const { return measure_; }
  bool weighted() const { return weighted_; }
  /// The target density, (local_rows), or empty where none was given.
  std::span<const double> target() const { return target_; }
  bool targeted() const { return targeted_; }
  /// ln of the factor divided out of K before it is formed; 0 for distance kernels.
  double log_shift() const { return log_shift_; }
  /// k(x_i,x_i) * exp(-log_shift()), (local_rows).
  std::vector<double> self_weights() const;

  /// These rows of the points as TileBlock::unpack gives them, (rows.size(), point_numbers) row-major, the same on
  /// every rank, which all ask for the same rows. Collective.
  std::vector<double> gather_points(std::span<const GlobalRow> rows);

  /// New coordinates (local_rows, feature_map().given()), as the first ones were given: same shape, mean and set-up
  /// renewed; the bandwidth stays, and so do the points' lengths or covariances (PointBlock::point_scales) unless
  /// new ones come along. Takes a second copy of the points while it packs them. After an Error the old points are
  /// still there. Collective.
  void update_points(std::span<const double> rows, std::span<const double> point_scales = {});
  /// New measure (local_rows), positive: set-up renewed. Collective.
  void update_measure(std::span<const double> measure);
  /// Density mu that the diffusion's stationary law is to have, (local_rows), positive: w = D^-1 mu^(1/2), whatever
  /// alpha. Set-up renewed. Not with -normalization bistochastic. Collective.
  void update_target(std::span<const double> target);

  /// Doob transform by h (local_rows), positive and finite: w is multiplied by h, so that degree and all forms are
  /// those of P^h_ij = P_ij h_j / (P h)_i (docs/mathematics.md, "Doob transform"). It takes the place of an earlier one
  /// or of a killing; h is then 0 outside the set. Costs no pass before set-up, one after it. Collective.
  void transform(std::span<const double> h);
  /// P without the rows and columns outside a set, `inside` (local_rows): a walk ends when it leaves the set, and rows
  /// sum to 1 or less. Degree and w stay those of all points. It takes the place of a Doob transform; with all rows
  /// inside P is itself again. Costs set-up again where a transform was there. Collective.
  void kill_outside(std::span<const char> inside);
  bool transformed() const { return transformed_; }
  bool killed() const { return killed_; }
  /// (local_rows): h of the transform; of a killed operator 1 inside the set, 0 outside. Empty: neither.
  std::span<const double> doob_h() const { return doob_h_; }

  /// `stop` is asked on every rank before every pass; when it is true on any rank, all throw Interrupted there. Empty:
  /// never.
  void set_stop(std::function<bool()> stop) { stop_ = std::move(stop); }
  const std::function<bool()> &stop() const { return stop_; }
  /// What is asked before every pass. Collective.
  bool stop_requested() const { return stop_ && communicator_.max(stop_() ? 1.0 : 0.0) != 0; }

  /// What `apply` computes in from here on: options().precision, or a lower one of precisions_of(options()). The points
  /// are packed anew in the next pass.
  void set_precision(Precision precision) { precision_ = precision; }
  Precision precision() const { return precision_; }
  /// No lower precision than options().precision from here on.
  void end_ramp() {
    options_.ramp = "none";
    precision_ = options_.precision;
  }
  /// Noise of products with each column of x, (local_rows, columns), in that precision: estimated on up to 512 rows
  /// drawn at random, in that precision and in fp64, which takes 1/64 of two passes, or less. The error is infinite
  /// where single precision cannot hold the weights. Collective.
  std::vector<ProductNoise> noise(Precision precision, const double *x, std::int64_t ldx, int columns);
  /// error / product of the vector whose product is largest: sqrt(m d), 1 or m for the forms symmetric, markov and
  /// kernel. Measured once. Collective.
  double noise(Precision precision);

  const Counters &counters() const { return counters_; }
  /// Seconds of a pass of one column in fp64 as the set-up passes were, on the slowest rank. Collective.
  double pass_seconds();
  /// Expected seconds of one pass with that many columns. Collective.
  double cost(int columns, Precision precision);

 private:
  friend class LandmarkOperator;
  friend class QueryOperator;
  friend class CarreDuChamp;
  bool fits(Precision precision) const;
  void check_single_range(const PairFunction &pair, const PointBlock &points, std::span<const double> mean);
  PairFunction pair_of(const PointBlock &points) const;
  void resolve_shift(const PointBlock &points);
  void resolve_exchange();
  void make_summation(PointBlock points);
  void check_range(std::span<const double> values, double least, const char *name, const std::string &remedy) const;
  double measure_of(std::size_t row) const { return weighted_ ? measure_[row] : 1; }
  double doob_h_of(std::size_t row) const { return doob_h_.empty() ? 1 : doob_h_[row]; }
  void check_degree() const;
  void set_up();
  void set_weight_and_degree();
  void set_scales();
  void apply_scaled(const SumRequest &request);
  void apply_differences(const SumRequest &request);
  void count_pass(const SumRequest &request, const PassReport &report);
  void apply_form(SumRequest request, bool transpose);
  std::vector<double> pass_of_one_column(std::span<const double> x);
  std::vector<double> weighted_sums(std::span<const double> weight);
  std::vector<double> check_row_values(std::span<const double> values, const char *name) const;
  std::span<const double> right_scale() const { return options_.form == Form::markov ? right_ : left_; }

  const Communicator &communicator_;
  OperatorOptions options_;
  Bandwidth bandwidth_;
  RowPartition partition_;
  int features_;
  std::uint64_t fingerprint_ = 0;
  FeatureMap feature_map_;
  std::vector<double> feature_scales_;             // (features), or empty
  std::vector<double> point_scales_;               // (local_rows, scale_numbers), empty where the pair reads none
  std::vector<double> mean_;                       // (features), empty where the pair is not translation invariant
  std::vector<double> squared_norms_;              // (local_rows) of inner_exp, else empty
  std::vector<double> measure_;                    // (local_rows), or empty: ones
  std::vector<double> target_;                     // (local_rows), or empty: none
  std::vector<double> doob_h_;                     // (local_rows) of `transform` or `kill_outside`, or empty: ones
  std::vector<double> density_, weight_, degree_;  // (local_rows)
  std::vector<double> left_, right_;               // (local_rows), right_ empty where it is left_
  double log_shift_ = 0;
  bool has_density_ = false, ready_ = false;
  double set_up_seconds_ = 0;                // of one pass
  Precision precision_;                      // of apply
  double largest_length_ = 0;                // of the scaled points of this rank, from the mean
  std::array<double, 3> noise_{-1, -1, -1};  // of each Precision, below 0: not measured
  std::uint64_t scaling_ = 0;                // counts set-ups
  bool weighted_ = false, targeted_ = false, transformed_ = false, killed_ = false;
  std::string exchange_reason_, points_memory_reason_;
  std::function<bool()> stop_;
  std::unique_ptr<Summation> summation_;
  std::unique_ptr<NoiseSample> sample_;  // once noise was asked for
  Counters counters_;
};

}  // namespace flashring
