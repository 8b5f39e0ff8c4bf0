// Folding weights into row states: one fused column, panels of weights for column blocks, log-sum-exp.
// No include guard: included once per instruction set inside HWY_NAMESPACE.

/// One direction of one tile pair: rows i receive from rows j. `transposed` calls have own and visiting exchanged.
template <class T>
struct Piece {
  Payload<T> receive, give;     // payloads
  int receive_rows, give_rows;  // valid rows
  const T *give_columns;        // (c, T)
  const T *give_scalars;        // (T), log weights, or null
  const T *receive_columns;     // (c, T), two-sided sums only
  double *receive_state;        // (words, T)
  double *give_state;           // (words, T), two-sided sums only
  int columns;
  const double *constants;  // (4)
  std::byte *scratch;
  const Mask *mask;  // null: every pair counts
  std::int64_t receive_first, give_first;
  bool transposed;
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

/// One column. Receiving rows in lanes with their sums in registers; the second side gathers in one slot of lanes per
/// giving row, (T, lanes) in L1, reduced once per tile.
template <PairKind kind, Sum sum, bool two_sided, class T>
HWY_NOINLINE void sum_one_column(const Piece<T> &p) {
  constexpr int NA = vectors<T>();
  const hn::ScalableTag<T> d;
  const int lanes = static_cast<int>(hn::Lanes(d));
  T *slots = reinterpret_cast<T *>(p.scratch);  // (T, lanes)
  if (two_sided) std::memset(slots, 0, sizeof(T) * tile_rows * static_cast<std::size_t>(lanes));
  for (int i = 0; i < p.receive_rows; i += NA * lanes) {
    Vec<T> own_sum[NA];
    Vec<T> own_column[NA];
#pragma GCC unroll 8
    for (int a = 0; a < NA; ++a) {
      own_sum[a] = hn::Zero(d);
      own_column[a] = two_sided ? hn::LoadU(d, p.receive_columns + i + a * lanes) : hn::Zero(d);
    }
    for (int j = 0; j < p.give_rows; j += visiting_rows) {
      Vec<T> w[NA][visiting_rows];
      weights<kind, sum, false, T>(p.receive, p.give, i, j, p.constants, w);
#pragma GCC unroll 4
      for (int b = 0; b < visiting_rows; ++b) {
        const Vec<T> column = hn::Set(d, p.give_columns[j + b]);
#pragma GCC unroll 8
        for (int a = 0; a < NA; ++a) own_sum[a] = hn::MulAdd(w[a][b], column, own_sum[a]);
        if constexpr (two_sided) {
          Vec<T> slot = hn::Load(d, slots + (j + b) * lanes);
#pragma GCC unroll 8
          for (int a = 0; a < NA; ++a) slot = hn::MulAdd(w[a][b], own_column[a], slot);
          hn::Store(slot, d, slots + (j + b) * lanes);
        }
      }
    }
    alignas(64) T sums[64 / sizeof(T)];
    for (int a = 0; a < NA; ++a) {
      hn::Store(own_sum[a], d, sums);
      for (int l = 0; l < lanes; ++l) p.receive_state[i + a * lanes + l] += sums[l];
    }
  }
  if constexpr (two_sided)
    for (int j = 0; j < p.give_rows; ++j) p.give_state[j] += lane_sum<T>(hn::Load(d, slots + j * lanes));
}

/// Scratch of the panel path, cut from the call's scratch.
template <class T>
struct PanelScratch {
  T *panel;         // (panel_rows, vectors*lanes) weights, giving rows slowest
  T *receive_sums;  // (2 + c, T) sums in the working precision, or (m, s, v...) of log-sum-exp
  T *rows;          // (T, width) columns of the receiving rows, row-major, padded to whole vectors
  T *give_sums;     // (T, width)
  int width;
};

template <class T>
HWY_INLINE PanelScratch<T> cut_scratch(std::byte *scratch, int columns) {
  const int lanes = static_cast<int>(hn::Lanes(hn::ScalableTag<T>()));
  PanelScratch<T> s;
  s.width = (columns + lanes - 1) / lanes * lanes;
  s.panel = reinterpret_cast<T *>(scratch);
  s.receive_sums = s.panel + panel_rows * vectors<T>() * lanes;
  s.rows = s.receive_sums + (2 + columns) * tile_rows;
  s.give_sums = s.rows + tile_rows * s.width;
  return s;
}

/// Weights of giving rows [j0, j0 + count) and receiving rows from i; what the mask hides becomes `hidden`.
template <PairKind kind, Sum sum, bool logarithm, class T>
HWY_NOINLINE void fill_panel(const Piece<T> &p, int i, int j0, int count, T *panel) {
  constexpr int NA = vectors<T>();
  const hn::ScalableTag<T> d;
  const int lanes = static_cast<int>(hn::Lanes(d));
  const int stride = NA * lanes;
  for (int j = 0; j < count; j += visiting_rows) {
    Vec<T> w[NA][visiting_rows];
    weights<kind, sum, logarithm, T>(p.receive, p.give, i, j0 + j, p.constants, w);
    for (int b = 0; b < visiting_rows; ++b)
      for (int a = 0; a < NA; ++a) hn::Store(w[a][b], d, panel + (j + b) * stride + a * lanes);
  }
  const T hidden = logarithm ? -std::numeric_limits<T>::infinity() : T(0);
  for (int j = count; j < panel_rows && j % visiting_rows != 0; ++j)  // the last group's padding
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

/// receive_sums[c][i..] += panel^T x: 4 columns at a time, sums in registers over the panel.
template <class T>
HWY_NOINLINE void panel_to_receiver(const T *panel, int count, const T *give_columns, int columns, T *sums) {
  constexpr int NA = vectors<T>();
  constexpr int NC = 4;
  const hn::ScalableTag<T> d;
  const int lanes = static_cast<int>(hn::Lanes(d));
  for (int c0 = 0; c0 < columns; c0 += NC) {
    const int group = columns - c0 < NC ? columns - c0 : NC;
    const T *x[NC];
    for (int c = 0; c < NC; ++c) x[c] = give_columns + (c0 + (c < group ? c : 0)) * tile_rows;
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
    for (int c = 0; c < group; ++c)
      for (int a = 0; a < NA; ++a) {
        T *at = sums + (c0 + c) * tile_rows + a * lanes;
        hn::Store(hn::Add(hn::Load(d, at), acc[a][c]), d, at);
      }
  }
}

/// give_sums[j][c..] += panel x: columns in lanes, 4 giving rows at a time.
template <class T>
HWY_NOINLINE void panel_to_giver(const T *panel, int count, const T *rows, int width, T *give_sums) {
  const hn::ScalableTag<T> d;
  const int lanes = static_cast<int>(hn::Lanes(d));
  const int stride = vectors<T>() * lanes;
  for (int j = 0; j < count; j += 4)
    for (int c = 0; c < width; c += lanes) {
      Vec<T> acc[4];
#pragma GCC unroll 4
      for (int b = 0; b < 4; ++b) acc[b] = hn::Load(d, give_sums + (j + b) * width + c);
      for (int l = 0; l < stride; ++l) {
        const Vec<T> x = hn::Load(d, rows + l * width + c);
#pragma GCC unroll 4
        for (int b = 0; b < 4; ++b) acc[b] = hn::MulAdd(hn::Set(d, panel[(j + b) * stride + l]), x, acc[b]);
      }
#pragma GCC unroll 4
      for (int b = 0; b < 4; ++b) hn::Store(acc[b], d, give_sums + (j + b) * width + c);
    }
}

/// Any number of columns, masks: weights go through a panel in L1 and are used from there by both sides.
template <PairKind kind, Sum sum, bool two_sided, class T>
HWY_NOINLINE void sum_columns(const Piece<T> &p) {
  const int lanes = static_cast<int>(hn::Lanes(hn::ScalableTag<T>()));
  const int stride = vectors<T>() * lanes;
  const PanelScratch<T> s = cut_scratch<T>(p.scratch, p.columns);
  std::memset(s.receive_sums, 0, sizeof(T) * static_cast<std::size_t>(p.columns) * tile_rows);
  if (two_sided) {
    std::memset(s.rows, 0, 2 * sizeof(T) * static_cast<std::size_t>(s.width) * tile_rows);  // rows and give_sums
    for (int c = 0; c < p.columns; ++c)
      for (int i = 0; i < tile_rows; ++i) s.rows[i * s.width + c] = p.receive_columns[c * tile_rows + i];
  }
  for (int j0 = 0; j0 < p.give_rows; j0 += panel_rows) {
    const int count = p.give_rows - j0 < panel_rows ? p.give_rows - j0 : panel_rows;
    for (int i = 0; i < p.receive_rows; i += stride) {
      fill_panel<kind, sum, false, T>(p, i, j0, count, s.panel);
      panel_to_receiver<T>(s.panel, count, p.give_columns + j0, p.columns, s.receive_sums + i);
      if (two_sided) panel_to_giver<T>(s.panel, count, s.rows + i * s.width, s.width, s.give_sums + j0 * s.width);
    }
  }
  for (int c = 0; c < p.columns; ++c) {
    for (int i = 0; i < p.receive_rows; ++i) p.receive_state[c * tile_rows + i] += s.receive_sums[c * tile_rows + i];
    if (two_sided)
      for (int j = 0; j < p.give_rows; ++j) p.give_state[c * tile_rows + j] += s.give_sums[j * s.width + c];
  }
}

/// One panel of logarithms into the running (m, s, v) of receiving rows [i, i + stride): new maximum, one rescaling,
/// then the panel becomes 2^(l - m).
template <class T>
HWY_NOINLINE void panel_to_logsumexp(T *panel, int count, const T *log_weights, int columns, T *state) {
  constexpr int NA = vectors<T>();
  const hn::ScalableTag<T> d;
  const int lanes = static_cast<int>(hn::Lanes(d));
  for (int a = 0; a < NA; ++a) {
    T *const m_at = state + a * lanes;
    const Vec<T> before = hn::Load(d, m_at);
    Vec<T> top = before;
    for (int j = 0; j < count; ++j) {
      T *at = panel + (j * NA + a) * lanes;
      const Vec<T> l = hn::Add(hn::Load(d, at), hn::Set(d, static_cast<T>(log_weights[j] * T(log2_of_e))));
      hn::Store(l, d, at);
      top = hn::Max(top, l);
    }
    const Vec<T> keep = Math<T>::exp2(hn::Sub(before, top));
    Vec<T> total = hn::Mul(hn::Load(d, m_at + tile_rows), keep);
    for (int j = 0; j < count; ++j) {
      T *at = panel + (j * NA + a) * lanes;
      const Vec<T> e = Math<T>::exp2(hn::Sub(hn::Load(d, at), top));
      hn::Store(e, d, at);
      total = hn::Add(total, e);
    }
    hn::Store(top, d, m_at);
    hn::Store(total, d, m_at + tile_rows);
    for (int c = 0; c < columns; ++c) {
      T *at = m_at + (2 + c) * tile_rows;
      hn::Store(hn::Mul(hn::Load(d, at), keep), d, at);
    }
  }
}

/// Log-sum-exp of one direction; merged into the state by the row rule.
template <PairKind kind, Sum sum, class T>
HWY_NOINLINE void logsumexp_columns(const Piece<T> &p) {
  using R = Rule<RowKind::logsumexp>;
  const int lanes = static_cast<int>(hn::Lanes(hn::ScalableTag<T>()));
  const int stride = vectors<T>() * lanes;
  const PanelScratch<T> s = cut_scratch<T>(p.scratch, p.columns);
  const int words = 2 + p.columns;
  // The identity's maximum in this precision: finite, below any logarithm of a weight that counts.
  constexpr T lowest = sizeof(T) == 4 ? T(-1e38) : T(R::lowest);
  for (int i = 0; i < words * tile_rows; ++i) s.receive_sums[i] = i < tile_rows ? lowest : T(0);
  for (int j0 = 0; j0 < p.give_rows; j0 += panel_rows) {
    const int count = p.give_rows - j0 < panel_rows ? p.give_rows - j0 : panel_rows;
    for (int i = 0; i < p.receive_rows; i += stride) {
      fill_panel<kind, sum, true, T>(p, i, j0, count, s.panel);
      panel_to_logsumexp<T>(s.panel, count, p.give_scalars + j0, p.columns, s.receive_sums + i);
      panel_to_receiver<T>(s.panel, count, p.give_columns + j0, p.columns, s.receive_sums + 2 * tile_rows + i);
    }
  }
  double *tile = reinterpret_cast<double *>(s.rows);  // (words, T), aligned: panels and sums are whole cache lines
  for (int i = 0; i < words * tile_rows; ++i) tile[i] = s.receive_sums[i];
  R::merge(0, p.columns, tile_rows, reinterpret_cast<std::byte *>(p.receive_state),
           reinterpret_cast<const std::byte *>(tile));
}
