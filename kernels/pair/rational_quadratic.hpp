// k = (1 + r^2/(2 a ell^2))^-a. Features times 1/(ell sqrt(2a)), so k = (1+q)^-a = 2^(-a log2(1+q)).
template <>
struct Formula<PairKind::rational_quadratic> {
  static constexpr FormulaDeclaration declaration = {"rational_quadratic",
                                                     Invariance::translation,
                                                     Accumulate::squared_distance,
                                                     {"ell", "a"},
                                                     {no_default, 1},
                                                     false,
                                                     "length",
                                                     "(1+|x-y|^2/(2 a ell^2))^-a",
                                                     1,
                                                     0,
                                                     1};

  static double feature_scale(const double *p) { return 1 / (p[0] * std::sqrt(2 * p[1])); }
  static void constants(const double *p, double *c) { c[0] = -p[1]; }

  template <class M>
  FLASHRING_DEVICE static constexpr typename M::V log2_weight(typename M::Q q, const double *c) {
    return M::mul(M::set(c[0]), M::log2(M::add(M::set(1), q)));
  }
  template <class M>
  FLASHRING_DEVICE static constexpr typename M::V weight(typename M::Q q, const double *c) {
    return M::exp2(log2_weight<M>(q, c));
  }
};
