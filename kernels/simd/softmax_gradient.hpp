// The row rule softmax_gradient: two panels in L1, p and ds, that serve both sides.
// No include guard: included once per instruction set inside HWY_NAMESPACE.
//
// Own rows lie in lanes. A panel of logarithms and one of products <b_i, v_j> become p and ds; the own side sums
// ds a_j over giving rows, the visiting side ds a_i and p b_i over lanes, each with its sums in registers. Operations
// of a pair of rows, with d = features and c = columns: d + (c - d) multiply-adds for the panels, d for the own side, c
// for the visiting one, and one exponential: all but that at the rate of multiply-adds.

/// Scratch, cut from the call's.
template <class T>
struct GradientScratch {
  T *products;      // (panel_rows, stride) <b_i, v_j>, then ds
  T *lse;           // (T) of own rows times log2 e; infinite where a row gives nothing
  T *delta;         // (T) of own rows
  T *shift;         // (T) log weights of visiting rows times log2 e
  SumScratch<T> a;  // its panel: logarithms, then p
  SumScratch<T> b;
};

/// Values of SumScratch beside its panel.
constexpr std::size_t sum_values(std::size_t columns, std::size_t lanes) {
  return (columns + 2 * chunk_width(columns, lanes)) * tile_rows;
}

/// All of it: three panels, three numbers a row, and the sums of both parts of the columns.
constexpr std::size_t gradient_values(std::size_t features, std::size_t values, std::size_t lanes) {
  return 3 * panel_rows * 4 * lanes + 3 * tile_rows + sum_values(features, lanes) + sum_values(values, lanes);
}

template <class T>
HWY_INLINE GradientScratch<T> cut_gradient_scratch(std::byte *scratch, int features, int columns) {
  const std::size_t lanes = hn::Lanes(hn::ScalableTag<T>());
  const int panel = panel_rows * panel_stride<T>();
  GradientScratch<T> s;
  s.products = reinterpret_cast<T *>(scratch);
  s.lse = s.products + panel;
  s.delta = s.lse + tile_rows;
  s.shift = s.delta + tile_rows;
  T *rest = s.shift + tile_rows;
  s.a = cut_scratch<T>(reinterpret_cast<std::byte *>(rest), features);
  rest += static_cast<std::size_t>(panel) + sum_values(static_cast<std::size_t>(features), lanes);
  s.b = cut_scratch<T>(reinterpret_cast<std::byte *>(rest), columns - features);
  return s;
}

/// products[j][i..] = sum over `columns` of receive[c][i] give[c][j], for `count` giving rows, a multiple of
/// visiting_rows.
template <class T>
HWY_NOINLINE void multiply_columns(const T *receive, const T *give, int columns, int count, T *products) {
  constexpr int NA = vectors<T>();
  const hn::ScalableTag<T> d;
  const int lanes = static_cast<int>(hn::Lanes(d));
  for (int j = 0; j < count; j += visiting_rows) {
    Vec<T> sum[NA][visiting_rows];
#pragma GCC unroll 8
    for (int a = 0; a < NA; ++a)
#pragma GCC unroll 4
      for (int b = 0; b < visiting_rows; ++b) sum[a][b] = hn::Zero(d);
    for (int c = 0; c < columns; ++c) {
      const T *x = receive + c * tile_rows;
      const T *y = give + c * tile_rows + j;
      Vec<T> own[NA];
#pragma GCC unroll 8
      for (int a = 0; a < NA; ++a) own[a] = hn::LoadU(d, x + a * lanes);
#pragma GCC unroll 4
      for (int b = 0; b < visiting_rows; ++b) {
        const Vec<T> other = hn::Set(d, y[b]);
#pragma GCC unroll 8
        for (int a = 0; a < NA; ++a) sum[a][b] = hn::MulAdd(own[a], other, sum[a][b]);
      }
    }
#pragma GCC unroll 4
    for (int b = 0; b < visiting_rows; ++b)
#pragma GCC unroll 8
      for (int a = 0; a < NA; ++a) hn::Store(sum[a][b], d, products + ((j + b) * NA + a) * lanes);
  }
}

