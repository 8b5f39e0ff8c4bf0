// The model beside each number. Per pair of points, with s sides and c columns:
//
//   exponential  the exponentials that the backend counts, over the rate of ex2; in fp64 20 multiply-adds each
//   tensor       the exponent from one product: d features and 2 columns of norms in one piece (reduced), or in three
//                pieces with 6 products for features and 2 x 3 for norms (fp32); from 8 columns on c s more for the
//                sums, in one piece or three
//   arithmetic   multiply-adds and additions that the backend counts, over the rate of multiply-adds
//
// Attention has no norms. Its forward rules take 6 d products for scores and 3 for each column in three pieces, twice
// for threshold_sum; gradients 6 c for scores and <b, v>, then 3 d and 3 c for what both sides sum (c = d + D_v).
//
// A kernel that takes a share of its exponentials by a polynomial may exceed the first.
#include <algorithm>

#include "gpu_bench.hpp"

namespace flashring::gpu_bench {
namespace {

/// Multiply-adds of an exponential in fp64: range reduction and a polynomial of degree 11.
constexpr double fp64_exponential = 20;
/// Fewer columns are cheaper without matrix units.
constexpr int tensor_columns = 8;

double per_pair(double rate, double operations) { return operations > 0 ? rate / operations : 0; }

/// The smaller of two limits, of which unknown ones do not count.
double lesser(double a, double b) { return a == 0 || b == 0 ? std::max(a, b) : std::min(a, b); }

double attention_products(const Case &one) {
  const double scores = 6.0 * (one.is_gradient() ? one.columns : one.features);
  if (one.is_gradient()) return scores + 3.0 * (one.features + one.columns);
  const double columns = row_rule(one.row).value_columns(one.columns);
  return scores + (one.row == RowKind::threshold_sum ? 6.0 : 3.0) * columns;
}

double tensor_products(const Case &one) {
  if (one.attention) return attention_products(one);
  const bool split = one.precision == Precision::fp32;
  const int sides = one.square ? 2 : 1;
  const double exponent = split ? 6.0 * (one.features + 1) : one.features + 2.0;
  return exponent + (one.columns < tensor_columns ? 0.0 : (split ? 3.0 : 1.0) * one.columns * sides);
}

void add(std::vector<Case> &cases, Precision precision, int features, std::int64_t rows, bool everything) {
  for (const RowKind row : {RowKind::sum, RowKind::logsumexp})
    for (const int columns : {1, 32})
      for (const bool square : {true, false}) {
        if (row == RowKind::logsumexp && (columns > 1 || !everything)) continue;
        cases.push_back({precision, row, features, columns, rows, square});
      }
}

/// Softmax forward and backward, then the passes of a threshold, forward and backward: a head of 64 features.
void add_attention(std::vector<Case> &cases, std::int64_t rows) {
  constexpr int width = 64;
  constexpr int bins = 32;
  const std::pair<RowKind, int> passes[] = {{RowKind::logsumexp, width},     {RowKind::softmax_gradient, 2 * width},
                                            {RowKind::score_bins, bins},     {RowKind::power_sums, 0},
                                            {RowKind::threshold_sum, width}, {RowKind::threshold_gradient, 2 * width}};
  for (const auto &[row, columns] : passes) cases.push_back({Precision::fp32, row, width, columns, rows, false, true});
}

}  // namespace

TileShape Case::shape() const {
  if (attention) return {{PairKind::inner_exp, {0.125, 0}}, row, 0, precision, features, columns, {}};
  PairFunction pair = parse_pair("gaussian:beta=1");
  pair.parameters[0] = 3.0 / features;  // weights of some decades for points in a unit cube, whatever d is
  return {pair, row, 0, precision, features, columns, {}};
}

std::vector<Case> all_cases(bool tiny) {
  const std::int64_t many = tiny ? 200 : 200000;
  const std::int64_t most = tiny ? 150 : 1000000;
  std::vector<Case> cases;
  for (const Precision precision : {Precision::fp32, Precision::reduced})
    for (const int features : {3, 16, 64, 128, 512})
      add(cases, precision, features, many, features == 3 || features == 64);
  add_attention(cases, tiny ? 150 : 32768);
  add(cases, Precision::fp64, 3, tiny ? 100 : 50000, true);
  cases.push_back({Precision::fp32, RowKind::sum, 128, 1, many, false, false, true});
  // The longest last: they are left out first.
  for (const int features : {3, 16, 64, 128, 512})
    for (const Precision precision : {Precision::fp32, Precision::reduced})
      add(cases, precision, features, most, false);
  return cases;
}

double Limits::least() const { return tensor > 0 ? lesser(exponential, tensor) : lesser(exponential, arithmetic); }

Limits limits(const Backend &backend, const Case &one, const ceilings::GpuRates &rates) {
  const TileCost cost = backend.cost(one.shape(), one.sides());
  Limits found;
  if (one.precision == Precision::fp64) {
    found.exponential = per_pair(rates.fma_fp64, fp64_exponential * cost.exponentials);
    found.arithmetic = per_pair(rates.fma_fp64, cost.multiply_adds + cost.adds + fp64_exponential * cost.exponentials);
    return found;
  }
  found.exponential = per_pair(rates.ex2, cost.exponentials);
  found.tensor = per_pair(std::max(rates.mma, rates.wgmma), tensor_products(one));
  found.arithmetic = per_pair(rates.fma_fp32, cost.multiply_adds + cost.adds);
  return found;
}

}  // namespace flashring::gpu_bench
