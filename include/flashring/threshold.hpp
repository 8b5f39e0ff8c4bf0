// The threshold families of attention: diffmax, entmax, sparsemax, and softmax as their limit. C++17, read by nvcc too.
//
// On a row of scores x, with z = s x:  p_i = [z_i - tau]_+^e, tau such that sum_i p_i = 1. What is kept instead of tau
// is the offset t = tau - (max z - 1) in [0, 1 - n^(-1/e)], so that p = [1 + d]_+^e with d = s (x - max x) - t.
//   diffmax, 0 < alpha < 1, w = 1 - alpha, e = 1/w    scale tsallis: s = w, none: s = 1, porous: s = w/(1 + w)
//   entmax, 1 < a <= 2, w = a - 1, e = 1/w, s = w;     sparsemax: s = e = 1
// Sources: Martins, Astudillo, ICML 2016 (sparsemax); Peters, Niculae, Martins, ACL 2019 (entmax); docs/mathematics.md.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace flashring {

/// What scores are multiplied with before the threshold of diffmax.
enum class ThresholdScale : std::uint8_t { tsallis, none, porous };

/// How a power with exponent e is computed: by products where e is a small whole number, by logarithms, or as
/// exp(d), the limit e -> infinity, in which scores are not multiplied (s = 1) and t is the logarithm of the sum.
enum class ThresholdPower : std::uint8_t { one, two, three, four, any, exponential };

/// The numbers of one family.
struct ThresholdFamily {
  ThresholdScale scale = ThresholdScale::tsallis;
  ThresholdPower power = ThresholdPower::exponential;
  double w = 0;          ///< 1 - alpha, or a - 1
  double s = 1;          ///< scores times this; 1 where power is exponential
  double e = 1;          ///< the exponent; 1 where power is exponential, where p and u are the same
  double e_minus_1 = 0;  ///< without the rounding of e
  /// d p / d parameter = sign (r - u sum r / sum u), r of kernels/threshold.hpp: 1 for alpha, -1 for a, 0 for none.
  double sign = 1;
};

/// `name`: softmax, diffmax, entmax, sparsemax; `parameter`: alpha of diffmax, a of entmax, not read otherwise;
/// `scale`: tsallis, none or porous, of diffmax. Throws Error that names the parameter for what is out of range.
ThresholdFamily threshold_family(std::string_view name, double parameter, std::string_view scale = "tsallis");

/// Whether the operation has alpha (diffmax) or a (entmax), and the value where none is given.
bool has_parameter(std::string_view name);
double default_parameter(std::string_view name);

/// The same of diffmax (0 <= w < 1) and entmax (0 <= w <= 1) from w itself, which keeps its relative accuracy however
/// near the parameter is to 1. Below 2^-80 the family is softmax, from which it differs by less than a rounding of
/// fp64; with scale none, whose limit is no such family, that is an Error.
ThresholdFamily threshold_family_at(std::string_view name, double w, std::string_view scale = "tsallis");

/// The families of numbers as callers give them: parameters, or with `complements` w of each. Where there are several
/// an Error begins with `each` ("query head") and the place of the one it is about, counted from `first`.
std::vector<ThresholdFamily> threshold_families(std::string_view name, const std::vector<double> &numbers,
                                                bool complements, std::string_view scale, std::string_view each,
                                                std::int64_t first = 0);
/// The parameters themselves; none where the operation has none.
std::vector<double> threshold_parameters(std::string_view name, std::vector<double> numbers, bool complements);

/// A parameter that is learned as log beta: alpha = 1 - w with w in (0, c).
///   hill: w = c b/(1 + b), tanh: w = c tanh b, exp: w = c (1 - exp(-b)), with b = beta / beta0
class AlphaMap {
 public:
  /// kind: hill, tanh or exp; 0 < c < 1, beta0 > 0. Throws Error otherwise.
  explicit AlphaMap(std::string_view kind, double c = 0.9, double beta0 = 1);
  /// w = 1 - alpha, with full relative accuracy; 0 where it underflows.
  double complement(double log_beta) const;
  double value(double log_beta) const { return 1 - complement(log_beta); }
  /// log beta of an alpha in (1 - c, 1); Error outside.
  double inverse(double alpha) const;
  /// d alpha / d log beta, negative.
  double derivative(double log_beta) const;

 private:
  enum class Kind : std::uint8_t { hill, tanh, exp };
  Kind kind_ = Kind::hill;
  double c_, beta0_;
};

}  // namespace flashring