/// Logarithms and products of own rows from i and giving rows from j0 become p and ds.
template <class Precision, class T = typename Precision::T>
HWY_NOINLINE void form_gradients(const GradientScratch<T> &s, int i, int j0, int count) {
  constexpr int NA = vectors<T>();
  const hn::ScalableTag<T> d;
  const int lanes = static_cast<int>(hn::Lanes(d));
  Vec<T> lse[NA], delta[NA];
#pragma GCC unroll 8
  for (int a = 0; a < NA; ++a) {
    lse[a] = hn::LoadU(d, s.lse + i + a * lanes);
    delta[a] = hn::LoadU(d, s.delta + i + a * lanes);
  }
  for (int j = 0; j < count; ++j) {
    const Vec<T> shift = hn::Set(d, s.shift[j0 + j]);
#pragma GCC unroll 8
    for (int a = 0; a < NA; ++a) {
      T *const p_at = s.a.panel + (j * NA + a) * lanes;
      T *const ds_at = s.products + (j * NA + a) * lanes;
      const Vec<T> l = hn::Add(hn::Load(d, p_at), hn::Sub(shift, lse[a]));
      const Vec<T> p = exp2_vector<Precision::degree, T>(l);
      hn::Store(p, d, p_at);
      hn::Store(hn::Mul(p, hn::Sub(hn::Load(d, ds_at), delta[a])), d, ds_at);
    }
  }
}

/// Numbers of the rows as the panels want them: what is no row, or sees nothing, gives nothing.
template <class T>
HWY_INLINE void prepare_gradient_rows(const Piece<T> &p, const GradientScratch<T> &s) {
  constexpr T infinity = std::numeric_limits<T>::infinity();
  for (int i = 0; i < tile_rows; ++i) {
    const bool sees = i < p.receive_rows && p.receive_scalars[i] > -infinity;
    s.lse[i] = sees ? p.receive_scalars[i] * T(log2_of_e) : infinity;
    s.delta[i] = sees ? p.receive_scalars[tile_rows + i] : T(0);
  }
}

/// Own rows receive and give at once: `p` is the piece in which the own side receives. `form(s, i, j0, count)` makes p
/// and ds of the panels; `add_own` is called in the turn of the own side.
template <class T, class Form, class AddOwn>
HWY_NOINLINE void sum_gradients(const Piece<T> &p, int features, Sides sides, FillPanel<T> fill, const Form &form,
                                const AddOwn &add_own) {
  const int stride = panel_stride<T>();
  const int values = p.columns - features;
  const GradientScratch<T> s = cut_gradient_scratch<T>(p.scratch, features, p.columns);
  const SumScratch<T> by_products{s.products, s.a.receive_sums, s.a.rows, s.a.give_sums};
  const SumScratch<T> by_weights{s.a.panel, s.b.receive_sums, s.b.rows, s.b.give_sums};
  const T *const own_values = p.receive_columns + features * tile_rows;
  const T *const visiting_values = p.give_columns + features * tile_rows;
  spread_log_weights<T>(p, s.shift);
  if (has_visiting(sides)) {
    spread_columns<T>(p.receive_columns, features, by_products);
    spread_columns<T>(own_values, values, by_weights);
  }
  for (int j0 = 0; j0 < p.give_rows; j0 += panel_rows) {
    const int count = std::min(panel_rows, p.give_rows - j0);
    const int padded = (count + giving_group - 1) / giving_group * giving_group;
    for (int i = 0; i < p.receive_rows; i += stride) {
      fill(p, i, j0, count, s.a.panel);
      multiply_columns<T>(own_values + i, visiting_values + j0, values, padded, s.products);
      form(s, i, j0, padded);
      if (has_own(sides))
        panel_to_receiver<T>(s.products, count, j0 == 0, p.give_columns + j0, features, by_products.receive_sums + i);
      if (!has_visiting(sides)) continue;
      give_from_panel<T>(by_products, features, i, j0, count);
      give_from_panel<T>(by_weights, values, i, j0, count);
    }
  }
  if (has_own(sides))
    p.turns->in_turn(Sides::own, [&] {
      for (int c = 0; c < features; ++c)
        for (int i = 0; i < p.receive_rows; ++i)
          p.receive_state[c * tile_rows + i] += by_products.receive_sums[c * tile_rows + i];
      add_own();
    });
  if (!has_visiting(sides)) return;
  Piece<T> a = p;
  a.columns = features;
  Piece<T> b = p;
  b.columns = values;
  b.give_state = p.give_state + features * tile_rows;
  p.turns->in_turn(Sides::visiting, [&] {
    collect_given<T>(by_products, a);
    collect_given<T>(by_weights, b);
  });
}

template <class Precision, class T = typename Precision::T>
HWY_INLINE void softmax_gradients(const Piece<T> &p, int features, Sides sides, FillPanel<T> fill) {
  prepare_gradient_rows<T>(p, cut_gradient_scratch<T>(p.scratch, features, p.columns));
  sum_gradients<T>(p, features, sides, fill, form_gradients<Precision>, [] {});
}
