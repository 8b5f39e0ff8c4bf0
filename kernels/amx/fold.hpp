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

/// Blocks of `count` columns packed by words.hpp, from row `row` (a multiple of 32) on.
inline Operand column_operand(const Frame &f, std::size_t offset, int count, int row) {
  const std::size_t chunk_bytes = std::size_t{unit_bytes} * static_cast<std::size_t>(f.layout.terms);
  return {f.scratch + offset + chunk_bytes * static_cast<std::size_t>(row / chunk), chunk_bytes * (tile_rows / chunk),
          padded_columns(count) / unit_rows};
}

/// Adds a panel of weights times columns to the sums of the receiver and of the giver, on the unit.
template <class P, bool to_receiver, bool to_giver>
void multiply_panel(const Frame &f, const float *panel, const ColumnPart &c, int i0, int j0, int width) {
  constexpr int terms = terms_in<P>;
  std::byte *left = f.scratch + f.at.left_weights;
  std::byte *right = f.scratch + f.at.right_weights;
  pack_weights<P, to_receiver, to_giver>(panel, width, left, right);
  constexpr std::size_t left_block = std::size_t{panel_columns / chunk} * terms * unit_bytes;
  if (to_receiver)
    f.unit->add({left, left_block, 2}, column_operand(f, c.give, c.count, j0), width / chunk, terms,
                f.reals(c.receive_sums), padded_columns(c.count));
  if (to_giver)
    f.unit->add(column_operand(f, c.receive, c.count, i0), {right, std::size_t{terms} * unit_bytes, width / unit_rows},
                1, terms, f.reals(c.give_sums) + j0, tile_rows);
}

/// The panel's weights times columns to the sums of the receiver, and of the giver where there are two sides.
template <class P, bool two_sided>
void fold_panel(const Frame &f, const Piece &p, int i0, int j0, int width) {
  const float *panel = f.reals(f.at.panel);
  const ColumnPart &c = f.at.columns;
  if (f.on_unit) return multiply_panel<P, true, two_sided>(f, panel, c, i0, j0, width);
  panel_to_receiver(panel, width, p.give_columns + j0, c.count, f.reals(c.receive_sums));
  if (two_sided) panel_to_giver(panel, width, p.receive_columns + i0, c.count, f.reals(c.give_sums) + j0);
}

inline int up_to_chunk(int rows) { return (rows + chunk - 1) / chunk * chunk; }

template <class P>
void pack_columns(const Frame &f, const Piece &p, bool two_sided) {
  const ColumnPart &c = f.at.columns;
  if (!f.on_unit) return;
  pack_right_columns<P>(p.give_columns, c.count, up_to_chunk(p.give_rows), f.scratch + c.give);
  if (two_sided) pack_left_columns<P>(p.receive_columns, c.count, up_to_chunk(p.receive_rows), f.scratch + c.receive);
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
  std::memset(f.reals(f.at.columns.receive_sums), 0, sizeof(float) * panel_rows * padded_columns(f.at.columns.count));
}

inline void clear_give_sums(const Frame &f, const ColumnPart &c) {
  std::memset(f.reals(c.give_sums), 0, sizeof(float) * tile_rows * padded_columns(c.count));
}

/// Sums of one block of receiving rows, to be added in their turn.
inline void keep_sums(const Frame &f, const Piece &p, int i0) {
  const float *sums = f.reals(f.at.columns.receive_sums);                 // (32, padded c)
  double *received = reinterpret_cast<double *>(f.scratch + f.at.state);  // (c, T)
  const int stride = padded_columns(f.at.columns.count);
  const int count = p.receive_rows - i0 < panel_rows ? p.receive_rows - i0 : panel_rows;
  for (int c = 0; c < f.at.columns.count; ++c)
    for (int r = 0; r < count; ++r) received[c * tile_rows + i0 + r] = sums[r * stride + c];
}

