// The scores of a row within a range, and sums of powers of those above it: where a threshold lies in the range, that
// is all that there is to know of the row. With l_ij and numbers (f, m, t, 1 - t, 1 - left, e - 2) of the own row as in
// power_sums, and two more, a and b, with z_ij = f_i (l_ij - m_i):
//   S0, S1, S2 of power_sums over z_ij + b_i > 0;  n = number of other j with z_ij + a_i > 0;  and these l_ij
// The number of columns of a shape is how many l a row has place for; no columns travel. State, fp64: the three sums,
// n, and c places, of which the first min(n, c) are filled: where n > c some l are missing. Their order is that of
// merges. Touched as power_sums is. Own side alone. Finish: these words. Listed after power_sums.
template <>
struct Rule<RowKind::score_list> : SumsRule<RowKind::score_list> {
  static constexpr const char *name = "score_list";
  static constexpr int passes = 1;
  static constexpr int scalars = 1;
  static constexpr int own_scalars = Rule<RowKind::power_sums>::own_scalars + 2;
  static constexpr int sums = Rule<RowKind::power_sums>::sums;

  static int value_columns(int /*columns*/) { return 0; }
  static int state_words(int /*pass*/, int columns) { return sums + 1 + columns; }

  /// A row whose words begin at `row`, `rows` apart, takes l.
  FLASHRING_EVERYWHERE static void append(double *row, int columns, std::size_t rows, double l) {
    double &n = row[sums * rows];
    if (n < columns) row[(sums + 1 + static_cast<std::size_t>(n)) * rows] = l;
    n += 1;
  }
  /// Of the row whose words begin at a and b, `rows` apart.
  FLASHRING_EVERYWHERE static void merge_row(int columns, std::size_t rows, double *a, const double *b) {
    for (std::size_t w = 0; w < sums; ++w) a[w * rows] += b[w * rows];
    const double more = b[sums * rows];
    const double kept = more < columns ? more : columns;
    for (std::size_t k = 0; k < static_cast<std::size_t>(kept); ++k) append(a, columns, rows, b[(sums + 1 + k) * rows]);
    a[sums * rows] += more - kept;
  }
  static void merge(int /*pass*/, int columns, std::size_t rows, std::byte *into, const std::byte *from) {
    double *a = reinterpret_cast<double *>(into);              // (4 + c, rows)
    const double *b = reinterpret_cast<const double *>(from);  // (4 + c, rows)
    for (std::size_t i = 0; i < rows; ++i) merge_row(columns, rows, a + i, b + i);
  }
};
