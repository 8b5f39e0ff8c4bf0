// The row rule log-sum-exp: a streaming sum of exponentials against a reference that rises only when it must.
// No include guard: included once per instruction set inside HWY_NAMESPACE.
//
// The first few giving rows set the reference m of a receiving row to their largest logarithm. Blocks of giving rows
// then add 2^(l - m) with no look at a maximum; only when a sum leaves `largest_sum` is the block done again by way of
// its maximum. A reference below the true maximum by up to 2^40 loses nothing: exponents have room for it.

/// Scratch: a panel, the running state (2 + c, T) in the working precision and the shifts of the giving rows.
template <class T>
struct LogScratch {
  T *panel;      // (panel_rows, stride)
  T *state;      // (2 + c, T): m, s, v
  T *shift;      // (T): log weights of the giving rows times log2 e
  double *tile;  // (2 + c, T): the state in fp64
};

template <class T>
HWY_INLINE LogScratch<T> cut_log_scratch(std::byte *scratch, int columns) {
  LogScratch<T> s;
  s.panel = reinterpret_cast<T *>(scratch);
  s.state = s.panel + panel_rows * panel_stride<T>();
  s.shift = s.state + (2 + columns) * tile_rows;
  s.tile = reinterpret_cast<double *>(s.shift + tile_rows);  // aligned: everything before is whole cache lines
  return s;
}

