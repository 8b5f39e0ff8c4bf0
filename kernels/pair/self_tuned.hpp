// k = exp(-r^2 / (sigma_x sigma_y)). Features times sqrt(log2 e), scalar 1/sigma, so k = 2^-q. Differences: a sigma may
// be far below the distances of points from the mean. Source: Zelnik-Manor, Perona, NIPS 17 (2005).
template <>
struct Formula<PairKind::self_tuned> {
  static constexpr FormulaDeclaration declaration = {"self_tuned",
                                                     Invariance::translation,
                                                     Accumulate::difference,
                                                     {nullptr, nullptr},
                                                     {0, 0},
                                                     false,
                                                     "",
                                                     "exp(-|x-y|^2 / (sigma_x sigma_y))",
                                                     1,
                                                     1,
                                                     1};

  static double feature_scale(const double * /*p*/) { return std::sqrt(log2_of_e); }
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
