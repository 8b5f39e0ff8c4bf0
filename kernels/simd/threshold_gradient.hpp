// The row rule threshold_gradient: what softmax_gradient does, with powers for exponentials. No include guard: included
// once per instruction set inside HWY_NAMESPACE.

/// How the panels of sum_gradients become p and ds; sums of r gather in `parameter`, three for each own row.
template <class Precision, ThresholdPower power>
struct ThresholdPanels {
  using T = typename Precision::T;
  using M = Math<Precision, Vec<T>>;
  const T *own;       // (7, T) f, m, t, 1 - t, e - 1, s e, delta
  double *parameter;  // (3, T)

  /// One vector of own rows.
  struct Row {
    Vec<T> f, m, t, room, e_minus_1, se, delta;
  };
  HWY_INLINE Row row_at(int i) const {
    const hn::ScalableTag<T> d;
    const auto number = [&](int n) HWY_ATTR { return hn::LoadU(d, own + n * tile_rows + i); };
    return {number(0), number(1), number(2), number(3), number(4), number(5), number(6)};
  }

  HWY_NOINLINE void form(const GradientScratch<T> &s, int i, int j0, int count) const {
    constexpr int NA = vectors<T>();
    const hn::ScalableTag<T> d;
    const int lanes = static_cast<int>(hn::Lanes(d));
    for (int a = 0; a < NA; ++a) {
      const Row row = row_at(i + a * lanes);
      const Vec<T> e = hn::Add(row.e_minus_1, hn::Set(d, T(1)));
      Vec<T> sums[3] = {hn::Zero(d), hn::Zero(d), hn::Zero(d)};
      for (int j = 0; j < count; ++j) {
        T *const p_at = s.a.panel + (j * NA + a) * lanes;
        T *const ds_at = s.products + (j * NA + a) * lanes;
        const Vec<T> l = hn::Add(hn::Load(d, p_at), hn::Set(d, s.shift[j0 + j]));
        const Vec<T> z = hn::Mul(row.f, hn::Sub(l, row.m));
        const Vec<T> below = hn::Sub(z, row.t);
        const Vec<T> y = hn::Add(z, row.room);
        const auto weight = threshold_powers<power, M>(below, y, row.e_minus_1);
        const Vec<T> centred = hn::Sub(hn::Load(d, ds_at), row.delta);
        const auto add = [&](int n, Vec<T> r) HWY_ATTR { sums[n] = hn::MulAdd(r, centred, sums[n]); };
        add(0, threshold_parameter<power, ThresholdScale::tsallis, M>(below, y, weight, e, row.se));
        add(1, threshold_parameter<power, ThresholdScale::none, M>(below, y, weight, e, row.se));
        add(2, threshold_parameter<power, ThresholdScale::porous, M>(below, y, weight, e, row.se));
        hn::Store(weight.p, d, p_at);
        hn::Store(hn::Mul(hn::Mul(row.se, weight.u), centred), d, ds_at);
      }
      for (int n = 0; n < 3; ++n) add_lanes<T>(sums[n], parameter + n * tile_rows + i + a * lanes);
    }
  }
};

template <class Precision, ThresholdPower power, class T = typename Precision::T>
HWY_NOINLINE void gradients_by_power(const Piece<T> &p, int features, Sides sides, FillPanel<T> fill) {
  const std::size_t before = gradient_values(static_cast<std::size_t>(features),
                                             static_cast<std::size_t>(p.columns - features), 64 / sizeof(T));
  double *const parameter = reinterpret_cast<double *>(p.scratch + before * sizeof(T));  // (3, T)
  std::memset(parameter, 0, sizeof(double) * 3 * tile_rows);
  const ThresholdPanels<Precision, power> panels{p.receive_scalars, parameter};
  const auto form = [&](const GradientScratch<T> &s, int i, int j0, int count) { panels.form(s, i, j0, count); };
  sum_gradients<T>(p, features, sides, fill, form, [&] {
    double *const state = p.receive_state + p.columns * tile_rows;
    for (int i = 0; i < 3 * tile_rows; ++i) state[i] += parameter[i];
  });
}

template <class Precision, class T = typename Precision::T>
HWY_INLINE void threshold_gradients(const Piece<T> &p, int features, Sides sides, FillPanel<T> fill) {
  const ThresholdPower power = common_power<T>(p, 4, 1);
  if (power == ThresholdPower::one) return gradients_by_power<Precision, ThresholdPower::one>(p, features, sides, fill);
  if (power == ThresholdPower::two) return gradients_by_power<Precision, ThresholdPower::two>(p, features, sides, fill);
  gradients_by_power<Precision, ThresholdPower::any>(p, features, sides, fill);
}
