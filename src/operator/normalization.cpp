// The diffusion normalisations of a KernelOperator: how density, weight, degree and the scalings come to be, and what
// renews them.
//
//   D = K m                                       one fp64 pass
//   w = D^-alpha, D^-1 mu^(1/2), or bistochastic; times h of a Doob transform
//   d = w o K(w o m)                              one fp64 pass; known of bistochastic weights
//   left, right                                   the scalings of the form, 0 outside a set where P is killed there
#include <algorithm>
#include <cmath>

#include "flashring/check.hpp"
#include "flashring/kernel_operator.hpp"
#include "operator/bistochastic.hpp"
#include "operator/length.hpp"

namespace flashring {

/// w o K(w o m): one pass.
std::vector<double> KernelOperator::weighted_sums(std::span<const double> weight) {
  std::vector<double> weighted(weight.begin(), weight.end());
  for (std::size_t i = 0; i < weighted.size(); ++i) weighted[i] *= measure_of(i);
  std::vector<double> sums = pass_of_one_column(weighted);
  for (std::size_t i = 0; i < sums.size(); ++i) sums[i] *= weight[i];
  return sums;
}

void KernelOperator::set_weight_and_degree() {
  if (options_.normalization == Normalization::bistochastic) {
    auto [weight, sums] =
        bistochastic_scaling(communicator_, density_, [&](std::span<const double> w) { return weighted_sums(w); });
    weight_ = std::move(weight);
    degree_ = std::move(sums);
    if (!transformed_) return;
  } else {
    weight_.resize(density_.size());
    for (std::size_t i = 0; i < weight_.size(); ++i)
      weight_[i] = targeted_ ? std::sqrt(target_[i]) / density_[i] : std::pow(density_[i], -options_.alpha);
  }
  for (std::size_t i = 0; transformed_ && i < weight_.size(); ++i) weight_[i] *= doob_h_[i];
  degree_ = weighted_sums(weight_);
}

void KernelOperator::set_up() {
  if (ready_) return;
  const Counters before = counters_;
  if (!has_density_) {
    const std::vector<double> ones(static_cast<std::size_t>(local_rows()), 1.0);
    density_ = weighted_sums(ones);
  }
  const double least = options_.precision != Precision::fp64 ? least_single_density : 0;
  communicator_.agree([&] {
    check_range(density_, least, "density", std::string(rescale) + (least > 0 ? " or -precision fp64" : ""));
  });
  set_weight_and_degree();
  communicator_.agree([&] { check_degree(); });
  set_up_seconds_ =
      (counters_.ring.seconds - before.ring.seconds) / static_cast<double>(counters_.passes - before.passes);
  set_scales();
}

/// Positive but where h is 0.
void KernelOperator::check_degree() const {
  std::vector<double> counted = degree_;
  for (std::size_t i = 0; i < counted.size(); ++i)
    if (transformed_ && doob_h_[i] == 0) counted[i] = 1;
  check_range(counted, 0, "degree", rescale);
}

/// All that follows from density, weight and degree.
void KernelOperator::set_scales() {
  const std::size_t n = degree_.size();
  const bool markov = options_.form == Form::markov;
  left_.assign(n, 0.0);
  right_.assign(markov ? n : 0, 0.0);
  for (std::size_t i = 0; i < n; ++i) {
    if (doob_h_of(i) == 0) continue;  // the row is killed, and its degree may be 0
    left_[i] = markov ? weight_[i] / degree_[i] : weight_[i] * std::sqrt(measure_of(i) / degree_[i]);
    if (markov) right_[i] = measure_of(i) * weight_[i];
  }
  ++scaling_;
  noise_.fill(-1);
  has_density_ = ready_ = true;
}

void KernelOperator::restore_set_up(std::vector<double> density, std::vector<double> weight,
                                    std::vector<double> degree) {
  const auto n = static_cast<std::size_t>(local_rows());
  FLASHRING_REQUIRE(density.size() == n && weight.size() == n && degree.size() == n, density.size(), " densities, ",
                    weight.size(), " weights and ", degree.size(), " degrees for ", n, " rows");
  density_ = std::move(density);
  weight_ = std::move(weight);
  degree_ = std::move(degree);
  set_scales();
}

void KernelOperator::restore_density(std::vector<double> density) {
  FLASHRING_REQUIRE(static_cast<std::int64_t>(density.size()) == local_rows(), density.size(), " densities for ",
                    local_rows(), " rows");
  density_ = std::move(density);
  has_density_ = true;
  ready_ = false;
}

std::span<const double> KernelOperator::density() {
  set_up();
  return density_;
}

std::span<const double> KernelOperator::weight() {
  set_up();
  return weight_;
}

std::span<const double> KernelOperator::degree() {
  set_up();
  return degree_;
}

std::vector<double> KernelOperator::root_law() {
  set_up();
  std::vector<double> root(degree_.size());
  for (std::size_t i = 0; i < root.size(); ++i) root[i] = std::sqrt(measure_of(i) * degree_[i]);
  return root;
}
/// One positive number for each row. Collective.
std::vector<double> KernelOperator::check_row_values(std::span<const double> values, const char *name) const {
  communicator_.agree([&] {
    FLASHRING_CHECK(static_cast<std::int64_t>(values.size()) == local_rows(), "new ", name, ": ", values.size(),
                    " values given for ", local_rows(), " rows of this rank");
    check_range(values, 0, name, "give every row a positive finite number");
  });
  return {values.begin(), values.end()};
}

void KernelOperator::update_measure(std::span<const double> measure) {
  measure_ = check_row_values(measure, "measure");
  weighted_ = true;
  has_density_ = ready_ = false;
}

void KernelOperator::update_target(std::span<const double> target) {
  if (options_.normalization == Normalization::bistochastic)
    throw Error("a target density and -normalization bistochastic both say what the weights are; give one of them",
                true);
  target_ = check_row_values(target, "target");
  targeted_ = true;
  ready_ = false;
}

void KernelOperator::transform(std::span<const double> h) {
  communicator_.agree([&] {
    FLASHRING_CHECK(static_cast<std::int64_t>(h.size()) == local_rows(), "Doob transform: ", h.size(),
                    " values of h given for ", local_rows(), " rows of this rank");
    for (std::size_t i = 0; i < h.size(); ++i)
      FLASHRING_CHECK((h[i] > 0 && std::isfinite(h[i])) || (h[i] == 0 && doob_h_of(i) == 0),
                      "Doob transform: h of row ", global_row(LocalRow{static_cast<std::int64_t>(i)}).value, " is ",
                      h[i], "; give every row a positive finite number");
  });
  doob_h_.assign(h.begin(), h.end());
  transformed_ = true;
  killed_ = ready_ = false;
}

void KernelOperator::kill_outside(std::span<const char> inside) {
  communicator_.agree([&] {
    FLASHRING_CHECK(static_cast<std::int64_t>(inside.size()) == local_rows(), "killed set: ", inside.size(),
                    " flags given for ", local_rows(), " rows of this rank");
  });
  const std::int64_t count = communicator_.sum(
      static_cast<std::int64_t>(std::count_if(inside.begin(), inside.end(), [](char flag) { return flag != 0; })));
  if (count == 0) throw Error("killed set: it holds no point, so nothing would be left; take a larger one", true);
  if (transformed_) ready_ = false;  // the degree that is there is that of the transform
  doob_h_.resize(inside.size());
  for (std::size_t i = 0; i < inside.size(); ++i) doob_h_[i] = inside[i] != 0 ? 1 : 0;
  killed_ = count < rows();
  transformed_ = false;
  if (!killed_) doob_h_.clear();
  if (ready_) set_scales();
}

}  // namespace flashring
