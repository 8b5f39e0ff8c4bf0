// The row rule sum: one fused column, or panels of weights that serve blocks of columns on both sides.
// No include guard: included once per instruction set inside HWY_NAMESPACE.

/// One column. Receiving rows in lanes with their sums in registers; the second side gathers in one slot of lanes per
/// giving row, (T, lanes) in L1, reduced once per tile.
template <class Kernel, bool two_sided, class T = typename Kernel::T>
HWY_NOINLINE void sum_one_column(const Piece<T> &p) {
  constexpr int NA = vectors<T>();
  const hn::ScalableTag<T> d;
  const int lanes = static_cast<int>(hn::Lanes(d));
  const Constants constants(p.constants);
  T *slots = reinterpret_cast<T *>(p.scratch);                               // (T, lanes)
  double *received = reinterpret_cast<double *>(slots + tile_rows * lanes);  // (T)
  double *given = received + tile_rows;                                      // (T)
  if (two_sided) std::memset(slots, 0, sizeof(T) * tile_rows * static_cast<std::size_t>(lanes));
  for (int i = 0; i < p.receive_rows; i += NA * lanes) {
    Vec<T> own_sum[NA];
    Vec<T> own_column[NA];
#pragma GCC unroll 8
    for (int a = 0; a < NA; ++a) {
      own_sum[a] = hn::Zero(d);
      own_column[a] = two_sided ? hn::LoadU(d, p.receive_columns + i + a * lanes) : hn::Zero(d);
    }
    for (int j = 0; j < p.give_rows; j += visiting_rows) {
      Vec<T> w[NA][visiting_rows];
      weights<Kernel, false, T>(p.receive, p.give, i, j, constants.c, w);
#pragma GCC unroll 4
      for (int b = 0; b < visiting_rows; ++b) {
        const Vec<T> column = hn::Set(d, p.give_columns[j + b]);
#pragma GCC unroll 8
        for (int a = 0; a < NA; ++a) own_sum[a] = hn::MulAdd(w[a][b], column, own_sum[a]);
        if constexpr (two_sided) {
          Vec<T> slot = hn::Load(d, slots + (j + b) * lanes);
#pragma GCC unroll 8
          for (int a = 0; a < NA; ++a) slot = hn::MulAdd(w[a][b], own_column[a], slot);
          hn::Store(slot, d, slots + (j + b) * lanes);
        }
      }
    }
    alignas(64) T sums[64 / sizeof(T)];
    for (int a = 0; a < NA; ++a) {
      hn::Store(own_sum[a], d, sums);
      for (int l = 0; l < lanes; ++l) received[i + a * lanes + l] = sums[l];
    }
  }
  p.turns->in_turn(p.receiver(), [&] {
    for (int i = 0; i < p.receive_rows; ++i) p.receive_state[i] += received[i];
  });
  if constexpr (two_sided) {
    for (int j = 0; j < p.give_rows; ++j) given[j] = lane_sum<T>(hn::Load(d, slots + j * lanes));
    p.turns->in_turn(p.giver(), [&] {
      for (int j = 0; j < p.give_rows; ++j) p.give_state[j] += given[j];
    });
  }
}

/// The giving side has columns in lanes, a chunk of columns in each vector. Where few are left, the lanes hold `phases`
/// receiving rows of each column, so that few are idle: (phases * columns of a chunk) = lanes.
struct Chunk {
  int index;
  int first;   // column
  int phases;  // 1, 2 or 4
};

/// The chunk with this index, whose columns begin at `first`. A tail of up to three quarters of the lanes is a chunk of
/// two phases and one of four: 9 to 12 columns of 16 lanes cost what they are.
template <class T>
HWY_INLINE Chunk chunk_from(int index, int first, int columns) {
  const int lanes = static_cast<int>(hn::Lanes(hn::ScalableTag<T>()));
  const int left = columns - first;
  // A group of rows is broadcast as one word of 8 or 16 bytes.
  const int most = lanes < 4 ? 1 : static_cast<int>(16 / sizeof(T));
  int phases = 1;
  while (2 * phases <= most && 2 * phases * left <= lanes) phases *= 2;
  if (phases == 1 && most == 4 && 4 * left <= 3 * lanes) phases = 2;
  return {index, first, phases};
}

