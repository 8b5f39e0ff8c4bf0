// The largest score of a row and how many scores lie in each bin below it. Scores are l_ij = log2 k_ij + g_j log2 e (g:
// per-pass scalar of the visiting side), v_ij = f_i l_ij with the own side's scalar f_i > 0, and bin k holds
// k <= v < k + 1: bins do not depend on what a row has seen, so a merge shifts the lower histogram by whole bins, drops
// what falls out, and gives the same bits in any order. For thresholds f = B s ln 2, so that B bins make one unit of
// z = s x; the number of columns of a shape is B, no columns travel. State, fp64: m = max l, k_max = floor of max v,
// and the B + 1 counts of bins k_max, k_max - 1, ... k_max - B, exact below 2^53. Own side alone. Finish: these words.
template <>
struct Rule<RowKind::score_bins> {
  static constexpr const char *name = "score_bins";
  static constexpr int passes = 1;
  static constexpr int scalars = 1;
  static constexpr int own_scalars = 1;
  static constexpr double lowest = -1e300;  // of m and k_max, so that no difference of infinities arises

  static int value_columns(int /*columns*/) { return 0; }
  /// Whether v may be within one unit of z of the largest: false is safe for any rounding of fp32 and fp64.
  FLASHRING_EVERYWHERE static bool near_top(double v, double largest, int columns) {
    return v > largest - columns * (1 + 0x1p-18) - __builtin_fabs(largest) * 0x1p-20;
  }
  static int state_words(int /*pass*/, int columns) { return 3 + columns; }
  static int outputs(int columns) { return 3 + columns; }

  static void identity(int pass, int columns, std::size_t rows, std::byte *state) {
    double *s = reinterpret_cast<double *>(state);  // (3 + B, rows)
    const std::size_t words = static_cast<std::size_t>(state_words(pass, columns));
    for (std::size_t i = 0; i < words * rows; ++i) s[i] = i < 2 * rows ? lowest : 0;
  }
  /// The counts of row i for a k_max that is higher by `rise` whole bins.
  FLASHRING_EVERYWHERE static void raise(double *counts, int columns, std::size_t rows, double rise) {
    const int shift = rise < columns + 1.0 ? static_cast<int>(rise) : columns + 1;
    for (int n = columns; n >= 0; --n)
      counts[static_cast<std::size_t>(n) * rows] = n >= shift ? counts[static_cast<std::size_t>(n - shift) * rows] : 0;
  }
  /// Of the row whose words begin at a and b, `rows` apart.
  FLASHRING_EVERYWHERE static void merge_row(int columns, std::size_t rows, double *a, const double *b) {
    *a = *a > *b ? *a : *b;
    double *const counts = a + 2 * rows;
    const double *const more = b + 2 * rows;
    const double rise = b[rows] - a[rows];
    if (rise > 0) {
      raise(counts, columns, rows, rise);
      a[rows] = b[rows];
    }
    const int shift = rise >= 0 ? 0 : -rise < columns + 1.0 ? static_cast<int>(-rise) : columns + 1;
    for (int n = shift; n <= columns; ++n)
      counts[static_cast<std::size_t>(n) * rows] += more[static_cast<std::size_t>(n - shift) * rows];
  }
  static void merge(int /*pass*/, int columns, std::size_t rows, std::byte *into, const std::byte *from) {
    double *a = reinterpret_cast<double *>(into);              // (3 + B, rows)
    const double *b = reinterpret_cast<const double *>(from);  // (3 + B, rows)
    for (std::size_t i = 0; i < rows; ++i) merge_row(columns, rows, a + i, b + i);
  }
  static void finish(int columns, std::size_t rows, const std::byte *state, double *out) {
    const double *s = reinterpret_cast<const double *>(state);  // (3 + B, rows)
    for (std::size_t i = 0; i < static_cast<std::size_t>(state_words(0, columns)) * rows; ++i) out[i] = s[i];
  }
};
