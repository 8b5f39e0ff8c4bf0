// The row rules power_sums and threshold_sum: receiving rows in lanes, panels of scores that become powers, which serve
// all columns. No include guard: included once per instruction set inside HWY_NAMESPACE.
//
// Of 16 receiving rows (a vector) and a panel of giving rows the largest score says whether any power is not 0; where
// none is, no power is computed, and where none of a panel is, no column is summed. What is left out would add 0, so
// sums have the same bits. Sums of a panel are in the working precision, then fp64.

template <class T>
struct PowerScratch {
  T *panel;      // (panel_rows, stride) scores, then y^e
  T *other;      // (panel_rows, stride) y^(e-1)
  T *shift;      // (T) log weights of the giving rows times log2 e
  T *values;     // (c or 2c, T)
  double *sums;  // (3, T) S0, S1, S2
};

template <class T>
HWY_INLINE PowerScratch<T> cut_power_scratch(std::byte *scratch, int value_sums) {
  PowerScratch<T> s;
  s.panel = reinterpret_cast<T *>(scratch);
  s.other = s.panel + panel_rows * panel_stride<T>();
  s.shift = s.other + panel_rows * panel_stride<T>();
  s.values = s.shift + tile_rows;
  s.sums = reinterpret_cast<double *>(s.values + value_sums * tile_rows);
  return s;
}

/// What a column did for its rows.
struct Reached {
  bool left = false;    ///< a score is above the left end of its row
  bool weight = false;  ///< a power is not 0
};

/// `sum` to rows at[l], l < lanes, in fp64.
template <class T>
HWY_INLINE void add_lanes(Vec<T> sum, double *at) {
  const hn::ScalableTag<T> d;
  alignas(64) T lanes[64 / sizeof(T)];
  hn::Store(sum, d, lanes);
  for (std::size_t l = 0; l < hn::Lanes(d); ++l) at[l] += lanes[l];
}

/// One vector of receiving rows and its column of a panel: scores, `stride` apart, to which `shift` is to be added.
/// `own`: the numbers of these rows, T apart, of which so many count.
template <class T>
struct ScoreColumn {
  T *panel;
  int count;
  const T *shift;
  const T *own;
  int rows;

  HWY_INLINE Vec<T> number(int n) const { return hn::LoadU(hn::ScalableTag<T>(), own + n * tile_rows); }
  /// f (l - m)
  HWY_INLINE Vec<T> scaled(Vec<T> l) const { return hn::Mul(number(0), hn::Sub(l, number(1))); }
  /// Shifts the scores and returns the largest of each row, scaled.
  HWY_INLINE Vec<T> shift_scores() const {
    const hn::ScalableTag<T> d;
    Vec<T> top = hn::Set(d, -std::numeric_limits<T>::infinity());
    for (int j = 0; j < count; ++j) {
      T *const at = panel + j * panel_stride<T>();
      const Vec<T> l = hn::Add(hn::Load(d, at), hn::Set(d, shift[j]));
      hn::Store(l, d, at);
      top = hn::Max(top, l);
    }
    return scaled(top);
  }
  /// Whether z + number n is positive in a row.
  HWY_INLINE bool any_above(Vec<T> z, int n) const {
    const hn::ScalableTag<T> d;
    const auto valid = hn::FirstN(d, static_cast<std::size_t>(std::max(rows, 0)));
    return !hn::AllFalse(d, hn::And(hn::Gt(hn::Add(z, number(n)), hn::Zero(d)), valid));
  }
};

/// Adds the three sums of powers to rows sums[0], sums[1], ... (3, T); with `split` those of scores with z + number 7 >
/// 0 alone. The powers y^e take the place of the scores, and with `second` those of y^(e-1) that of `other`. Returns
/// whether a power is not 0.
template <class Precision, ThresholdPower power, bool second, bool split = false, class T = typename Precision::T>
HWY_INLINE bool sum_column(const ScoreColumn<T> &column, T *other, double *sums) {
  using M = Math<Precision, Vec<T>>;
  const hn::ScalableTag<T> d;
  const int stride = panel_stride<T>();
  T *const panel = column.panel;
  const Vec<T> t = column.number(2);
  const Vec<T> room = column.number(3);
  const Vec<T> e_minus_2 = column.number(5);
  Vec<T> p_sum[2] = {hn::Zero(d), hn::Zero(d)};
  Vec<T> u_sum[2] = {hn::Zero(d), hn::Zero(d)};
  Vec<T> v_sum[2] = {hn::Zero(d), hn::Zero(d)};
  for (int j = 0; j < column.count; j += 2)  // an odd count ends with a row of padding, which is hidden
#pragma GCC unroll 2
    for (int b = 0; b < 2; ++b) {
      const Vec<T> z = column.scaled(hn::Load(d, panel + (j + b) * stride));
      Vec<T> y = hn::Add(z, room);
      if constexpr (split) y = hn::IfThenElse(hn::Gt(hn::Add(z, column.number(7)), hn::Zero(d)), y, hn::Zero(d));
      const ThresholdPowers<M> w = three_powers<power, M>(hn::Sub(z, t), y, e_minus_2);
      p_sum[b] = hn::Add(p_sum[b], w.p);
      u_sum[b] = hn::Add(u_sum[b], w.u);
      v_sum[b] = hn::Add(v_sum[b], w.v);
      hn::Store(w.p, d, panel + (j + b) * stride);
      if (second) hn::Store(w.u, d, other + (j + b) * stride);
    }
  const Vec<T> support = hn::Add(u_sum[0], u_sum[1]);
  add_lanes<T>(hn::Add(p_sum[0], p_sum[1]), sums);
  add_lanes<T>(support, sums + tile_rows);
  add_lanes<T>(hn::Add(v_sum[0], v_sum[1]), sums + 2 * tile_rows);
  return !hn::AllFalse(d, hn::Gt(support, hn::Zero(d)));
}

