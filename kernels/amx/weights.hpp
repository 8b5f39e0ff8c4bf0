// Panels of weights: products of features from the matrix unit, then the formula on vectors.
// No include guard: included once per instruction set inside HWY_NAMESPACE.

/// One direction of one tile pair: rows i receive from rows j. `transposed`: own and visiting have changed places.
struct Piece {
  const std::byte *receive, *give;  // payloads
  int receive_rows, give_rows;      // valid rows
  std::int64_t receive_first, give_first;
  const float *give_columns;     // (c, T)
  const float *give_scalars;     // (T), log weights, or null
  const float *receive_columns;  // (c, T), two-sided sums and gradients
  const float *receive_scalars;  // (2, T), gradients only
  double *receive_state;         // (words, T)
  double *give_state;            // (words, T), two-sided sums and gradients
  const Mask *mask;              // null: every pair counts
  bool transposed;
  const Turns *turns;
  Sides receiver() const { return transposed ? Sides::visiting : Sides::own; }
  Sides giver() const { return transposed ? Sides::own : Sides::visiting; }
};

/// Applies a formula to sums (groups, 32, 16): panel (32, 16 of panel_columns) = k or log2 k.
using Weigh = void (*)(const float *sums, const float *own_norms, const float *visiting_norms, const double *constants,
                       float *panel);

/// What stays the same for all pieces of a call.
struct Frame {
  const Unit *unit;
  Weigh weigh;
  float at_zero;  ///< k or log2 k of q = 0
  float hidden;   ///< what a mask leaves: 0, or minus infinity
  bool distances;
  PayloadLayout layout;
  Scratch at;
  std::byte *scratch;
  double constants[4];
  bool on_unit;  ///< columns are multiplied by the unit too

  float *reals(std::size_t offset) const { return reinterpret_cast<float *>(scratch + offset); }
  const float *norms(const std::byte *payload) const {
    return reinterpret_cast<const float *>(payload + layout.norms_at());
  }
};

/// q as a formula reads it: the inner product, or -q of a distance, which no rounding may make positive.
template <bool distances>
HWY_INLINE auto argument(Vec<float> product, Vec<float> norms) {
  const hn::ScalableTag<float> d;
  if constexpr (distances)
    return Negative<float>{hn::Min(hn::Add(product, norms), hn::Zero(d))};
  else
    return product;
}

template <PairKind kind, bool logarithm, class P, class Q>
HWY_INLINE Vec<float> apply_formula(Q q, const double *constants) {
  if constexpr (logarithm)
    return Formula<kind>::template log2_weight<Math<P, Q>>(q, constants);
  else
    return Formula<kind>::template weight<Math<P, Q>>(q, constants);
}

/// Sum of norms and products: the same bits when i and j change places, see groups().
template <PairKind kind, bool logarithm, class P>
HWY_NOINLINE void weigh_block(const float *sums, const float *own_norms, const float *visiting_norms,
                              const double *constants, float *panel) {
  constexpr bool distances = Formula<kind>::declaration.accumulate != Accumulate::inner;
  constexpr int group = 2 * unit_words;
  const hn::ScalableTag<float> d;
  const int lanes = static_cast<int>(hn::Lanes(d));
  for (int l = 0; l < unit_rows; l += lanes) {
    const Vec<float> visiting = distances ? hn::LoadU(d, visiting_norms + l) : hn::Zero(d);
    for (int r = 0; r < panel_rows; ++r) {
      const float *at = sums + r * unit_rows + l;
      Vec<float> product = hn::LoadU(d, at);
      if constexpr ((terms_in<P>) > 1)
        product = hn::Add(product, hn::Add(hn::LoadU(d, at + group), hn::LoadU(d, at + 2 * group)));
      const auto q = argument<distances>(product, hn::Add(hn::Set(d, distances ? own_norms[r] : 0), visiting));
      hn::StoreU(apply_formula<kind, logarithm, P>(q, constants), d, panel + r * panel_columns + l);
    }
  }
}

/// k or log2 k where two points are one.
template <PairKind kind>
float weight_at_zero(bool logarithm, const double *constants) {
  return static_cast<float>(logarithm ? Formula<kind>::template log2_weight<ScalarMath>(0, constants)
                                      : Formula<kind>::template weight<ScalarMath>(0, constants));
}

/// Marks the rows of the receiver whose number is that of a giving row with the same features. Numbers alone do not say
/// that two points are one: the rows of two different sets are both counted from 0.
inline void find_same_points(const Frame &f, const Piece &p) {
  auto *same = reinterpret_cast<std::uint8_t *>(f.scratch + f.at.same);  // (T)
  std::memset(same, 0, tile_rows);
  const std::int64_t shift = p.receive_first - p.give_first;
  if (!f.distances || shift <= -tile_rows || shift >= tile_rows) return;
  for (int i = 0; i < p.receive_rows; ++i) {
    const std::int64_t j = i + shift;
    if (j >= 0 && j < p.give_rows) same[i] = same_row(f.layout, p.receive, i, p.give, static_cast<int>(j)) ? 1 : 0;
  }
}

/// Sets k(x,x), which the rounding of products would miss.
inline void set_same_points(const Frame &f, const Piece &p, int i0, int j0, int width, float *panel) {
  const std::int64_t shift = p.receive_first - p.give_first;
  if (!f.distances || shift <= -tile_rows || shift >= tile_rows) return;
  const auto *same = reinterpret_cast<const std::uint8_t *>(f.scratch + f.at.same);
  for (int r = 0; r < panel_rows; ++r) {
    const std::int64_t j = i0 + r + shift - j0;
    if (same[i0 + r] != 0 && j >= 0 && j < width) panel[r * panel_columns + j] = f.at_zero;
  }
}

inline void hide_masked(const Frame &f, const Piece &p, int i0, int j0, int width, float *panel) {
  if (p.mask == nullptr) return;
  for (int r = 0; r < panel_rows; ++r)
    for (int j = 0; j < width; ++j) {
      const std::int64_t receive = p.receive_first + i0 + r;
      const std::int64_t give = p.give_first + j0 + j;
      if (!(p.transposed ? visible(*p.mask, give, receive) : visible(*p.mask, receive, give)))
        panel[r * panel_columns + j] = f.hidden;
    }
}

/// Weights of receiving rows [i0, i0 + 32) and giving rows [j0, j0 + width), width a multiple of 32.
inline void fill_panel(const Frame &f, const Piece &p, int i0, int j0, int width) {
  float *panel = f.reals(f.at.panel);
  const std::size_t block = f.layout.block_bytes();
  const Operand left{p.receive + block * static_cast<std::size_t>(i0 / unit_rows), block, 2};
  for (int j = 0; j < width; j += unit_rows) {
    const std::byte *columns = p.give + f.layout.columns_at() + block * static_cast<std::size_t>((j0 + j) / unit_rows);
    f.unit->features(left, {columns, block, 1}, f.layout.chunks, f.layout.terms, f.reals(f.at.sums));
    f.weigh(f.reals(f.at.sums), f.norms(p.receive) + i0, f.norms(p.give) + j0 + j, f.constants, panel + j);
  }
  set_same_points(f, p, i0, j0, width, panel);
  hide_masked(f, p, i0, j0, width, panel);
}
