#include "support/dense_attention.hpp"

#include <cmath>
#include <limits>

#include "support/tolerance.hpp"

namespace flashring::test {
namespace {

constexpr Real infinity = std::numeric_limits<Real>::infinity();

/// One query head: its rows of the arrays, and the sums that its keys gather.
class Head {
 public:
  Head(const AttentionProblem &problem, std::int64_t batch, int head, const Arithmetic &arithmetic, DenseAttention &to)
      : p_(problem),
        s_(problem.shape),
        unit_(arithmetic.unit),
        smallest_(arithmetic.smallest),
        sum_(arithmetic.unit * sum_error(arithmetic.tile_rows)),
        to_(to),
        batch_(batch),
        queries_((batch * s_.heads + head) * s_.queries),
        keys_((batch * s_.key_heads + head * s_.key_heads / s_.heads) * s_.keys) {}

  void add() const {
    for (std::int64_t i = 0; i < s_.queries; ++i) add_row(i);
  }

 private:
  struct Row {
    std::vector<Real> p, error;  // (keys): weights, and their relative errors
    Real lse = -infinity, lse_error = 0;
  };

  const double *at(const std::vector<double> &array, std::int64_t row, int width) const {
    return array.data() + row * width;
  }
  static Real dot(const double *x, const double *y, int count) {
    Real sum = 0;
    for (int c = 0; c < count; ++c) sum += static_cast<Real>(x[c]) * y[c];
    return sum;
  }
  static Real size(const double *x, const double *y, int count) {
    Real sum = 0;
    for (int c = 0; c < count; ++c) sum += std::abs(static_cast<Real>(x[c]) * y[c]);
    return sum;
  }
  bool visible(std::int64_t i, std::int64_t j) const {
    const bool token = p_.key_padding.empty() || p_.key_padding[static_cast<std::size_t>(batch_ * s_.keys + j)] != 0;
    return token && !(p_.causal && j > i + p_.causal_offset);
  }

  Row weigh(std::int64_t i) const {
    Row row{std::vector<Real>(static_cast<std::size_t>(s_.keys), -infinity),
            std::vector<Real>(static_cast<std::size_t>(s_.keys), 0)};
    Real top = -infinity;
    const double *q = at(p_.q, queries_ + i, s_.width);
    for (std::int64_t j = 0; j < s_.keys; ++j) {
      if (!visible(i, j)) continue;
      const double *k = at(p_.k, keys_ + j, s_.width);
      const auto n = static_cast<std::size_t>(j);
      row.p[n] = p_.scale * dot(q, k, s_.width);
      // Packing rounds both factors and their scale, the sum of d terms half of sqrt(d) in effect.
      row.error[n] =
          unit_ * ((5 + 0.5L * std::sqrt(static_cast<Real>(s_.width))) * std::abs(p_.scale) * size(q, k, s_.width) +
                   2 * std::abs(row.p[n]) + 4);
      top = std::max(top, row.p[n]);
    }
    if (std::isinf(top)) return row.p.assign(row.p.size(), 0), row;
    Real sum = 0;
    for (Real &p : row.p) sum += p = std::exp(p - top);
    row.lse = top + std::log(sum);
    Real mean = 0;
    for (std::size_t j = 0; j < row.p.size(); ++j) mean += (row.p[j] /= sum) * row.error[j];
    row.lse_error = mean + sum_ + 3 * 0x1p-53L * std::abs(row.lse);
    // A saved log-sum-exp is rounded when backward takes it.
    for (Real &error : row.error) error += row.lse_error + unit_ * (2 * std::abs(row.lse) + 4);
    return row;
  }

  static void put(Bounded &to, std::int64_t at, Real value, Real bound) {
    to.value[static_cast<std::size_t>(at)] += value;
    to.bound[static_cast<std::size_t>(at)] += bound;
  }

