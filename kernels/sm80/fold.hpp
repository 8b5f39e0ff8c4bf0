// A pair of tiles as a block sees it, the shared memory of the block, and how weights meet columns.
//
// Own side: thread i sums its own row's weights times the columns of the visiting rows, which are the same for all
// threads. Visiting side: the 32 x 32 weights of a warp are stored to shared memory and read the other way round, so
// that lane j sums over the 32 own rows of its warp; sums of the 4 warps are then added in their order. Nothing is
// added by atomics, so bits do not depend on which warp is first. Cost of a piece: 32 multiply-adds a thread for each
// column and side; for the visiting side, and for more than two columns, 32 stores of weights and 32 loads for 8
// columns; two synchronisations of the block for 8 columns, three where the visiting side is served.
#pragma once

#include <cstddef>

#include "sm80/points.hpp"
#include "sm80/weights.hpp"

namespace flashring::sm80 {

/// One pair of tiles. Arrays of a tile; those a call does not need may be null.
template <class T>
struct TilePairView {
  TileInfo own, visiting;
  const T *own_columns, *visiting_columns;  // (c, T)
  const T *own_scalars;                     // (n, T), n = 1 but for rules with own_scalars
  const T *visiting_scalars;                // (T)
  double *state;                            // (words, T) of the own side
  double *slot;                             // (words, T) of the visiting side
  Sides sides;                              ///< that are served
  bool masked;                              ///< the mask cuts through it
  bool tested;                              ///< some pairs of points do not count
};

/// With the features of both tiles.
template <class T, class Points>
struct PointsPairView : TilePairView<T> {
  Points x, y;
};

template <RowKind row, class T, class Points>
FLASHRING_DEVICE PointsPairView<T, Points> view_pair(const WaveArguments &a, int i, int j, Visibility seen) {
  const int own = a.wave.own_first + i;
  const int visiting = a.wave.visiting_first + j;
  PointsPairView<T, Points> p;
  p.sides = sides_of(a.pattern, a.sides, own, visiting);
  p.own = a.own.tiles[own];
  p.visiting = a.visiting.tiles[visiting];
  p.x = Points::of_tile(a, a.own, own);
  p.y = Points::of_tile(a, a.visiting, visiting);
  p.own_columns = tile_values<T>(a.own.columns, own, a.columns);
  p.visiting_columns = tile_values<T>(a.visiting.columns, visiting, a.columns);
  p.own_scalars = tile_values<T>(a.own.pass_scalars, own, Rule<row>::own_scalars > 0 ? Rule<row>::own_scalars : 1);
  p.visiting_scalars = tile_values<T>(a.visiting.pass_scalars, visiting, 1);
  p.state = reinterpret_cast<double *>(a.own.state) + (has_own(p.sides) ? tile_offset(own, a.words) : 0);
  p.slot = a.slots + (has_visiting(p.sides) ? slot_offset(a.wave, i, j, a.words) : 0);
  p.masked = seen == Visibility::some;
  p.tested = p.masked || p.own.rows < tile_rows || p.visiting.rows < tile_rows;
  return p;
}

/// Up to this many values the own side takes its weights from registers. For more they lie in shared memory: registers
/// would not suffice for weights, 8 sums and what the compiler loads ahead.
constexpr int register_values = 2;

/// Shared memory of a block, in numbers of the working precision.
template <class T>
struct Shared {
  T *features;          // (feature_chunk, piece_rows) of visiting rows
  T *visiting_columns;  // (piece_rows, NC)
  T *shifts;            // (piece_rows) log weights of visiting rows in units of log2
  T *weights;           // (T, piece_rows + 1): one more, so that neither way of reading meets one bank twice
  T *own_columns;       // (T, NC)
  T *partial;           // (warps, NC, warp_rows)
  T *others;            // (T, piece_rows + 1) of rules that keep two numbers of a pair
};

constexpr int weight_stride = piece_rows + 1;

/// Numbers that a call needs: weights for more values than registers serve and for the visiting side, and what the
/// visiting side needs beside.
constexpr std::size_t shared_values(Sides sides, int values) {
  std::size_t count = feature_chunk * piece_rows + column_chunk * piece_rows + piece_rows;
  if (has_visiting(sides) || values > register_values) count += tile_rows * weight_stride;
  if (has_visiting(sides)) count += column_chunk * tile_rows + warps * column_chunk * warp_rows;
  return count;
}

/// Of a rule with that many columns.
constexpr std::size_t shared_values(Sides sides, RowKind row, int columns) {
  if (keeps_two(row)) return shared_values(Sides::both, values_of(row, columns)) + tile_rows * weight_stride;
  return shared_values(sides, values_of(row, columns));
}

template <class T>
FLASHRING_DEVICE Shared<T> cut_shared(std::byte *memory) {
  Shared<T> s;
  s.features = reinterpret_cast<T *>(memory);
  s.visiting_columns = s.features + feature_chunk * piece_rows;
  s.shifts = s.visiting_columns + column_chunk * piece_rows;
  s.weights = s.shifts + piece_rows;
  s.own_columns = s.weights + tile_rows * weight_stride;
  s.partial = s.own_columns + column_chunk * tile_rows;
  s.others = s.partial + warps * column_chunk * warp_rows;
  return s;
}

/// Values [first, first + NC) of rows [at, at + rows) side by side, 0 beyond the last value. A rule that sums the
/// weights themselves (`ones`) has value 0 equal to 1 and then the columns.
template <int NC, bool ones, class T, class Thread>
FLASHRING_DEVICE void stage_columns(Thread &t, const T *columns, int at, int rows, int first, int count, T *stage) {
  FLASHRING_ROLL
  for (int n = t.thread(); n < NC * rows; n += tile_rows) {
    const int row = n % rows;
    const int c = first + n / rows - (ones ? 1 : 0);
    const T value = c < 0 ? T(1) : c < count ? columns[std::ptrdiff_t{c} * tile_rows + at + row] : T(0);
    stage[row * NC + n / rows] = value;
  }
}

template <int NC, class Thread, class T>
FLASHRING_DEVICE void add_products(T w, const T *values, T (&sum)[NC]) {
  FLASHRING_UNROLL
  for (int c = 0; c < NC; ++c) sum[c] = Thread::fma(w, values[c], sum[c]);
}

/// What a state of the own side is multiplied with before it takes sums, and they: powers of two, or 1.
struct Scales {
  double before = 1;
  double now = 1;
};

/// state[c][thread()] takes the sums over the piece, c < count. `w`: the weights of the thread's row.
template <int NC, class T, class Thread>
FLASHRING_DEVICE void fold_own(Thread &t, const T (&w)[piece_rows], const Shared<T> &s, Scales scales, int count,
                               double *state) {
  T sum[NC];
  FLASHRING_UNROLL
  for (int c = 0; c < NC; ++c) sum[c] = 0;
  if constexpr (NC <= register_values) {
    FLASHRING_UNROLL
    for (int j = 0; j < piece_rows; ++j) add_products<NC, Thread>(w[j], s.visiting_columns + j * NC, sum);
  } else {
    const T *weights = s.weights + t.thread() * weight_stride;
    FLASHRING_UNROLL_4
    for (int j = 0; j < piece_rows; ++j) add_products<NC, Thread>(weights[j], s.visiting_columns + j * NC, sum);
  }
  FLASHRING_UNROLL
  for (int c = 0; c < NC; ++c)
    if (c < count) {
      double &word = state[c * tile_rows + t.thread()];
      word = word * scales.before + static_cast<double>(sum[c]) * scales.now;
    }
}

/// slot[c][row] becomes the sum over the own rows, c < count, for visiting rows [0, rows) of the piece.
template <int NC, class T, class Thread>
FLASHRING_DEVICE void fold_visiting(Thread &t, const Shared<T> &s, int count, int rows, double *slot) {
  T sum[NC];
  FLASHRING_UNROLL
  for (int c = 0; c < NC; ++c) sum[c] = 0;
  const int first = t.warp() * warp_rows;
  FLASHRING_UNROLL_4
  for (int i = first; i < first + warp_rows; ++i) {
    const T w = s.weights[i * weight_stride + t.lane()];
    add_products<NC, Thread>(w, s.own_columns + i * NC, sum);
  }
  FLASHRING_UNROLL
  for (int c = 0; c < NC; ++c) s.partial[(t.warp() * NC + c) * warp_rows + t.lane()] = sum[c];
  t.sync();
  FLASHRING_ROLL
  for (int c = t.warp(); c < count; c += warps) {
    T total = s.partial[c * warp_rows + t.lane()];
    FLASHRING_UNROLL
    for (int w = 1; w < warps; ++w) total += s.partial[(w * NC + c) * warp_rows + t.lane()];
    if (t.lane() < rows) slot[c * tile_rows + t.lane()] = static_cast<double>(total);
  }
}

/// A piece whose weights are ready for these sides, and where their values come from.
template <class T>
struct Piece {
  const TilePairView<T> &pair;
  const Shared<T> &shared;
  Sides sides;
  int first;       ///< visiting row
  int columns;     ///< c
  int first_word;  ///< of a state, where its sums begin
  Scales scales;   ///< of the own state
};

template <int NC, bool ones, class T, class Thread>
FLASHRING_DEVICE void fold_chunk(Thread &t, const Piece<T> &piece, const T (&w)[piece_rows], int first, int count) {
  const TilePairView<T> &p = piece.pair;
  const Shared<T> &s = piece.shared;
  const std::ptrdiff_t words = std::ptrdiff_t{piece.first_word + first} * tile_rows;
  t.sync();  // the last chunk has been read
  if (has_own(piece.sides))
    stage_columns<NC, ones>(t, p.visiting_columns, piece.first, piece_rows, first, piece.columns, s.visiting_columns);
  if (has_visiting(piece.sides))
    stage_columns<NC, ones>(t, p.own_columns, 0, tile_rows, first, piece.columns, s.own_columns);
  t.sync();
  if (has_own(piece.sides) && t.thread() < p.own.rows) fold_own<NC>(t, w, s, piece.scales, count, p.state + words);
  if (has_visiting(piece.sides))
    fold_visiting<NC>(t, s, count, p.visiting.rows - piece.first, p.slot + words + piece.first);
}

/// All values, in chunks of 8, or of 1 or 2 where there are no more. (Not for the rest of more: its weights would have
/// to stay in registers during the chunks before.)
template <bool ones, class T, class Thread>
FLASHRING_DEVICE void fold_columns(Thread &t, const Piece<T> &piece, const T (&w)[piece_rows]) {
  const int values = piece.columns + (ones ? 1 : 0);
  if (values == 1) return fold_chunk<1, ones>(t, piece, w, 0, 1);
  if (values == 2) return fold_chunk<2, ones>(t, piece, w, 0, 2);
  FLASHRING_ROLL
  for (int first = 0; first < values; first += column_chunk)
    fold_chunk<column_chunk, ones>(t, piece, w, first, values - first < column_chunk ? values - first : column_chunk);
}

/// The weights of a thread's own row into shared memory, as `make` makes them. Its warp waits for them.
template <class T, class Thread, class Make>
FLASHRING_DEVICE void store_weights(Thread &t, const T (&w)[piece_rows], T *weights, Make make) {
  FLASHRING_UNROLL
  for (int j = 0; j < piece_rows; ++j) weights[t.thread() * weight_stride + j] = make(w[j]);
  t.sync_warp();
}

}  // namespace flashring::sm80
