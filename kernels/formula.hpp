// What a pair function file declares. No include guard: every backend includes this, the formulas and the row rules
// inside a namespace of its own, after <cmath>, so that no linker can hand one backend the code compiled for another.
//
// A file kernels/pair/NAME.hpp specialises Formula<PairKind::NAME> with
//   declaration   the facts of PairTraits (see flashring/pair.hpp) as a FormulaDeclaration
//   feature_scale number that features are multiplied with before packing
//   constants     user parameters -> constants of the scaled formula, (4) each
//   log2_weight   log2 k from q (the accumulated product of scaled features) and the constants
//   weight        k, where that is cheaper than 2^log2_weight
// The arithmetic words come from the policy M of backend and precision: M::V is a number or a vector of them; set, add,
// mul, fma(a,b,c) = ab+c, neg, sqrt, exp2, log2. q comes as M::Q, for which the words a formula applies to q exist too:
// a backend that sums -q hands that over, and neg(q) costs nothing. exp2 that would be below the smallest normal number
// is 0 or another number below it. q may be negative by its rounding; sqrt(q) is 0 then. Where the declaration has
// scalars = 1, every point has a number and q comes multiplied by those of both points, so formulas do not know of it;
// backends sum such q by differences. Where it accumulates a covariance, q is the quadratic form of the differences and
// of both points' triangles, and formulas know neither of these. FLASHRING_DEVICE stands before what devices run too:
// log2_weight, weight and what these call. These are constexpr, so that a policy can count their operations while the
// compiler runs them.
#include <device_word.hpp>

struct FormulaDeclaration {
  const char *name;
  Invariance invariance;
  Accumulate accumulate;
  const char *parameters[2];  // names; null: none
  double defaults[2];         // NaN: must be given or comes from the median bandwidth
  bool first_may_be_negative;
  const char *unit;
  const char *formula;
  int products;
  int scalars;
  int weights;
};

template <PairKind kind>
struct Formula;

constexpr double log2_of_e = 1.4426950408889634074;
constexpr double ln_of_2 = 0.69314718055994530942;

/// The words for one double on the host.
struct ScalarMath {
  using V = double;
  using Q = double;
  static double set(double a) { return a; }
  static double add(double a, double b) { return a + b; }
  static double mul(double a, double b) { return a * b; }
  static double fma(double a, double b, double c) { return a * b + c; }
  static double neg(double a) { return -a; }
  static double sqrt(double a) { return std::sqrt(a); }
  static double exp2(double a) { return std::exp2(a); }
  static double log2(double a) { return std::log2(a); }
  // What threshold.hpp asks for.
  static double log2_1p(double d, double y) { return y > 0.5 ? std::log1p(d) * log2_of_e : std::log2(y); }
  static double greatest(double a, double b) { return a > b ? a : b; }
  static double where_positive(double a, double b, double c) { return a > 0 ? b : c; }
};

constexpr double no_default = __builtin_nan("");
