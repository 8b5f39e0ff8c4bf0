// Folding panels of weights into row states: sums of few columns on vectors, of many on the matrix unit; log-sum-exp.
// No include guard: included once per instruction set inside HWY_NAMESPACE.

/// sums[r][c] += sum over j of panel[r][j] x[c][j] for `count` columns; rows of sums are `stride` apart.
template <int count>
HWY_NOINLINE void add_to_receiver(const float *panel, int width, const float *x, int stride, float *sums) {
  const hn::ScalableTag<float> d;
  const int lanes = static_cast<int>(hn::Lanes(d));
  for (int r = 0; r < panel_rows; ++r) {
    Vec<float> sum[count];
    for (int c = 0; c < count; ++c) sum[c] = hn::Zero(d);
    for (int j = 0; j < width; j += lanes) {
      const Vec<float> w = hn::LoadU(d, panel + r * panel_columns + j);
      for (int c = 0; c < count; ++c) sum[c] = hn::MulAdd(w, hn::LoadU(d, x + c * tile_rows + j), sum[c]);
    }
    for (int c = 0; c < count; ++c) sums[r * stride + c] += hn::GetLane(hn::SumOfLanes(d, sum[c]));
  }
}

/// sums[c][j] += sum over r of panel[r][j] x[c][r] for `count` columns.
template <int count>
HWY_NOINLINE void add_to_giver(const float *panel, int width, const float *x, float *sums) {
  const hn::ScalableTag<float> d;
  const int lanes = static_cast<int>(hn::Lanes(d));
  for (int j = 0; j < width; j += lanes) {
    Vec<float> sum[count];
    for (int c = 0; c < count; ++c) sum[c] = hn::LoadU(d, sums + c * tile_rows + j);
    for (int r = 0; r < panel_rows; ++r) {
      const Vec<float> w = hn::LoadU(d, panel + r * panel_columns + j);
      for (int c = 0; c < count; ++c) sum[c] = hn::MulAdd(w, hn::Set(d, x[c * tile_rows + r]), sum[c]);
    }
    for (int c = 0; c < count; ++c) hn::StoreU(sum[c], d, sums + c * tile_rows + j);
  }
}

/// Up to 4 columns for each load of weights.
inline void panel_to_receiver(const float *panel, int width, const float *x, int columns, float *sums) {
  const int stride = padded_columns(columns);
  int c = 0;
  for (; c + 4 <= columns; c += 4) add_to_receiver<4>(panel, width, x + c * tile_rows, stride, sums + c);
  for (; c < columns; ++c) add_to_receiver<1>(panel, width, x + c * tile_rows, stride, sums + c);
}

inline void panel_to_giver(const float *panel, int width, const float *x, int columns, float *sums) {
  int c = 0;
  for (; c + 4 <= columns; c += 4) add_to_giver<4>(panel, width, x + c * tile_rows, sums + c * tile_rows);
  for (; c < columns; ++c) add_to_giver<1>(panel, width, x + c * tile_rows, sums + c * tile_rows);
}

/// Blocks of columns packed by words.hpp, from row `row` (a multiple of 32) on.
inline Operand column_operand(const Frame &f, std::size_t offset, int row) {
  const std::size_t chunk_bytes = std::size_t{unit_bytes} * static_cast<std::size_t>(f.layout.terms);
  return {f.scratch + offset + chunk_bytes * static_cast<std::size_t>(row / chunk), chunk_bytes * (tile_rows / chunk),
          padded_columns(f.columns) / unit_rows};
}

