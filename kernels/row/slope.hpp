// Sums of powers of the weights, for c candidates l of one scale of lengths:
//   S_l = sum_ij k_ij^(n_l),  L_l = -sum_ij k_ij^(n_l) log2 k_ij,  n_l = 2, 3, 4, 6, 8, 12, 16, ...
// (slope_power) so that beta n_l are c candidates for the beta of a gaussian, and n_l L_l ln 2 / S_l is d ln S / d ln
// beta, negated. No columns travel: the number of columns of a shape is c. Each power is the product of two earlier
// ones. State: c sums S_l, then c sums L_l, in fp64. Finish: the sums. Only totals over all rows have a meaning: a
// backend may give what the rows of a tile receive to one of them, and both shares of a pair that serves both sides to
// one side. Listed after sum, whose states these are.
template <>
struct Rule<RowKind::slope> : SumsRule<RowKind::slope> {
  static constexpr const char *name = "slope";
  static constexpr int passes = 1;
  static constexpr int scalars = 0;
  static constexpr int own_scalars = 0;

  /// Candidates of one exponential r: their powers are r^2, r^3, r^4, r^6, r^8 and r^12. A relative error e of r
  /// becomes 12 e + 11 u at most, and none grows beyond, however many candidates there are.
  static constexpr int block = 6;
  static int value_columns(int /*columns*/) { return 0; }
  static int state_words(int /*pass*/, int columns) { return 2 * columns; }
};
