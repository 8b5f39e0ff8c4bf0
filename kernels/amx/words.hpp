// fp32 vectors to bf16 words for the matrix unit: weights and column values.
// No include guard: included once per instruction set inside HWY_NAMESPACE.
//
// A word of the unit is a pair of numbers that are summed over. Any pairing will do when both operands share it: number
// r of a chunk of 32 rows goes with number r + 16, so that words are made lane by lane.

using Words = hn::Vec<hn::ScalableTag<std::uint32_t>>;

/// bf16 terms of a precision.
template <class P>
constexpr int terms_in = P::short_products ? 1 : split_terms;

/// Bits of the nearest bf16 number in the upper half, ties away from 0: one operation less than ties to even, and ties
/// are one in 2^15. Three terms leave nothing, so the third is taken as it is.
template <int term>
HWY_INLINE Words rounded(Vec<float> x) {
  const hn::ScalableTag<std::uint32_t> d;
  const Words bits = hn::BitCast(d, x);
  if constexpr (term + 1 == split_terms) return bits;
  return hn::And(hn::Add(bits, hn::Set(d, 0x8000U)), hn::Set(d, 0xffff0000U));
}

/// Words of rows whose bits are `low` and `high`.
HWY_INLINE Words pair_up(Words low, Words high) {
  const hn::ScalableTag<std::uint32_t> d;
  return hn::Or(hn::ShiftRight<16>(low), hn::And(high, hn::Set(d, 0xffff0000U)));
}

HWY_INLINE Vec<float> without(Vec<float> x, Words part) {
  return hn::Sub(x, hn::BitCast(hn::ScalableTag<float>(), part));
}

/// Word (row, n) of register number `index`.
HWY_INLINE std::uint32_t *word_at(std::byte *registers_at, int index, int row, int n) {
  return reinterpret_cast<std::uint32_t *>(registers_at) + index * unit_words + row * unit_rows + n;
}

/// Terms `term`.. of the words (low, high), the later ones in the registers after `at`.
template <int term, int terms>
HWY_INLINE void store_words(Vec<float> low, Vec<float> high, std::uint32_t *at) {
  const hn::ScalableTag<std::uint32_t> d;
  const Words a = rounded<term>(low);
  const Words b = rounded<term>(high);
  hn::StoreU(pair_up(a, b), d, at);
  if constexpr (term + 1 < terms) store_words<term + 1, terms>(without(low, a), without(high, b), at + unit_words);
}

/// Columns (c, T) of rows [0, rows) as left operand: word (column, l) of a chunk = rows l and l + 16. Columns beyond c
/// repeat the last one; what they give is not read.
template <class P>
HWY_NOINLINE void pack_left_columns(const float *x, int columns, int rows, std::byte *to) {
  constexpr int terms = terms_in<P>;
  const hn::ScalableTag<float> d;
  const int lanes = static_cast<int>(hn::Lanes(d));
  for (int c = 0; c < padded_columns(columns); ++c) {
    const float *from = x + (c < columns ? c : columns - 1) * tile_rows;
    for (int i = 0; i < rows; i += chunk) {
      const int index = (c / unit_rows * (tile_rows / chunk) + i / chunk) * terms;
      for (int l = 0; l < unit_rows; l += lanes)
        store_words<0, terms>(hn::LoadU(d, from + i + l), hn::LoadU(d, from + i + unit_rows + l),
                              word_at(to, index, c % unit_rows, l));
    }
  }
}

/// The same as right operand: word (l, column) of a chunk = rows l and l + 16.
template <class P>
HWY_NOINLINE void pack_right_columns(const float *x, int columns, int rows, std::byte *to) {
  constexpr int terms = terms_in<P>;
  const hn::ScalableTag<float> d;
  const hn::ScalableTag<std::int32_t> di;
  const int lanes = static_cast<int>(hn::Lanes(d));
  for (int c = 0; c < padded_columns(columns); c += lanes) {
    const auto column = hn::Min(hn::Iota(di, c), hn::Set(di, columns - 1));
    const auto at = hn::Mul(column, hn::Set(di, tile_rows));
    for (int j = 0; j < rows; j += chunk) {
      const int index = (c / unit_rows * (tile_rows / chunk) + j / chunk) * terms;
      for (int l = 0; l < unit_rows; ++l)
        store_words<0, terms>(hn::GatherIndex(d, x + j + l, at), hn::GatherIndex(d, x + j + unit_rows + l, at),
                              word_at(to, index, l, c % unit_rows));
    }
  }
}

