// The row rule slope: panels of logarithms, then powers of the weights, each from one multiplication.
// No include guard: included once per instruction set inside HWY_NAMESPACE.
//
// Receiving rows lie in lanes. Of a vector of them, `block` candidates at a time go over the panel with their sums in
// registers. Operations of a pair of points and a block: an exponential, a product, an addition and a multiply-add for
// each candidate. A pair that serves both sides counts twice on the side that receives, so that no sum goes to the
// other.

/// Candidates from `first` on, for one vector of receiving rows. panel: (count, stride), log2 k, at the first lane;
/// sums: (2c, T), at the first lane; `fresh`: nothing is there yet. Candidates beyond the last one are dropped.
template <int degree, class T>
HWY_NOINLINE void add_powers(const T *panel, int count, int stride, int first, int columns, bool fresh, T *sums) {
  using R = Rule<RowKind::slope>;
  const hn::ScalableTag<T> d;
  const Vec<T> scale = hn::Set(d, static_cast<T>(slope_power(first) / 2));
  Vec<T> sum[R::block], product[R::block];
#pragma GCC unroll 6
  for (int l = 0; l < R::block; ++l) sum[l] = product[l] = hn::Zero(d);
  for (int j = 0; j < count; ++j) {
    const Vec<T> logarithm = hn::LoadU(d, panel + j * stride);
    const Vec<T> root = exp2_vector<degree, T>(first == 0 ? logarithm : hn::Mul(logarithm, scale));
    Vec<T> power[R::block];
    power[0] = hn::Mul(root, root);
    power[1] = hn::Mul(power[0], root);
#pragma GCC unroll 6
    for (int l = 2; l < R::block; ++l) power[l] = hn::Mul(power[l - 2], power[l - 2]);
#pragma GCC unroll 6
    for (int l = 0; l < R::block; ++l) {
      sum[l] = hn::Add(sum[l], power[l]);
      product[l] = hn::NegMulAdd(power[l], logarithm, product[l]);
    }
  }
#pragma GCC unroll 6
  for (int l = 0; l < R::block; ++l) {
    if (first + l >= columns) break;
    T *at = sums + (first + l) * tile_rows;
    hn::StoreU(fresh ? sum[l] : hn::Add(hn::LoadU(d, at), sum[l]), d, at);
    at += columns * tile_rows;
    hn::StoreU(fresh ? product[l] : hn::Add(hn::LoadU(d, at), product[l]), d, at);
  }
}

/// Both sides of a pair of tiles, or the one that receives.
template <class Kernel, class T = typename Kernel::T>
HWY_NOINLINE void slope_sums(const Piece<T> &p, bool both_sides) {
  const int lanes = static_cast<int>(hn::Lanes(hn::ScalableTag<T>()));
  const int stride = panel_stride<T>();
  T *panel = reinterpret_cast<T *>(p.scratch);  // (panel_rows, stride)
  T *sums = panel + panel_rows * stride;        // (2c, T)
  for (int j0 = 0; j0 < p.give_rows; j0 += panel_rows) {
    const int count = std::min(panel_rows, p.give_rows - j0);
    for (int i = 0; i < p.receive_rows; i += stride) {
      fill_panel<Kernel, true, T>(p, i, j0, count, panel);
      for (int l = 0; l < std::min(stride, p.receive_rows - i); l += lanes)
        for (int first = 0; first < p.columns; first += Rule<RowKind::slope>::block)
          add_powers<Kernel::Precision::degree, T>(panel + l, count, stride, first, p.columns, j0 == 0, sums + i + l);
    }
  }
  const double times = both_sides ? 2 : 1;
  p.turns->in_turn(p.receiver(), [&] {
    for (int w = 0; w < 2 * p.columns; ++w)
      for (int i = 0; i < p.receive_rows; ++i) p.receive_state[w * tile_rows + i] += times * sums[w * tile_rows + i];
  });
  if (both_sides) p.turns->in_turn(p.giver(), [] {});
}
