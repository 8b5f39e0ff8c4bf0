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

}  // namespace

PrecisionRamp::PrecisionRamp(std::shared_ptr<KernelOperator> op, int block) : op_(std::move(op)) {
  if (op_ == nullptr) return;
  const bool automatic = op_->options().ramp == "auto";
  const bool measured = automatic && precisions_of(op_->options()).size() > 1 && measuring_pays(*op_);
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
  levels_.push_back({precision, noise, cost, op_->counters().passes_in[static_cast<std::size_t>(precision)]});
}

bool PrecisionRamp::scouts() const {
  if (!active()) return false;
  if (op_->options().ramp != "auto") return op_->options().ramp == "scout";
  double mixed = 0;
  for (std::size_t k = 0; k < levels_.size(); ++k)
    mixed += (levels_.size() == 2 ? share_of_two.at(k) : share_of_three.at(k)) * levels_[k].cost;
  return scout_passes * levels_.back().cost + exact_passes * levels_.front().cost < sure_saving * mixed;
}

double PrecisionRamp::use(const Level &level) {
  op_->set_precision(level.precision);
  return level.noise;
}

double PrecisionRamp::choose(double allowed) {
  if (!active()) return 0;
  std::size_t chosen = 0;
  for (std::size_t k = 1; k < levels_.size(); ++k)
    if (levels_[k].noise <= allowed) chosen = k;
  return use(levels_[chosen]);
}

double PrecisionRamp::choose_lowest() { return use(levels_.back()); }

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