/// Columns (c, T) of rows [0, rows) as left operand of products that are summed over columns: word (row, l) of a chunk
/// of 32 columns = columns l and l + 16. Columns beyond c repeat the last one; the right operand has zeros there.
template <class P>
HWY_NOINLINE void pack_left_rows(const float *x, int columns, int rows, std::byte *to) {
  constexpr int terms = terms_in<P>;
  const hn::ScalableTag<float> d;
  const hn::ScalableTag<std::int32_t> di;
  const int lanes = static_cast<int>(hn::Lanes(d));
  const int chunks = column_chunks(columns);
  const auto places = [&](int first) {
    return hn::Mul(hn::Min(hn::Iota(di, first), hn::Set(di, columns - 1)), hn::Set(di, tile_rows));
  };
  for (int n = 0; n < chunks; ++n)
    for (int l = 0; l < unit_rows; l += lanes) {
      const auto low = places(n * chunk + l);
      const auto high = places(n * chunk + unit_rows + l);
      for (int i = 0; i < rows; ++i)
        store_words<0, terms>(hn::GatherIndex(d, x + i, low), hn::GatherIndex(d, x + i, high),
                              word_at(to, (i / unit_rows * chunks + n) * terms, i % unit_rows, l));
    }
}

/// The same as right operand: word (l, row) of a chunk = columns l and l + 16, zeros beyond c.
template <class P>
HWY_NOINLINE void pack_right_rows(const float *x, int columns, int rows, std::byte *to) {
  constexpr int terms = terms_in<P>;
  const hn::ScalableTag<float> d;
  const int lanes = static_cast<int>(hn::Lanes(d));
  const int chunks = column_chunks(columns);
  const auto load = [&](int column, int row) {
    return column < columns ? hn::LoadU(d, x + column * tile_rows + row) : hn::Zero(d);
  };
  for (int n = 0; n < chunks; ++n)
    for (int l = 0; l < unit_rows; ++l)
      for (int j = 0; j < rows; j += lanes)
        store_words<0, terms>(load(n * chunk + l, j), load(n * chunk + unit_rows + l, j),
                              word_at(to, (j / unit_rows * chunks + n) * terms, l, j % unit_rows));
}

/// Four vectors of weights, rows p and p + 16, columns l and l + 16 of a chunk, term by term into the operands.
template <int term, int terms, bool to_left, bool to_right>
HWY_INLINE void store_weights(Vec<float> (&w)[2][2], std::uint32_t *(&left)[2], std::uint32_t *(&right)[2]) {
  const hn::ScalableTag<std::uint32_t> d;
  Words bits[2][2];
  for (int r = 0; r < 2; ++r)
    for (int c = 0; c < 2; ++c) bits[r][c] = rounded<term>(w[r][c]);
  if constexpr (to_left)
    for (int r = 0; r < 2; ++r) hn::StoreU(pair_up(bits[r][0], bits[r][1]), d, left[r] + term * unit_words);
  if constexpr (to_right)
    for (int c = 0; c < 2; ++c) hn::StoreU(pair_up(bits[0][c], bits[1][c]), d, right[c] + term * unit_words);
  if constexpr (term + 1 < terms) {
    for (int r = 0; r < 2; ++r)
      for (int c = 0; c < 2; ++c) w[r][c] = without(w[r][c], bits[r][c]);
    store_weights<term + 1, terms, to_left, to_right>(w, left, right);
  }
}

/// A panel (32, panel_columns) of weights as left operand (2 blocks, width / 32 chunks) of the receiver's sums, and as
/// right operand (width / 16 blocks, 1 chunk) of the giver's.
template <class P, bool to_left, bool to_right>
HWY_NOINLINE void pack_weights(const float *panel, int width, std::byte *left, std::byte *right) {
  constexpr int terms = terms_in<P>;
  constexpr int most_chunks = panel_columns / chunk;
  const hn::ScalableTag<float> d;
  const int lanes = static_cast<int>(hn::Lanes(d));
  for (int p = 0; p < unit_rows; ++p)
    for (int j = 0; j < width; j += chunk)
      for (int l = 0; l < unit_rows; l += lanes) {
        const float *at = panel + p * panel_columns + j + l;
        const float *below = at + unit_rows * panel_columns;
        Vec<float> w[2][2] = {{hn::LoadU(d, at), hn::LoadU(d, at + unit_rows)},
                              {hn::LoadU(d, below), hn::LoadU(d, below + unit_rows)}};
        std::uint32_t *lefts[2] = {word_at(left, j / chunk * terms, p, l),
                                   word_at(left, (most_chunks + j / chunk) * terms, p, l)};
        std::uint32_t *rights[2] = {word_at(right, j / unit_rows * terms, p, l),
                                    word_at(right, (j / unit_rows + 1) * terms, p, l)};
        store_weights<0, terms, to_left, to_right>(w, lefts, rights);
      }
}
