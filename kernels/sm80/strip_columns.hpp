// Strips of weights times blocks of columns on tensor cores.
//
// Accumulators of one product are the A operand of the next when two neighbours are packed as 16-bit numbers, so
// weights go from the formula to the second product in registers. They are split into bf16 pieces (three, or one in
// reduced precision), and so are columns when they are put into shared memory; products of pieces are those of
// pieces.hpp. The sums of all small products come first, then the products of the first pieces: what the unit cuts off
// while sums are small is small. Own side: A is a strip of own rows, B the visiting rows' columns. Visiting side: A is
// the transposed strip, an exchange within the warp for each 8 x 8 numbers, B the own rows' columns. Cost of a pair:
// for 8 columns 6 (or 1) x 8 multiply-adds of the tensor unit for each side, 6 (or half an) operations to split a
// weight, and 6 (or 1) half exchanges for 32 weights on the visiting side. Reference: T. Dao, FlashAttention-2,
// arXiv:2307.08691.
#pragma once

#include "sm80/pieces.hpp"
#include "sm80/strip.hpp"

namespace flashring::sm80 {

/// Blocks of 8 columns that are multiplied at once.
constexpr int column_blocks_at_once = tensor_columns / 8;

/// Columns in shared memory: (pieces, columns, T) bf16. 8 rows are 16 bytes; they change places with the column so that
/// neither way of reading meets one bank twice.
constexpr int column_piece_bytes = tensor_columns * tile_rows * 2;
constexpr int column_offset(int column, int row) {
  return column * tile_rows * 2 + ((row / 8) ^ (column % 8)) * 16 + row % 8 * 2;
}

/// Two numbers as pieces, each packed with the low one in the low half; what is left after the last piece is lost.
template <int pieces, class Thread>
FLASHRING_DEVICE void split_two(float low, float high, std::uint32_t (&packed)[pieces]) {
  FLASHRING_UNROLL
  for (int p = 0; p < pieces; ++p) {
    packed[p] = Thread::pack_bf16(low, high);
    const std::uint32_t wide[2] = {packed[p] << 16, packed[p] & 0xffff0000U};
    float piece[2];
    __builtin_memcpy(piece, wide, sizeof(piece));
    low -= piece[0];
    high -= piece[1];
  }
}

/// Columns [first, first + count) of a tile in pieces; 0 from `count` to the next multiple of 16. columns: (c, T)
template <int pieces, class Thread>
FLASHRING_DEVICE void stage_columns(Thread &t, const float *columns, int first, int count, std::byte *stage) {
  constexpr int threads = tile_rows / 2;           // of a column
  constexpr int apart = tensor_threads / threads;  // columns that are loaded together
  constexpr int at_once = chunk_columns / apart;   // of a thread, so that one load does not wait for the other
  const int row = t.thread() % threads * 2;
  FLASHRING_ROLL
  for (int begin = 0; begin < count; begin += chunk_columns) {
    Two x[at_once];
    const int mine = begin + t.thread() / threads;
    FLASHRING_UNROLL
    for (int n = 0; n < at_once; ++n) {
      const int c = mine + n * apart;
      x[n] = {{0, 0}};
      if (c < count) x[n] = *reinterpret_cast<const Two *>(columns + std::ptrdiff_t{first + c} * tile_rows + row);
    }
    FLASHRING_UNROLL
    for (int n = 0; n < at_once; ++n) {
      std::uint32_t packed[pieces];
      split_two<pieces, Thread>(x[n].v[0], x[n].v[1], packed);
      FLASHRING_UNROLL
      for (int p = 0; p < pieces; ++p)
        *reinterpret_cast<std::uint32_t *>(stage + p * column_piece_bytes + column_offset(mine + n * apart, row)) =
            packed[p];
    }
  }
}

/// Register r of the A operand of 16 columns of weights, [16m, 16m + 16): block and first element of its two numbers.
struct OperandPart {
  int block = 0;
  int element = 0;
};
constexpr OperandPart own_part(int m, int r) { return {2 * m + r / 2, r % 2 * 2}; }
/// The same of their transpose, 16 visiting rows by 16 own rows.
constexpr OperandPart visiting_part(int m, int r) { return {2 * m + r % 2, r / 2 * 2}; }

template <int pieces, bool transposed, class Thread, int N>
FLASHRING_DEVICE void make_operand(Thread &t, const Strip<N> &w, int m, std::uint32_t (&a)[pieces][4]) {
  FLASHRING_UNROLL
  for (int r = 0; r < 4; ++r) {
    const OperandPart part = transposed ? visiting_part(m, r) : own_part(m, r);
    std::uint32_t packed[pieces];
    split_two<pieces, Thread>(w.v[part.block][part.element], w.v[part.block][part.element + 1], packed);
    FLASHRING_UNROLL
    for (int p = 0; p < pieces; ++p) a[p][r] = transposed ? t.transpose_matrix(packed[p]) : packed[p];
  }
}

/// Which products of pieces: all but that of the first ones, or that alone.
enum class Part : std::uint8_t { small, large };

/// sum[c] += A times rows [row, row + 16) of column block c, c < blocks.
template <Part part, int pieces, class Thread>
FLASHRING_DEVICE void multiply_columns(Thread &t, const std::uint32_t (&a)[pieces][4], const std::byte *stage, int row,
                                       int blocks, float (&sum)[column_blocks_at_once][4]) {
  constexpr int least = part == Part::small ? 1 : 0;
  constexpr int most = part == Part::small ? pieces - 1 : 0;
  // Matrices: rows [0, 8) and [8, 16) of one column block, then of the next.
  const int lane = t.lane();
  const std::byte *matrix = stage + column_offset(lane / 16 * 8 + lane % 8, row + lane / 8 % 2 * 8);
  FLASHRING_UNROLL
  for (int c = 0; c < column_blocks_at_once; c += 2) {
    if (c >= blocks) continue;
    FLASHRING_UNROLL
    for (int v = most; v >= 0; --v) {
      std::uint32_t b[4];  // (two blocks of two registers)
      t.load_matrices(matrix + v * column_piece_bytes + column_offset(8 * c, 0), b);
      const std::uint32_t both[2][2] = {{b[0], b[1]}, {b[2], b[3]}};
      FLASHRING_UNROLL
      for (int o = most - v; o >= 0; --o) {
        if (o + v < least) continue;
        t.mma_bf16(sum[c], a[o], both[0]);
        if (c + 1 < blocks) t.mma_bf16(sum[c + 1], a[o], both[1]);
      }
    }
  }
}

FLASHRING_DEVICE void clear_sums(float (&sum)[column_blocks_at_once][4]) {
  FLASHRING_UNROLL
  for (int c = 0; c < column_blocks_at_once; ++c) {
    FLASHRING_UNROLL
    for (int e = 0; e < 4; ++e) sum[c][e] = 0;
  }
}

/// Own side: sum[c] = strip times column block c of visiting rows from `visiting` on. Element e of sum[c] is own row
/// strip_row(lane, e), column strip_column(lane, c, e).
template <int pieces, class Thread, int N>
FLASHRING_DEVICE void multiply_rows(Thread &t, const Strip<N> &w, const std::byte *stage, int visiting, int blocks,
                                    float (&sum)[column_blocks_at_once][4]) {
  clear_sums(sum);
  if constexpr (pieces > 1) {
    FLASHRING_UNROLL
    for (int m = 0; m < N / 2; ++m) {
      std::uint32_t a[pieces][4];
      make_operand<pieces, false>(t, w, m, a);
      multiply_columns<Part::small>(t, a, stage, visiting + 16 * m, blocks, sum);
    }
  }
  FLASHRING_UNROLL
  for (int m = 0; m < N / 2; ++m) {
    std::uint32_t a[1][4];
    make_operand<1, false>(t, w, m, a);
    multiply_columns<Part::large>(t, a, stage, visiting + 16 * m, blocks, sum);
  }
}

/// Visiting side: sum[m][c] = rows [16m, 16m + 16) of the transposed strips times column block c of own rows from `own`
/// on; strips lie one under the other. Element e of sum[m][c] is visiting row 16m + strip_row(lane, e) of the strips,
/// column strip_column(lane, c, e).
template <int pieces, class Thread, int N, int S>
FLASHRING_DEVICE void multiply_transposed(Thread &t, const Strip<N> (&w)[S], const std::byte *stage, int own,
                                          int blocks, float (&sum)[N / 2][column_blocks_at_once][4]) {
  FLASHRING_UNROLL
  for (int m = 0; m < N / 2; ++m) {
    clear_sums(sum[m]);
    if constexpr (pieces > 1) {
      FLASHRING_UNROLL
      for (int s = 0; s < S; ++s) {
        std::uint32_t a[pieces][4];
        make_operand<pieces, true>(t, w[s], m, a);
        multiply_columns<Part::small>(t, a, stage, own + 16 * s, blocks, sum[m]);
      }
    }
    FLASHRING_UNROLL
    for (int s = 0; s < S; ++s) {
      std::uint32_t a[1][4];
      make_operand<1, true>(t, w[s], m, a);
      multiply_columns<Part::large>(t, a, stage, own + 16 * s, blocks, sum[m]);
    }
  }
}

}  // namespace flashring::sm80