template <class T>
HWY_INLINE Chunk chunk_after(Chunk chunk, int columns) {
  const int lanes = static_cast<int>(hn::Lanes(hn::ScalableTag<T>()));
  return chunk_from<T>(chunk.index + 1, chunk.first + lanes / chunk.phases, columns);
}

template <class T>
HWY_INLINE int count_chunks(int columns) {
  Chunk chunk = chunk_from<T>(0, 0, columns);
  while (chunk.first < columns) chunk = chunk_after<T>(chunk, columns);
  return chunk.index;
}

template <int phases, class T>
HWY_INLINE Vec<T> broadcast_rows(const T *at) {
  const hn::ScalableTag<T> d;
  if constexpr (phases == 1)
    return hn::Set(d, *at);
  else if constexpr (phases * sizeof(T) == 16)
    return hn::LoadDup128(d, at);
  else {
    const hn::ScalableTag<std::uint64_t> d8;
    std::uint64_t two;
    std::memcpy(&two, at, sizeof(two));
    return hn::BitCast(d, hn::Set(d8, two));
  }
}

/// Scratch of the panel path, cut from the call's scratch.
template <class T>
struct SumScratch {
  T *panel;         // (panel_rows, stride) weights, giving rows slowest
  T *receive_sums;  // (c, T)
  T *rows;          // (chunks, T/phases, lanes) columns of the receiving rows
  T *give_sums;     // (chunks, T, lanes)
};

template <class T>
HWY_INLINE SumScratch<T> cut_scratch(std::byte *scratch, int columns) {
  const int lanes = static_cast<int>(hn::Lanes(hn::ScalableTag<T>()));
  SumScratch<T> s;
  s.panel = reinterpret_cast<T *>(scratch);
  s.receive_sums = s.panel + panel_rows * panel_stride<T>();
  s.rows = s.receive_sums + columns * tile_rows;
  s.give_sums = s.rows + count_chunks<T>(columns) * lanes * tile_rows;
  return s;
}

/// Transposes a square of lanes x lanes: taking even lanes before odd ones turns the bits of (row, lane) by one place,
/// so that log2(lanes) times exchanges the two.
template <class T, std::size_t lanes>
HWY_INLINE void transpose(Vec<T> (&v)[lanes]) {
#pragma GCC unroll 4
  for (std::size_t turn = 1; turn < lanes; turn *= 2) {
    Vec<T> turned[lanes];
#pragma GCC unroll 8
    for (std::size_t r = 0; r < lanes / 2; ++r) {
      turned[r] = even_lanes<T>(v[2 * r], v[2 * r + 1]);
      turned[r + lanes / 2] = odd_lanes<T>(v[2 * r], v[2 * r + 1]);
    }
#pragma GCC unroll 16
    for (std::size_t r = 0; r < lanes; ++r) v[r] = turned[r];
  }
}

/// One chunk of columns (c, T) as (T, lanes), a column in each lane; idle lanes repeat a column that nobody reads.
template <class T>
HWY_NOINLINE void turn_columns(const T *columns, int first, int count, T *to) {
  const hn::ScalableTag<T> d;
  constexpr int lanes = static_cast<int>(hn::MaxLanes(d));
  for (int i = 0; i < tile_rows; i += lanes) {
    Vec<T> v[lanes];
#pragma GCC unroll 16
    for (int l = 0; l < lanes; ++l) v[l] = hn::LoadU(d, columns + std::min(first + l, count - 1) * tile_rows + i);
    transpose<T>(v);
#pragma GCC unroll 16
    for (int l = 0; l < lanes; ++l) hn::Store(v[l], d, to + (i + l) * lanes);
  }
}

