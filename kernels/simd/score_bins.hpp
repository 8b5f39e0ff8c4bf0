// The row rule score_bins: receiving rows in lanes, a panel of scores in L1. No include guard: included once per
// instruction set inside HWY_NAMESPACE.
//
// A panel first gives the largest score of every row, so that its counts are made against a k_max that holds for the
// whole panel. Receiving rows are lanes, so each lane has a histogram of its own in registers: counters of 8 bits, as
// many in a lane as it has bytes. A score adds 1, moved to its counter, to the register that has it: some 6 operations
// and two for each register, where comparing with all edges would take two for each bin. No scatter. Where k_max rises
// the counts move by whole bins.

/// Registers of counters at the same time: 36 bins in fp32 (20 where registers are few), twice as many in fp64.
constexpr int words_at_once = many_registers ? 9 : 5;

template <class T>
struct BinScratch {
  using Count = hn::TFromD<hn::RebindToUnsigned<hn::ScalableTag<T>>>;
  T *panel;       // (panel_rows, stride)
  T *shift;       // (T) log weights of the giving rows times log2 e
  T *top;         // (2, stride) m, k_max
  Count *counts;  // (B + 1, stride)
  double *tile;   // (3 + B, T)
};

template <class T>
HWY_INLINE BinScratch<T> cut_bin_scratch(std::byte *scratch, int bins) {
  const int stride = panel_stride<T>();
  BinScratch<T> s;
  s.panel = reinterpret_cast<T *>(scratch);
  s.shift = s.panel + panel_rows * stride;
  s.top = s.shift + tile_rows;
  s.counts = reinterpret_cast<typename BinScratch<T>::Count *>(s.top + 2 * stride);
  s.tile = reinterpret_cast<double *>(s.counts + (bins + 1) * stride);  // whole cache lines before
  return s;
}

/// The panel becomes v = f l; m and k_max of its rows rise, and with k_max their counts.
template <class T>
HWY_NOINLINE void raise_tops(const BinScratch<T> &s, int count, const T *shift, const T *factor, int bins) {
  constexpr int NA = vectors<T>();
  const hn::ScalableTag<T> d;
  const int lanes = static_cast<int>(hn::Lanes(d));
  const int stride = NA * lanes;
  for (int a = 0; a < NA; ++a) {
    const Vec<T> f = hn::LoadU(d, factor + a * lanes);
    Vec<T> top = hn::Load(d, s.top + a * lanes);
    for (int j = 0; j < count; ++j) {
      T *at = s.panel + (j * NA + a) * lanes;
      const Vec<T> l = hn::Add(hn::Load(d, at), hn::Set(d, shift[j]));
      top = hn::Max(top, l);
      hn::Store(hn::Mul(l, f), d, at);
    }
    hn::Store(top, d, s.top + a * lanes);
    T *const k_at = s.top + stride + a * lanes;
    const Vec<T> before = hn::Load(d, k_at);
    const Vec<T> k = hn::Max(before, hn::Floor(hn::Mul(top, f)));
    hn::Store(k, d, k_at);
    if (hn::AllTrue(d, hn::Eq(k, before))) continue;
    alignas(64) T rise[64 / sizeof(T)];
    hn::Store(hn::Sub(k, before), d, rise);
    for (int l = 0; l < lanes; ++l) {
      auto *const counts = s.counts + a * lanes + l;
      const int by = rise[l] < T(bins + 1) ? static_cast<int>(rise[l]) : bins + 1;
      for (int b = bins; by > 0 && b >= 0; --b) counts[b * stride] = b >= by ? counts[(b - by) * stride] : 0;
    }
  }
}

