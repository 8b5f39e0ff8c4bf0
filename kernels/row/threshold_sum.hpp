// What power_sums gives, and behind it sum y^(e-1) v_j for the same c columns, which a gradient needs: 3 + 2c sums.
template <>
struct Rule<RowKind::threshold_sum> : SumsRule<RowKind::threshold_sum> {
  static constexpr const char *name = "threshold_sum";
  static constexpr int passes = 1;
  static constexpr int scalars = 1;
  static constexpr int own_scalars = Rule<RowKind::power_sums>::own_scalars;
  static constexpr int sums = Rule<RowKind::power_sums>::sums;

  static int value_columns(int columns) { return columns; }
  static int state_words(int /*pass*/, int columns) { return sums + 2 * columns; }
};
