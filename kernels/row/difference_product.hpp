// For c functions f and a weight g of the giving row (its per-pass scalar):
//   S_i,kl = sum_j k_ij g_j (f_kj - f_ki)(f_lj - f_li),   k <= l
// State: the c(c+1)/2 sums in fp64, word l(l+1)/2 + k, which is LAPACK's packed upper triangle. Finish: the sums. Both
// sides' columns are read, so a side that receives brings its columns too. Listed after sum, whose states these are.
template <>
struct Rule<RowKind::difference_product> : SumsRule<RowKind::difference_product> {
  static constexpr const char *name = "difference_product";
  static constexpr int passes = 1;
  static constexpr int scalars = 1;
  static constexpr int own_scalars = 0;

  FLASHRING_EVERYWHERE static constexpr int word(int k, int l) { return l * (l + 1) / 2 + k; }
  static int value_columns(int columns) { return columns; }
  static int state_words(int /*pass*/, int columns) { return word(0, columns); }
};
