// y_i = sum_j k_ij x_j for c columns. State: the c sums in fp64. Finish: the sums.
template <>
struct Rule<RowKind::sum> {
  static constexpr const char *name = "sum";
  static constexpr int passes = 1;
  static constexpr int scalars = 0;
  static constexpr int own_scalars = 0;

  static int value_columns(int columns) { return columns; }
  static int state_words(int /*pass*/, int columns) { return columns; }
  static int outputs(int columns) { return columns; }

  static void identity(int /*pass*/, int columns, std::size_t rows, std::byte *state) {
    double *s = reinterpret_cast<double *>(state);  // (c, rows)
    for (std::size_t i = 0; i < static_cast<std::size_t>(columns) * rows; ++i) s[i] = 0;
  }
  static void merge(int /*pass*/, int columns, std::size_t rows, std::byte *into, const std::byte *from) {
    double *a = reinterpret_cast<double *>(into);              // (c, rows)
    const double *b = reinterpret_cast<const double *>(from);  // (c, rows)
    for (std::size_t i = 0; i < static_cast<std::size_t>(columns) * rows; ++i) a[i] += b[i];
  }
  static void finish(int columns, std::size_t rows, const std::byte *state, double *out) {
    const double *s = reinterpret_cast<const double *>(state);  // (c, rows)
    for (std::size_t i = 0; i < static_cast<std::size_t>(columns) * rows; ++i) out[i] = s[i];
  }
};

/// For rules whose state is some other number of sums, which are their answer too: a rule derives from this and says
/// how many by state_words, the same in every pass.
template <RowKind kind>
struct SumsRule {
  using Sums = Rule<RowKind::sum>;

  static int outputs(int columns) { return Rule<kind>::state_words(0, columns); }
  static void identity(int pass, int columns, std::size_t rows, std::byte *state) {
    Sums::identity(pass, outputs(columns), rows, state);
  }
  static void merge(int pass, int columns, std::size_t rows, std::byte *into, const std::byte *from) {
    Sums::merge(pass, outputs(columns), rows, into, from);
  }
  static void finish(int columns, std::size_t rows, const std::byte *state, double *out) {
    Sums::finish(outputs(columns), rows, state, out);
  }
};
