// The row rule softmax_gradient: two panels in L1, p and ds, that serve both sides. Every product is the unit's.
// No include guard: included once per instruction set inside HWY_NAMESPACE.
//
// Own rows receive and give at once. A panel of logarithms (from features) and one of products <b_i, v_j> (from columns
// whose words are made once per tile) become p and ds; then the own side takes ds a_j, the visiting side ds a_i and
// p b_i.

/// Numbers of rows as the panels want them: what is no row, or sees nothing, gives nothing.
inline void prepare_gradient_rows(const Frame &f, const Piece &p) {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  constexpr auto to_base_2 = static_cast<float>(log2_of_e);
  float *lse = f.reals(f.at.gradient.numbers);  // (3, T): these, delta, log weights
  for (int i = 0; i < tile_rows; ++i) {
    const bool sees = i < p.receive_rows && p.receive_scalars[i] > -infinity;
    lse[i] = sees ? p.receive_scalars[i] * to_base_2 : infinity;
    lse[tile_rows + i] = sees ? p.receive_scalars[tile_rows + i] : 0;
    lse[2 * tile_rows + i] = p.give_scalars[i] * to_base_2;
  }
}

/// Operands of all products but those of weights, which come panel by panel.
template <class P>
void pack_gradient_columns(const Frame &f, const Piece &p, Sides sides) {
  const ColumnPart &a = f.at.columns;
  const ColumnPart &b = f.at.gradient.values;
  const float *own_values = p.receive_columns + b.first * tile_rows;
  const int own_rows = up_to_chunk(p.receive_rows);
  const int visiting_rows = up_to_chunk(p.give_rows);
  pack_left_rows<P>(own_values, b.count, own_rows, f.scratch + f.at.gradient.receive_rows);
  pack_right_rows<P>(p.give_columns + b.first * tile_rows, b.count, visiting_rows, f.scratch + f.at.gradient.give_rows);
  if (has_own(sides)) pack_right_columns<P>(p.give_columns, a.count, visiting_rows, f.scratch + a.give);
  if (!has_visiting(sides)) return;
  pack_left_columns<P>(p.receive_columns, a.count, own_rows, f.scratch + a.receive);
  pack_left_columns<P>(own_values, b.count, own_rows, f.scratch + b.receive);
}

/// products = <b_i, v_j> of own rows [i0, i0 + 32) and visiting rows [j0, j0 + width).
inline void multiply_values(const Frame &f, int i0, int j0, int width, float *products) {
  const GradientScratch &g = f.at.gradient;
  const int chunks = column_chunks(g.values.count);
  const std::size_t block = static_cast<std::size_t>(chunks * f.layout.terms) * unit_bytes;
  const auto from = [&](std::size_t offset, int row) {
    return f.scratch + offset + block * static_cast<std::size_t>(row / unit_rows);
  };
  std::memset(products, 0, sizeof(float) * panel_rows * panel_columns);
  f.unit->add({from(g.receive_rows, i0), block, panel_rows / unit_rows},
              {from(g.give_rows, j0), block, width / unit_rows}, chunks, f.layout.terms, products, panel_columns);
}

/// The panel of logarithms becomes p, that of products ds.
template <class P>
HWY_NOINLINE void form_gradients(const Frame &f, int i0, int j0, int width, float *products) {
  const hn::ScalableTag<float> d;
  const int lanes = static_cast<int>(hn::Lanes(d));
  const float *numbers = f.reals(f.at.gradient.numbers);  // (3, T)
  const float *shift = numbers + 2 * tile_rows + j0;
  float *panel = f.reals(f.at.panel);
  for (int r = 0; r < panel_rows; ++r) {
    const Vec<float> lse = hn::Set(d, numbers[i0 + r]);
    const Vec<float> delta = hn::Set(d, numbers[tile_rows + i0 + r]);
    for (int j = 0; j < width; j += lanes) {
      float *p_at = panel + r * panel_columns + j;
      float *ds_at = products + r * panel_columns + j;
      const Vec<float> l = hn::Add(hn::LoadU(d, p_at), hn::Sub(hn::LoadU(d, shift + j), lse));
      const Vec<float> p = exp2_vector<P::degree, float>(l);
      hn::StoreU(p, d, p_at);
      hn::StoreU(hn::Mul(p, hn::Sub(hn::LoadU(d, ds_at), delta)), d, ds_at);
    }
  }
}

/// Both panels times columns, to the sides asked for.
template <class P>
void fold_gradients(const Frame &f, Sides sides, int i0, int j0, int width, const float *products) {
  const ColumnPart &a = f.at.columns;
  if (!has_visiting(sides)) return multiply_panel<P, true, false>(f, products, a, i0, j0, width);
  multiply_panel<P, false, true>(f, f.reals(f.at.panel), f.at.gradient.values, i0, j0, width);
  if (has_own(sides))
    multiply_panel<P, true, true>(f, products, a, i0, j0, width);
  else
    multiply_panel<P, false, true>(f, products, a, i0, j0, width);
}

/// `p` is the piece in which the own side receives.
template <class P>
void softmax_gradients(const Frame &f, const Piece &p, Sides sides) {
  float *products = f.reals(f.at.gradient.products);
  prepare_gradient_rows(f, p);
  pack_gradient_columns<P>(f, p, sides);
  clear_give_sums(f, f.at.columns);
  clear_give_sums(f, f.at.gradient.values);
  for (int i0 = 0; i0 < p.receive_rows; i0 += panel_rows) {
    clear_receive_sums(f);
    for_panels(p.give_rows, [&](int j0, int width) {
      fill_panel(f, p, i0, j0, width);
      multiply_values(f, i0, j0, width, products);
      form_gradients<P>(f, i0, j0, width, products);
      fold_gradients<P>(f, sides, i0, j0, width, products);
    });
    keep_sums(f, p, i0);
  }
  if (has_own(sides)) add_received(f, p);
  if (!has_visiting(sides)) return;
  p.turns->in_turn(p.giver(), [&] {
    add_given(f, p, f.at.columns);
    add_given(f, p, f.at.gradient.values);
  });
}