  void add_row(std::int64_t i) const {
    const Row row = weigh(i);
    put(to_.lse, queries_ + i, row.lse, row.lse_error);
    const double *d_o = at(p_.d_o, queries_ + i, s_.value_width);
    Real delta = 0;
    Real delta_size = 0;
    for (std::int64_t j = 0; j < s_.keys; ++j) {
      const Real p = row.p[static_cast<std::size_t>(j)];
      delta += p * dot(d_o, at(p_.v, keys_ + j, s_.value_width), s_.value_width);
      delta_size += p * size(d_o, at(p_.v, keys_ + j, s_.value_width), s_.value_width);
    }
    for (std::int64_t j = 0; j < s_.keys; ++j) add_pair(i, j, row, delta, delta_size);
  }

  void add_pair(std::int64_t i, std::int64_t j, const Row &row, Real delta, Real delta_size) const {
    const Real p = row.p[static_cast<std::size_t>(j)];
    if (p == 0) return;
    const Real error = row.error[static_cast<std::size_t>(j)] + 2 * sum_;
    const Real p_error = p * error + smallest_;
    const double *d_o = at(p_.d_o, queries_ + i, s_.value_width);
    const double *v = at(p_.v, keys_ + j, s_.value_width);
    const Real ds = p * (dot(d_o, v, s_.value_width) - delta);
    // delta comes from o, which is stored in that arithmetic and has the errors of all weights of the row.
    const Real d_v = static_cast<Real>(s_.value_width);
    const Real rounding = unit_ * p * (4 + std::sqrt(d_v));
    const Real ds_error =
        size(d_o, v, s_.value_width) * (p_error + rounding) + delta_size * (p_error + p * row.lse_error + rounding);
    for (int c = 0; c < s_.value_width; ++c) {
      put(to_.o, (queries_ + i) * s_.value_width + c, p * v[c], std::abs(v[c]) * (p_error + p * row.lse_error));
      put(to_.d_v, (keys_ + j) * s_.value_width + c, p * d_o[c], std::abs(d_o[c]) * p_error);
    }
    const double *q = at(p_.q, queries_ + i, s_.width);
    const double *k = at(p_.k, keys_ + j, s_.width);
    const Real scale = std::abs(p_.scale);
    for (int c = 0; c < s_.width; ++c) {
      put(to_.d_q, (queries_ + i) * s_.width + c, p_.scale * ds * k[c], scale * ds_error * std::abs(k[c]));
      put(to_.d_k, (keys_ + j) * s_.width + c, p_.scale * ds * q[c], scale * ds_error * std::abs(q[c]));
    }
  }

  const AttentionProblem &p_;
  const AttentionShape &s_;
  Real unit_, smallest_, sum_;
  DenseAttention &to_;
  std::int64_t batch_, queries_, keys_;  // rows of the arrays before this head's
};

}  // namespace

AttentionProblem random_attention(const AttentionShape &shape, std::uint64_t seed) {
  const auto numbers = [&](int heads, std::int64_t rows, int width) {
    return random_numbers(static_cast<std::size_t>(shape.batch * heads * rows * width), seed++);
  };
  AttentionProblem p;
  p.shape = shape;
  p.scale = 1 / std::sqrt(shape.width);
  p.q = numbers(shape.heads, shape.queries, shape.width);
  p.k = numbers(shape.key_heads, shape.keys, shape.width);
  p.v = numbers(shape.key_heads, shape.keys, shape.value_width);
  p.d_o = numbers(shape.heads, shape.queries, shape.value_width);
  return p;
}

DenseAttention dense_attention(const AttentionProblem &problem, const Arithmetic &arithmetic) {
  const AttentionShape &s = problem.shape;
  const auto zeros = [](std::size_t count) {
    return Bounded{std::vector<Real>(count, 0), std::vector<Real>(count, 0)};
  };
  DenseAttention to{zeros(static_cast<std::size_t>(s.batch * s.heads * s.queries)), zeros(problem.d_o.size()),
                    zeros(problem.q.size()), zeros(problem.k.size()), zeros(problem.v.size())};
  for (std::int64_t b = 0; b < s.batch; ++b)
    for (int h = 0; h < s.heads; ++h) Head(problem, b, h, arithmetic, to).add();
  return to;
}

}  // namespace flashring::test