/// Adds a panel of v to the counts. A vector of unsigned numbers of T's size holds as many counters of 8 bits in each
/// lane as it has bytes: a panel's counts fit. Eight times the number of a bin, 0 for the top one, is added to 2^23
/// (2^52): its low bits are then the place of the counter in bits, those above tell the register, and what is too large
/// or infinite has no register.
template <class T>
HWY_INLINE void count_bins(const BinScratch<T> &s, int count, int bins) {
  constexpr int NA = vectors<T>();
  constexpr int fields = sizeof(T);
  constexpr int word_bits = fields == 4 ? 5 : 6;
  static_assert(panel_rows < 256);
  const hn::ScalableTag<T> d;
  const hn::RebindToUnsigned<decltype(d)> du;
  const Vec<T> unit = hn::Set(d, T(sizeof(T) == 4 ? 0x1p23 : 0x1p52));
  const int lanes = static_cast<int>(hn::Lanes(d));
  const int stride = NA * lanes;
  const auto one = hn::Set(du, 1);
  const auto first_word = hn::ShiftRight<word_bits>(hn::BitCast(du, unit));
  for (int a = 0; a < NA; ++a)
    for (int w0 = 0; w0 * fields <= bins; w0 += words_at_once) {
      const Vec<T> k = hn::Load(d, s.top + stride + a * lanes);
      hn::Vec<decltype(du)> sum[words_at_once], word[words_at_once];
#pragma GCC unroll 9
      for (int w = 0; w < words_at_once; ++w) {
        sum[w] = hn::Zero(du);
        word[w] = hn::Add(first_word, hn::Set(du, static_cast<hn::TFromD<decltype(du)>>(w0 + w)));
      }
      for (int j = 0; j < count; ++j) {
        const Vec<T> v = hn::Load(d, s.panel + (j * NA + a) * lanes);
        const auto place = hn::BitCast(du, hn::MulAdd(hn::Sub(k, hn::Floor(v)), hn::Set(d, T(8)), unit));
        const auto add = hn::Shl(one, hn::And(place, hn::Set(du, 8 * (fields - 1))));
        const auto at = hn::ShiftRight<word_bits>(place);
#pragma GCC unroll 9
        for (int w = 0; w < words_at_once; ++w)
          sum[w] = hn::IfThenElse(hn::Eq(at, word[w]), hn::Add(sum[w], add), sum[w]);
      }
      for (int w = 0; w < words_at_once; ++w)
        for (int n = 0; n < fields && (w0 + w) * fields + n <= bins; ++n) {
          auto *to = s.counts + ((w0 + w) * fields + n) * stride + a * lanes;
          const auto more = hn::And(hn::ShiftRightSame(sum[w], 8 * n), hn::Set(du, 255));
          hn::Store(hn::Add(hn::Load(du, to), more), du, to);
        }
    }
}

/// Rows [i, i + rows) of the state of the tile from what was gathered for them.
template <class T>
HWY_INLINE void collect_bins(const BinScratch<T> &s, int i, int rows, int bins) {
  using R = Rule<RowKind::score_bins>;
  const int stride = panel_stride<T>();
  for (int l = 0; l < rows; ++l) {
    const bool seen = s.top[l] > -std::numeric_limits<T>::infinity();
    double *const at = s.tile + i + l;
    at[0] = seen ? s.top[l] : R::lowest;
    at[tile_rows] = seen ? s.top[stride + l] : R::lowest;
    for (int b = 0; b <= bins; ++b) at[(2 + b) * tile_rows] = static_cast<double>(s.counts[b * stride + l]);
  }
}

template <class T>
HWY_NOINLINE void score_bins(const Piece<T> &p, FillPanel<T> fill) {
  using R = Rule<RowKind::score_bins>;
  const int bins = p.columns;
  const int stride = panel_stride<T>();
  const BinScratch<T> s = cut_bin_scratch<T>(p.scratch, bins);
  spread_log_weights<T>(p, s.shift);
  R::identity(0, bins, tile_rows, reinterpret_cast<std::byte *>(s.tile));
  constexpr T lowest = sizeof(T) == 4 ? T(-1e38) : T(R::lowest);
  for (int i = 0; i < p.receive_rows; i += stride) {
    for (int l = 0; l < stride; ++l) {
      s.top[l] = -std::numeric_limits<T>::infinity();
      s.top[stride + l] = lowest;
    }
    std::memset(s.counts, 0, sizeof(*s.counts) * static_cast<std::size_t>((bins + 1) * stride));
    for (int j0 = 0; j0 < p.give_rows; j0 += panel_rows) {
      const int count = std::min(panel_rows, p.give_rows - j0);
      fill(p, i, j0, count, s.panel);
      raise_tops<T>(s, count, s.shift + j0, p.receive_scalars + i, bins);
      count_bins<T>(s, count, bins);
    }
    collect_bins<T>(s, i, std::min(stride, p.receive_rows - i), bins);
  }
  p.turns->in_turn(p.receiver(), [&] {
    for (int i = 0; p.touched != nullptr && i < p.receive_rows; ++i) {
      const double f = p.receive_scalars[i];
      if (s.tile[i] > R::lowest && R::near_top(f * s.tile[i], f * p.receive_state[i], bins)) *p.touched = 1;
    }
    R::merge(0, bins, tile_rows, reinterpret_cast<std::byte *>(p.receive_state),
             reinterpret_cast<const std::byte *>(s.tile));
  });
}
