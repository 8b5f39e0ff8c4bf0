#include "support/exact.hpp"

#include <bit>
#include <cmath>
#include <complex>
#include <numbers>
#include <string_view>

#include "flashring/tile.hpp"
#include "support/tolerance.hpp"

namespace flashring::test {
namespace {

using Complex = std::complex<Real>;
constexpr Real two_pi = 2 * std::numbers::pi_v<Real>;

/// In-place transform of n (a power of 2) values with the given stride, exponent sign -1 or +1, not normalised.
void fourier(Complex *x, std::size_t n, std::size_t stride, int sign) {
  if (n == 1) return;
  std::vector<Complex> even(n / 2);
  std::vector<Complex> odd(n / 2);
  for (std::size_t i = 0; i < n / 2; ++i) {
    even[i] = x[2 * i * stride];
    odd[i] = x[(2 * i + 1) * stride];
  }
  fourier(even.data(), n / 2, 1, sign);
  fourier(odd.data(), n / 2, 1, sign);
  for (std::size_t i = 0; i < n / 2; ++i) {
    const Complex turn = std::polar(Real{1}, sign * two_pi * static_cast<Real>(i) / static_cast<Real>(n));
    x[i * stride] = even[i] + turn * odd[i];
    x[(i + n / 2) * stride] = even[i] - turn * odd[i];
  }
}

/// The transform along every one of q axes of length n. For n = 2 this is the Walsh-Hadamard transform.
void fourier_all(std::vector<Complex> &x, int n, int q, int sign) {
  const auto length = static_cast<std::size_t>(n);
  std::size_t stride = 1;
  for (int axis = 0; axis < q; ++axis, stride *= length)
    for (std::size_t i = 0; i < x.size(); ++i)
      if (i / stride % length == 0) fourier(x.data() + i, length, stride, sign);
}

/// Eigenvalues of one factor: the Fourier sum of its kernel.
std::vector<Real> factor_eigenvalues(const ExactSet &set) {
  std::vector<Real> values;
  for (int m = 0; m < set.n; ++m) {
    Real sum = 0;
    for (int j = 0; j < set.n; ++j)
      sum += set.kernel[static_cast<std::size_t>(j)] * std::cos(two_pi * static_cast<Real>(m * j % set.n) / set.n);
    values.push_back(sum);
  }
  return values;
}

/// K x by the transform.
std::vector<Real> transform_product(const ExactSet &set, const std::vector<double> &x, bool magnitudes) {
  const std::vector<Real> eigenvalues = factor_eigenvalues(set);
  std::vector<Complex> work;
  for (const double value : x) work.emplace_back(magnitudes ? std::abs(value) : value);
  fourier_all(work, set.n, set.q, -1);
  for (std::size_t i = 0; i < work.size(); ++i) {
    std::size_t index = i;
    Real value = 1 / static_cast<Real>(work.size());
    for (int f = 0; f < set.q; ++f, index /= static_cast<std::size_t>(set.n))
      value *= eigenvalues[index % static_cast<std::size_t>(set.n)];
    work[i] *= value;
  }
  fourier_all(work, set.n, set.q, 1);
  std::vector<Real> y;
  for (const Complex &value : work) y.push_back(value.real());
  return y;
}

}  // namespace

std::size_t ExactSet::rows() const {
  std::size_t rows = 1;
  for (int f = 0; f < q; ++f) rows *= static_cast<std::size_t>(n);
  return rows;
}

Real ExactSet::row_sum() const {
  Real sum = 0;
  for (const Real k : kernel) sum += k;
  return std::pow(sum, q);
}

ExactSet::Product ExactSet::product(const std::vector<double> &x) const {
  return {transform_product(*this, x, false), transform_product(*this, x, true)};
}

Real ExactSet::relative_error(bool normalised, double unit, double alpha) const {
  const int d = hypercube ? q : 2 * q;
  const OraclePair gaussian{"gaussian", {{"beta", beta}}};
  // Centred corners have squared norm d/4, products of unit circles q. Under the weights near pairs count more than
  // under the uniform law, so the mean squared distance is at most that of the uniform one, twice the norm.
  const Real norm = hypercube ? d / Real{4} : q;
  const Real entry = log_weight_error(gaussian, 2 * norm, norm, norm, d);
  // Generated points are rounded cosines: a unit of fp64 on each feature.
  const Real points = hypercube ? 0 : 4 * beta * norm;
  // Backends sum the terms of a tile, 256 at most; ref, which is auto where it is the only one, sums all in fp64.
  const bool plain = unit == 0x1p-53 && std::string_view(find_backend("auto").name) == "ref";
  const std::size_t terms = plain ? rows() : 256;
  // Points of a hypercube take a few distances only, so roundings of a sum are alike and do not average: n terms of one
  // sign, each rounded by u/2 of a partial sum that is half the whole on average.
  const Real e = entry + (hypercube ? 2 + static_cast<Real>(terms) / 4 : sum_error(static_cast<int>(terms)));
  return unit * e + 0x1p-53L * (points + (normalised ? set_up_error(e + points, alpha) : 0));
}

ExactSet exact_torus(int n, int q, const std::string &beta) {
  ExactSet set;
  set.text = "torus:n=" + std::to_string(n) + ",q=" + std::to_string(q);
  if (q == 1) set.text = "circle:n=" + std::to_string(n);
  set.beta_text = beta;
  set.beta = std::stold(beta);
  set.n = n;
  set.q = q;
  for (int j = 0; j < n; ++j) {
    const Real sine = std::sin(two_pi * j / (2 * n));
    set.kernel.push_back(std::exp(-4 * set.beta * sine * sine));
  }
  return set;
}

ExactSet exact_hypercube(int d, const std::string &beta) {
  ExactSet set;
  set.text = "hypercube:d=" + std::to_string(d);
  set.beta_text = beta;
  set.beta = std::stold(beta);
  set.q = d;
  set.hypercube = true;
  set.kernel = {1, std::exp(-set.beta)};
  return set;
}

ExactPair torus_pair(const ExactSet &set, const std::vector<int> &modes, bool sine) {
  const std::vector<Real> eigenvalues = factor_eigenvalues(set);
  ExactPair pair{1, {}};
  for (const int mode : modes) pair.value *= eigenvalues[static_cast<std::size_t>(mode)] / eigenvalues[0];
  for (std::size_t i = 0; i < set.rows(); ++i) {
    std::size_t index = i;
    long phase = 0;
    for (std::size_t f = modes.size(); f-- > 0;
         index /= static_cast<std::size_t>(set.n))  // the last factor is the fastest
      phase += modes[f] * static_cast<long>(index % static_cast<std::size_t>(set.n));
    const Real angle = two_pi * static_cast<Real>(phase % set.n) / set.n;
    pair.vector.push_back(static_cast<double>(sine ? std::sin(angle) : std::cos(angle)));
  }
  return pair;
}

ExactPair walsh_pair(const ExactSet &set, unsigned pattern) {
  ExactPair pair{std::pow(std::tanh(set.beta / 2), static_cast<Real>(std::popcount(pattern))), {}};
  for (std::size_t i = 0; i < set.rows(); ++i)
    pair.vector.push_back(std::popcount(static_cast<unsigned>(i) & pattern) % 2 == 0 ? 1 : -1);
  return pair;
}

}  // namespace flashring::test