/// The same with `phases` rows of each column in the lanes: (T/phases, lanes).
template <class T>
HWY_NOINLINE void gather_columns(const T *columns, Chunk chunk, int count, T *to) {
  using Index = hn::RebindToSigned<hn::ScalableTag<T>>;
  const hn::ScalableTag<T> d;
  const int lanes = static_cast<int>(hn::Lanes(d));
  alignas(64) hn::TFromD<Index> from[64 / sizeof(T)];
  for (int l = 0; l < lanes; ++l)
    from[l] = std::min(chunk.first + l / chunk.phases, count - 1) * tile_rows + l % chunk.phases;
  const auto index = hn::Load(Index(), from);
  for (int i = 0; i < tile_rows; i += chunk.phases, to += lanes)
    hn::Store(hn::GatherIndex(d, columns + i, index), d, to);
}

/// Lays the columns (c, T) of the receiving rows out by chunks.
template <class T>
HWY_INLINE void spread_columns(const T *columns, int count, const SumScratch<T> &s) {
  const int lanes = static_cast<int>(hn::Lanes(hn::ScalableTag<T>()));
  for (Chunk chunk = chunk_from<T>(0, 0, count); chunk.first < count; chunk = chunk_after<T>(chunk, count)) {
    T *to = s.rows + chunk.index * lanes * tile_rows;
    if (chunk.phases == 1)
      turn_columns<T>(columns, chunk.first, count, to);
    else
      gather_columns<T>(columns, chunk, count, to);
  }
}

/// give_sums[j][lanes] += sum over the panel's receiving rows of weight times columns: giving_group rows and `chunks`
/// vectors of columns at a time, sums in registers. `fresh`: nothing is there yet.
template <int phases, int chunks, class T>
HWY_NOINLINE void panel_to_giver(const T *panel, int count, bool fresh, const T *rows, T *give_sums) {
  constexpr int NB = giving_rows(many_registers, chunks);
  const hn::ScalableTag<T> d;
  const int lanes = static_cast<int>(hn::Lanes(d));
  const int stride = panel_stride<T>();
  const int chunk = lanes * tile_rows;
  for (int j = 0; j < count; j += NB) {
    Vec<T> acc[NB][chunks];
#pragma GCC unroll 16
    for (int b = 0; b < NB; ++b)
#pragma GCC unroll 2
      for (int q = 0; q < chunks; ++q)
        acc[b][q] = fresh ? hn::Zero(d) : hn::Load(d, give_sums + q * chunk + (j + b) * lanes);
    for (int l = 0; l < stride; l += phases) {
      Vec<T> x[chunks];
#pragma GCC unroll 2
      for (int q = 0; q < chunks; ++q) x[q] = hn::Load(d, rows + q * chunk + l / phases * lanes);
#pragma GCC unroll 16
      for (int b = 0; b < NB; ++b) {
        const Vec<T> w = broadcast_rows<phases>(panel + (j + b) * stride + l);
#pragma GCC unroll 2
        for (int q = 0; q < chunks; ++q) acc[b][q] = hn::MulAdd(w, x[q], acc[b][q]);
      }
    }
#pragma GCC unroll 16
    for (int b = 0; b < NB; ++b)
#pragma GCC unroll 2
      for (int q = 0; q < chunks; ++q) hn::Store(acc[b][q], d, give_sums + q * chunk + (j + b) * lanes);
  }
}

