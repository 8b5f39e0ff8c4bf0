#include "support/attention_blocks.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "support/scatter.hpp"
#include "support/tolerance.hpp"

namespace flashring::test {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double ln_of_2 = 0.69314718055994530942;
constexpr double far_below = -60;

struct Family {
  double s, e_minus_1;
};
/// No exponent between 1 and 2, near whose threshold y^(e-1) is as rough as a root.
constexpr Family families[] = {{1, 0}, {0.5, 1}, {0.3, 2.3}};
constexpr double greatest_exponent = 3.3;

/// What score_list multiplies whole scores with: z is exact.
constexpr double list_factor = 1.0 / 16;
/// Beyond t, the scores that score_list takes: of the first family all from the left end on are listed, of the second
/// all are summed, of the third those near t are listed and those above are summed.
constexpr double low_of[] = {0.125, -1, 0.0625};
constexpr double high_of[] = {-2, 0, -0.0625};

const Family &family_of(std::size_t row) { return families[row % std::size(families)]; }
double threshold_of(std::size_t row) { return 0.25 + 0.03125 * static_cast<double>(row % 8); }

/// The same number in fp32 and fp64, so that backends differ by their arithmetic alone.
std::vector<double> as_floats(std::vector<double> values) {
  for (double &value : values) value = static_cast<double>(static_cast<float>(value));
  return values;
}

}  // namespace

AttentionBlocks::AttentionBlocks(RowKind row, int features, int values, AttentionCut cut, bool causal)
    : row_(row),
      features_(features),
      values_(values),
      columns_(row == RowKind::score_bins   ? bins
               : row == RowKind::score_list ? places
                                            : values + (is_gradient() ? features : 0)),
      cut_(std::move(cut)),
      causal_(causal),
      queries_(random_points(total_rows(cut_.own), features, 91)),
      keys_(random_points(total_rows(cut_.visiting), features, 92)),
      log_weights_(keys_.count(), 0.0) {
  for (PointSet *points : {&queries_, &keys_}) points->rows = as_floats(points->rows);
  if (is_whole())
    for (PointSet *points : {&queries_, &keys_})
      for (double &x : points->rows) x = std::round(3 * x);
  const auto first = static_cast<std::size_t>(cut_.visiting[0]);
  std::fill_n(log_weights_.begin() + cut_.visiting[0], cut_.visiting.size() > 1 ? cut_.visiting[1] : 0, far_below);
  for (std::size_t j = 3; j < first; j += 6) log_weights_[j] = -infinity;
  const auto width = static_cast<std::size_t>(columns_);
  own_columns_ = as_floats(random_numbers(queries_.count() * width, 93));
  visiting_columns_ = as_floats(random_numbers(keys_.count() * width, 94));
  make_own_numbers();
  if (row == RowKind::power_sums || row == RowKind::threshold_sum) lower_last_key();
}

/// How far a score is above the left end of its row's threshold.
double AttentionBlocks::above_left(std::size_t i, std::size_t j) const {
  const double s = row_ == RowKind::score_list ? list_factor / ln_of_2 : family_of(i).s;
  return s * (score(i, j) - largest_[i]) - (threshold_of(i) - 1.125);
}

void AttentionBlocks::lower_last_key() {
  const auto reaches = [this](double room) {
    for (std::size_t i = 0; i < static_cast<std::size_t>(cut_.own[0]); ++i)
      if (above_left(i, keys_.count() - 1) > room) return true;
    return false;
  };
  while (reaches(0.125)) log_weights_.back() -= 0.03125;
}

TileShape AttentionBlocks::shape(Precision precision) const {
  const PairFunction pair{PairKind::inner_exp, {is_whole() ? ln_of_2 : scale_, 0}};
  return {pair, row_, 0, precision, features_, columns_, {causal_, false}};
}

double AttentionBlocks::score(std::size_t i, std::size_t j) const {
  const auto key = static_cast<std::int64_t>(j) + cut_.visiting_first;
  if (causal_ && key > static_cast<std::int64_t>(i)) return -infinity;
  double sum = 0;
  for (int k = 0; k < features_; ++k) sum += queries_.row(i)[k] * keys_.row(j)[k];
  return sum * (is_whole() ? ln_of_2 : scale_) + log_weights_[j];
}

/// What the rules read of own rows (kernels/row). A row that sees nothing has the numbers that the operators give it.
void AttentionBlocks::make_own_numbers() {
  const std::size_t n = queries_.count();
  const auto numbers = static_cast<std::size_t>(row_rule(row_).own_scalars);
  const std::vector<double> delta = random_numbers(n, 95);
  own_numbers_.assign(numbers * n, 0.0);
  for (std::size_t i = 0; i < n; ++i) {
    double largest = -infinity;
    for (std::size_t j = 0; j < keys_.count(); ++j) largest = std::max(largest, score(i, j));
    largest_.push_back(largest);
    double sum = 0;
    for (std::size_t j = 0; largest > -infinity && j < keys_.count(); ++j) sum += std::exp(score(i, j) - largest);
    const bool seen = largest > -infinity;
    const Family family = family_of(i);
    const double factor = family.s * ln_of_2;
    const double top = seen ? largest / ln_of_2 : 0;
    const double t = threshold_of(i);
    std::vector<double> of_row;
    if (row_ == RowKind::softmax_gradient) of_row = {seen ? largest + std::log(sum) : -infinity, delta[i]};
    if (row_ == RowKind::score_bins) of_row = {0.75 * static_cast<double>(1 + i % 4)};
    if (row_ == RowKind::power_sums || row_ == RowKind::threshold_sum)
      of_row = {factor, top, t, 1 - t, 1 - t + 0.125, family.e_minus_1 - 1};
    if (row_ == RowKind::score_list)
      of_row = {list_factor,           std::round(top),       t, 1 - t, 1 - t + 0.125, family.e_minus_1 - 1,
                1 - t + low_of[i % 3], 1 - t + high_of[i % 3]};
    if (row_ == RowKind::threshold_gradient && seen)
      of_row = {factor, top, t, 1 - t, family.e_minus_1, family.s * (family.e_minus_1 + 1), delta[i]};
    for (std::size_t k = 0; k < of_row.size(); ++k) own_numbers_[k * n + i] = of_row[k];
  }
  own_numbers_ = as_floats(own_numbers_);
}

