// k = (1 + u) exp(-u), u = sqrt(3) r/ell. Features times sqrt(3)/ell, so u = sqrt(q). k is smooth enough in q at 0:
// 1 - q/2 + ...
template <>
struct Formula<PairKind::matern32> {
  static constexpr FormulaDeclaration declaration = {"matern32",
                                                     Invariance::translation,
                                                     Accumulate::squared_distance,
                                                     {"ell", nullptr},
                                                     {no_default, 0},
                                                     false,
                                                     "length",
                                                     "(1+u) exp(-u), u = sqrt(3) |x-y|/ell",
                                                     1,
                                                     0,
                                                     1};

  static double feature_scale(const double *p) { return std::sqrt(3.0) / p[0]; }
  static void constants(const double * /*p*/, double * /*c*/) {}

  template <class M>
  FLASHRING_DEVICE static constexpr typename M::V log2_weight(typename M::Q q, const double * /*c*/) {
    const typename M::V u = M::sqrt(q);
    return M::fma(u, M::set(-log2_of_e), M::log2(M::add(M::set(1), u)));
  }
  template <class M>
  FLASHRING_DEVICE static constexpr typename M::V weight(typename M::Q q, const double * /*c*/) {
    const typename M::V u = M::sqrt(q);
    return M::mul(M::add(M::set(1), u), M::exp2(M::mul(u, M::set(-log2_of_e))));
  }
};
