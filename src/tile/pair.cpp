// The host's view of the pair functions: names, parameters, and the formulas in double.
#include "flashring/pair.hpp"

#include <cmath>

#include "base/parse.hpp"
#include "flashring/check.hpp"
#include "flashring/options.hpp"
#include "points/inverse_covariance.hpp"

namespace flashring {
namespace {

#include "flashring/pair_formulas.inc"

/// One row of the list: what the formula declares and its functions.
struct Entry {
  FormulaDeclaration declaration;
  double (*feature_scale)(const double *);
  void (*constants)(const double *, double *);
  double (*log2_weight)(double, const double *);
  double (*weight)(double, const double *);
};

template <PairKind kind>
constexpr Entry entry() {
  using F = Formula<kind>;
  return {F::declaration, F::feature_scale, F::constants, F::template log2_weight<ScalarMath>,
          F::template weight<ScalarMath>};
}

constexpr Entry entries[] = {
#define FLASHRING_PAIR(name) entry<PairKind::name>(),
#include "flashring/pair_list.inc"
#undef FLASHRING_PAIR
};

const Entry &find(PairKind kind) { return entries[static_cast<std::size_t>(kind)]; }

std::vector<PairTraits> make_traits() {
  std::vector<PairTraits> all;
  for (const Entry &e : entries) {
    const FormulaDeclaration &d = e.declaration;
    PairTraits t{d.name, d.invariance, d.accumulate, d.products, d.scalars, d.weights, {}, d.unit, d.formula};
    for (const char *parameter : d.parameters)
      if (parameter != nullptr) t.parameters.push_back(parameter);
    all.push_back(std::move(t));
  }
  return all;
}

double read_parameter(const FormulaDeclaration &d, std::size_t index, const std::string &text) {
  const std::string what = std::string("-pair ") + d.name + ": " + d.parameters[index];
  const double value = parse_real(what, text);
  const bool may_be_negative = d.first_may_be_negative && index == 0;
  FLASHRING_CHECK(std::isfinite(value) && (value > 0 || (may_be_negative && value != 0)), what, "=", text, " is not a ",
                  may_be_negative ? "finite number other than 0" : "positive finite number",
                  index == 0 ? detail::concatenate(" (in ", d.unit, ")") : std::string());
  return value;
}

}  // namespace

const PairTraits &traits(PairKind kind) {
  static const std::vector<PairTraits> all = make_traits();
  return all[static_cast<std::size_t>(kind)];
}

PointScale point_scale(PairKind kind) {
  const FormulaDeclaration &d = find(kind).declaration;
  if (d.accumulate == Accumulate::covariance) return PointScale::covariance;
  return d.scalars > 0 ? PointScale::length : PointScale::none;
}

int point_numbers(const PairFunction &pair, int features) {
  return features + scale_numbers(point_scale(pair.kind), features);
}

void scale_in_tile(const PairFunction &pair, int features, const double *scale, double *numbers) {
  if (point_scale(pair.kind) == PointScale::length) {
    *numbers = pair.length_unit / *scale;
    return;
  }
  const auto count = static_cast<std::size_t>(scale_numbers(point_scale(pair.kind), features));
  const std::vector<double> inverse = inverse_covariance({scale, count}, features);
  const double unit = pair.length_unit * pair.length_unit;
  std::size_t at = 0;
  for (int k = 0; k < features; ++k)
    for (int l = 0; l <= k; ++l, ++at) numbers[at] = inverse[at] * (l == k ? unit / 2 : unit);
}

double argument_of(const PairFunction &pair, int features, const double *x, const double *y) {
  const bool covariances = point_scale(pair.kind) == PointScale::covariance;
  const double *of_x = x + features;
  const double *of_y = y + features;
  double q = 0;
  for (int k = 0; k < features; ++k) {
    double sum = covariances ? 0 : x[k] - y[k];
    for (int l = 0; covariances && l <= k; ++l) sum += (*of_x++ + *of_y++) * (x[l] - y[l]);
    q += sum * (x[k] - y[k]);
  }
  return point_scale(pair.kind) == PointScale::length ? q * (*of_x * *of_y) : q;
}

bool is_positive_semidefinite(const PairFunction &pair) {
  const bool grows =
      pair.kind != PairKind::inner_exp || pair.parameters[0] > 0;  // exp(-<x,y>) has negative eigenvalues
  return point_scale(pair.kind) == PointScale::none && grows;
}

std::vector<std::string_view> pair_names() {
  std::vector<std::string_view> names;
  for (const Entry &e : entries) names.emplace_back(e.declaration.name);
  return names;
}

PairFunction parse_pair(std::string_view text) {
  const NamedArguments given = parse_named_arguments("-pair", text);
  std::size_t index = 0;
  while (index < std::size(entries) && given.name != entries[index].declaration.name) ++index;
  FLASHRING_CHECK(index < std::size(entries), "-pair: '", given.name, "' is unknown; known are ", join(pair_names()));
  const FormulaDeclaration &d = entries[index].declaration;
  PairFunction pair{static_cast<PairKind>(index), {d.defaults[0], d.defaults[1], 0, 0}};
  for (const auto &[key, value] : given.arguments) {
    bool known = false;
    for (std::size_t p = 0; p < 2; ++p) {
      if (d.parameters[p] == nullptr || key != d.parameters[p]) continue;
      pair.parameters[p] = read_parameter(d, p, value);
      known = true;
    }
    FLASHRING_CHECK(known, "-pair ", d.name, ": unknown parameter '", key, "'; it has ",
                    d.parameters[0] == nullptr ? "none" : join(traits(pair.kind).parameters));
  }
  return pair;
}

std::string to_string(const PairFunction &pair) {
  const PairTraits &t = traits(pair.kind);
  std::string text = t.name;
  char separator = ':';
  for (std::size_t p = 0; p < t.parameters.size(); ++p) {
    if (std::isnan(pair.parameters[p])) continue;
    text += separator + detail::concatenate(t.parameters[p], "=", pair.parameters[p]);
    separator = ',';
  }
  return text;
}

void check_length_scale(const PairFunction &pair) {
  FLASHRING_CHECK(pair.kind != PairKind::inner_exp,
                  "-pair inner_exp has no length scale that a median could set; give -pair inner_exp:s=VALUE");
  const PairTraits &t = traits(pair.kind);
  const PointScale scale = point_scale(pair.kind);
  FLASHRING_CHECK(scale == PointScale::none, "-pair ", t.name, " takes its lengths from ",
                  scale == PointScale::length ? "-point_scales" : "-point_covariances", ", not from a median; ",
                  t.parameters.empty() ? std::string("leave -beta out")
                                       : detail::concatenate("give -pair ", t.name, ":", t.parameters[0], "=VALUE"));
}

void set_length_scale(PairFunction &pair, double median_squared_distance) {
  check_length_scale(pair);
  pair.parameters[0] =
      pair.kind == PairKind::gaussian ? 1 / (2 * median_squared_distance) : std::sqrt(median_squared_distance);
}

double feature_scale(const PairFunction &pair) {
  return find(pair.kind).feature_scale(pair.parameters.data()) / pair.length_unit;
}

double weight(const PairFunction &pair, double q) {
  const Entry &e = find(pair.kind);
  double constants[4] = {};
  e.constants(pair.parameters.data(), constants);
  const double scale = e.feature_scale(pair.parameters.data());
  return e.weight(q * scale * scale, constants);
}

double log_weight(const PairFunction &pair, double q) {
  const Entry &e = find(pair.kind);
  double constants[4] = {};
  e.constants(pair.parameters.data(), constants);
  const double scale = e.feature_scale(pair.parameters.data());
  return e.log2_weight(q * scale * scale, constants) * ln_of_2;
}

double log_weight_bound(const PairFunction &pair, double lowest, double highest) {
  // Every formula is monotone in q, so the larger of the two ends bounds it.
  return std::max(log_weight(pair, lowest), log_weight(pair, highest));
}

}  // namespace flashring
