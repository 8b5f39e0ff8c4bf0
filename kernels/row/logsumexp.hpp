// With l_ij = ln k_ij + g_j (g: per-pass scalar of the other side, natural logarithm):
//   lse_i = ln sum_j exp(l_ij),  o_i = sum_j exp(l_ij - lse_i) v_j
// State (words, rows) in fp64: m = running maximum of l log2 e, s = sum 2^(l log2 e - m), and c sums of v with the same
// weights. The identity's maximum is finite (-1e300) so that no difference of infinities arises; a row that saw no
// finite l keeps s = 0. Finish: (lse, o_1 ... o_c). Source: Milakov, Gimelshein, arXiv:1805.02867.
template <>
struct Rule<RowKind::logsumexp> {
  static constexpr const char *name = "logsumexp";
  static constexpr int passes = 1;
  static constexpr int scalars = 1;
  static constexpr double lowest = -1e300;

  static int state_words(int /*pass*/, int columns) { return 2 + columns; }
  static int outputs(int columns) { return 1 + columns; }

  static void identity(int pass, int columns, std::size_t rows, std::byte *state) {
    double *s = reinterpret_cast<double *>(state);  // (2 + c, rows)
    const std::size_t words = static_cast<std::size_t>(state_words(pass, columns));
    for (std::size_t i = 0; i < words * rows; ++i) s[i] = i < rows ? lowest : 0;
  }
  static void merge(int pass, int columns, std::size_t rows, std::byte *into, const std::byte *from) {
    double *a = reinterpret_cast<double *>(into);              // (2 + c, rows)
    const double *b = reinterpret_cast<const double *>(from);  // (2 + c, rows)
    const std::size_t words = static_cast<std::size_t>(state_words(pass, columns));
    for (std::size_t i = 0; i < rows; ++i) {
      const double m = a[i] > b[i] ? a[i] : b[i];
      const double scale_a = __builtin_exp2(a[i] - m);
      const double scale_b = __builtin_exp2(b[i] - m);
      a[i] = m;
      for (std::size_t w = 1; w < words; ++w) a[w * rows + i] = a[w * rows + i] * scale_a + b[w * rows + i] * scale_b;
    }
  }
  static void finish(int columns, std::size_t rows, const std::byte *state, double *out) {
    const double *s = reinterpret_cast<const double *>(state);  // (2 + c, rows)
    for (std::size_t i = 0; i < rows; ++i) {
      const bool seen = s[rows + i] > 0;
      out[i] = seen ? (s[i] + __builtin_log2(s[rows + i])) * ln_of_2 : -__builtin_inf();
      for (std::size_t c = 0; c < static_cast<std::size_t>(columns); ++c)
        out[(1 + c) * rows + i] = seen ? s[(2 + c) * rows + i] / s[rows + i] : 0;
    }
  }
};
