// An attention problem of the tests run through class Attention: the rows of this rank of its arrays, and what came
// out.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include "flashring/attention.hpp"
#include "support/dense_attention.hpp"
#include "support/tiles.hpp"
#include "support/world.hpp"

namespace flashring::test {

/// Backends on one rank; what several ranks do does not depend on the instruction set.
inline std::vector<std::string> instruction_sets() {
  return world().size() > 1 ? std::vector<std::string>{"simd"} : vector_backends();
}

/// A number of 16 bits.
template <Storage kind>
class Half {
 public:
  Half() = default;
  explicit Half(double value) { store_numbers(&value, 1, &bits_, kind, 0, 1); }
  operator double() const {  // NOLINT(google-explicit-constructor): as float
    double value = 0;
    load_numbers(&bits_, kind, 0, 1, 1, &value);
    return value;
  }

 private:
  std::uint16_t bits_ = 0;
};

/// How the tests' types of numbers are stored.
template <class T>
constexpr Storage storage_of = sizeof(T) == 8 ? Storage::fp64 : Storage::fp32;
template <Storage kind>
constexpr Storage storage_of<Half<kind>> = kind;

/// Rows of this rank of an array (sequences, N, width), stored as T.
template <class T>
std::vector<T> local_part(const std::vector<double> &whole, std::int64_t width, const RowPartition &partition) {
  std::vector<T> part;
  const std::int64_t rows = partition.rows();
  const auto sequences = static_cast<std::int64_t>(whole.size()) / (rows * width);
  for (std::int64_t s = 0; s < sequences; ++s)
    for (const RowRange &range : partition.ranges(world().rank()))
      for (std::int64_t n = 0; n < range.count * width; ++n)
        part.push_back(static_cast<T>(whole[static_cast<std::size_t>((s * rows + range.begin.value) * width + n)]));
  return part;
}

inline Bounded local_part(const Bounded &whole, std::int64_t width, const RowPartition &partition) {
  Bounded part;
  const std::int64_t rows = partition.rows();
  const auto sequences = static_cast<std::int64_t>(whole.value.size()) / (rows * width);
  for (std::int64_t s = 0; s < sequences; ++s)
    for (const RowRange &range : partition.ranges(world().rank()))
      for (std::int64_t n = 0; n < range.count * width; ++n) {
        const auto at = static_cast<std::size_t>((s * rows + range.begin.value) * width + n);
        part.value.push_back(whole.value[at]);
        part.bound.push_back(whole.bound[at]);
      }
  return part;
}

/// What this rank computed.
template <class T>
struct Computed {
  AttentionSaved saved;
  std::vector<T> o, d_q, d_k, d_v;
  std::vector<double> d_alpha;
  AttentionReport forward, backward;
};

template <class T>
struct Local {
  Local(const AttentionProblem &p, const Attention &attention)
      : q(local_part<T>(p.q, p.shape.width, attention.query_partition())),
        k(local_part<T>(p.k, p.shape.width, attention.key_partition())),
        v(local_part<T>(p.v, p.shape.value_width, attention.key_partition())),
        d_o(local_part<T>(p.d_o, p.shape.value_width, attention.query_partition())) {
    const std::vector<double> padding(p.key_padding.begin(), p.key_padding.end());
    key_padding = local_part<std::uint8_t>(padding, 1, attention.key_partition());
  }
  static constexpr Storage storage = storage_of<T>;
  AttentionInput input() const { return {{q.data(), storage}, {k.data(), storage}, {v.data(), storage}, key_padding}; }
  std::vector<T> q, k, v, d_o;
  std::vector<std::uint8_t> key_padding;
};

inline AttentionOptions options_for(const AttentionProblem &p) {
  AttentionOptions options;
  options.scale = p.scale;
  options.causal = p.causal;
  if (p.causal) options.causal_offset = p.causal_offset;
  return options;
}

template <class T>
Computed<T> compute(const AttentionProblem &p, const AttentionOptions &options) {
  Attention attention(world(), p.shape, options);
  const Local<T> local(p, attention);
  constexpr Storage storage = storage_of<T>;
  Computed<T> c;
  c.o.resize(local.d_o.size());
  c.d_q.resize(local.q.size());
  c.d_k.resize(local.k.size());
  c.d_v.resize(local.v.size());
  c.saved = attention.forward(local.input(), {c.o.data(), storage});
  c.forward = attention.report();
  c.d_alpha = attention.backward(local.input(), {c.o.data(), storage}, c.saved, {local.d_o.data(), storage},
                                 {c.d_q.data(), storage}, {c.d_k.data(), storage}, {c.d_v.data(), storage});
  c.backward = attention.report();
  return c;
}

/// sum of dO O with q, k, v moved by h times (x, y, z).
inline double loss(AttentionProblem p, const AttentionOptions &options, const AttentionProblem &direction, double h) {
  for (std::size_t n = 0; n < p.q.size(); ++n) p.q[n] += h * direction.q[n];
  for (std::size_t n = 0; n < p.k.size(); ++n) p.k[n] += h * direction.k[n];
  for (std::size_t n = 0; n < p.v.size(); ++n) p.v[n] += h * direction.v[n];
  Attention attention(world(), p.shape, options);
  const Local<double> local(p, attention);
  std::vector<double> o(local.d_o.size());
  attention.forward(local.input(), {o.data(), Storage::fp64});
  return world().sum(std::inner_product(o.begin(), o.end(), local.d_o.begin(), 0.0));
}

/// The gradients along a direction beside differences of the loss over five places, to `tolerance`. These err by
/// h^4/30 fifth derivatives, 1e-16 of them with h = 1e-4, and by some 1e-14 / h of rounding.
inline void check_differences(const AttentionProblem &p, const AttentionOptions &options, double tolerance) {
  const AttentionProblem direction = random_attention(p.shape, 30);
  const Computed<double> found = compute<double>(p, options);
  const Attention attention(world(), p.shape, options);
  const Local<double> along(direction, attention);
  const auto dot = [](const std::vector<double> &a, const std::vector<double> &b) {
    return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
  };
  const double slope = world().sum(dot(found.d_q, along.q) + dot(found.d_k, along.k) + dot(found.d_v, along.v));
  const auto difference = [](double h, const auto &at) {
    return (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h);
  };
  EXPECT_NEAR(difference(1e-4, [&](double h) { return loss(p, options, direction, h); }), slope,
              tolerance * std::abs(slope));
  const AttentionProblem none = [&] {
    AttentionProblem zero = direction;
    for (std::vector<double> *array : {&zero.q, &zero.k, &zero.v}) std::fill(array->begin(), array->end(), 0.0);
    return zero;
  }();
  for (std::size_t n = 0; n < found.d_alpha.size(); ++n) {
    const auto moved = [&](double h) {
      AttentionOptions other = options;
      other.alpha[n] += h;
      return loss(p, other, none, 0);
    };
    // A parameter moves e = 1/w by e^2 h: a smaller step.
    EXPECT_NEAR(difference(1e-5, moved), found.d_alpha[n], tolerance * std::max(1.0, std::abs(found.d_alpha[n])))
        << "alpha " << n;
  }
}

}  // namespace flashring::test
