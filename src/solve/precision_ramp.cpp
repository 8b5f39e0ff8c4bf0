#include "solve/precision_ramp.hpp"

#include <array>
#include <cmath>
#include <iomanip>
#include <sstream>
#include <utility>

#include "solve/block_krylov_schur.hpp"

namespace flashring {
namespace {

/// A change of precision packs the points anew and is a risk of rounding: it has to save something.
constexpr double worth_a_change = 0.9;
/// Of the costs of neighbouring precisions where they are not measured.
constexpr double unmeasured_ratio = 0.5;
/// Noise beyond which products say too little of the matrix.
constexpr double most_noise = 1e-2;
/// Shares of passes in each of two or three precisions, and what a first space in the lowest one adds to their number:
/// measured on slow, medium and fast spectra of diffusion maps (DESIGN.md).
constexpr std::array<double, 2> share_of_two{0.45, 0.55};
constexpr std::array<double, 3> share_of_three{0.3, 0.5, 0.2};
constexpr double scout_passes = 1.5;
constexpr double exact_passes = 0.1;
/// An expectation is no measurement.
constexpr double sure_saving = 0.8;
/// Of norms that a sample of 64 rows or more tells.
constexpr double sample_safety = 1.2;
/// |x' A x| / |A x| of unit vectors whose noise tells that of others: errors of random ones average out.
constexpr double near_eigenvector = 0.9;
/// Products of about one size.
constexpr double alike = 2;

/// The mean seconds of a product whose costs in two or three precisions are these.
double mean_cost(const std::vector<double> &costs) {
  if (costs.size() == 1) return costs.front();
  double mean = 0;
  for (std::size_t k = 0; k < costs.size(); ++k)
    mean += (costs.size() == 2 ? share_of_two.at(k) : share_of_three.at(k)) * costs[k];
  return mean;
}

}  // namespace

double mixed_seconds(const std::vector<Precision> &precisions, const std::function<double(Precision)> &seconds) {
  std::vector<double> costs;
  for (const Precision precision : precisions) {
    const double cost = seconds(precision);
    if (costs.empty() || cost <= worth_a_change * costs.back()) costs.push_back(cost);
  }
  return mean_cost(costs);
}

PrecisionRamp::PrecisionRamp(std::shared_ptr<KernelOperator> op, int block) : op_(std::move(op)) {
  if (op_ == nullptr) return;
  const bool automatic = op_->options().ramp == "auto";
  const bool measured = automatic && precisions_of(op_->options()).size() > 1 && measuring_pays(costs_of(*op_));
  for (const Precision precision : precisions_of(op_->options())) {
    if (measured)
      add(precision, op_->cost(block, precision));
    else if (!automatic || precision != Precision::reduced)  // which is not always cheaper than fp32
      add(precision, std::pow(unmeasured_ratio, static_cast<double>(levels_.size())));
  }
}

PrecisionRamp::~PrecisionRamp() {
  if (op_ != nullptr) op_->set_precision(op_->options().precision);
}

void PrecisionRamp::add(Precision precision, double cost) {
  if (!levels_.empty() && cost > worth_a_change * levels_.back().cost) return;
  // The working precision is the one that the answer is asked in: its errors are the matrix's own.
  const double noise = levels_.empty() ? 0 : op_->noise(precision);
  if (!(noise <= most_noise)) return;
  levels_.push_back(
      {precision, sample_safety * noise, cost, op_->counters().passes_in[static_cast<std::size_t>(precision)]});
}

bool PrecisionRamp::scouts() const {
  if (!active()) return false;
  if (op_->options().ramp != "auto") return op_->options().ramp == "scout";
  std::vector<double> costs;
  for (const Level &level : levels_) costs.push_back(level.cost);
  return scout_passes * costs.back() + exact_passes * costs.front() < sure_saving * mean_cost(costs);
}

double PrecisionRamp::Level::noise_at(double size) const {
  if (least_size >= 1 || size >= 1) return noise;
  const double exponent = std::log(noise / least_noise) / std::log(1 / least_size);
  return std::min(noise, sample_safety * least_noise * std::pow(std::max(1.0, size / least_size), exponent));
}

void PrecisionRamp::measure_start(const double *x, std::int64_t ldx, int columns) {
  double largest = 0;  // |A|
  for (std::size_t k = 1; k < levels_.size(); ++k) {
    Level &level = levels_[k];
    level.start = op_->noise(level.precision, x, ldx, columns);
    double least = HUGE_VAL;
    for (const ProductNoise &of : level.start) {
      largest = std::max(largest, of.product);
      if (of.along >= near_eigenvector * of.product && of.product > 0) least = std::min(least, of.product);
    }
    double error = 0;
    for (const ProductNoise &of : level.start)
      if (of.along >= near_eigenvector * of.product && of.product <= alike * least) error = std::max(error, of.error);
    if (!(least < largest) || !(error > 0) || !(error < level.noise * largest)) continue;
    level.least_size = least / largest;
    level.least_noise = error / largest;
  }
}

std::vector<double> PrecisionRamp::start_products() const {
  std::vector<double> products;
  if (active())
    for (const ProductNoise &of : levels_.back().start) products.push_back(of.product);
  return products;
}

std::vector<double> PrecisionRamp::choose_for_start(const std::vector<double> &limits) {
  use(levels_.front());
  if (start_products().empty()) return {};
  double largest = 0;
  for (const double product : start_products()) largest = std::max(largest, product);
  for (std::size_t k = levels_.size() - 1; k > 0; --k) {
    const Level &level = levels_[k];
    std::vector<double> errors;
    bool fits = true;
    for (std::size_t c = 0; c < level.start.size(); ++c) {
      const double error = sample_safety * level.start[c].error;
      fits = fits && error <= limits[c];
      errors.push_back(error / largest);
    }
    if (!fits) continue;
    use(level);
    return errors;
  }
  return {};
}

void PrecisionRamp::use(const Level &level) {
  op_->set_precision(level.precision);
  used_ = static_cast<std::size_t>(&level - levels_.data());
}

void PrecisionRamp::choose(double allowed, double size) {
  if (!active()) return;
  std::size_t chosen = 0;
  for (std::size_t k = 1; k < levels_.size(); ++k)
    if (levels_[k].noise_at(size) <= allowed) chosen = k;
  use(levels_[chosen]);
}

std::string PrecisionRamp::text() const {
  std::ostringstream all;
  if (!active()) return all.str();
  for (const Level &level : levels_) {
    const std::int64_t passes = op_->counters().passes_in[static_cast<std::size_t>(level.precision)];
    all << (&level == levels_.data() ? "" : ", ") << passes - level.passes_before << " passes in "
        << to_string(level.precision);
    if (level.noise > 0) all << " (noise " << std::setprecision(2) << level.noise << ")";
  }
  return all.str();
}

}  // namespace flashring
