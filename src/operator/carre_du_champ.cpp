// Gamma(f, g)_i = 1/2 sum_j P_ij (f_j - f_i)(g_j - g_i) for all pairs of c functions.
//
// One pass of the row rule difference_product with the functions as columns and w o m as weights of the giving rows;
// its sums times w/(2d). Every pair of points is evaluated once and serves both. Functions beyond what a pass holds
// (m) are cut into blocks of m/2, and a pass takes two of them; pairs within a block come with its first pass.
//
// Cost: N^2/2 evaluations of k and N^2 (c(c+5)/2) operations a pass; blocks of N/P (d + c + 1) numbers and states of
// N/P c(c+1)/2 sent at each of P/2 steps. Memory: N/P (c + c(c+1)/2) numbers, three times the latter where P > 1.
// Reference: Bakry, Gentil, Ledoux, Analysis and Geometry of Markov Diffusion Operators, 2014, section 1.4.
#include "flashring/carre_du_champ.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "flashring/check.hpp"

namespace flashring {
namespace {

/// Column of a pair in a packed upper triangle.
std::size_t place(int k, int l) {
  const auto [low, high] = std::minmax(k, l);
  return static_cast<std::size_t>(high) * static_cast<std::size_t>(high + 1) / 2 + static_cast<std::size_t>(low);
}

}  // namespace

MarkovScaling markov_scaling(std::span<const double> weight, std::span<const double> degree,
                             std::span<const double> measure) {
  MarkovScaling scaling;
  for (std::size_t i = 0; i < weight.size(); ++i) {
    scaling.left.push_back(weight[i] > 0 ? weight[i] / degree[i] : 0);
    scaling.right.push_back(weight[i] * (measure.empty() ? 1 : measure[i]));
  }
  return scaling;
}

CarreDuChamp::CarreDuChamp(KernelOperator &op)
    : CarreDuChamp(op, markov_scaling(op.weight(), op.degree(), op.measure())) {}

CarreDuChamp::CarreDuChamp(KernelOperator &op, MarkovScaling scaling) : op_(op), scaling_(std::move(scaling)) {
  op_.communicator().agree([&] { check_scaling(); });
  for (double &left : scaling_.left) left /= 2;
}

void CarreDuChamp::check_scaling() const {
  for (const std::vector<double> *values : {&scaling_.left, &scaling_.right}) {
    FLASHRING_REQUIRE(static_cast<std::int64_t>(values->size()) == op_.local_rows(), values->size(), " factors for ",
                      op_.local_rows(), " rows");
    for (std::size_t i = 0; i < values->size(); ++i)
      FLASHRING_CHECK(std::isfinite((*values)[i]), "scaling of row ",
                      op_.global_row(LocalRow{static_cast<std::int64_t>(i)}).value, " is ", (*values)[i],
                      "; weights and degrees are positive finite numbers");
  }
}

void CarreDuChamp::check_functions(const double *f, std::int64_t ldf, int functions) const {
  FLASHRING_CHECK(functions >= 1, "carre du champ of ", functions, " functions; give at least one");
  for (int k = 0; k < functions; ++k)
    for (std::int64_t i = 0; i < op_.local_rows(); ++i)
      FLASHRING_CHECK(std::isfinite(f[k * ldf + i]), "function ", k, " at row ", op_.global_row(LocalRow{i}).value,
                      " is ", f[k * ldf + i], "; give finite values");
}

int CarreDuChamp::passes(int functions) const {
  const int most = op_.summation_->difference_columns();
  if (functions <= most || most < 2) return 1;
  const int blocks = (functions + most / 2 - 1) / (most / 2);
  return blocks * (blocks - 1) / 2;
}

std::vector<double> CarreDuChamp::apply(const double *f, std::int64_t ldf, int functions) {
  op_.communicator().agree([&] { check_functions(f, ldf, functions); });
  const int most = op_.summation_->difference_columns();
  const int half = most / 2;
  std::vector<double> gamma(place(0, functions) * static_cast<std::size_t>(op_.local_rows()));
  std::vector<int> all(static_cast<std::size_t>(functions));
  std::iota(all.begin(), all.end(), 0);
  if (functions <= most || most < 2) {  // a backend without such sums says so
    fold(f, ldf, all, gamma);
    return gamma;
  }
  for (int a = 0; a < functions; a += half)
    for (int b = a + half; b < functions; b += half) {
      std::vector<int> two(all.begin() + a, all.begin() + a + half);
      two.insert(two.end(), all.begin() + b, all.begin() + std::min(functions, b + half));
      fold(f, ldf, two, gamma);
    }
  return gamma;
}

/// One pass over the given functions, in increasing order; their pairs into their places of `gamma`.
void CarreDuChamp::fold(const double *f, std::int64_t ldf, std::span<const int> functions, std::vector<double> &gamma) {
  const std::int64_t n = op_.local_rows();
  const auto rows = static_cast<std::size_t>(n);
  std::vector<double> columns;  // (local_rows, functions)
  columns.reserve(rows * functions.size());
  for (const int k : functions) columns.insert(columns.end(), f + k * ldf, f + k * ldf + n);
  const auto count = static_cast<int>(functions.size());
  std::vector<double> sums(place(0, count) * rows);
  SumRequest request{columns.data(), n, sums.data(), n, count, op_.options().precision};
  request.left = scaling_.left;
  request.right = scaling_.right;
  op_.apply_differences(request);
  for (int l = 0; l < count; ++l)
    for (int k = 0; k <= l; ++k) {
      const std::size_t to = place(functions[static_cast<std::size_t>(k)], functions[static_cast<std::size_t>(l)]);
      std::copy_n(sums.begin() + static_cast<std::ptrdiff_t>(place(k, l) * rows), n,
                  gamma.begin() + static_cast<std::ptrdiff_t>(to * rows));
    }
}

}  // namespace flashring
