// Operations and errors of a pair of points. No include guard: included once per instruction set inside HWY_NAMESPACE.

/// A policy of formula.hpp that computes nothing and counts. A root is an estimate and its Newton steps, a logarithm
/// about an exponential and as many multiply-adds again.
template <bool fp64>
struct Tally {
  struct V {};
  struct Q {};
  static inline thread_local TileCost cost;
  static V set(double /*a*/) { return {}; }
  static V add(V /*a*/, V /*b*/) { return ++cost.adds, V{}; }
  static V add(V /*a*/, Q /*b*/) { return ++cost.adds, V{}; }
  template <class A>
  static V mul(A /*a*/, V /*b*/) {
    return ++cost.multiply_adds, V{};
  }
  template <class A>
  static V fma(A /*a*/, V /*b*/, V /*c*/) {
    return ++cost.multiply_adds, V{};
  }
  static V neg(V /*a*/) { return ++cost.adds, V{}; }
  static V neg(Q /*a*/) { return {}; }
  template <class A>
  static V sqrt(A /*a*/) {
    return cost.adds += 6, cost.multiply_adds += fp64 ? 7 : 4, V{};
  }
  static V exp2(V /*a*/) { return ++cost.exponentials, V{}; }
  static V log2(V /*a*/) { return ++cost.exponentials, cost.multiply_adds += 7, V{}; }
};

/// Features, then the formula, then one multiply-add per column and side. Log-sum-exp shifts each logarithm (2 adds),
/// takes an exponential and adds it; its second side is a turn of its own. Bins shift, compare with the largest, scale,
/// find place and register of a counter, and take a comparison and an addition for each register; powers shift,
/// compare, subtract twice, and take a logarithm about an exponential and two sums. top_k takes differences and two
/// comparisons; what enters a list is rare and not counted. Products of differences: on each side the weight times the
/// giver's, and for c columns c differences, c products with that, c(c+1)/2 multiply-adds.
TileCost cost(const TileShape &shape, Sides sides) {
  const int used = (has_own(sides) ? 1 : 0) + (has_visiting(sides) ? 1 : 0);
  if (shape.row == RowKind::top_k) return {double{1} * shape.features, shape.features + 2.0, 0, 0};
  const bool bins = shape.row == RowKind::score_bins;
  const bool list = shape.row == RowKind::score_list;
  const bool powers = shape.row == RowKind::power_sums || shape.row == RowKind::threshold_sum;
  const bool logarithm = shape.row == RowKind::logsumexp || shape.row == RowKind::softmax_gradient ||
                         shape.row == RowKind::threshold_gradient || shape.row == RowKind::slope || bins || list ||
                         powers;
  TileCost cost = shape.precision == Precision::fp64 ? formula_cost<Tally<true>>(shape.pair.kind, logarithm)
                                                     : formula_cost<Tally<false>>(shape.pair.kind, logarithm);
  const Sum sum = sum_of(shape);
  if (sum == Sum::differences || sum == Sum::covariances) cost.adds += shape.features;
  if (sum == Sum::covariances) {  // each number of a triangle is a sum and a multiply-add
    cost.adds += covariance_numbers(shape.features);
    cost.multiply_adds += covariance_numbers(shape.features);
  }
  cost.multiply_adds += 2 * scalars_of(shape.pair.kind);
  if (sum == Sum::norms) cost.adds += 1;
  if (short_features(shape)) {
    cost.products += 2 * feature_words(true, shape.features);
    cost.adds += 1;  // integers to floating point
    cost.multiply_adds += 1;
  } else {
    cost.multiply_adds += shape.features;
  }
  if (shape.row == RowKind::slope) {  // see slope.hpp; the second side takes nothing
    constexpr int block = Rule<RowKind::slope>::block;
    const bool one = shape.columns < block;
    const double blocks = one ? 1 : (shape.columns + block - 1) / block;
    const double candidates = one ? block - 1 : block;
    cost.multiply_adds += blocks * (2 * candidates + (one ? 0 : 1));
    return {cost.multiply_adds, cost.adds + blocks * candidates, cost.exponentials + blocks, 0};
  }
  if (shape.row == RowKind::difference_product) {
    cost.adds += shape.columns * used;
    cost.multiply_adds += (1 + shape.columns + shape.columns * (shape.columns + 1) / 2) * used;
    return cost;
  }
  if (shape.row == RowKind::softmax_gradient || shape.row == RowKind::threshold_gradient) {
    cost.adds += 3;
    cost.exponentials += 1;
    cost.multiply_adds += 1 + Rule<RowKind::softmax_gradient>::multiply_adds(shape.features, shape.columns, sides);
    if (shape.row == RowKind::softmax_gradient) return cost;
    cost.adds += 15;           // both forms of d, powers, and choices between them
    cost.multiply_adds += 46;  // a logarithm, the series and three sums of r
    return cost;
  }
  if (!logarithm) {
    cost.multiply_adds += shape.columns * used;
    return cost;
  }
  if (bins) {
    const double counters = shape.precision == Precision::fp64 ? 8 : 4;  // of a register's lane
    cost.adds += 2 + 5 + 2 * std::ceil((1 + shape.columns) / counters);
    cost.multiply_adds += 2;
  } else if (list) {  // few scores are listed or summed
    cost.adds += 6;
    cost.multiply_adds += 2;
  } else if (powers) {
    cost.adds += 8;
    cost.exponentials += 1;
    cost.multiply_adds += 12 + (shape.row == RowKind::threshold_sum ? 2 : 1) * shape.columns;
  } else {
    cost.adds += 3;
    cost.exponentials += 1;
    cost.multiply_adds += shape.columns;
  }
  return {cost.multiply_adds * used, cost.adds * used, cost.exponentials * used, cost.products * used};
}