inline void add_received(const Frame &f, const Piece &p) {
  const double *received = reinterpret_cast<const double *>(f.scratch + f.at.state);  // (c, T)
  p.turns->in_turn(p.receiver(), [&] {
    for (int c = 0; c < f.at.columns.count; ++c)
      for (int i = 0; i < p.receive_rows; ++i) p.receive_state[c * tile_rows + i] += received[c * tile_rows + i];
  });
}

/// In the giver's turn.
inline void add_given(const Frame &f, const Piece &p, const ColumnPart &part) {
  const float *sums = f.reals(part.give_sums);  // (padded c, T)
  double *state = p.give_state + part.first * tile_rows;
  for (int c = 0; c < part.count; ++c)
    for (int j = 0; j < p.give_rows; ++j) state[c * tile_rows + j] += sums[c * tile_rows + j];
}

template <class P, bool two_sided>
void sum_columns(const Frame &f, const Piece &p) {
  if (two_sided) clear_give_sums(f, f.at.columns);
  for (int i0 = 0; i0 < p.receive_rows; i0 += panel_rows) {
    clear_receive_sums(f);
    for_panels(p.give_rows, [&](int j0, int width) {
      fill_panel(f, p, i0, j0, width);
      fold_panel<P, two_sided>(f, p, i0, j0, width);
    });
    keep_sums(f, p, i0);
  }
  add_received(f, p);
  if (two_sided) p.turns->in_turn(p.giver(), [&] { add_given(f, p, f.at.columns); });
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
  const int columns = f.at.columns.count;
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
    if (keep[r] == 1) continue;  // references are whole numbers, so after the first panels few rise
    float *values = f.reals(f.at.columns.receive_sums) + r * padded_columns(columns);
    for (int c = 0; c < columns; ++c) values[c] *= keep[r];
  }
}

/// (reference, sum, sums of columns) of one block of receiving rows into the tile's state.
inline void keep_logsumexp(const Frame &f, const Piece &p, int i0, double *state) {
  const float *maxima = f.reals(f.at.maxima);
  const float *values = f.reals(f.at.columns.receive_sums);
  const int columns = f.at.columns.count;
  const int count = p.receive_rows - i0 < panel_rows ? p.receive_rows - i0 : panel_rows;
  for (int r = 0; r < count; ++r) {
    state[i0 + r] = maxima[r];
    state[tile_rows + i0 + r] = maxima[panel_rows + r];
    for (int c = 0; c < columns; ++c) state[(2 + c) * tile_rows + i0 + r] = values[r * padded_columns(columns) + c];
  }
}

/// Log-sum-exp of one direction; merged into the state by the row rule.
template <class P>
void logsumexp_columns(const Frame &f, const Piece &p) {
  using R = Rule<RowKind::logsumexp>;
  constexpr float lowest = -1e38F;  // finite, below any logarithm of a weight that counts
  double *state = reinterpret_cast<double *>(f.scratch + f.at.state);  // (2 + c, T)
  float *maxima = f.reals(f.at.maxima);
  const int columns = f.at.columns.count;
  R::identity(0, columns, tile_rows, reinterpret_cast<std::byte *>(state));
  for (int i0 = 0; i0 < p.receive_rows; i0 += panel_rows) {
    clear_receive_sums(f);
    for (int r = 0; r < 2 * panel_rows; ++r) maxima[r] = r < panel_rows ? lowest : 0;
    for_panels(p.give_rows, [&](int j0, int width) {
      fill_panel(f, p, i0, j0, width);
      exponentiate<P>(f, p, j0, width);
      if (columns > 0) fold_panel<P, false>(f, p, i0, j0, width);
    });
    keep_logsumexp(f, p, i0, state);
  }
  p.turns->in_turn(p.receiver(), [&] {
    R::merge(0, columns, tile_rows, reinterpret_cast<std::byte *>(p.receive_state),
             reinterpret_cast<const std::byte *>(state));
  });
}
