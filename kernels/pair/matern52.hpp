// k = (1 + u + u^2/3) exp(-u), u = sqrt(5) r/ell. Features times sqrt(5)/ell, so u = sqrt(q) and u^2 = q.
template <>
struct Formula<PairKind::matern52> {
  static constexpr FormulaDeclaration declaration = {"matern52",
                                                     Invariance::translation,
                                                     Accumulate::squared_distance,
                                                     {"ell", nullptr},
                                                     {no_default, 0},
                                                     false,
                                                     "length",
                                                     "(1+u+u^2/3) exp(-u), u = sqrt(5) |x-y|/ell",
                                                     1,
                                                     0,
                                                     1};

  static double feature_scale(const double *p) { return std::sqrt(5.0) / p[0]; }
  static void constants(const double * /*p*/, double * /*c*/) {}

  template <class M>
  FLASHRING_DEVICE static constexpr typename M::V polynomial(typename M::Q q, typename M::V u) {
    return M::fma(q, M::set(1.0 / 3), M::add(M::set(1), u));
  }
  template <class M>
  FLASHRING_DEVICE static constexpr typename M::V log2_weight(typename M::Q q, const double * /*c*/) {
    const typename M::V u = M::sqrt(q);
    return M::fma(u, M::set(-log2_of_e), M::log2(polynomial<M>(q, u)));
  }
  template <class M>
  FLASHRING_DEVICE static constexpr typename M::V weight(typename M::Q q, const double * /*c*/) {
    const typename M::V u = M::sqrt(q);
    return M::mul(polynomial<M>(q, u), M::exp2(M::mul(u, M::set(-log2_of_e))));
  }
};