/// Worst cases to first order. A feature is centred, scaled and rounded, 2u, and the scale itself is off by 2u, 4u
/// where sqrt 2 is in it. With |x||y| <= (|x|^2 + |y|^2)/2 and q <= 2(|x|^2 + |y|^2) that makes, in units of
/// u(|x|^2 + |y|^2),
///   inner        4, and d/2 for d sums that are below |x||y|;
///   differences  8 + 8, 6 for differences and squares, and 2d for d sums below q; 8 for scalars, u each and two
///                products of q;
///   norms        8 + 16, 2 for norms and their sum, d for adding norms (in fp64, so for precision fp64 alone), and 2d
///                for d sums below 2(|x|^2 + |y|^2).
///   covariances  8 + 8, and 2d + 6 roundings of terms whose sum is |x-y|^2 at most, since the triangles' traces are 1
///                together: numbers, their sum, differences, products, 2d sums.
/// 16 bits: sums are exact, but a feature is off by half a unit, |x|/65532 at most with x the tile's longest point.
/// With s = sqrt(d)/32766 that is s/2 + s^2/8 for inner products and four times as much for distances. All features
/// then err to the same side; where they do not, errors average to some 1/sqrt(d) of this. weight: the exponential's
/// polynomial, and 8 roundings of the formula's functions.
TileError error(const TileShape &shape) {
  const double d = shape.features;
  const double u = shape.precision == Precision::fp64 ? 0x1p-53 : 0x1p-24;
  const double polynomial = shape.precision == Precision::fp64 ? 0 : shape.precision == Precision::fp32 ? 9.2e-8 : 1e-4;
  const double weight = polynomial + 8 * u;
  const Sum sum = sum_of(shape);
  if (short_features(shape)) {
    const double s = std::sqrt(d) / 32766;
    return {(s / 2 + s * s / 8) * (sum == Sum::inner ? 1 : 4) + 6 * u, weight};
  }
  if (sum == Sum::inner) return {(4 + d / 2) * u, weight};
  if (sum == Sum::covariances) return {(28 + 4 * d) * u, weight};
  return {(sum == Sum::norms ? 26 + 3 * d : 22 + 2 * d + 8 * scalars_of(shape.pair.kind)) * u, weight};
}

template <bool fused>
Rates rates(const TileShape &shape) {
  if (shape.precision == Precision::fp64) return measure_rates<Fp64, false>();
  if (shape.precision == Precision::fp32) return measure_rates<Fp32, false>();
  return measure_rates<Reduced, fused>();
}
