// The row rule slope: panels of logarithms, then powers of the weights, each from one multiplication.
// No include guard: included once per instruction set inside HWY_NAMESPACE.
//
// Only totals have a meaning, so a panel is a row of vectors that all go into the same sums, in registers, `block`
// candidates at a time. Operations of a pair of points and a block: an exponential, and for each candidate a product,
// an addition and a multiply-add; a pair that serves both sides counts twice. Sums in the working precision have 256
// terms, as those of rows of a tile have. The first row of the receiving tile takes them all.

/// What makes the powers of a pair that is not there 0, and their products with it too.
constexpr double no_logarithm = -1e30;

/// Sums over a panel of `count` rows of logarithms, of `powers` candidates from `first` on: (powers, lanes) of S, then
/// of L. The vectors of a row go step by step, so that several exponentials are under way. A whole block may stand
/// behind others: its logarithms are scaled.
template <int degree, int powers, class T>
HWY_NOINLINE void add_powers(const T *panel, int count, int first, T *sums) {
  constexpr int NA = vectors<T>();
  constexpr bool scaled = powers == Rule<RowKind::slope>::block;
  const hn::ScalableTag<T> d;
  const int lanes = static_cast<int>(hn::Lanes(d));
  const Vec<T> scale = hn::Set(d, static_cast<T>(slope_power(first) / 2));
  Vec<T> sum[powers], product[powers];
#pragma GCC unroll 6
  for (int l = 0; l < powers; ++l) sum[l] = product[l] = hn::Zero(d);
  for (int j = 0; j < count; ++j) {
    Vec<T> logarithm[NA], power[NA][powers];
#pragma GCC unroll 8
    for (int a = 0; a < NA; ++a) {
      logarithm[a] = hn::Load(d, panel + (j * NA + a) * lanes);
      const Vec<T> root = exp2_vector<degree, T>(scaled ? hn::Mul(logarithm[a], scale) : logarithm[a]);
      power[a][0] = hn::Mul(root, root);
      power[a][1] = hn::Mul(power[a][0], root);
    }
#pragma GCC unroll 6
    for (int l = 0; l < powers; ++l)
#pragma GCC unroll 8
      for (int a = 0; a < NA; ++a) {
        if (l > 1) power[a][l] = hn::Mul(power[a][l - 2], power[a][l - 2]);
        sum[l] = hn::Add(sum[l], power[a][l]);
        product[l] = hn::NegMulAdd(power[a][l], logarithm[a], product[l]);
      }
  }
#pragma GCC unroll 6
  for (int l = 0; l < powers; ++l) {
    hn::Store(sum[l], d, sums + l * lanes);
    hn::Store(product[l], d, sums + (powers + l) * lanes);
  }
}

/// The sums of a panel, `powers` candidates from `first` on, into (2c, lanes) totals. Candidates beyond the last one
/// are dropped.
template <int degree, int powers, class T>
HWY_INLINE void add_block(const T *panel, int count, int first, int columns, double *totals) {
  const int lanes = static_cast<int>(hn::Lanes(hn::ScalableTag<T>()));
  alignas(64) T sums[2 * powers * 64 / sizeof(T)];  // (2, powers, lanes)
  add_powers<degree, powers, T>(panel, count, first, sums);
  const int words = std::min(powers, columns - first) * lanes;
  for (int half = 0; half < 2; ++half)
    for (int w = 0; w < words; ++w) totals[(half * columns + first) * lanes + w] += sums[half * powers * lanes + w];
}

/// Both sides of a pair of tiles, or the one that receives.
template <class Kernel, class T = typename Kernel::T>
HWY_NOINLINE void slope_sums(const Piece<T> &p, bool both_sides) {
  constexpr int block = Rule<RowKind::slope>::block;
  constexpr int degree = Kernel::Precision::degree;
  const int lanes = static_cast<int>(hn::Lanes(hn::ScalableTag<T>()));
  const int stride = panel_stride<T>();
  T *panel = reinterpret_cast<T *>(p.scratch);                               // (panel_rows, stride)
  double *totals = reinterpret_cast<double *>(panel + panel_rows * stride);  // (2c, lanes)
  std::fill_n(totals, 2 * p.columns * lanes, 0.0);
  for (int j0 = 0; j0 < p.give_rows; j0 += panel_rows) {
    const int count = std::min(panel_rows, p.give_rows - j0);
    for (int i = 0; i < p.receive_rows; i += stride) {
      fill_panel<Kernel, true, T>(p, i, j0, count, panel);
      for (int l = p.receive_rows - i; l < stride; ++l)  // a ragged tile
        for (int j = 0; j < count; ++j) panel[j * stride + l] = static_cast<T>(no_logarithm);
      if (p.columns < block) {
        add_block<degree, block - 1, T>(panel, count, 0, p.columns, totals);
        continue;
      }
      for (int first = 0; first < p.columns; first += block)
        add_block<degree, block, T>(panel, count, first, p.columns, totals);
    }
  }
  p.turns->in_turn(p.receiver(), [&] {
    for (int w = 0; w < 2 * p.columns; ++w)
      for (int l = 0; l < lanes; ++l) p.receive_state[w * tile_rows] += (both_sides ? 2 : 1) * totals[w * lanes + l];
  });
  if (both_sides) p.turns->in_turn(p.giver(), [] {});
}