/// The giving side of one panel, whose receiving rows start at i and giving rows at j0.
template <class T>
HWY_INLINE void give_from_panel(const SumScratch<T> &s, int columns, int i, int j0, int count) {
  const int lanes = static_cast<int>(hn::Lanes(hn::ScalableTag<T>()));
  for (Chunk chunk = chunk_from<T>(0, 0, columns); chunk.first < columns;) {
    const int phases = chunk.phases;
    const T *rows = s.rows + chunk.index * lanes * tile_rows + i / phases * lanes;
    T *sums = s.give_sums + chunk.index * lanes * tile_rows + j0 * lanes;
    const Chunk next = chunk_after<T>(chunk, columns);
    if (phases == 1 && next.first < columns && next.phases == 1) {
      panel_to_giver<1, 2, T>(s.panel, count, i == 0, rows, sums);
      chunk = chunk_after<T>(next, columns);
      continue;
    }
    if (phases == 1) panel_to_giver<1, 1, T>(s.panel, count, i == 0, rows, sums);
    if (phases == 2) panel_to_giver<2, 1, T>(s.panel, count, i == 0, rows, sums);
    if constexpr (sizeof(T) == 4)
      if (phases == 4) panel_to_giver<4, 1, T>(s.panel, count, i == 0, rows, sums);
    chunk = next;
  }
}

/// Sums of the giving side into its fp64 state, by way of (lanes, T) for each chunk so that both are read in order.
template <class T>
HWY_NOINLINE void collect_given(const SumScratch<T> &s, const Piece<T> &p) {
  const hn::ScalableTag<T> d;
  constexpr int lanes = static_cast<int>(hn::MaxLanes(d));
  for (Chunk chunk = chunk_from<T>(0, 0, p.columns); chunk.first < p.columns;
       chunk = chunk_after<T>(chunk, p.columns)) {
    T *turned = s.rows;  // (lanes, T), no longer needed for columns
    for (int j = 0; j < p.give_rows; j += lanes) {
      const T *from = s.give_sums + (chunk.index * tile_rows + j) * lanes;
      Vec<T> v[lanes];
#pragma GCC unroll 16
      for (int l = 0; l < lanes; ++l) v[l] = hn::Load(d, from + l * lanes);
      transpose<T>(v);
#pragma GCC unroll 16
      for (int l = 0; l < lanes; ++l) hn::Store(v[l], d, turned + l * tile_rows + j);
    }
    for (int c = chunk.first; c < p.columns && c < chunk.first + lanes / chunk.phases; ++c) {
      const T *sums = turned + (c - chunk.first) * chunk.phases * tile_rows;
      double *state = p.give_state + c * tile_rows;
      if (chunk.phases == 1)
        for (int j = 0; j < p.give_rows; ++j) state[j] += sums[j];
      else if (chunk.phases == 2)
        for (int j = 0; j < p.give_rows; ++j) state[j] += sums[j] + sums[tile_rows + j];
      else
        for (int j = 0; j < p.give_rows; ++j)
          state[j] += (sums[j] + sums[tile_rows + j]) + (sums[2 * tile_rows + j] + sums[3 * tile_rows + j]);
    }
  }
}

/// Any number of columns, masks: weights go through a panel in L1 and are used from there by both sides.
template <class Kernel, bool two_sided, class T = typename Kernel::T>
HWY_NOINLINE void sum_columns(const Piece<T> &p) {
  const int stride = panel_stride<T>();
  const SumScratch<T> s = cut_scratch<T>(p.scratch, p.columns);
  if (two_sided) spread_columns<T>(p.receive_columns, p.columns, s);
  for (int j0 = 0; j0 < p.give_rows; j0 += panel_rows) {
    const int count = p.give_rows - j0 < panel_rows ? p.give_rows - j0 : panel_rows;
    for (int i = 0; i < p.receive_rows; i += stride) {
      fill_panel<Kernel, false, T>(p, i, j0, count, s.panel);
      panel_to_receiver<T>(s.panel, count, j0 == 0, p.give_columns + j0, p.columns, s.receive_sums + i);
      if (two_sided) give_from_panel<T>(s, p.columns, i, j0, count);
    }
  }
  p.turns->in_turn(p.receiver(), [&] {
    for (int c = 0; c < p.columns; ++c)
      for (int i = 0; i < p.receive_rows; ++i) p.receive_state[c * tile_rows + i] += s.receive_sums[c * tile_rows + i];
  });
  if (two_sided) p.turns->in_turn(p.giver(), [&] { collect_given<T>(s, p); });
}
