// With l_ij as in score_bins and numbers (f, m, t, 1 - t, 1 - left, e - 2) of the own row:
//   y_ij = [f_i (l_ij - m_i) + 1 - t_i]_+,   S0 = sum y^e,   S1 = sum y^(e-1),  S2 = sum y^(e-2) over y > 0,
//   o = sum y^e v_j
// for c columns: what a step on the threshold t asks, and the output of threshold attention. e >= 1; S2 has a meaning
// for e >= 2. State: these 3 + c sums in fp64. A pair of tiles is touched where f (l - m) + 1 - left > 0 for a pair of
// points: with left <= t every other pair of tiles adds 0. Own side alone. Listed after sum, whose states these are.
// Finish: the sums.
template <>
struct Rule<RowKind::power_sums> : SumsRule<RowKind::power_sums> {
  static constexpr const char *name = "power_sums";
  static constexpr int passes = 1;
  static constexpr int scalars = 1;
  static constexpr int own_scalars = 6;
  static constexpr int sums = 3;

  static int value_columns(int columns) { return columns; }
  static int state_words(int /*pass*/, int columns) { return sums + columns; }
};
