// k = exp(-r/ell), Euclidean r. Features times log2(e)/ell, so k = 2^-sqrt(q). sqrt is not smooth at q = 0, where the
// norm expansion leaves an error eps |x|^2 in q and its square root in r: q is summed from differences.
template <>
struct Formula<PairKind::laplacian> {
  static constexpr FormulaDeclaration declaration = {"laplacian",
                                                     Invariance::translation,
                                                     Accumulate::difference,
                                                     {"ell", nullptr},
                                                     {no_default, 0},
                                                     false,
                                                     "length",
                                                     "exp(-|x-y|/ell)",
                                                     1,
                                                     0,
                                                     1};

  static double feature_scale(const double *p) { return log2_of_e / p[0]; }
  static void constants(const double * /*p*/, double * /*c*/) {}

  template <class M>
  FLASHRING_DEVICE static constexpr typename M::V log2_weight(typename M::Q q, const double * /*c*/) {
    return M::neg(M::sqrt(q));
  }
  template <class M>
  FLASHRING_DEVICE static constexpr typename M::V weight(typename M::Q q, const double * /*c*/) {
    return M::exp2(M::neg(M::sqrt(q)));
  }
};
