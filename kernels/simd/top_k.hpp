// The row rule top_k: a vector of distances is held against the last places of the lists, and scalar code takes in what
// enters. No include guard: included once per instruction set inside HWY_NAMESPACE.
//
// A pair of tiles serves both its sides: of 4 visiting rows and `vectors` vectors of own rows the largest -q of each
// own row is compared with the bound of its list, and that of each visiting row with the bound of its own: two
// operations for a vector of pairs beside its differences. A row takes in some k (1 + ln(N / k)) of its N pairs in no
// order of distance, half of them from the first tile it meets, for which groups of that tile's rows give a first
// bound. A tile with itself comes first, so that rows in spatial order have their neighbours at once. Lists are read
// and written in the turns of both sides: what is taken in depends on no thread, and the answer on no order at all.

/// The lists of one side of a tile pair while it receives.
template <class T>
struct Lists {
  using R = Rule<RowKind::top_k>;
  double *state;  // (2 k T), null where the side does not receive
  T *least;       // (T) a pair enters the list of a row when its -q is at least this
  int k, rows;
  std::int64_t first, other;  // rows of this tile and of the other one

  /// For a row `next` of the other tile, and rows behind it: at equal q the lower row is before the higher.
  T bound(int i, std::int64_t next) const {
    const T q = static_cast<T>(state[i]);
    const bool strict = R::row_at(state + tile_rows + i) <= next;
    if (q == 0) return strict ? 1 : 0;
    // The next number below q: of positive numbers the one whose bits are one less.
    std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t> bits;
    std::memcpy(&bits, &q, sizeof(bits));
    bits -= strict ? 1 : 0;
    T least_q;
    std::memcpy(&least_q, &bits, sizeof(bits));
    return -least_q;
  }
  bool receives() const { return state != nullptr; }
  /// Nobody has met a row of the tile yet.
  bool empty() const { return R::row_at(state + tile_rows) == R::no_row; }
  /// No pair enters a row of the padding, or of a side that does not receive.
  void start() {
    for (int i = 0; i < tile_rows; ++i)
      least[i] = receives() && i < rows ? bound(i, other) : std::numeric_limits<T>::infinity();
  }
  void take(int i, T negative_q, int j) {
    if (!(negative_q >= least[i])) return;
    R::insert(R::list_of(state, tile_rows, static_cast<std::size_t>(i), k), -static_cast<double>(negative_q),
              other + j);
    least[i] = std::max(least[i], bound(i, other + j));
  }
};

/// Largest -q of each of the first tile's rows and of groups of the other's: where each of k + 1 groups has a row that
/// is no farther than q, k others are not, whichever of them is the row itself.
template <class T>
HWY_NOINLINE void bound_by_groups(const Payload<T> &x, const Payload<T> &y, int other_rows, Lists<T> lists) {
  constexpr int NA = vectors<T>();
  const hn::ScalableTag<T> d;
  const int lanes = static_cast<int>(hn::Lanes(d));
  const int groups = lists.k + 1;
  const int blocks = other_rows / visiting_rows;
  if (blocks < groups) return;
  for (int i = 0; i < lists.rows; i += NA * lanes) {
    Vec<T> bound[NA];
#pragma GCC unroll 8
    for (int a = 0; a < NA; ++a) bound[a] = hn::Zero(d);
    for (int g = 0; g < groups; ++g) {
      Vec<T> nearest[NA];
#pragma GCC unroll 8
      for (int a = 0; a < NA; ++a) nearest[a] = hn::Set(d, -std::numeric_limits<T>::infinity());
      for (int j = g * blocks / groups; j < (g + 1) * blocks / groups; ++j) {
        Vec<T> q[NA][visiting_rows];
        accumulate<Sum::differences, T>(x, y, i, j * visiting_rows, q);
#pragma GCC unroll 4
        for (int b = 0; b < visiting_rows; ++b)
#pragma GCC unroll 8
          for (int a = 0; a < NA; ++a) nearest[a] = hn::Max(nearest[a], q[a][b]);
      }
#pragma GCC unroll 8
      for (int a = 0; a < NA; ++a) bound[a] = hn::Min(bound[a], nearest[a]);
    }
    alignas(64) T least[64 / sizeof(T)];
    for (int a = 0; a < NA; ++a) {
      hn::Store(bound[a], d, least);
      for (int l = 0; l < lanes && i + a * lanes + l < lists.rows; ++l) {
        T &of_row = lists.least[i + a * lanes + l];
        of_row = std::max(of_row, least[l]);
      }
    }
  }
}

/// -q of own rows from i on and visiting rows from j on, (vectors, visiting_rows, lanes).
template <class T>
struct Block {
  const T *negative_q;
  int i, j;
};

