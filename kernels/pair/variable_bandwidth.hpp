// k = exp(-r^2 / (4 epsilon rho_x rho_y)). Features times sqrt(log2 e / (4 epsilon)), scalar 1/rho, so k = 2^-q.
// Differences as for self_tuned. Source: Berry, Harlim, Appl. Comput. Harmon. Anal. 40 (2016) 68.
template <>
struct Formula<PairKind::variable_bandwidth> {
  static constexpr FormulaDeclaration declaration = {"variable_bandwidth",
                                                     Invariance::translation,
                                                     Accumulate::difference,
                                                     {"epsilon", nullptr},
                                                     {no_default, 0},
                                                     false,
                                                     "1",
                                                     "exp(-|x-y|^2 / (4 epsilon rho_x rho_y))",
                                                     1,
                                                     1,
                                                     1};

  static double feature_scale(const double *p) { return std::sqrt(log2_of_e / (4 * p[0])); }
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
