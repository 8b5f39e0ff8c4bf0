// k = exp(s <x,y> - shift). Features times sqrt(|s| log2 e), so log2 k = +-q - shift log2 e. The shift is one number
// for all pairs, set by the operator against overflow (user parameters: s alone).
template <>
struct Formula<PairKind::inner_exp> {
  static constexpr FormulaDeclaration declaration = {"inner_exp",
                                                     Invariance::none,
                                                     Accumulate::inner,
                                                     {"s", nullptr},
                                                     {no_default, 0},
                                                     true,
                                                     "1/length^2",
                                                     "exp(s <x,y>)",
                                                     1,
                                                     0,
                                                     1};

  static double feature_scale(const double *p) { return std::sqrt((p[0] < 0 ? -p[0] : p[0]) * log2_of_e); }
  static void constants(const double *p, double *c) {
    c[0] = p[0] < 0 ? -1 : 1;
    c[1] = -p[1] * log2_of_e;
  }

  template <class M>
  FLASHRING_DEVICE static constexpr typename M::V log2_weight(typename M::Q q, const double *c) {
    return M::fma(q, M::set(c[0]), M::set(c[1]));
  }
  template <class M>
  FLASHRING_DEVICE static constexpr typename M::V weight(typename M::Q q, const double *c) {
    return M::exp2(log2_weight<M>(q, c));
  }
};