/// The scores of a column become powers.
template <class Precision, ThresholdPower power, bool second, class T = typename Precision::T>
HWY_INLINE Reached panel_to_powers(const ScoreColumn<T> &column, T *other, double *sums) {
  if (column.any_above(column.shift_scores(), 4))
    return {true, sum_column<Precision, power, second>(column, other, sums)};
  const hn::ScalableTag<T> d;
  for (int j = 0; j < column.count; ++j) {
    hn::Store(hn::Zero(d), d, column.panel + j * panel_stride<T>());
    if (second) hn::Store(hn::Zero(d), d, other + j * panel_stride<T>());
  }
  return {};
}

/// All pairs of two tiles. `second`: sums with y^(e-1) too.
template <class Precision, ThresholdPower power, bool second, class T = typename Precision::T>
HWY_NOINLINE void sum_powers(const Piece<T> &p, FillPanel<T> fill) {
  constexpr int NA = vectors<T>();
  const int lanes = static_cast<int>(hn::Lanes(hn::ScalableTag<T>()));
  const int stride = NA * lanes;
  const int words = (second ? 2 : 1) * p.columns;
  const PowerScratch<T> s = cut_power_scratch<T>(p.scratch, words);
  spread_log_weights<T>(p, s.shift);
  std::memset(s.values, 0, sizeof(T) * static_cast<std::size_t>(words * tile_rows));
  std::memset(s.sums, 0, sizeof(double) * Rule<RowKind::power_sums>::sums * tile_rows);
  Reached reached;
  for (int i = 0; i < p.receive_rows; i += stride)
    for (int j0 = 0; j0 < p.give_rows; j0 += panel_rows) {
      const int count = std::min(panel_rows, p.give_rows - j0);
      fill(p, i, j0, count, s.panel);
      bool any = false;
      for (int a = 0; a < NA; ++a) {
        const int at = i + a * lanes;
        const ScoreColumn<T> column{s.panel + a * lanes, count, s.shift + j0, p.receive_scalars + at,
                                    std::min(lanes, p.receive_rows - at)};
        const Reached here = panel_to_powers<Precision, power, second>(column, s.other + a * lanes, s.sums + at);
        reached.left = reached.left || here.left;
        any = any || here.weight;
      }
      reached.weight = reached.weight || any;
      if (!any || p.columns == 0) continue;
      const T *columns = p.give_columns + j0;
      panel_to_receiver<T>(s.panel, count, false, columns, p.columns, s.values + i);
      if (second) panel_to_receiver<T>(s.other, count, false, columns, p.columns, s.values + p.columns * tile_rows + i);
    }
  if (p.touched != nullptr && reached.left) *p.touched = 1;
  p.turns->in_turn(p.receiver(), [&] {
    if (!reached.weight) return;
    constexpr int sums = Rule<RowKind::power_sums>::sums * tile_rows;
    for (int i = 0; i < sums; ++i) p.receive_state[i] += s.sums[i];
    for (int i = 0; i < words * tile_rows; ++i) p.receive_state[sums + i] += s.values[i];
  });
}

/// By the exponents of the rows, of which pass scalar `number` is e less `by`: products where a small whole number
/// serves all.
template <class T>
HWY_INLINE ThresholdPower common_power(const Piece<T> &p, int number, int by) {
  const T *const exponent = p.receive_scalars + number * tile_rows;
  for (int i = 1; i < p.receive_rows; ++i)
    if (exponent[i] != exponent[0]) return ThresholdPower::any;
  return exponent[0] == 1 - by   ? ThresholdPower::one
         : exponent[0] == 2 - by ? ThresholdPower::two
                                 : ThresholdPower::any;
}

template <class Precision, bool second, class T = typename Precision::T>
HWY_INLINE void power_sums(const Piece<T> &p, FillPanel<T> fill) {
  const ThresholdPower power = common_power<T>(p, 5, 2);
  if (power == ThresholdPower::one) return sum_powers<Precision, ThresholdPower::one, second>(p, fill);
  if (power == ThresholdPower::two) return sum_powers<Precision, ThresholdPower::two, second>(p, fill);
  sum_powers<Precision, ThresholdPower::any, second>(p, fill);
}
