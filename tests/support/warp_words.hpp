// What the lanes of a warp do together on devices of compute capability 8.0, in plain C++: matrix products, loads of
// matrices, exchanges. Layouts follow fragments.hpp.
//
// The tensor unit is taken as badly as units of its kind have been seen to round: products are exact, all 16 of them
// and the accumulator are cut off at 2 bits below the last bit that the largest of them has as a fp32 number, and their
// sum is cut off to fp32. Reference for such units: M. Fasi et al., PeerJ Computer Science 7:e330, 2021.
#pragma once

#include <cstddef>
#include <cstdint>

namespace flashring::test {

/// Does something for all lanes: calls[lane] is what that lane passed.
using WarpWord = void (*)(void *const *calls);

/// mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32
struct MmaCall {
  float *sum;              // (4)
  const std::uint32_t *a;  // (4)
  const std::uint32_t *b;  // (2)
};
void mma_warp(void *const *calls);

/// ldmatrix.sync.aligned.m8n8.x4.shared.b16: lane l gives the address of row l % 8 of matrix l / 8.
struct MatricesCall {
  const std::byte *row;
  std::uint32_t *matrices;  // (4)
};
void load_matrices_warp(void *const *calls);

/// movmatrix.sync.aligned.m8n8.trans.b16; calls are std::uint32_t.
void transpose_warp(void *const *calls);

/// shfl.sync.bfly, of 4 or 8 bytes.
struct ShuffleCall {
  std::byte value[8];
  int distance;
  std::size_t bytes;
};
void shuffle_warp(void *const *calls);

/// cp.async of 16 bytes.
struct AsyncCopy {
  std::byte *to;
  const std::byte *from;
};

/// Two numbers rounded to bf16, the first in the low half.
std::uint32_t two_bf16(float low, float high);

/// start + sum of a[k] b[k], k < 16, as the tensor unit is taken to sum. a, b: bf16 numbers.
float unit_sum(float start, const float *a, const float *b);

}  // namespace flashring::test
