// The row rule difference_product: panels of weights, then products of differences against blocks of functions.
// No include guard: included once per instruction set inside HWY_NAMESPACE.
//
// Receiving rows lie in lanes; c(c+1)/2 sums do not fit into registers, so few functions at a time go over the panel
// with many, their sums in registers. The giving side takes the same weights from the transposed panel. Operations of a
// pair of points and a side: c(c+1)/2 multiply-adds, the least there can be with one for each product and side, c
// products with the weight and one of it, where c functions fit one block (10 of 32 registers); some 2 c differences,
// which other pipes than those of multiply-adds make on the processors that have them.

/// One panel of weights, that of the giving row within, and what it is folded with. Rows of the panel give, rows in its
/// lanes receive.
template <class T>
struct DifferenceFold {
  const T *panel;  // (count, stride), at the first lane
  int stride, count;
  const T *give_columns;     // (c, T), at the first giving row
  const T *receive_columns;  // (c, T), at the first lane
  int columns;
  bool fresh;  ///< no sums are there yet
  T *sums;     // (words, sums_stride), at the first lane
};

/// Functions [k0, k0 + K) with [l0, l0 + L), for one vector of receiving rows; `same`: k0 = l0, pairs k <= l alone.
template <int K, int L, bool same, class T>
HWY_NOINLINE void add_difference_block(const DifferenceFold<T> &f, int k0, int l0) {
  const hn::ScalableTag<T> d;
  const T *own_k = f.receive_columns + k0 * tile_rows;  // (K, T)
  const T *own_l = f.receive_columns + l0 * tile_rows;  // (L, T)
  const T *give_k = f.give_columns + k0 * tile_rows;    // (K, T)
  const T *give_l = f.give_columns + l0 * tile_rows;    // (L, T)
  Vec<T> sum[K][L];
#pragma GCC unroll 4
  for (int k = 0; k < K; ++k)
#pragma GCC unroll 10
    for (int l = 0; l < L; ++l) sum[k][l] = hn::Zero(d);
  for (int j = 0; j < f.count; ++j) {
    const Vec<T> w = hn::LoadU(d, f.panel + j * f.stride);
    Vec<T> left[K];
#pragma GCC unroll 4
    for (int k = 0; k < K && !same; ++k)
      left[k] = hn::Mul(w, hn::Sub(hn::LoadU(d, own_k + k * tile_rows), hn::Set(d, give_k[k * tile_rows + j])));
#pragma GCC unroll 10
    for (int l = 0; l < L; ++l) {
      const Vec<T> right = hn::Sub(hn::LoadU(d, own_l + l * tile_rows), hn::Set(d, give_l[l * tile_rows + j]));
      if (same && l < K) left[l] = hn::Mul(w, right);
#pragma GCC unroll 4
      for (int k = 0; k < K; ++k)
        if (!same || k <= l) sum[k][l] = hn::MulAdd(left[k], right, sum[k][l]);
    }
  }
#pragma GCC unroll 4
  for (int k = 0; k < K; ++k)
#pragma GCC unroll 10
    for (int l = same ? k : 0; l < L; ++l) {
      T *at = f.sums + Rule<RowKind::difference_product>::word(k0 + k, l0 + l) * sums_stride<T>;
      hn::StoreU(f.fresh ? sum[k][l] : hn::Add(hn::LoadU(d, at), sum[k][l]), d, at);
    }
}

/// The block of `size` <= L functions from l0 on.
template <int K, int least, int L, bool same, class T>
HWY_INLINE void choose_difference_block(const DifferenceFold<T> &f, int k0, int l0, int size) {
  if constexpr (L > least)
    if (size < L) return choose_difference_block<K, least, L - 1, same>(f, k0, l0, size);
  // A triangle of one function more than K is one block.
  add_difference_block<same && L <= K + 1 ? L : K, L, same>(f, k0, l0);
}

/// All pairs of functions: K at a time with themselves and those after them, which are cut into the fewest pieces,
/// alike but for one function.
template <class T>
HWY_INLINE void fold_difference_blocks(const DifferenceFold<T> &f) {
  constexpr int K = difference_rows(many_registers);
  constexpr int most = difference_columns(many_registers);
  for (int k = 0, left = f.columns; left > 0;) {
    int pieces = left <= most + 1 ? 1 : (left + most - 1) / most;
    int size = (left + pieces - 1) / pieces;
    choose_difference_block<K, 1, most + 1, true>(f, k, k, size);
    for (int l = k + size; --pieces > 0; l += size) {
      size = (f.columns - l + pieces - 1) / pieces;
      choose_difference_block<K, (most + 2) / 2, most, false>(f, k, l, size);
    }
    const int done = left <= K + 1 ? left : K;
    k += done;
    left -= done;
  }
}

