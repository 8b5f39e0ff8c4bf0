// The row rule score_list: receiving rows in lanes, panels of scores, of which few are taken. No include guard:
// included once per instruction set inside HWY_NAMESPACE, after power_sums.hpp.
//
// Of 16 receiving rows (a vector) and a panel of giving rows the largest score of each says whether any is to be
// listed, and whether any is to be summed; what is neither costs its score alone. What is listed goes row by row.

template <class T>
struct ListScratch {
  T *panel;       // (panel_rows, stride)
  T *shift;       // (T) log weights of the giving rows times log2 e
  double *state;  // (4 + c, T)
};

template <class T>
HWY_INLINE ListScratch<T> cut_list_scratch(std::byte *scratch) {
  ListScratch<T> s;
  s.panel = reinterpret_cast<T *>(scratch);
  s.shift = s.panel + panel_rows * panel_stride<T>();
  s.state = reinterpret_cast<double *>(s.shift + tile_rows);
  return s;
}

/// Scores of a column with z + number 6 > 0, but not z + number 7, to rows whose words begin at `rows`, T apart.
template <class T>
HWY_INLINE void list_scores(const ScoreColumn<T> &column, int places, double *rows) {
  const hn::ScalableTag<T> d;
  const Vec<T> low = column.number(6);
  const Vec<T> high = column.number(7);
  const auto valid = hn::FirstN(d, static_cast<std::size_t>(std::max(column.rows, 0)));
  alignas(64) T lanes[64 / sizeof(T)];
  std::uint8_t bytes[8] = {};  // of a mask
  for (int j = 0; j < column.count; ++j) {
    const Vec<T> l = hn::Load(d, column.panel + j * panel_stride<T>());
    const Vec<T> z = column.scaled(l);
    const auto above = hn::Gt(hn::Add(z, low), hn::Zero(d));
    const auto within = hn::And(hn::And(above, hn::Le(hn::Add(z, high), hn::Zero(d))), valid);
    if (HWY_LIKELY(hn::AllFalse(d, within))) continue;
    hn::Store(l, d, lanes);
    hn::StoreMaskBits(d, within, bytes);
    std::uint64_t bits = 0;
    for (int b = 0; b < 8; ++b) bits |= std::uint64_t{bytes[b]} << (8 * b);
    for (; bits != 0; bits &= bits - 1) {
      const int i = __builtin_ctzll(bits);
      Rule<RowKind::score_list>::append(rows + i, places, tile_rows, lanes[i]);
    }
  }
}

template <class Precision, ThresholdPower power, class T = typename Precision::T>
HWY_NOINLINE void list_tile(const Piece<T> &p, FillPanel<T> fill) {
  using R = Rule<RowKind::score_list>;
  constexpr int NA = vectors<T>();
  const int lanes = static_cast<int>(hn::Lanes(hn::ScalableTag<T>()));
  const int stride = NA * lanes;
  const ListScratch<T> s = cut_list_scratch<T>(p.scratch);
  spread_log_weights<T>(p, s.shift);
  std::memset(s.state, 0, sizeof(double) * (R::sums + 1) * tile_rows);
  bool touched = false;
  for (int i = 0; i < p.receive_rows; i += stride)
    for (int j0 = 0; j0 < p.give_rows; j0 += panel_rows) {
      const int count = std::min(panel_rows, p.give_rows - j0);
      fill(p, i, j0, count, s.panel);
      for (int a = 0; a < NA; ++a) {
        const int at = i + a * lanes;
        const ScoreColumn<T> column{s.panel + a * lanes, count, s.shift + j0, p.receive_scalars + at,
                                    std::min(lanes, p.receive_rows - at)};
        const Vec<T> top = column.shift_scores();
        touched = touched || column.any_above(top, 4);
        if (column.any_above(top, 6)) list_scores(column, p.columns, s.state + at);
        if (column.any_above(top, 7))
          sum_column<Precision, power, false, true>(column, static_cast<T *>(nullptr), s.state + at);
      }
    }
  if (p.touched != nullptr && touched) *p.touched = 1;
  p.turns->in_turn(p.receiver(), [&] {
    R::merge(0, p.columns, tile_rows, reinterpret_cast<std::byte *>(p.receive_state),
             reinterpret_cast<const std::byte *>(s.state));
  });
}

template <class Precision, class T = typename Precision::T>
HWY_INLINE void score_list(const Piece<T> &p, FillPanel<T> fill) {
  const ThresholdPower power = common_power<T>(p, 5, 2);
  if (power == ThresholdPower::one) return list_tile<Precision, ThresholdPower::one>(p, fill);
  if (power == ThresholdPower::two) return list_tile<Precision, ThresholdPower::two>(p, fill);
  list_tile<Precision, ThresholdPower::any>(p, fill);
}
