// The row rule difference_product: panels of weights, then products of differences against blocks of functions.
// No include guard: included once per instruction set inside HWY_NAMESPACE.
//
// Receiving rows lie in lanes; c(c+1)/2 sums do not fit into registers, so functions are cut into blocks of B, and each
// pair of blocks (k, l) goes over the panel with its B x B sums in registers (B(B+1)/2 where k = l). The giving side
// takes the same weights from the transposed panel. Operations of a pair of points and a side: c(c+1)/2 multiply-adds,
// the least there can be, and for n = c/B blocks n c differences and c(n+1)/2 + n(n+1)/2 products with the weight.

/// One panel, and what it is folded with. Rows of the panel give, rows in its lanes receive.
template <class T>
struct DifferenceFold {
  const T *panel;  // (count, stride), at the first lane
  int stride, count;
  const T *give_scalars;     // (T), at the first giving row
  const T *give_columns;     // (c, T), at the first giving row
  const T *receive_columns;  // (c, T), at the first lane
  int columns;
  bool fresh;  ///< no sums are there yet
  T *sums;     // (words, T), at the first lane
};

/// Functions [k0, k0 + B) with [l0, l0 + B), for one vector of receiving rows; `same`: k0 = l0. Functions beyond the
/// last one are the last one again, and their sums are dropped.
template <int B, bool same, class T>
HWY_NOINLINE void add_difference_block(const DifferenceFold<T> &f, int k0, int l0) {
  const hn::ScalableTag<T> d;
  const T *own_k[B], *own_l[B], *give_k[B], *give_l[B];
  for (int b = 0; b < B; ++b) {
    const int k = std::min(k0 + b, f.columns - 1) * tile_rows;
    const int l = std::min(l0 + b, f.columns - 1) * tile_rows;
    own_k[b] = f.receive_columns + k;
    own_l[b] = f.receive_columns + l;
    give_k[b] = f.give_columns + k;
    give_l[b] = f.give_columns + l;
  }
  Vec<T> sum[B][B];
#pragma GCC unroll 5
  for (int k = 0; k < B; ++k)
#pragma GCC unroll 5
    for (int l = 0; l < B; ++l) sum[k][l] = hn::Zero(d);
  for (int j = 0; j < f.count; ++j) {
    const Vec<T> w = hn::Mul(hn::LoadU(d, f.panel + j * f.stride), hn::Set(d, f.give_scalars[j]));
    Vec<T> right[B];
#pragma GCC unroll 5
    for (int l = 0; l < B; ++l) right[l] = hn::Sub(hn::LoadU(d, own_l[l]), hn::Set(d, give_l[l][j]));
#pragma GCC unroll 5
    for (int k = 0; k < B; ++k) {
      const Vec<T> difference = same ? right[k] : hn::Sub(hn::LoadU(d, own_k[k]), hn::Set(d, give_k[k][j]));
      const Vec<T> left = hn::Mul(w, difference);
#pragma GCC unroll 5
      for (int l = same ? k : 0; l < B; ++l) sum[k][l] = hn::MulAdd(left, right[l], sum[k][l]);
    }
  }
#pragma GCC unroll 5
  for (int k = 0; k < B; ++k)
#pragma GCC unroll 5
    for (int l = same ? k : 0; l < B; ++l) {
      if (k0 + k >= f.columns || l0 + l >= f.columns) continue;
      T *at = f.sums + Rule<RowKind::difference_product>::word(k0 + k, l0 + l) * tile_rows;
      hn::StoreU(f.fresh ? sum[k][l] : hn::Add(hn::LoadU(d, at), sum[k][l]), d, at);
    }
}

/// All pairs of functions in blocks of B, the fewest that are equal and of at most `difference_block`.
template <int B, class T>
HWY_INLINE void fold_difference_blocks(const DifferenceFold<T> &f, int block) {
  if constexpr (B > 1)
    if (block < B) return fold_difference_blocks<B - 1>(f, block);
  for (int k = 0; k < f.columns; k += B) {
    add_difference_block<B, true>(f, k, k);
    for (int l = k + B; l < f.columns; l += B) add_difference_block<B, false>(f, k, l);
  }
}

/// Receiving rows [at, at + rows), counted from the first lane of `f`.
template <class T>
HWY_INLINE void fold_differences(DifferenceFold<T> f, int rows) {
  constexpr int most = difference_block(many_registers);
  const int lanes = static_cast<int>(hn::Lanes(hn::ScalableTag<T>()));
  const int blocks = (f.columns + most - 1) / most;
  const int block = (f.columns + blocks - 1) / blocks;
  for (int i = 0; i < rows; i += lanes) {
    fold_difference_blocks<most>(f, block);
    f.panel += lanes;
    f.receive_columns += lanes;
    f.sums += lanes;
  }
}

/// The panel (count, stride) as (stride, panel_rows).
template <class T>
HWY_NOINLINE void turn_panel(const T *panel, int count, T *turned) {
  const hn::ScalableTag<T> d;
  constexpr int lanes = static_cast<int>(hn::MaxLanes(d));
  const int stride = panel_stride<T>();
  for (int j = 0; j < count; j += lanes)
    for (int i = 0; i < stride; i += lanes) {
      Vec<T> v[lanes];
#pragma GCC unroll 16
      for (int l = 0; l < lanes; ++l) v[l] = hn::LoadU(d, panel + (j + l) * stride + i);
      transpose<T>(v);
#pragma GCC unroll 16
      for (int l = 0; l < lanes; ++l) hn::StoreU(v[l], d, turned + (i + l) * panel_rows + j);
    }
}

/// Sums of a tile in the working precision, words of T rows, into a state.
template <class T>
HWY_INLINE void collect_sums(const T *sums, int words, int rows, double *state) {
  for (int w = 0; w < words; ++w)
    for (int i = 0; i < rows; ++i) state[w * tile_rows + i] += sums[w * tile_rows + i];
}

template <class Kernel, bool two_sided, class T = typename Kernel::T>
HWY_NOINLINE void difference_products(const Piece<T> &p) {
  const int stride = panel_stride<T>();
  const int words = Rule<RowKind::difference_product>::state_words(0, p.columns);
  T *panel = reinterpret_cast<T *>(p.scratch);      // (panel_rows, stride)
  T *turned = panel + panel_rows * stride;          // (stride, panel_rows)
  T *receive_sums = turned + panel_rows * stride;   // (words, T)
  T *give_sums = receive_sums + words * tile_rows;  // (words, T)
  for (int j0 = 0; j0 < p.give_rows; j0 += panel_rows) {
    const int count = std::min(panel_rows, p.give_rows - j0);
    for (int i = 0; i < p.receive_rows; i += stride) {
      const int rows = std::min(stride, p.receive_rows - i);
      fill_panel<Kernel, false, T>(p, i, j0, count, panel);
      fold_differences<T>({panel, stride, count, p.give_scalars + j0, p.give_columns + j0, p.receive_columns + i,
                           p.columns, j0 == 0, receive_sums + i},
                          rows);
      if (!two_sided) continue;
      turn_panel<T>(panel, count, turned);
      fold_differences<T>({turned, panel_rows, rows, p.receive_scalars + i, p.receive_columns + i, p.give_columns + j0,
                           p.columns, i == 0, give_sums + j0},
                          count);
    }
  }
  p.turns->in_turn(p.receiver(), [&] { collect_sums<T>(receive_sums, words, p.receive_rows, p.receive_state); });
  if (two_sided) p.turns->in_turn(p.giver(), [&] { collect_sums<T>(give_sums, words, p.give_rows, p.give_state); });
}