template <class T>
HWY_INLINE std::uint64_t entering(Vec<T> negative_q, Vec<T> least) {
  alignas(8) std::uint8_t bytes[8] = {};
  hn::StoreMaskBits(hn::ScalableTag<T>(), hn::Ge(negative_q, least), bytes);
  std::uint64_t bits;
  std::memcpy(&bits, bytes, sizeof(bits));
  return bits;
}

/// Takes what enters a list, in the order of rows on either side.
template <class T>
HWY_NOINLINE void take_nearest(const Block<T> &block, Lists<T> &own, Lists<T> &visiting, const Mask *mask) {
  constexpr int NA = vectors<T>();
  const hn::ScalableTag<T> d;
  const int lanes = static_cast<int>(hn::Lanes(d));
  const auto counts = [&](int i, int j) {
    return i < own.rows && j < visiting.rows && (mask == nullptr || visible(*mask, own.first + i, visiting.first + j));
  };
  for (int a = 0; a < NA; ++a)
    for (int b = 0; b < visiting_rows; ++b) {
      const int i = block.i + a * lanes;
      const int j = block.j + b;
      const T *q = block.negative_q + (a * visiting_rows + b) * lanes;
      const Vec<T> v = hn::Load(d, q);
      for (std::uint64_t bits = entering<T>(v, hn::Load(d, own.least + i)); bits != 0; bits &= bits - 1) {
        const int l = __builtin_ctzll(bits);
        if (counts(i + l, j)) own.take(i + l, q[l], j);
      }
      for (std::uint64_t bits = entering<T>(v, hn::Set(d, visiting.least[j])); bits != 0; bits &= bits - 1) {
        const int l = __builtin_ctzll(bits);
        if (counts(i + l, j)) visiting.take(j, q[l], i + l);
      }
    }
}

/// All pairs of two tiles, whose lists wait in the turns of their sides. `scratch`: (vectors, visiting_rows, lanes).
template <class T>
HWY_NOINLINE void find_nearest(const Piece<T> &p, Lists<T> own, Lists<T> visiting, T *scratch) {
  constexpr int NA = vectors<T>();
  const hn::ScalableTag<T> d;
  const int lanes = static_cast<int>(hn::Lanes(d));
  own.start();
  visiting.start();
  const bool groups_count = p.mask == nullptr || !p.mask->causal;
  if (groups_count && own.receives() && own.empty()) bound_by_groups<T>(p.receive, p.give, visiting.rows, own);
  if (groups_count && visiting.receives() && visiting.empty())
    bound_by_groups<T>(p.give, p.receive, own.rows, visiting);
  for (int i = 0; i < own.rows; i += NA * lanes)
    for (int j = 0; j < visiting.rows; j += visiting_rows) {
      Vec<T> q[NA][visiting_rows];
      accumulate<Sum::differences, T>(p.receive, p.give, i, j, q);
      auto enters = hn::FirstN(d, 0);
#pragma GCC unroll 8
      for (int a = 0; a < NA; ++a) {
        Vec<T> nearest = q[a][0];
#pragma GCC unroll 4
        for (int b = 1; b < visiting_rows; ++b) nearest = hn::Max(nearest, q[a][b]);
        enters = hn::Or(enters, hn::Ge(nearest, hn::Load(d, own.least + i + a * lanes)));
      }
#pragma GCC unroll 4
      for (int b = 0; b < visiting_rows; ++b) {
        Vec<T> nearest = q[0][b];
#pragma GCC unroll 8
        for (int a = 1; a < NA; ++a) nearest = hn::Max(nearest, q[a][b]);
        enters = hn::Or(enters, hn::Ge(nearest, hn::Set(d, visiting.least[j + b])));
      }
      if (HWY_LIKELY(hn::AllFalse(d, enters))) continue;
#pragma GCC unroll 8
      for (int a = 0; a < NA; ++a)
#pragma GCC unroll 4
        for (int b = 0; b < visiting_rows; ++b) hn::Store(q[a][b], d, scratch + (a * visiting_rows + b) * lanes);
      take_nearest<T>({scratch, i, j}, own, visiting, p.mask);
    }
}

/// Both sides of a pair of tiles, or one.
template <class T>
void top_k(const Piece<T> &p, Sides sides) {
  T *const least = reinterpret_cast<T *>(p.scratch);  // (2, T), then (vectors, visiting_rows, lanes)
  const Lists<T> own{
      has_own(sides) ? p.receive_state : nullptr, least, p.columns, p.receive_rows, p.receive_first, p.give_first};
  const Lists<T> visiting{has_visiting(sides) ? p.give_state : nullptr,
                          least + tile_rows,
                          p.columns,
                          p.give_rows,
                          p.give_first,
                          p.receive_first};
  const auto fold = [&] { find_nearest<T>(p, own, visiting, least + 2 * tile_rows); };
  if (sides == Sides::both)
    p.turns->in_turn(Sides::own, [&] { p.turns->in_turn(Sides::visiting, fold); });
  else
    p.turns->in_turn(sides, fold);
}