/// Adds a panel of weights times columns to the sums of the receiver, and of the giver where there are two sides.
template <class P, bool two_sided>
void fold_panel(const Frame &f, const Piece &p, int i0, int j0, int width) {
  const float *panel = f.reals(f.at.panel);
  float *receive_sums = f.reals(f.at.receive_sums);
  float *give_sums = f.reals(f.at.give_sums) + j0;
  if (!f.on_unit) {
    panel_to_receiver(panel, width, p.give_columns + j0, f.columns, receive_sums);
    if (two_sided) panel_to_giver(panel, width, p.receive_columns + i0, f.columns, give_sums);
    return;
  }
  constexpr int terms = terms_in<P>;
  std::byte *left = f.scratch + f.at.left_weights;
  std::byte *right = f.scratch + f.at.right_weights;
  pack_weights<P, two_sided>(panel, width, left, right);
  constexpr std::size_t left_block = std::size_t{panel_columns / chunk} * terms * unit_bytes;
  f.unit->add({left, left_block, 2}, column_operand(f, f.at.give_columns, j0), width / chunk, terms, receive_sums,
              padded_columns(f.columns));
  if (two_sided)
    f.unit->add(column_operand(f, f.at.receive_columns, i0),
                {right, std::size_t{terms} * unit_bytes, width / unit_rows}, 1, terms, give_sums, tile_rows);
}

inline int up_to_chunk(int rows) { return (rows + chunk - 1) / chunk * chunk; }

template <class P>
void pack_columns(const Frame &f, const Piece &p, bool two_sided) {
  if (!f.on_unit) return;
  pack_right_columns<P>(p.give_columns, f.columns, up_to_chunk(p.give_rows), f.scratch + f.at.give_columns);
  if (two_sided)
    pack_left_columns<P>(p.receive_columns, f.columns, up_to_chunk(p.receive_rows), f.scratch + f.at.receive_columns);
}

/// Calls use(j0, width) for the panels of one block of receiving rows.
template <class Use>
void for_panels(int give_rows, const Use &use) {
  for (int j = 0; j < up_to_chunk(give_rows); j += panel_columns) {
    const int rest = up_to_chunk(give_rows) - j;
    use(j, rest < panel_columns ? rest : panel_columns);
  }
}

inline void clear_receive_sums(const Frame &f) {
  std::memset(f.reals(f.at.receive_sums), 0, sizeof(float) * panel_rows * padded_columns(f.columns));
}

template <class P, bool two_sided>
void sum_columns(const Frame &f, const Piece &p) {
  float *receive_sums = f.reals(f.at.receive_sums);                       // (32, padded c)
  float *give_sums = f.reals(f.at.give_sums);                             // (padded c, T)
  double *received = reinterpret_cast<double *>(f.scratch + f.at.state);  // (c, T)
  const int stride = padded_columns(f.columns);
  if (two_sided) std::memset(give_sums, 0, sizeof(float) * tile_rows * stride);
  for (int i0 = 0; i0 < p.receive_rows; i0 += panel_rows) {
    clear_receive_sums(f);
    for_panels(p.give_rows, [&](int j0, int width) {
      fill_panel(f, p, i0, j0, width);
      fold_panel<P, two_sided>(f, p, i0, j0, width);
    });
    const int count = p.receive_rows - i0 < panel_rows ? p.receive_rows - i0 : panel_rows;
    for (int c = 0; c < f.columns; ++c)
      for (int r = 0; r < count; ++r) received[c * tile_rows + i0 + r] = receive_sums[r * stride + c];
  }
  p.turns->in_turn(p.receiver(), [&] {
    for (int c = 0; c < f.columns; ++c)
      for (int i = 0; i < p.receive_rows; ++i) p.receive_state[c * tile_rows + i] += received[c * tile_rows + i];
  });
  if (!two_sided) return;
  p.turns->in_turn(p.giver(), [&] {
    for (int c = 0; c < f.columns; ++c)
      for (int j = 0; j < p.give_rows; ++j) p.give_state[c * tile_rows + j] += give_sums[c * tile_rows + j];
  });
}

/// Panel of logarithms plus log weights; by row the larger of the reference before and the largest in it, rounded up to
/// a whole number as the row rule asks: `top` (32).
inline void add_log_weights(float *panel, int width, const float *log_weights, const float *before, float *top) {
  const hn::ScalableTag<float> d;
  const int lanes = static_cast<int>(hn::Lanes(d));
  const Vec<float> to_base_2 = hn::Set(d, static_cast<float>(log2_of_e));
  for (int r = 0; r < panel_rows; ++r) {
    Vec<float> largest = hn::Set(d, before[r]);
    for (int j = 0; j < width; j += lanes) {
      float *at = panel + r * panel_columns + j;
      const Vec<float> l = hn::Add(hn::LoadU(d, at), hn::Mul(hn::LoadU(d, log_weights + j), to_base_2));
      hn::StoreU(l, d, at);
      largest = hn::Max(largest, l);
    }
    top[r] = std::ceil(hn::GetLane(hn::MaxOfLanes(d, largest)));
  }
}

