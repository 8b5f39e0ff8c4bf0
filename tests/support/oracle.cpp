#include "support/oracle.hpp"

#include <cmath>
#include <limits>
#include <stdexcept>

#include "support/tolerance.hpp"

namespace flashring::test {
namespace {

Real squared_distance(const double *x, const double *y, int features) {
  Real sum = 0;
  for (int k = 0; k < features; ++k) {
    const Real difference = static_cast<Real>(x[k]) - y[k];
    sum += difference * difference;
  }
  return sum;
}

Real inner_product(const double *x, const double *y, int features) {
  Real sum = 0;
  for (int k = 0; k < features; ++k) sum += static_cast<Real>(x[k]) * y[k];
  return sum;
}

/// Squared norm of every row, minus the mean where one is given.
std::vector<Real> squared_norms(const PointSet &points, const std::vector<double> &mean) {
  const std::vector<double> zero(static_cast<std::size_t>(points.features), 0.0);
  std::vector<Real> norms;
  for (std::size_t i = 0; i < points.count(); ++i)
    norms.push_back(squared_distance(points.row(i), mean.empty() ? zero.data() : mean.data(), points.features));
  return norms;
}

/// sqrt(2 nu) r / ell of the Matern functions.
Real matern_argument(const OraclePair &pair, Real q) {
  return std::sqrt((pair.name == "matern32" ? 3 : 5) * q) / pair.parameters.at("ell");
}

}  // namespace

OraclePair oracle_pair(const std::string &text) {
  OraclePair pair;
  const std::size_t colon = text.find(':');
  pair.name = text.substr(0, colon);
  std::size_t at = colon;
  while (at != std::string::npos) {
    const std::size_t equals = text.find('=', at);
    const std::size_t comma = text.find(',', equals);
    pair.parameters[text.substr(at + 1, equals - at - 1)] = std::stold(text.substr(equals + 1, comma - equals - 1));
    at = comma;
  }
  return pair;
}

double length_of(const double *x, int features) { return std::sqrt(features / 3.0) * (1 + 0.4 * std::sin(3 * x[0])); }

namespace {

/// v of the covariance of a point.
std::vector<Real> direction_of(const double *x, int features) {
  std::vector<Real> v;
  for (int k = 0; k < features; ++k)
    v.push_back(std::sqrt(Real{3} / features) * std::sin(2 * static_cast<Real>(x[k]) + k));
  return v;
}

/// scale (I + factor v v'), its lower triangle.
std::vector<Real> rank_one(const std::vector<Real> &v, Real scale, Real factor) {
  std::vector<Real> triangle;
  for (std::size_t k = 0; k < v.size(); ++k)
    for (std::size_t l = 0; l <= k; ++l) triangle.push_back(scale * ((k == l ? 1 : 0) + factor * v[k] * v[l]));
  return triangle;
}

/// (x - y)' A (x - y)
Real quadratic_form(const std::vector<Real> &triangle, const double *x, const double *y, int features) {
  Real sum = 0;
  std::size_t at = 0;
  for (int k = 0; k < features; ++k)
    for (int l = 0; l <= k; ++l)
      sum += (k == l ? 1 : 2) * triangle[at++] * (static_cast<Real>(x[k]) - y[k]) * (static_cast<Real>(x[l]) - y[l]);
  return sum;
}

}  // namespace

std::vector<double> covariance_of(const double *x, int features) {
  const Real length = length_of(x, features);
  const std::vector<Real> exact = rank_one(direction_of(x, features), length * length, 1);
  return {exact.begin(), exact.end()};
}

std::vector<Real> inverse_covariance_of(const double *x, int features) {
  const Real length = length_of(x, features);
  const std::vector<Real> v = direction_of(x, features);
  Real square = 0;
  for (const Real entry : v) square += entry * entry;
  return rank_one(v, 1 / (length * length), -1 / (1 + square));
}

Real oracle_log_weight(const OraclePair &pair, Real q) {
  const auto &p = pair.parameters;
  if (pair.name == "self_tuned") return -q;
  if (pair.name == "variable_bandwidth") return -q / (4 * p.at("epsilon"));
  if (pair.name == "gaussian" || pair.covariances()) return -p.at("beta") * q;
  if (pair.name == "inner_exp") return p.at("s") * q;
  if (pair.name == "laplacian") return -std::sqrt(q) / p.at("ell");
  if (pair.name == "rational_quadratic")
    return -p.at("a") * std::log1p(q / (2 * p.at("a") * p.at("ell") * p.at("ell")));
  const Real u = matern_argument(pair, q);
  if (pair.name == "matern32") return std::log1p(u) - u;
  if (pair.name == "matern52") return std::log1p(u + u * u / 3) - u;
  throw std::logic_error("the oracle does not know " + pair.name);
}

Real oracle_slope(const OraclePair &pair, Real q) {
  const auto &p = pair.parameters;
  if (pair.name == "gaussian" || pair.covariances()) return p.at("beta");
  if (pair.name == "inner_exp") return std::abs(p.at("s"));
  if (pair.name == "self_tuned") return 1;
  if (pair.name == "variable_bandwidth") return 1 / (4 * p.at("epsilon"));
  const Real ell = p.at("ell");
  if (pair.name == "laplacian") return 1 / (2 * ell * std::sqrt(q));
  if (pair.name == "rational_quadratic") return 1 / (2 * ell * ell * (1 + q / (2 * p.at("a") * ell * ell)));
  const Real u = matern_argument(pair, q);
  if (pair.name == "matern32") return 3 / (2 * ell * ell * (1 + u));
  if (pair.name == "matern52") return 5 * (1 + u) / (6 * ell * ell * (1 + u + u * u / 3));
  throw std::logic_error("the oracle does not know " + pair.name);
}

Real oracle_exponent(const OraclePair &pair, Real q) {
  const bool matern = pair.name == "matern32" || pair.name == "matern52";
  return matern ? matern_argument(pair, q) : std::abs(oracle_log_weight(pair, q));
}

namespace {

/// What a pair function reads of a point: a length, 1 without, or the inverse of a covariance, its trace and its norm.
struct PairScale {
  Real length = 1;
  std::vector<Real> inverse = {};
  Real trace = 0, norm = 1;
};

std::vector<PairScale> scales_of(const OraclePair &pair, const PointSet &points) {
  std::vector<PairScale> scales(points.count());
  for (std::size_t i = 0; i < points.count(); ++i) {
    if (pair.lengths()) scales[i].length = length_of(points.row(i), points.features);
    if (!pair.covariances()) continue;
    scales[i].inverse = inverse_covariance_of(points.row(i), points.features);
    for (std::size_t k = 0, at = 0; at < scales[i].inverse.size(); at += ++k + 1)
      scales[i].trace += scales[i].inverse[at];
    const Real length = length_of(points.row(i), points.features);
    scales[i].norm = 1 / (length * length);
  }
  return scales;
}

}  // namespace

PairTable make_table(const OraclePair &pair, const PointSet &own, const PointSet &visiting,
                     const std::vector<double> &mean) {
  const int d = own.features;
  const std::vector<Real> own_norms = squared_norms(own, mean);
  const std::vector<Real> visiting_norms = squared_norms(visiting, mean);
  PairTable table{own.count(), visiting.count(), {}, {}, {}, {}, {}};
  const std::vector<PairScale> own_scales = scales_of(pair, own);
  const std::vector<PairScale> visiting_scales = scales_of(pair, visiting);
  for (std::size_t i = 0; i < own.count(); ++i)
    for (std::size_t j = 0; j < visiting.count(); ++j) {
      const double *x = own.row(i);
      const double *y = visiting.row(j);
      const PairScale &a = own_scales[i];
      const PairScale &b = visiting_scales[j];
      const Real over = pair.covariances() ? 2 / (a.trace + b.trace) : a.length * b.length;
      const Real q = pair.inner() ? inner_product(x, y, d)
                     : pair.covariances()
                         ? (quadratic_form(a.inverse, x, y, d) + quadratic_form(b.inverse, x, y, d)) / 2
                         : squared_distance(x, y, d) / over;
      table.q.push_back(q);
      table.divisor.push_back(over);
      table.log_weight.push_back(oracle_log_weight(pair, q));
      const Real unit = pair.covariances() ? (a.norm + b.norm) / 2 : 1 / over;
      table.error.push_back(
          static_cast<double>(log_weight_error(pair, q, own_norms[i] * unit, visiting_norms[j] * unit, d)));
    }
  table.visible.assign(table.log_weight.size(), 1);
  return table;
}

void hide(PairTable &table, const std::vector<std::int64_t> &own_rows, const std::vector<std::int64_t> &visiting_rows,
          bool causal, bool exclude_self) {
  for (std::size_t i = 0; i < table.own; ++i)
    for (std::size_t j = 0; j < table.visiting; ++j)
      if ((causal && visiting_rows[j] > own_rows[i]) || (exclude_self && visiting_rows[j] == own_rows[i]))
        table.visible[table.at(i, j)] = 0;
}

PairTable transposed(const PairTable &table) {
  PairTable result = table;
  std::swap(result.own, result.visiting);
  for (std::size_t i = 0; i < table.own; ++i)
    for (std::size_t j = 0; j < table.visiting; ++j) {
      result.log_weight[result.at(j, i)] = table.log_weight[table.at(i, j)];
      result.error[result.at(j, i)] = table.error[table.at(i, j)];
      result.visible[result.at(j, i)] = table.visible[table.at(i, j)];
      result.q[result.at(j, i)] = table.q[table.at(i, j)];
      result.divisor[result.at(j, i)] = table.divisor[table.at(i, j)];
    }
  return result;
}

Bounded oracle_sum(const PairTable &table, const std::vector<double> &x, int columns, const Arithmetic &arithmetic) {
  Bounded answer;
  std::vector<Real> k(table.log_weight.size());
  for (std::size_t p = 0; p < k.size(); ++p) k[p] = table.visible[p] != 0 ? std::exp(table.log_weight[p]) : 0;
  const Real of_sum = sum_error(arithmetic.tile_rows);
  for (std::size_t c = 0; c < static_cast<std::size_t>(columns); ++c)
    for (std::size_t i = 0; i < table.own; ++i) {
      Real sum = 0;
      Real bound = 0;
      for (std::size_t j = 0; j < table.visiting; ++j) {
        const Real xj = x[c * table.visiting + j];
        const Real term = k[table.at(i, j)] * xj;
        sum += term;
        bound += std::abs(term) * arithmetic.unit * (table.error[table.at(i, j)] + of_sum) +
                 std::abs(xj) * arithmetic.smallest;
      }
      answer.value.push_back(sum);
      answer.bound.push_back(bound);
    }
  return answer;
}

namespace {

/// One row of log-sum-exp: probabilities p_j, the mean error of l under them, and the result.
struct SoftRow {
  std::vector<Real> p;      // (visiting)
  std::vector<Real> error;  // (visiting) |error of l_ij|
  Real lse = -std::numeric_limits<Real>::infinity();
  Real mean_error = 0;
};

SoftRow soft_row(const PairTable &table, const std::vector<double> &g, std::size_t i, const Arithmetic &arithmetic) {
  SoftRow row{std::vector<Real>(table.visiting, 0), std::vector<Real>(table.visiting, 0)};
  std::vector<Real> l(table.visiting, row.lse);
  Real largest = row.lse;
  for (std::size_t j = 0; j < table.visiting; ++j) {
    const Real gj = g.empty() ? 0 : static_cast<Real>(g[j]);
    if (table.visible[table.at(i, j)] == 0 || std::isinf(gj)) continue;
    l[j] = table.log_weight[table.at(i, j)] + gj;
    // Adding g rounds g, its product with log2 e and the sum.
    row.error[j] = arithmetic.unit * (table.error[table.at(i, j)] + 2 * std::abs(gj) + std::abs(l[j]));
    largest = std::max(largest, l[j]);
  }
  if (std::isinf(largest)) return row;
  Real sum = 0;
  for (std::size_t j = 0; j < table.visiting; ++j) sum += row.p[j] = std::exp(l[j] - largest);
  row.lse = largest + std::log(sum);
  for (std::size_t j = 0; j < table.visiting; ++j) {
    row.p[j] /= sum;
    row.mean_error += row.p[j] * row.error[j];
  }
  return row;
}

}  // namespace

Bounded oracle_log_sum_exp(const PairTable &table, const std::vector<double> &g, const std::vector<double> &v,
                           int columns, const Arithmetic &arithmetic) {
  const std::size_t outputs = 1 + static_cast<std::size_t>(columns);
  Bounded answer{std::vector<Real>(outputs * table.own, 0), std::vector<Real>(outputs * table.own, 0)};
  const Real of_sum = arithmetic.unit * sum_error(arithmetic.tile_rows);
  for (std::size_t i = 0; i < table.own; ++i) {
    const SoftRow row = soft_row(table, g, i, arithmetic);
    answer.value[i] = row.lse;
    // d lse = sum p dl; the sum of exponentials adds its own relative error; a weight below the smallest is lost.
    // The last steps are in fp64: maximum plus log2 of the sum, times ln 2.
    answer.bound[i] =
        row.mean_error + of_sum + arithmetic.smallest + (std::isinf(row.lse) ? 0 : 3 * 0x1p-53L * std::abs(row.lse));
    for (std::size_t c = 0; c < static_cast<std::size_t>(columns); ++c) {
      Real value = 0;
      Real bound = 0;
      for (std::size_t j = 0; j < table.visiting; ++j) {
        const Real vj = v[c * table.visiting + j];
        value += row.p[j] * vj;
        // Numerator: each term with the error of its weight and of the sum; denominator: mean_error and of_sum again.
        bound += std::abs(vj) * (row.p[j] * (row.error[j] + row.mean_error + 2 * of_sum) + arithmetic.smallest);
      }
      answer.value[(1 + c) * table.own + i] = value;
      answer.bound[(1 + c) * table.own + i] = bound;
    }
  }
  return answer;
}

Bounded oracle_differences(const PairTable &table, const std::vector<double> &g, const std::vector<double> &give,
                           const std::vector<double> &receive, int columns, const Arithmetic &arithmetic) {
  Bounded answer;
  const Real u = arithmetic.unit;
  const Real rounding = u > 0x1p-53 ? u : 0;  // of functions that are kept in the working precision
  std::vector<Real> weights(table.log_weight.size());
  for (std::size_t p = 0; p < weights.size(); ++p)
    weights[p] = table.visible[p] != 0 ? std::exp(table.log_weight[p]) * static_cast<Real>(g[p % table.visiting]) : 0;
  for (std::size_t l = 0; l < static_cast<std::size_t>(columns); ++l)
    for (std::size_t k = 0; k <= l; ++k)
      for (std::size_t i = 0; i < table.own; ++i) {
        Real sum = 0;
        Real bound = 0;
        for (std::size_t j = 0; j < table.visiting; ++j) {
          const auto of = [&](std::size_t c) -> std::pair<Real, Real> {
            const Real a = give[c * table.visiting + j];
            const Real b = receive[c * table.own + i];
            return {a - b, u * std::abs(a - b) + rounding * (std::abs(a) + std::abs(b))};
          };
          const auto [left, left_error] = of(k);
          const auto [right, right_error] = of(l);
          const Real term = weights[table.at(i, j)] * left * right;
          const Real weight = std::abs(weights[table.at(i, j)]);
          sum += term;
          // The weight, its product with g, g itself, and the sum; then either difference.
          bound += std::abs(term) * u * (table.error[table.at(i, j)] + sum_error(arithmetic.tile_rows) + 2) +
                   weight * (std::abs(left) * right_error + left_error * (std::abs(right) + right_error)) +
                   std::abs(g[j] * left * right) * arithmetic.smallest;
        }
        answer.value.push_back(sum);
        answer.bound.push_back(bound);
      }
  return answer;
}

std::vector<double> random_numbers(std::size_t count, std::uint64_t seed) {
  std::vector<double> numbers(count);
  std::uint64_t state = seed * 0x9e3779b97f4a7c15U + 1;
  for (double &number : numbers) {  // splitmix64
    std::uint64_t z = (state += 0x9e3779b97f4a7c15U);
    z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27U)) * 0x94d049bb133111ebU;
    z ^= z >> 31U;
    number = (static_cast<double>(z >> 11U) + 0.5) * 0x1p-52 - 1;
  }
  return numbers;
}

}  // namespace flashring::test
