// k = exp(-beta/2 (x-y)' (C_x^-1 + C_y^-1) (x-y)), a covariance C for each point. Features times sqrt(beta log2 e), the
// inverses are in the payload, so k = 2^-q. Differences: as a product of (C^-1, C^-1 x, x' C^-1 x) with (yy', y, 1) q
// would be a difference of numbers that are as large as |x|^2 / smallest variance. Source: Singer, Coifman, Appl.
// Comput. Harmon. Anal. 25 (2008) 226.
template <>
struct Formula<PairKind::local_mahalanobis> {
  static constexpr FormulaDeclaration declaration = {"local_mahalanobis",
                                                     Invariance::translation,
                                                     Accumulate::covariance,
                                                     {"beta", nullptr},
                                                     {no_default, 0},
                                                     false,
                                                     "1",
                                                     "exp(-beta/2 (x-y)' (C_x^-1 + C_y^-1) (x-y))",
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
