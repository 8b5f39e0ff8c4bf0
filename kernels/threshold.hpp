// What a threshold family makes of a score. Written once for every backend, as pair functions are: included after
// formula.hpp inside a namespace of the backend's own, no include guard. The families: flashring/threshold.hpp.
//
//   d = s (x - max x) - t <= 0, and with y = 1 + d:   p = [y]_+^e    u = [y]_+^(e-1)    r: see threshold_parameter
//   d of a masked score is -infinity, and everything is 0 there, as it is wherever y <= 0.
// How to call: with z = s (x - max x), d = z - t and y = z + (1 - t), t and 1 - t from the host's fp64: the same number
// but for 1, each rounded once. d is the accurate one where y is near 1 (large e), y where it is near 0 (long rows of
// scores alike with a small e: of 4096 equal ones with e = 2 fp32 would miss the sum by 4e-6). Then
//   const auto [p, u] = threshold_powers<power, M>(d, y, e_minus_1);
// one instance per ThresholdPower, chosen outside of loops. Whole powers do not read d, the exponential does not read
// y: the compiler drops what is not read. e_minus_1, e and s e come as M::V: rows of different families may lie in the
// lanes of a vector where all are taken as `any`, which is right for every family but the exponential one.
//
// Sums of a threshold search take three_powers, which has one power more, in the same way.
// Accuracy: p and u have the relative error of a few roundings times 1 + |ln p|, for any e; p is u y: no second
// exponential, no division. Beside that the roundings of d and y enter, up to e units of the last place.
// The policy M of formula.hpp has three words more here: log2_1p(d, y) = log2(y) for y = 1 + d in (0, 1] with relative
// accuracy, anything elsewhere; greatest(a, b), which is b where a is NaN (0 times -infinity, in the padding of a
// tile); where_positive(a, b, c) = b where a > 0, c elsewhere.

/// Both powers of a score.
template <class M>
struct ThresholdWeight {
  typename M::V p;
  typename M::V u;
};

template <ThresholdPower power, class M>
FLASHRING_DEVICE constexpr ThresholdWeight<M> threshold_powers(typename M::V d, typename M::V y,
                                                               typename M::V e_minus_1) {
  using V = typename M::V;
  if constexpr (power == ThresholdPower::exponential) {
    const V p = M::exp2(M::mul(d, M::set(log2_of_e)));
    return {p, p};
  } else {
    const V zero = M::set(0);
    const V on = M::greatest(y, zero);
    const V square = M::mul(on, on);
    if constexpr (power == ThresholdPower::one) return {on, M::where_positive(y, M::set(1), zero)};
    if constexpr (power == ThresholdPower::two) return {square, on};
    if constexpr (power == ThresholdPower::three) return {M::mul(square, on), square};
    if constexpr (power == ThresholdPower::four) return {M::mul(square, square), M::mul(square, on)};
    const V u = M::where_positive(y, M::exp2(M::mul(e_minus_1, M::log2_1p(d, y))), zero);
    return {M::mul(u, on), u};
  }
}

/// The powers y^e, y^(e-1) and y^(e-2) of the sums that a threshold is found by, for `power` one, two and any. The
/// last one is as accurate as exp2 for e >= 2, and 0 for e = 1, where it has no meaning.
template <class M>
struct ThresholdPowers {
  typename M::V p, u, v;
};

template <ThresholdPower power, class M>
FLASHRING_DEVICE constexpr ThresholdPowers<M> three_powers(typename M::V d, typename M::V y, typename M::V e_minus_2) {
  using V = typename M::V;
  const V zero = M::set(0);
  const V on = M::greatest(y, zero);
  if constexpr (power == ThresholdPower::one) return {on, M::where_positive(y, M::set(1), zero), zero};
  if constexpr (power == ThresholdPower::two) return {M::mul(on, on), on, M::where_positive(y, M::set(1), zero)};
  const V v = M::where_positive(y, M::exp2(M::mul(e_minus_2, M::log2_1p(d, y))), zero);
  const V u = M::mul(v, on);
  return {M::mul(u, on), u, v};
}

/// phi(q)/q^2 with phi(q) = e^-q - 1 + q, for -1 <= q <= 0: sum over k >= 2 of (-q)^(k-2)/k! up to k = 20; the next
/// term is 2e-20.
template <class M>
FLASHRING_DEVICE constexpr typename M::V threshold_series(typename M::V q) {
  const typename M::V minus_q = M::neg(q);
  double coefficient = 1.0 / 2432902008176640000;  // 1/20!
  typename M::V sum = M::set(coefficient);
  for (int k = 19; k >= 2; --k) {
    coefficient *= k + 1;
    sum = M::fma(sum, minus_q, M::set(coefficient));
  }
  return sum;
}

/// r, with which d p / d alpha = r - u sum r / sum u (entmax: its negative), from the p and u of the same d and y. With
/// q = w ln p, which is ln y since e = 1/w, e^-q = 1/y and p/y = u:
///   tsallis  p phi(q)/w^2: (ln p)^2 p phi(q)/q^2 by the series for |q| < 1, (u - p + p q) e^2 beyond
///   none     p ln(p)/w
///   porous   that of tsallis, and -p expm1(-q)/(w (1 + w)) = d u e s e
/// Nothing cancels at either end of the range, and nothing is divided by w. `se`: the product s e.
template <ThresholdPower power, ThresholdScale scale, class M>
FLASHRING_DEVICE constexpr typename M::V threshold_parameter(typename M::V d, typename M::V y,
                                                             ThresholdWeight<M> weight, typename M::V e,
                                                             typename M::V se) {
  using V = typename M::V;
  const V inside = M::where_positive(weight.u, d, M::set(0));       // off the support d may be infinite
  const V shift = M::mul(M::mul(inside, weight.u), M::mul(e, se));  // of porous
  if constexpr (power == ThresholdPower::exponential) {
    const V r = M::mul(M::mul(weight.p, inside), M::mul(inside, M::set(0.5)));
    return scale == ThresholdScale::porous ? M::add(r, shift) : r;
  } else {
    const V q = M::mul(M::where_positive(weight.u, M::log2_1p(d, y), M::set(0)), M::set(ln_of_2));
    const V log_p = M::mul(e, q);
    if constexpr (scale == ThresholdScale::none) return M::mul(M::mul(weight.p, log_p), e);
    const V series = threshold_series<M>(M::greatest(q, M::set(-1)));
    const V near = M::mul(M::mul(weight.p, log_p), M::mul(log_p, series));
    const V far = M::mul(M::mul(M::add(M::fma(weight.p, q, M::neg(weight.p)), weight.u), e), e);
    const V r = M::where_positive(M::add(M::set(1), q), near, far);
    return scale == ThresholdScale::porous ? M::add(r, shift) : r;
  }
}
