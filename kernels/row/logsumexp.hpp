// With l_ij = ln k_ij + g_j (g: per-pass scalar of the other side, natural logarithm):
//   lse_i = ln sum_j exp(l_ij),  o_i = sum_j exp(l_ij - lse_i) v_j
// State (words, rows) in fp64: m, s = sum 2^(l log2 e - m), and c sums of v with the same weights. The reference m is a
// whole number near the largest l log2 e seen, so that a merge multiplies by powers of two, which rounds nothing and
// needs no exponential. The identity's m is finite (-1e300) so that no difference of infinities arises; a row that saw
// no finite l keeps s = 0. Finish: (lse, o_1 ... o_c). Source: Milakov, Gimelshein, arXiv:1805.02867.
template <>
struct Rule<RowKind::logsumexp> {
  static constexpr const char *name = "logsumexp";
  static constexpr int passes = 1;
  static constexpr int scalars = 1;
  static constexpr int own_scalars = 0;
  static constexpr double lowest = -1e300;

  static int value_columns(int columns) { return columns; }
  static int state_words(int /*pass*/, int columns) { return 2 + columns; }
  static int outputs(int columns) { return 1 + columns; }

  static void identity(int pass, int columns, std::size_t rows, std::byte *state) {
    double *s = reinterpret_cast<double *>(state);  // (2 + c, rows)
    const std::size_t words = static_cast<std::size_t>(state_words(pass, columns));
    for (std::size_t i = 0; i < words * rows; ++i) s[i] = i < rows ? lowest : 0;
  }
  /// 2^n for a whole n <= 0; 0 below the normal numbers.
  FLASHRING_EVERYWHERE static double power_of_two(double n) {
    const auto exponent = static_cast<std::int32_t>(n > -1023 ? n : -1023.0);
    const std::int64_t bits = static_cast<std::int64_t>(exponent + 1023) << 52;
    double power;
    __builtin_memcpy(&power, &bits, sizeof(power));
    return power;
  }
  static void merge(int pass, int columns, std::size_t rows, std::byte *into, const std::byte *from) {
    constexpr std::size_t some = 64;                           // rows whose two factors are kept while the words go by
    double *a = reinterpret_cast<double *>(into);              // (2 + c, rows)
    const double *b = reinterpret_cast<const double *>(from);  // (2 + c, rows)
    const std::size_t words = static_cast<std::size_t>(state_words(pass, columns));
    for (std::size_t first = 0; first < rows; first += some) {
      const std::size_t end = rows - first < some ? rows : first + some;
      double scale_a[some];
      double scale_b[some];
      for (std::size_t i = first; i < end; ++i) {
        const double m = a[i] > b[i] ? a[i] : b[i];
        scale_a[i - first] = power_of_two(a[i] - m);
        scale_b[i - first] = power_of_two(b[i] - m);
        a[i] = m;
      }
      for (std::size_t w = 1; w < words; ++w)
        for (std::size_t i = first; i < end; ++i)
          a[w * rows + i] = a[w * rows + i] * scale_a[i - first] + b[w * rows + i] * scale_b[i - first];
    }
  }
  static void finish(int columns, std::size_t rows, const std::byte *state, double *out) {
    const double *s = reinterpret_cast<const double *>(state);  // (2 + c, rows)
    for (std::size_t i = 0; i < rows; ++i) {
      const bool seen = s[rows + i] != 0;  // no number (an infinite l) stays none
      out[i] = seen ? (s[i] + __builtin_log2(s[rows + i])) * ln_of_2 : -__builtin_inf();
      for (std::size_t c = 0; c < static_cast<std::size_t>(columns); ++c)
        out[(1 + c) * rows + i] = seen ? s[(2 + c) * rows + i] / s[rows + i] : 0;
    }
  }
};