/// The panel becomes 2^(l - m) with the new reference m; running sums are rescaled to it.
template <class P>
HWY_NOINLINE void exponentiate(const Frame &f, const Piece &p, int j0, int width) {
  const hn::ScalableTag<float> d;
  const int lanes = static_cast<int>(hn::Lanes(d));
  float *panel = f.reals(f.at.panel);
  float *maxima = f.reals(f.at.maxima);  // (2, 32)
  float *totals = maxima + panel_rows;
  const int stride = padded_columns(f.columns);
  float top[panel_rows];
  float keep[panel_rows];
  add_log_weights(panel, width, p.give_scalars + j0, maxima, top);
  for (int r = 0; r < panel_rows; r += lanes)
    hn::StoreU(exp2_vector<P::degree, float>(hn::Sub(hn::LoadU(d, maxima + r), hn::LoadU(d, top + r))), d, keep + r);
  for (int r = 0; r < panel_rows; ++r) {
    const Vec<float> m = hn::Set(d, top[r]);
    Vec<float> sum = hn::Zero(d);
    for (int j = 0; j < width; j += lanes) {
      float *at = panel + r * panel_columns + j;
      const Vec<float> e = exp2_vector<P::degree, float>(hn::Sub(hn::LoadU(d, at), m));
      hn::StoreU(e, d, at);
      sum = hn::Add(sum, e);
    }
    totals[r] = totals[r] * keep[r] + hn::GetLane(hn::SumOfLanes(d, sum));
    maxima[r] = top[r];
    float *values = f.reals(f.at.receive_sums) + r * stride;
    for (int c = 0; c < f.columns; ++c) values[c] *= keep[r];
  }
}

/// (reference, sum, sums of columns) of one block of receiving rows into the tile's state.
inline void keep_logsumexp(const Frame &f, const Piece &p, int i0, double *state) {
  const float *maxima = f.reals(f.at.maxima);
  const float *values = f.reals(f.at.receive_sums);
  const int count = p.receive_rows - i0 < panel_rows ? p.receive_rows - i0 : panel_rows;
  for (int r = 0; r < count; ++r) {
    state[i0 + r] = maxima[r];
    state[tile_rows + i0 + r] = maxima[panel_rows + r];
    for (int c = 0; c < f.columns; ++c) state[(2 + c) * tile_rows + i0 + r] = values[r * padded_columns(f.columns) + c];
  }
}

/// Log-sum-exp of one direction; merged into the state by the row rule.
template <class P>
void logsumexp_columns(const Frame &f, const Piece &p) {
  using R = Rule<RowKind::logsumexp>;
  constexpr float lowest = -1e38F;  // finite, below any logarithm of a weight that counts
  double *state = reinterpret_cast<double *>(f.scratch + f.at.state);  // (2 + c, T)
  float *maxima = f.reals(f.at.maxima);
  R::identity(0, f.columns, tile_rows, reinterpret_cast<std::byte *>(state));
  for (int i0 = 0; i0 < p.receive_rows; i0 += panel_rows) {
    clear_receive_sums(f);
    for (int r = 0; r < 2 * panel_rows; ++r) maxima[r] = r < panel_rows ? lowest : 0;
    for_panels(p.give_rows, [&](int j0, int width) {
      fill_panel(f, p, i0, j0, width);
      exponentiate<P>(f, p, j0, width);
      if (f.columns > 0) fold_panel<P, false>(f, p, i0, j0, width);
    });
    keep_logsumexp(f, p, i0, state);
  }
  p.turns->in_turn(p.receiver(), [&] {
    R::merge(0, f.columns, tile_rows, reinterpret_cast<std::byte *>(p.receive_state),
             reinterpret_cast<const std::byte *>(state));
  });
}