/// Receiving rows [at, at + rows), counted from the first lane of `f`.
template <class T>
HWY_INLINE void fold_differences(DifferenceFold<T> f, int rows) {
  const int lanes = static_cast<int>(hn::Lanes(hn::ScalableTag<T>()));
  for (int i = 0; i < rows; i += lanes) {
    fold_difference_blocks<T>(f);
    f.panel += lanes;
    f.receive_columns += lanes;
    f.sums += lanes;
  }
}

/// The panel (count, stride) times the numbers of the rows that receive as (stride, panel_rows), where those give too;
/// then times the numbers of the rows that give.
template <bool two_sided, class T>
HWY_NOINLINE void weigh_panel(T *panel, int count, const T *receive_scalars, const T *give_scalars, T *turned) {
  const hn::ScalableTag<T> d;
  constexpr int lanes = static_cast<int>(hn::MaxLanes(d));
  const int stride = panel_stride<T>();
  for (int j = 0; j < count; j += lanes)
    for (int i = 0; i < stride; i += lanes) {
      Vec<T> v[lanes];
#pragma GCC unroll 16
      for (int l = 0; l < lanes; ++l) {
        T *at = panel + (j + l) * stride + i;
        v[l] = hn::LoadU(d, at);
        hn::StoreU(hn::Mul(v[l], hn::Set(d, give_scalars[j + l])), d, at);
        if constexpr (two_sided) v[l] = hn::Mul(v[l], hn::LoadU(d, receive_scalars + i));
      }
      if constexpr (!two_sided) continue;
      transpose<T>(v);
#pragma GCC unroll 16
      for (int l = 0; l < lanes; ++l) hn::StoreU(v[l], d, turned + (i + l) * panel_rows + j);
    }
}

/// Sums of a tile in the working precision, (words, sums_stride), into a state.
template <class T>
HWY_INLINE void collect_sums(const T *sums, int words, int rows, double *state) {
  for (int w = 0; w < words; ++w)
    for (int i = 0; i < rows; ++i) state[w * tile_rows + i] += sums[w * sums_stride<T> + i];
}

template <class Kernel, bool two_sided, class T = typename Kernel::T>
HWY_NOINLINE void difference_products(const Piece<T> &p) {
  const int stride = panel_stride<T>();
  const int words = Rule<RowKind::difference_product>::state_words(0, p.columns);
  T *panel = reinterpret_cast<T *>(p.scratch);           // (panel_rows, stride)
  T *turned = panel + panel_rows * stride;               // (stride, panel_rows)
  T *receive_sums = turned + panel_rows * stride;        // (words, sums_stride)
  T *give_sums = receive_sums + words * sums_stride<T>;  // (words, sums_stride)
  for (int j0 = 0; j0 < p.give_rows; j0 += panel_rows) {
    const int count = std::min(panel_rows, p.give_rows - j0);
    for (int i = 0; i < p.receive_rows; i += stride) {
      const int rows = std::min(stride, p.receive_rows - i);
      fill_panel<Kernel, false, T>(p, i, j0, count, panel);
      const T *receive_scalars = two_sided ? p.receive_scalars + i : nullptr;
      weigh_panel<two_sided, T>(panel, count, receive_scalars, p.give_scalars + j0, turned);
      fold_differences<T>(
          {panel, stride, count, p.give_columns + j0, p.receive_columns + i, p.columns, j0 == 0, receive_sums + i},
          rows);
      if (!two_sided) continue;
      fold_differences<T>(
          {turned, panel_rows, rows, p.receive_columns + i, p.give_columns + j0, p.columns, i == 0, give_sums + j0},
          count);
    }
  }
  p.turns->in_turn(p.receiver(), [&] { collect_sums<T>(receive_sums, words, p.receive_rows, p.receive_state); });
  if (two_sided) p.turns->in_turn(p.giver(), [&] { collect_sums<T>(give_sums, words, p.give_rows, p.give_state); });
}
