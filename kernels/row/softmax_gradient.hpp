// The gradient of softmax attention, source: flash attention's backward pass (Dao et al., arXiv:2205.14135). Own rows
// are queries with the columns [a_i | b_i], visiting rows are keys with [a_j | v_j]: the first `features` columns and
// the others. With l_ij = ln k_ij + g_j, the saved log-sum-exp of the row and delta_i = <b_i, o_i>:
//   p_ij = exp(l_ij - lse_i),   ds_ij = p_ij (<b_i, v_j> - delta_i)
//   own side       sum_j ds_ij a_j, then zeros
//   visiting side  sum_i ds_ij a_i, then sum_i p_ij b_i
// Per-pass scalars: lse_i and delta_i of own rows (lse = -infinity: the row sees nothing and gives nothing); g_j of
// visiting rows. State: the sums in fp64. Finish: the sums. Listed after sum, whose states
// these are.
template <>
struct Rule<RowKind::softmax_gradient> : SumsRule<RowKind::softmax_gradient> {
  static constexpr const char *name = "softmax_gradient";
  static constexpr int passes = 1;
  static constexpr int scalars = 1;
  static constexpr int own_scalars = 2;

  static int value_columns(int columns) { return columns; }
  static int state_words(int /*pass*/, int columns) { return columns; }

  /// Multiply-adds of a pair of rows: <b_i, v_j>, then the sums of the sides that receive.
  static constexpr int multiply_adds(int features, int columns, Sides sides) {
    return columns - features + (has_own(sides) ? features : 0) + (has_visiting(sides) ? columns : 0);
  }
};
