// What power_sums gives, and behind it sum y^(e-1) v_j for the same c columns, which a gradient needs: 2 + 2c sums.
template <>
struct Rule<RowKind::threshold_sum> {
  static constexpr const char *name = "threshold_sum";
  static constexpr int passes = 1;
  static constexpr int scalars = 1;
  static constexpr int own_scalars = 6;
  using Sums = Rule<RowKind::sum>;

  static int value_columns(int columns) { return columns; }
  static int state_words(int /*pass*/, int columns) { return 2 + 2 * columns; }
  static int outputs(int columns) { return 2 + 2 * columns; }

  static void identity(int pass, int columns, std::size_t rows, std::byte *state) {
    Sums::identity(pass, 2 + 2 * columns, rows, state);
  }
  static void merge(int pass, int columns, std::size_t rows, std::byte *into, const std::byte *from) {
    Sums::merge(pass, 2 + 2 * columns, rows, into, from);
  }
  static void finish(int columns, std::size_t rows, const std::byte *state, double *out) {
    Sums::finish(2 + 2 * columns, rows, state, out);
  }
};
