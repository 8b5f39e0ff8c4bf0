// Softmax attention and its gradients from their definitions, in long double, with the bounds of rounding.
#pragma once

#include <cstdint>
#include <vector>

#include "flashring/attention.hpp"
#include "support/oracle.hpp"

namespace flashring::test {

/// Whole arrays, (B, H, N, width) each, the same on every rank.
struct AttentionProblem {
  AttentionShape shape;
  double scale = 0;
  bool causal = false;
  std::int64_t causal_offset = 0;
  std::vector<double> q, k, v, d_o;
  std::vector<std::uint8_t> key_padding;  // (B, N_k), or empty
};

/// Uniform numbers in (-1, 1), scale D^(-1/2).
AttentionProblem random_attention(const AttentionShape &shape, std::uint64_t seed);

/// Each with the largest error that the arithmetic, of unit roundoff u, explains:
/// x_ij = scale <q_i, k_j> is off by e u of sum |q_i||k_j| (steps of tolerance.hpp), p_ij relatively by that error of
/// x_ij and of the row's mean, and every later sum by sum_error of its terms' magnitudes.
struct DenseAttention {
  Bounded lse, o, d_q, d_k, d_v;
};
DenseAttention dense_attention(const AttentionProblem &problem, const Arithmetic &arithmetic);

}  // namespace flashring::test