/// One panel of logarithms into the running (m, s, v) of receiving rows [i, i + stride): new maximum, one rescaling,
/// then the panel becomes 2^(l - m).
template <class Kernel, class T = typename Kernel::T>
HWY_NOINLINE void panel_to_logsumexp(T *panel, int count, const T *shift, int columns, T *state) {
  using Exp = Math<typename Kernel::Precision, Vec<T>>;
  constexpr int NA = vectors<T>();
  const hn::ScalableTag<T> d;
  const int lanes = static_cast<int>(hn::Lanes(d));
  for (int a = 0; a < NA; ++a) {
    T *const m_at = state + a * lanes;
    const Vec<T> before = hn::Load(d, m_at);
    Vec<T> top = before;
    for (int j = 0; j < count; ++j) {
      T *at = panel + (j * NA + a) * lanes;
      const Vec<T> l = hn::Add(hn::Load(d, at), hn::Set(d, shift[j]));
      hn::Store(l, d, at);
      top = hn::Max(top, l);
    }
    top = hn::Max(before, hn::Ceil(top));  // whole numbers, see the rule
    const Vec<T> keep = Exp::exp2(hn::Sub(before, top));
    Vec<T> total = hn::Mul(hn::Load(d, m_at + tile_rows), keep);
    for (int j = 0; j < count; ++j) {
      T *at = panel + (j * NA + a) * lanes;
      const Vec<T> e = Exp::exp2(hn::Sub(hn::Load(d, at), top));
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

/// What becomes of the exponentials beside their sum.
enum class Values : std::uint8_t { one, panel };

/// Adds giving rows [j0, j0 + count) to receiving rows from i against the reference as it is. False, and nothing
/// changed but the panel, when a sum left its range.
template <class Kernel, Values values, class T = typename Kernel::T>
HWY_NOINLINE bool add_exponentials(const Piece<T> &p, int i, int j0, int count, const LogScratch<T> &s) {
  constexpr int NA = vectors<T>();
  const hn::ScalableTag<T> d;
  const int lanes = static_cast<int>(hn::Lanes(d));
  const Constants constants(p.constants);
  T *const state = s.state + i;
  Vec<T> m[NA], total[NA], value[NA];
#pragma GCC unroll 8
  for (int a = 0; a < NA; ++a) {
    m[a] = hn::Load(d, state + a * lanes);
    total[a] = hn::Load(d, state + tile_rows + a * lanes);
    value[a] = values == Values::one ? hn::Load(d, state + 2 * tile_rows + a * lanes) : hn::Zero(d);
  }
  for (int j = 0; j < count; j += visiting_rows) {
    Vec<T> w[NA][visiting_rows];
    weights<Kernel, true, T>(p.receive, p.give, i, j0 + j, constants.c, w);
#pragma GCC unroll 4
    for (int b = 0; b < visiting_rows; ++b) {
      const Vec<T> shift = hn::Set(d, s.shift[j0 + j + b]);
      const Vec<T> column = values == Values::one ? hn::Set(d, p.give_columns[j0 + j + b]) : hn::Zero(d);
#pragma GCC unroll 8
      for (int a = 0; a < NA; ++a) {
        const Vec<T> e = exp2_or_infinity<Kernel::Precision::degree, T>(hn::Add(w[a][b], hn::Sub(shift, m[a])));
        total[a] = hn::Add(total[a], e);
        if constexpr (values == Values::one) value[a] = hn::MulAdd(e, column, value[a]);
        if constexpr (values == Values::panel) hn::Store(e, d, s.panel + ((j + b) * NA + a) * lanes);
      }
    }
  }
  const Vec<T> most = hn::Set(d, T(largest_sum));
  for (int a = 0; a < NA; ++a)
    if (!hn::AllTrue(d, hn::Lt(total[a], most))) return false;
  for (int a = 0; a < NA; ++a) {
    hn::Store(total[a], d, state + tile_rows + a * lanes);
    if constexpr (values == Values::one) hn::Store(value[a], d, state + 2 * tile_rows + a * lanes);
  }
  return true;
}

/// The same by way of the block's maximum; for masks too.
template <class Kernel, class T = typename Kernel::T>
HWY_NOINLINE void add_by_maximum(const Piece<T> &p, int i, int j0, int count, const LogScratch<T> &s) {
  fill_panel<Kernel, true, T>(p, i, j0, count, s.panel);
  panel_to_logsumexp<Kernel>(s.panel, count, s.shift + j0, p.columns, s.state + i);
  if (p.columns > 0)
    panel_to_receiver<T>(s.panel, count, false, p.give_columns + j0, p.columns, s.state + 2 * tile_rows + i);
}

template <class Kernel, class T = typename Kernel::T>
HWY_INLINE bool add_block(const Piece<T> &p, int i, int j0, int count, const LogScratch<T> &s) {
  if (p.columns == 1) return add_exponentials<Kernel, Values::one>(p, i, j0, count, s);
  if (!add_exponentials<Kernel, Values::panel>(p, i, j0, count, s)) return false;
  if (p.columns > 0)
    panel_to_receiver<T>(s.panel, count, false, p.give_columns + j0, p.columns, s.state + 2 * tile_rows + i);
  return true;
}

/// Log-sum-exp of one direction; merged into the state by the row rule.
template <class Kernel, class T = typename Kernel::T>
HWY_NOINLINE void logsumexp_columns(const Piece<T> &p) {
  using R = Rule<RowKind::logsumexp>;
  const int stride = panel_stride<T>();
  const LogScratch<T> s = cut_log_scratch<T>(p.scratch, p.columns);
  const int words = 2 + p.columns;
  // The identity's maximum in this precision: finite, below any logarithm of a weight that counts.
  constexpr T lowest = sizeof(T) == 4 ? T(-1e38) : T(R::lowest);
  for (int i = 0; i < words * tile_rows; ++i) s.state[i] = i < tile_rows ? lowest : T(0);
  spread_log_weights<T>(p, s.shift);
  for (int j0 = 0; j0 < p.give_rows;) {
    const int block = j0 == 0 ? reference_rows : panel_rows;
    const int count = p.give_rows - j0 < block ? p.give_rows - j0 : block;
    for (int i = 0; i < p.receive_rows; i += stride)
      if (j0 == 0 || p.mask != nullptr || !add_block<Kernel>(p, i, j0, count, s))
        add_by_maximum<Kernel>(p, i, j0, count, s);
    j0 += count;
  }
  for (int i = 0; i < words * tile_rows; ++i) s.tile[i] = s.state[i];
  p.turns->in_turn(p.receiver(), [&] {
    R::merge(0, p.columns, tile_rows, reinterpret_cast<std::byte *>(p.receive_state),
             reinterpret_cast<const std::byte *>(s.tile));
  });
}
