// The kernel matrix of a point set with its diffusion normalisations (docs/mathematics.md, "Operators").
//
// Construction: mean (one reduction), bandwidth (a sample, or a pass); the normalisations are set up in
// normalization.cpp. Product: one pass for up to 64 columns, diag(left) K diag(right).
#include "flashring/kernel_operator.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/pages.hpp"
#include "base/threads.hpp"
#include "flashring/check.hpp"
#include "flashring/fingerprint.hpp"
#include "flashring/plan.hpp"
#include "operator/common_tiles.hpp"
#include "operator/length.hpp"
#include "operator/noise_sample.hpp"

namespace flashring {

KernelOperator::KernelOperator(const Communicator &communicator, OperatorOptions options, PointBlock points)
    : communicator_(communicator),
      options_(std::move(options)),
      partition_(points.partition()),
      features_(points.features()),
      feature_map_(points.feature_map()),
      feature_scales_(points.feature_scales().begin(), points.feature_scales().end()),
      precision_(options_.precision) {
  communicator_.agree([&] {
    FLASHRING_CHECK(rows() >= 1, "there are no points (N = 0); at least one row is needed");
    check_point_scales(options_.pair, points);
  });
  options_.threads = choose_threads(options_.threads, communicator_);
  if (traits(options_.pair.kind).invariance == Invariance::translation) mean_ = global_mean(communicator_, points);
  bandwidth_ = choose_bandwidth(communicator_, options_, points);
  if (!bandwidth_.curve.points.empty())
    count_pass({nullptr, 0, nullptr, 0, 1, bandwidth_.curve.precision}, bandwidth_.curve.report);
  options_.pair = pair_of(points);
  point_scales_.assign(points.point_scales().begin(), points.point_scales().end());
  check_single_range(options_.pair, points, mean_);
  resolve_shift(points);
  resolve_exchange();
  fingerprint_ = ::flashring::fingerprint(communicator_, points);
  make_summation(std::move(points));
  release_free_memory();  // that of the points, and of reading them
}

KernelOperator::~KernelOperator() = default;

void KernelOperator::make_summation(PointBlock points) {
  summation_ = make_tiles_summation(communicator_, tiles_options(options_), options_.pair, std::move(points), mean_);
}

/// The pair function in the unit of these points' lengths. Collective.
PairFunction KernelOperator::pair_of(const PointBlock &points) const {
  PairFunction pair = options_.pair;
  if (point_scale(pair.kind) == PointScale::none) return pair;
  pair.length_unit = communicator_.min(smallest_length(points));
  return pair;
}

void KernelOperator::check_single_range(const PairFunction &pair, const PointBlock &points,
                                        std::span<const double> mean) {
  const double scale = feature_scale(pair);
  double largest = 0;
  communicator_.agree([&] {
    for (std::int64_t i = 0; i < local_rows(); ++i) {
      const double length = scale * std::sqrt(squared_norm(points, i, mean));
      check_length(length, options_.precision, global_row(LocalRow{i}).value);
      largest = std::max(largest, length);
    }
  });
  largest_length_ = largest;
}

void KernelOperator::resolve_shift(const PointBlock &points) {
  if (options_.pair.kind != PairKind::inner_exp) return;
  squared_norms_.resize(static_cast<std::size_t>(local_rows()));
  double largest = 0;  // |<x,y>| is at most that
  for (std::int64_t i = 0; i < local_rows(); ++i) {
    const double norm = squared_norm(points, i);
    squared_norms_[static_cast<std::size_t>(i)] = norm;
    largest = std::max(largest, norm);
  }
  log_shift_ = std::abs(options_.pair.parameters[0]) * communicator_.max(largest);
  options_.pair.parameters[1] = log_shift_;
}

void KernelOperator::resolve_exchange() {
  const PointShape shape{rows(), features_};
  options_.ramp = choose_ramp(communicator_, options_, shape).value;
  const Choice points = choose_points_memory(communicator_, options_, shape);
  options_.points_memory = points.value;
  points_memory_reason_ = points.reason;
  const Choice exchange = choose_exchange(communicator_, options_, shape);
  options_.exchange = exchange.value;
  exchange_reason_ = exchange.reason;
  check_device_room(communicator_, options_, shape);
}

void KernelOperator::check_range(std::span<const double> values, double least, const char *name,
                                 const std::string &remedy) const {
  for (std::size_t i = 0; i < values.size(); ++i)
    FLASHRING_CHECK(values[i] > least && std::isfinite(values[i]), name, " of row ",
                    global_row(LocalRow{static_cast<std::int64_t>(i)}).value, " is ", values[i], ", outside (", least,
                    ", infinity): ", remedy);
}

std::vector<double> KernelOperator::self_weights() const {
  std::vector<double> values(static_cast<std::size_t>(local_rows()), 1.0);
  for (std::size_t i = 0; i < squared_norms_.size(); ++i)
    values[i] = ::flashring::weight(options_.pair, squared_norms_[i]);
  return values;
}

void KernelOperator::apply_scaled(const SumRequest &request) {
  if (stop_requested()) throw Interrupted("interrupted by the user");
  count_pass(request, summation_->apply(request));
}

void KernelOperator::apply_differences(const SumRequest &request) {
  if (stop_requested()) throw Interrupted("interrupted by the user");
  count_pass(request, summation_->apply_differences(request));
}

void KernelOperator::count_pass(const SumRequest &request, const PassReport &report) {
  counters_.ring += report;
  ++counters_.passes;
  ++counters_.passes_in[static_cast<std::size_t>(request.precision)];
  counters_.column_passes += request.columns;
}

void KernelOperator::count_neighbours(const PassReport &search) {
  counters_.ring += search;
  ++counters_.passes;
  ++counters_.passes_in[static_cast<std::size_t>(Precision::fp64)];
  ++counters_.neighbour_passes;
}

void KernelOperator::restore_work(std::int64_t passes, double seconds) {
  counters_.earlier_passes = passes;
  counters_.earlier_seconds = seconds;
}

std::vector<double> KernelOperator::pass_of_one_column(std::span<const double> x) {
  std::vector<double> y(static_cast<std::size_t>(local_rows()));
  apply_scaled({x.data(), local_rows(), y.data(), local_rows(), 1, Precision::fp64});
  ++counters_.calls;
  return y;
}

void KernelOperator::apply_form(SumRequest request, bool transpose) {
  ++counters_.calls;
  std::vector<double> unshift;
  if (options_.form != Form::kernel) {
    set_up();
  } else if (log_shift_ != 0) {
    // The shift is the same on every rank, and so is the refusal.
    if (!(log_shift_ < 700))
      throw Error(detail::concatenate("-form kernel: entries of ", to_string(options_.pair), " reach exp(", log_shift_,
                                      "), beyond the largest number; use form symmetric or markov, or rescale the "
                                      "points"),
                  true);
    unshift.assign(static_cast<std::size_t>(local_rows()), std::exp(log_shift_));
  }
  const bool scaled = options_.form != Form::kernel;
  request.left = scaled ? (transpose ? right_scale() : left_) : unshift;
  request.right = scaled ? (transpose ? left_ : right_scale()) : std::span<const double>();
  request.scaling = scaled ? scaling_ : 0;
  for (int all = request.columns; all > 0; all -= max_columns) {
    request.columns = std::min(max_columns, all);
    apply_scaled(request);
    request.x += max_columns * request.ldx;
    request.y += max_columns * request.ldy;
  }
}

void KernelOperator::apply(const double *x, std::int64_t ldx, double *y, std::int64_t ldy, int columns, bool transpose,
                           bool on_device) {
  SumRequest request{x, ldx, y, ldy, columns, precision_};
  request.on_device = on_device;
  apply_form(request, transpose);
}

void KernelOperator::apply_fp64(const double *x, std::int64_t ldx, double *y, std::int64_t ldy, int columns) {
  apply_form({x, ldx, y, ldy, columns, Precision::fp64}, false);
}

void KernelOperator::diagonal(std::span<double> out) {
  const std::vector<double> self = self_weights();
  const bool scaled = options_.form != Form::kernel;
  if (scaled) set_up();
  for (std::size_t i = 0; i < self.size(); ++i)
    out[i] = self[i] * (scaled ? left_[i] * right_scale()[i] : std::exp(log_shift_));
}

std::vector<double> KernelOperator::gather_points(std::span<const GlobalRow> rows) {
  for (const GlobalRow row : rows)
    FLASHRING_REQUIRE(row.value >= 0 && row.value < partition_.rows(), "row ", row.value, " of ", partition_.rows());
  return summation_->gather_points(rows);
}

void KernelOperator::update_points(std::span<const double> rows, std::span<const double> point_scales) {
  PointBlock points;
  communicator_.agree([&] {
    points = PointBlock(partition_, communicator_.rank(), feature_map_.given(), {rows.begin(), rows.end()});
    points.map_features(feature_map_);
    if (!feature_scales_.empty()) points.set_feature_scales(feature_scales_);
    const std::span<const double> scales = point_scales.empty() ? point_scales_ : point_scales;
    if (!scales.empty()) points.set_point_scales({scales.begin(), scales.end()}, point_scale(options_.pair.kind));
    check_point_scales(options_.pair, points);
  });
  std::vector<double> mean;
  if (!mean_.empty()) mean = global_mean(communicator_, points);
  const PairFunction pair = pair_of(points);
  check_single_range(pair, points, mean);
  options_.pair = pair;
  point_scales_.assign(points.point_scales().begin(), points.point_scales().end());
  mean_ = std::move(mean);
  resolve_shift(points);
  const std::uint64_t renewed = ::flashring::fingerprint(communicator_, points);
  sample_.reset();
  summation_->update_points(options_.pair, std::move(points), mean_);
  fingerprint_ = renewed;
  has_density_ = ready_ = false;
}

double KernelOperator::cost(int columns, Precision precision) { return summation_->cost(columns, precision); }

double KernelOperator::pass_seconds() {
  set_up();
  return communicator_.max(set_up_seconds_);
}

/// Whether weights in that precision neither overflow nor vanish.
bool KernelOperator::fits(Precision precision) const {
  const double least = density_.empty() ? HUGE_VAL : *std::min_element(density_.begin(), density_.end());
  const bool in_range = least >= least_single_density && largest_length_ <= most_single_length;
  return precision == Precision::fp64 || communicator_.max(in_range ? 0.0 : 1.0) == 0;
}

std::vector<ProductNoise> KernelOperator::noise(Precision precision, const double *x, std::int64_t ldx, int columns) {
  set_up();
  if (!fits(precision)) return std::vector<ProductNoise>(static_cast<std::size_t>(columns), {0, HUGE_VAL, 0});
  if (sample_ == nullptr) sample_ = std::make_unique<NoiseSample>(*this);
  SumRequest request{x, ldx, nullptr, 0, columns, precision};
  const bool scaled = options_.form != Form::kernel;
  if (scaled) {
    request.left = left_;
    request.right = right_scale();
  }
  return sample_->measure(request, scaled);
}

double KernelOperator::noise(Precision precision) {
  set_up();
  double &known = noise_[static_cast<std::size_t>(precision)];
  if (known >= 0) return known;
  std::vector<double> x = root_law();  // symmetric; rows of P, markov, sum to 1
  for (std::size_t i = 0; i < x.size(); ++i)
    if (options_.form != Form::symmetric) x[i] = options_.form == Form::kernel ? measure_of(i) : 1;
  const ProductNoise found = noise(precision, x.data(), local_rows(), 1).front();
  return known = found.error / std::max(found.product, std::numeric_limits<double>::min());
}

}  // namespace flashring
