// What every row rule folds from: one direction of a tile pair, and panels of weights in L1.
// No include guard: included once per instruction set inside HWY_NAMESPACE.

/// What a kernel is compiled for. `fused`: 16-bit products are added in the instruction that makes them.
template <PairKind pair_kind, Sum sum_kind, class PrecisionType, bool fused_pairs>
struct Kernel {
  static constexpr PairKind kind = pair_kind;
  static constexpr Sum sum = sum_kind;
  static constexpr bool fused = fused_pairs;
  using Precision = PrecisionType;
  using T = typename Precision::T;
};

/// One direction of one tile pair: rows i receive from rows j. `transposed` calls have own and visiting exchanged.
template <class T>
struct Piece {
  Payload<T> receive, give;     // payloads
  int receive_rows, give_rows;  // valid rows
  const T *give_columns;        // (c, T)
  const T *give_scalars;        // (T), log weights or weights, or null
  const T *receive_columns;     // (c, T), two-sided sums, differences, gradients
  const T *receive_scalars;     // (T), two-sided differences; (n, T) of thresholds and gradients
  double *receive_state;        // (words, T)
  double *give_state;           // (words, T), two-sided sums and gradients
  int columns;
  const double *constants;  // (4)
  std::byte *scratch;
  const Mask *mask;  // null: every pair counts
  std::int64_t receive_first, give_first;
  bool transposed;
  const Turns *turns;
  std::uint8_t *touched;  // see TileCall
  Sides receiver() const { return transposed ? Sides::visiting : Sides::own; }
  Sides giver() const { return transposed ? Sides::own : Sides::visiting; }
};

/// The constants of a formula, where the compiler knows that no store changes them.
struct Constants {
  explicit Constants(const double *from) : c{from[0], from[1], from[2], from[3]} {}
  double c[4];
};

template <class T>
HWY_INLINE double lane_sum(Vec<T> v) {
  const hn::ScalableTag<T> d;
  alignas(64) T lanes[64 / sizeof(T)];
  hn::Store(v, d, lanes);
  double sum = 0;
  for (std::size_t l = 0; l < hn::Lanes(d); ++l) sum += lanes[l];
  return sum;
}

/// Rows of a panel's second axis: the receiving rows that are worked on together.
template <class T>
HWY_INLINE int panel_stride() {
  return vectors<T>() * static_cast<int>(hn::Lanes(hn::ScalableTag<T>()));
}

/// Weights, or their logarithms, of giving rows [j0, j0 + count) and receiving rows from i into the panel
/// (count, panel_stride); what the mask hides becomes 0, or -infinity.
template <class Kernel, bool logarithm, class T>
HWY_NOINLINE void fill_panel(const Piece<T> &p, int i, int j0, int count, T *panel) {
  constexpr int NA = vectors<T>();
  const hn::ScalableTag<T> d;
  const int lanes = static_cast<int>(hn::Lanes(d));
  const int stride = NA * lanes;
  const Constants constants(p.constants);
  for (int j = 0; j < count; j += visiting_rows) {
    Vec<T> w[NA][visiting_rows];
    weights<Kernel, logarithm, T>(p.receive, p.give, i, j0 + j, constants.c, w);
#pragma GCC unroll 4
    for (int b = 0; b < visiting_rows; ++b)
#pragma GCC unroll 8
      for (int a = 0; a < NA; ++a) hn::Store(w[a][b], d, panel + (j + b) * stride + a * lanes);
  }
  const T hidden = logarithm ? -std::numeric_limits<T>::infinity() : T(0);
  for (int j = count; j < panel_rows && j % giving_group != 0; ++j)  // the last group's padding
    for (int l = 0; l < stride; ++l) panel[j * stride + l] = hidden;
  if (p.mask == nullptr) return;
  for (int j = 0; j < count; ++j)
    for (int l = 0; l < stride; ++l) {
      const std::int64_t receive = p.receive_first + i + l;
      const std::int64_t give = p.give_first + j0 + j;
      if (!(p.transposed ? visible(*p.mask, give, receive) : visible(*p.mask, receive, give)))
        panel[j * stride + l] = hidden;
    }
}

/// What fills a panel of logarithms: fill_panel of a kernel. Rules that take it by a pointer are compiled once for a
/// precision, not for each pair function.
template <class T>
using FillPanel = void (*)(const Piece<T> &p, int i, int j0, int count, T *panel);

/// (T) log weights of the giving rows times log2 e; the padding gives nothing.
template <class T>
HWY_INLINE void spread_log_weights(const Piece<T> &p, T *shift) {
  for (int j = 0; j < tile_rows; ++j)
    shift[j] = j < p.give_rows ? static_cast<T>(p.give_scalars[j] * T(log2_of_e)) : -std::numeric_limits<T>::infinity();
}

/// sums[c][i..] += panel^T x for `group` <= NC columns, sums in registers over the panel. `fresh`: nothing is there
/// yet.
template <int NC, class T>
HWY_INLINE void columns_to_receiver(const T *panel, int count, bool fresh, const T *give_columns, int group, T *sums) {
  constexpr int NA = vectors<T>();
  const hn::ScalableTag<T> d;
  const int lanes = static_cast<int>(hn::Lanes(d));
  const T *x[NC];
  for (int c = 0; c < NC; ++c) x[c] = give_columns + (c < group ? c : 0) * tile_rows;
  Vec<T> acc[NA][NC];
#pragma GCC unroll 8
  for (int a = 0; a < NA; ++a)
#pragma GCC unroll 4
    for (int c = 0; c < NC; ++c) acc[a][c] = hn::Zero(d);
  for (int j = 0; j < count; ++j) {
    Vec<T> w[NA];
#pragma GCC unroll 8
    for (int a = 0; a < NA; ++a) w[a] = hn::Load(d, panel + (j * NA + a) * lanes);
#pragma GCC unroll 4
    for (int c = 0; c < NC; ++c) {
      const Vec<T> value = hn::Set(d, x[c][j]);
#pragma GCC unroll 8
      for (int a = 0; a < NA; ++a) acc[a][c] = hn::MulAdd(w[a], value, acc[a][c]);
    }
  }
#pragma GCC unroll 4
  for (int c = 0; c < NC; ++c)
#pragma GCC unroll 8
    for (int a = 0; a < NA; ++a) {
      if (c >= group) break;
      T *at = sums + c * tile_rows + a * lanes;
      hn::Store(fresh ? acc[a][c] : hn::Add(hn::Load(d, at), acc[a][c]), d, at);
    }
}

template <class T>
HWY_NOINLINE void panel_to_receiver(const T *panel, int count, bool fresh, const T *give_columns, int columns,
                                    T *sums) {
  for (int c = 0; c < columns; c += 4) {
    const T *x = give_columns + c * tile_rows;
    T *at = sums + c * tile_rows;
    if (columns - c > 2)
      columns_to_receiver<4>(panel, count, fresh, x, std::min(4, columns - c), at);
    else
      columns_to_receiver<2>(panel, count, fresh, x, columns - c, at);
  }
}