TileArrays AttentionBlocks::arrays(const Backend &backend, Precision precision, bool own) const {
  TileArrays side(backend, shape(precision), own ? queries_ : keys_,
                  own ? make_tile_list(0, cut_.own) : make_tile_list(cut_.visiting_first, cut_.visiting));
  if (row_rule(row_).value_columns(columns_) > 0) side.set_columns(own ? own_columns_ : visiting_columns_);
  if (own)
    side.set_pass_scalars(own_numbers_, row_rule(row_).own_scalars, 0);
  else
    side.set_log_weights(log_weights_);
  return side;
}

/// Of one term of a sum, in units of the largest factor beside the power. A score is off by (d + 16) u X with X the
/// largest sum of |x_k||y_k| (features 2u each, d sums, the logarithm's factor, the shift), z = s (x - max x) by 8u X
/// more, and y by 4u beyond that: dy. p and u are off by e dy and 8u (two functions of a logarithm that is below 1
/// where the power is not), r, a cubic of e, by e^3 dy + 30 e^2 u. An exponential of softmax is off by its score and by
/// 4u of the mean that is taken off.
double AttentionBlocks::term_error(double unit, bool parameters) const {
  double x = 0;
  double mean = 0;
  for (std::size_t i = 0; i < queries_.count(); ++i) {
    for (std::size_t j = 0; j < keys_.count(); ++j) {
      double sum = 0;
      for (int k = 0; k < features_; ++k) sum += std::abs(queries_.row(i)[k] * keys_.row(j)[k]);
      x = std::max(x, scale_ * sum);
    }
    if (largest_[i] > -infinity) mean = std::max(mean, std::abs(largest_[i]) + std::log(keys_.count()));
  }
  if (row_ == RowKind::softmax_gradient) return ((features_ + 16) * x + 4 * mean + 8) * unit;
  const double dy = ((features_ + 24) * x + 4) * unit;
  const double e = greatest_exponent;
  return parameters ? e * e * e * dy + 30 * e * e * unit : e * dy + 8 * unit;
}

Bounded AttentionBlocks::expected(Precision precision, bool own) const {
  const Backend &ref = find_backend("ref");
  AttentionBlocks blocks = *this;
  for (std::vector<int> *counts : {&blocks.cut_.own, &blocks.cut_.visiting}) {
    const std::size_t rows = total_rows(*counts);
    counts->assign((rows + static_cast<std::size_t>(ref.tile_rows) - 1) / static_cast<std::size_t>(ref.tile_rows),
                   ref.tile_rows);
    counts->back() -= static_cast<int>(total_rows(*counts) - rows);
  }
  TileArrays mine = blocks.arrays(ref, Precision::fp64, true);
  TileArrays theirs = blocks.arrays(ref, Precision::fp64, false);
  const TileShape of = shape(Precision::fp64);
  evaluate(ref, of, mine, theirs, all_pairs(mine, theirs, is_gradient() ? Sides::both : Sides::own, causal_));
  Bounded answer;
  for (const double value : (own ? mine : theirs).finish()) answer.value.push_back(static_cast<Real>(value));
  const double unit = unit_roundoff(precision);
  const auto terms = static_cast<double>(std::max(queries_.count(), keys_.count()));
  const double factor = is_gradient() ? values_ + 1 : 1;  // <b, v> and delta, or a column; s e is 1 at most
  // A sum: <b, v> of some columns, 32 terms, then 4 sums of them.
  const double sums = (values_ + 42) * unit;
  const double of_columns = terms * factor * (term_error(unit, false) + sums);
  const double of_parameters = terms * factor * (term_error(unit, true) + sums);
  const std::size_t rows = (own ? queries_ : keys_).count();
  for (std::size_t n = 0; n < answer.value.size(); ++n) {
    const bool parameters = row_ == RowKind::threshold_gradient && n / rows >= static_cast<std::size_t>(columns_);
    const bool exact = is_whole() && !(row_ == RowKind::score_list && n / rows < 3);  // three sums before the list
    answer.bound.push_back(exact ? 0 : parameters ? of_parameters : of_columns);
  }
  return answer;
}

bool AttentionBlocks::counts(std::size_t i, std::size_t j) const {
  if (score(i, j) == -infinity) return false;
  if (row_ == RowKind::score_bins) return own_numbers_[i] * (score(i, j) - largest_[i]) / ln_of_2 > -bins;
  return above_left(i, j) > 0;
}

std::vector<std::uint64_t> AttentionBlocks::touched() const {
  std::vector<std::uint64_t> bits(cut_.own.size(), 0);
  std::size_t i = 0;
  for (std::size_t a = 0; a < cut_.own.size(); ++a)
    for (int in_tile = 0; in_tile < cut_.own[a]; ++in_tile, ++i) {
      std::size_t j = 0;
      for (std::size_t b = 0; b < cut_.visiting.size(); ++b)
        for (int of_tile = 0; of_tile < cut_.visiting[b]; ++of_tile, ++j)
          if (counts(i, j)) bits[a] |= std::uint64_t{1} << b;
    }
  return bits;
}

}  // namespace flashring::test
