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
  double *sums;  // (2, T) S0, S1
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

/// What a panel did for its receiving rows.
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

/// One vector of receiving rows, whose numbers (6, T) are at `own`, and of which `rows` count. `panel` and `other` are
/// the vector's column of panels.
template <class Precision, ThresholdPower power, bool second, class T = typename Precision::T>
HWY_INLINE Reached panel_to_powers(T *panel, T *other, int count, const T *shift, const T *own, int rows,
                                   double *sums) {
  using M = Math<Precision, Vec<T>>;
  const hn::ScalableTag<T> d;
  const int stride = panel_stride<T>();
  const Vec<T> factor = hn::LoadU(d, own);
  const Vec<T> m = hn::LoadU(d, own + tile_rows);
  const Vec<T> t = hn::LoadU(d, own + 2 * tile_rows);
  const Vec<T> room = hn::LoadU(d, own + 3 * tile_rows);
  const Vec<T> left_room = hn::LoadU(d, own + 4 * tile_rows);
  const Vec<T> e_minus_1 = hn::LoadU(d, own + 5 * tile_rows);
  Vec<T> top = hn::Set(d, -std::numeric_limits<T>::infinity());
  for (int j = 0; j < count; ++j) {
    const Vec<T> l = hn::Add(hn::Load(d, panel + j * stride), hn::Set(d, shift[j]));
    hn::Store(l, d, panel + j * stride);
    top = hn::Max(top, l);
  }
  const auto above = hn::Gt(hn::Add(hn::Mul(factor, hn::Sub(top, m)), left_room), hn::Zero(d));
  const auto valid = hn::FirstN(d, static_cast<std::size_t>(std::max(rows, 0)));
  if (hn::AllFalse(d, hn::And(above, valid))) {
    for (int j = 0; j < count; ++j) {
      hn::Store(hn::Zero(d), d, panel + j * stride);
      if (second) hn::Store(hn::Zero(d), d, other + j * stride);
    }
    return {};
  }
  Vec<T> p_sum[2] = {hn::Zero(d), hn::Zero(d)};
  Vec<T> u_sum[2] = {hn::Zero(d), hn::Zero(d)};
  for (int j = 0; j < count; j += 2)  // an odd count ends with a row of padding, which is hidden
#pragma GCC unroll 2
    for (int b = 0; b < 2; ++b) {
      const Vec<T> z = hn::Mul(factor, hn::Sub(hn::Load(d, panel + (j + b) * stride), m));
      const auto [p, u] = threshold_powers<power, M>(hn::Sub(z, t), hn::Add(z, room), e_minus_1);
      p_sum[b] = hn::Add(p_sum[b], p);
      u_sum[b] = hn::Add(u_sum[b], u);
      hn::Store(p, d, panel + (j + b) * stride);
      if (second) hn::Store(u, d, other + (j + b) * stride);
    }
  const Vec<T> support = hn::Add(u_sum[0], u_sum[1]);
  add_lanes<T>(hn::Add(p_sum[0], p_sum[1]), sums);
  add_lanes<T>(support, sums + tile_rows);
  return {true, !hn::AllFalse(d, hn::Gt(support, hn::Zero(d)))};
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
  std::memset(s.sums, 0, sizeof(double) * 2 * tile_rows);
  Reached reached;
  for (int i = 0; i < p.receive_rows; i += stride)
    for (int j0 = 0; j0 < p.give_rows; j0 += panel_rows) {
      const int count = std::min(panel_rows, p.give_rows - j0);
      fill(p, i, j0, count, s.panel);
      bool any = false;
      for (int a = 0; a < NA; ++a) {
        const int at = i + a * lanes;
        const Reached here = panel_to_powers<Precision, power, second>(
            s.panel + a * lanes, s.other + a * lanes, count, s.shift + j0, p.receive_scalars + at,
            std::min(lanes, p.receive_rows - at), s.sums + at);
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
    for (int i = 0; i < 2 * tile_rows; ++i) p.receive_state[i] += s.sums[i];
    for (int i = 0; i < words * tile_rows; ++i) p.receive_state[2 * tile_rows + i] += s.values[i];
  });
}

/// By the exponents of the rows, e - 1 being pass scalar `number`: products where a small whole number serves all.
template <class T>
HWY_INLINE ThresholdPower common_power(const Piece<T> &p, int number) {
  const T *const e_minus_1 = p.receive_scalars + number * tile_rows;
  for (int i = 1; i < p.receive_rows; ++i)
    if (e_minus_1[i] != e_minus_1[0]) return ThresholdPower::any;
  return e_minus_1[0] == 0 ? ThresholdPower::one : e_minus_1[0] == 1 ? ThresholdPower::two : ThresholdPower::any;
}

template <class Precision, bool second, class T = typename Precision::T>
HWY_INLINE void power_sums(const Piece<T> &p, FillPanel<T> fill) {
  const ThresholdPower power = common_power<T>(p, 5);
  if (power == ThresholdPower::one) return sum_powers<Precision, ThresholdPower::one, second>(p, fill);
  if (power == ThresholdPower::two) return sum_powers<Precision, ThresholdPower::two, second>(p, fill);
  sum_powers<Precision, ThresholdPower::any, second>(p, fill);
}
