// k = exp(-beta r^2). Features times sqrt(beta log2 e), so k = 2^-q: one exponential, nothing else.
template <>
struct Formula<PairKind::gaussian> {
  static constexpr FormulaDeclaration declaration = {"gaussian",
                                                     Invariance::translation,
                                                     Accumulate::squared_distance,
                                                     {"beta", nullptr},
                                                     {no_default, 0},
                                                     false,
                                                     "1/length^2",
                                                     "exp(-beta |x-y|^2)",
                                                     1,
                                                     0,
                                                     1};

  static double feature_scale(const double *p) { return std::sqrt(p[0] * log2_of_e); }
  static void constants(const double * /*p*/, double * /*c*/) {}

  template <class M>
  FLASHRING_DEVICE static constexpr typename M::V log2_weight(typename M::Q q, const double * /*c*/) {
    return M::neg(q);
  }
  template <class M>
  FLASHRING_DEVICE static constexpr typename M::V weight(typename M::Q q, const double * /*c*/) {
    return M::exp2(M::neg(q));
  }
};
