// With l_ij as in score_bins and numbers (f, m, t, 1 - t, 1 - left, e - 1) of the own row:
//   y_ij = [f_i (l_ij - m_i) + 1 - t_i]_+,   S0 = sum y^e,   S1 = sum y^(e-1) over y > 0,   o = sum y^e v_j
// for c columns: what a Newton step on the threshold t asks, and the output of threshold attention. e >= 1. State:
// these 2 + c sums in fp64. A pair of tiles is touched where f (l - m) + 1 - left > 0 for a pair of points: with left
// <= t every other pair of tiles adds 0. Own side alone. Listed after sum, whose states these are. Finish: the sums.
template <>
struct Rule<RowKind::power_sums> {
  static constexpr const char *name = "power_sums";
  static constexpr int passes = 1;
  static constexpr int scalars = 1;
  static constexpr int own_scalars = 6;
  using Sums = Rule<RowKind::sum>;

  static int value_columns(int columns) { return columns; }
  static int state_words(int /*pass*/, int columns) { return 2 + columns; }
  static int outputs(int columns) { return 2 + columns; }

  static void identity(int pass, int columns, std::size_t rows, std::byte *state) {
    Sums::identity(pass, 2 + columns, rows, state);
  }
  static void merge(int pass, int columns, std::size_t rows, std::byte *into, const std::byte *from) {
    Sums::merge(pass, 2 + columns, rows, into, from);
  }
  static void finish(int columns, std::size_t rows, const std::byte *state, double *out) {
    Sums::finish(2 + columns, rows, state, out);
  }
};
