#include "support/dense.hpp"

#include <algorithm>
#include <cmath>

#include "support/tolerance.hpp"

namespace flashring::test {
namespace {

std::vector<double> mean_of(const PointSet &points) {
  const auto d = static_cast<std::size_t>(points.features);
  std::vector<double> mean(d, 0.0);
  for (std::size_t i = 0; i < points.rows.size(); ++i)
    mean[i % d] += points.rows[i] / static_cast<double>(points.count());
  return mean;
}

}  // namespace

DenseOperator::DenseOperator(const PointSet &points, const std::string &pair, double alpha, Form form, int tile_rows,
                             const std::vector<double> &measure)
    : alpha_(alpha), form_(form), tile_rows_(tile_rows) {
  const OraclePair oracle = oracle_pair(pair);
  table_ = make_table(oracle, points, points, oracle.inner() ? std::vector<double>() : mean_of(points));
  error_ = *std::max_element(table_.error.begin(), table_.error.end()) + sum_error(tile_rows);
  const std::size_t n = points.count();
  measure_.assign(measure.begin(), measure.end());
  if (measure.empty()) measure_.assign(n, 1);
  density_.assign(n, 0);
  degree_.assign(n, 0);
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < n; ++j) density_[i] += entry(i, j) * measure_[j];
  for (const Real density : density_) weight_.push_back(std::pow(density, -alpha_));
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < n; ++j) degree_[i] += weight_[i] * entry(i, j) * weight_[j] * measure_[j];
  for (std::size_t i = 0; i < n; ++i) {
    const Real root = weight_[i] * std::sqrt(measure_[i] / degree_[i]);
    const bool markov = form_ == Form::markov;
    left_.push_back(form_ == Form::kernel ? 1 : markov ? weight_[i] / degree_[i] : root);
    right_.push_back(form_ == Form::kernel ? 1 : markov ? weight_[i] * measure_[i] : root);
  }
}

Real DenseOperator::entry(std::size_t i, std::size_t j) const { return std::exp(table_.log_weight[table_.at(i, j)]); }

Bounded DenseOperator::scaled(const std::vector<Real> &values, Real factor, Real error) const {
  Bounded answer;
  for (const Real value : values) {
    answer.value.push_back(value * factor);
    answer.bound.push_back(std::abs(value * factor) * 0x1p-53L * error);
  }
  return answer;
}

// With K e^-s the density is D e^-s, the weight w e^{alpha s}, the degree d e^{(2 alpha - 1) s}. Rounding the exponent
// of these factors costs s units.
Bounded DenseOperator::density(double log_shift) const {
  return scaled(density_, std::exp(-static_cast<Real>(log_shift)), error_ + 2 * std::abs(log_shift));
}

Bounded DenseOperator::weight(double log_shift) const {
  return scaled(weight_, std::exp(alpha_ * log_shift), alpha_ * (error_ + 2 * std::abs(log_shift)) + 2);
}

Bounded DenseOperator::degree(double log_shift) const {
  return scaled(degree_, std::exp((2 * alpha_ - 1) * log_shift),
                set_up_error(error_ + 2 * std::abs(log_shift), alpha_));
}

Bounded DenseOperator::diagonal() const {
  std::vector<Real> values;
  for (std::size_t i = 0; i < rows(); ++i) values.push_back(left_[i] * entry(i, i) * right_[i]);
  return scaled(values, 1, error_ + set_up_error(error_, alpha_));
}

Bounded DenseOperator::apply(const std::vector<double> &x, int columns, Precision precision, bool transpose) const {
  const std::vector<Real> &left = transpose ? right_ : left_;
  const std::vector<Real> &right = transpose ? left_ : right_;
  const Real of_set_up = form_ == Form::kernel ? 0 : 0x1p-53L * set_up_error(error_, alpha_);
  const Arithmetic a = arithmetic(precision, tile_rows_);
  const Real of_sum = sum_error(tile_rows_);
  Bounded answer;
  std::vector<Real> k(table_.log_weight.size());
  for (std::size_t p = 0; p < k.size(); ++p) k[p] = std::exp(table_.log_weight[p]);
  for (std::size_t c = 0; c < static_cast<std::size_t>(columns); ++c)
    for (std::size_t i = 0; i < rows(); ++i) {
      Real sum = 0;
      Real bound = 0;
      for (std::size_t j = 0; j < rows(); ++j) {
        const Real term = left[i] * k[table_.at(i, j)] * right[j] * x[c * rows() + j];
        sum += term;
        bound += std::abs(term) * (a.unit * (table_.error[table_.at(i, j)] + of_sum) + of_set_up) +
                 std::abs(left[i] * right[j] * x[c * rows() + j]) * a.smallest;
      }
      answer.value.push_back(sum);
      answer.bound.push_back(bound);
    }
  return answer;
}

std::vector<double> DenseOperator::stationary_law() const {
  Real sum = 0;
  for (std::size_t i = 0; i < rows(); ++i) sum += measure_[i] * degree_[i];
  std::vector<double> law;
  for (std::size_t i = 0; i < rows(); ++i) law.push_back(static_cast<double>(measure_[i] * degree_[i] / sum));
  return law;
}

}  // namespace flashring::test
