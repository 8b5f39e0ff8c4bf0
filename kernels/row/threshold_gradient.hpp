// The gradient of threshold attention (power_sums), columns as in softmax_gradient: own rows are queries with [a_i |
// b_i], visiting rows are keys with [a_j | v_j]; p and u are y^e and y^(e-1) of power_sums, r that of
// kernels/threshold.hpp:
//   ds_ij = (s e)_i u_ij (<b_i, v_j> - delta_i)
//   own side       sum_j ds_ij a_j, then zeros, then sum_j r_ij (<b_i, v_j> - delta_i) for r of the three scales
//   visiting side  sum_i ds_ij a_i, then sum_i p_ij b_i, then zeros
// Per-pass scalars of own rows: f, m, t, 1 - t, e - 1, s e, delta (s e = 0: the row gives nothing); g_j of visiting
// rows. State: c + 3 sums in fp64. Finish: the sums. Listed after sum, whose states these are.
template <>
struct Rule<RowKind::threshold_gradient> : SumsRule<RowKind::threshold_gradient> {
  static constexpr const char *name = "threshold_gradient";
  static constexpr int passes = 1;
  static constexpr int scalars = 1;
  static constexpr int own_scalars = 7;
  static constexpr int parameter_sums = 3;  // of tsallis, none, porous

  static int value_columns(int columns) { return columns; }
  static int state_words(int /*pass*/, int columns) { return columns + parameter_sums; }
};
