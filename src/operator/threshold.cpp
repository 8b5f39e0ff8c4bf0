// The numbers of threshold families and the maps of their parameter.
#include "flashring/threshold.hpp"

#include <cmath>

#include "flashring/check.hpp"

namespace flashring {
namespace {

/// Below it e log1p(w v) = v - w v^2/2 is v itself in fp64: p is 0 from |v| = 745 on, and 745^2 2^-81 < 2^-53 / 16.
constexpr double smallest_w = 0x1p-80;

ThresholdScale parse_scale(std::string_view scale) {
  if (scale == "tsallis") return ThresholdScale::tsallis;
  if (scale == "none") return ThresholdScale::none;
  FLASHRING_CHECK(scale == "porous", "scale '", scale, "' of diffmax is unknown; known are tsallis, none, porous");
  return ThresholdScale::porous;
}

ThresholdPower power_of(double e) {
  if (e == 1) return ThresholdPower::one;
  if (e == 2) return ThresholdPower::two;
  if (e == 3) return ThresholdPower::three;
  if (e == 4) return ThresholdPower::four;
  return ThresholdPower::any;
}

/// 0 <= w <= 1; `rest` = 1 - w.
ThresholdFamily family_of(double w, double rest, ThresholdScale scale, double sign) {
  ThresholdFamily family{scale, ThresholdPower::exponential, w, 1, 1, 0, sign};
  if (w < smallest_w) {
    FLASHRING_CHECK(scale != ThresholdScale::none, "1 - alpha = ", w,
                    " with scale none: its limit at alpha = 1 is no number for each score but the largest; give 1 - "
                    "alpha >= 1e-24, or scale tsallis");
    return family;
  }
  family.e = 1 / w;
  family.e_minus_1 = rest / w;
  family.power = power_of(family.e);
  if (scale == ThresholdScale::tsallis) family.s = w;
  if (scale == ThresholdScale::porous) family.s = w / (1 + w);
  return family;
}

}  // namespace

bool has_parameter(std::string_view name) { return name == "diffmax" || name == "entmax"; }

double default_parameter(std::string_view name) { return name == "entmax" ? 1.5 : 0.5; }

ThresholdFamily threshold_family(std::string_view name, double parameter, std::string_view scale) {
  if (name == "softmax") return family_of(0, 1, ThresholdScale::tsallis, 0);
  if (name == "sparsemax") return family_of(1, 0, ThresholdScale::tsallis, 0);
  if (name == "entmax") {
    FLASHRING_CHECK(parameter > 1 && parameter <= 2, "a of entmax is ", parameter, "; it must be in (1, 2]");
    return family_of(parameter - 1, 2 - parameter, ThresholdScale::tsallis, -1);
  }
  FLASHRING_CHECK(name == "diffmax", "operator '", name, "' is unknown; known are softmax, diffmax, entmax, sparsemax");
  FLASHRING_CHECK(parameter > 0 && parameter < 1, "alpha of diffmax is ", parameter, "; it must be in (0, 1)");
  return family_of(1 - parameter, parameter, parse_scale(scale), 1);
}

ThresholdFamily threshold_family_at(std::string_view name, double w, std::string_view scale) {
  const bool entmax = name == "entmax";
  FLASHRING_CHECK(entmax || name == "diffmax", "w is given of diffmax (1 - alpha) and entmax (a - 1), not of '", name,
                  "'");
  FLASHRING_CHECK(w >= 0 && (w < 1 || (entmax && w == 1)), entmax ? "a - 1 of entmax is " : "1 - alpha of diffmax is ",
                  w, "; it must be in [0, 1", entmax ? "]" : ")");
  return family_of(w, 1 - w, entmax ? ThresholdScale::tsallis : parse_scale(scale), entmax ? -1 : 1);
}

std::vector<ThresholdFamily> threshold_families(std::string_view name, const std::vector<double> &numbers,
                                                bool complements, std::string_view scale, std::string_view each,
                                                std::int64_t first) {
  std::vector<ThresholdFamily> families;
  for (const double number : numbers) {
    try {
      families.push_back(complements ? threshold_family_at(name, number, scale)
                                     : threshold_family(name, number, scale));
    } catch (const Error &error) {
      if (numbers.size() == 1) throw;
      throw Error(detail::concatenate(each, " ", first + static_cast<std::int64_t>(families.size()),
                                      " (counted from 0): ", error.what()));
    }
  }
  return families;
}

std::vector<double> threshold_parameters(std::string_view name, std::vector<double> numbers, bool complements) {
  if (!has_parameter(name)) return {};
  if (complements)
    for (double &number : numbers) number = name == "entmax" ? 1 + number : 1 - number;
  return numbers;
}

AlphaMap::AlphaMap(std::string_view kind, double c, double beta0) : c_(c), beta0_(beta0) {
  FLASHRING_CHECK(kind == "hill" || kind == "tanh" || kind == "exp", "map '", kind,
                  "' of alpha is unknown; known are hill, tanh, exp");
  FLASHRING_CHECK(c > 0 && c < 1, "c of the map of alpha is ", c, "; it must be in (0, 1)");
  FLASHRING_CHECK(beta0 > 0 && std::isfinite(beta0), "beta0 of the map of alpha is ", beta0,
                  "; it must be positive and finite");
  kind_ = kind == "hill" ? Kind::hill : kind == "tanh" ? Kind::tanh : Kind::exp;
}

double AlphaMap::complement(double log_beta) const {
  const double b = std::exp(log_beta) / beta0_;
  if (kind_ == Kind::hill) return c_ / (1 + 1 / b);  // b may be infinite, or 0
  return c_ * (kind_ == Kind::tanh ? std::tanh(b) : -std::expm1(-b));
}

double AlphaMap::inverse(double alpha) const {
  FLASHRING_CHECK(alpha > 1 - c_ && alpha < 1, "alpha ", alpha, " is no value of the map; it must be in (", 1 - c_,
                  ", 1)");
  const double q = (1 - alpha) / c_;
  const double b = kind_ == Kind::hill ? q / (1 - q) : kind_ == Kind::tanh ? std::atanh(q) : -std::log1p(-q);
  return std::log(b * beta0_);
}

double AlphaMap::derivative(double log_beta) const {
  const double b = std::exp(log_beta) / beta0_;
  if (kind_ == Kind::hill) return -c_ / (1 + 1 / b) / (1 + b);
  if (kind_ == Kind::exp) return -c_ * std::exp(log_beta - std::log(beta0_) - b);
  const double sech = 1 / std::cosh(b);
  return sech == 0 ? 0 : -c_ * b * sech * sech;
}

}  // namespace flashring
