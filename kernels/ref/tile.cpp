// Backend ref: plain loops, double accumulation, squared distances by differences. The oracle of the other backends and
// the fallback everywhere. Cost: about 3d + 20 scalar operations a pair.
//
// Payload of a tile: (T, d + s) doubles, centred and scaled features and s scalars, zero in the padding.
#include "flashring/tile.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "flashring/threshold.hpp"
#include "ref/backend.hpp"

namespace flashring::ref {
namespace {

#include "flashring/pair_formulas.inc"
#include "flashring/row_rules.inc"
#include "formula_facts.hpp"
#include "threshold.hpp"

constexpr int tile_rows = 64;  // small: many tiles in tests, and one tile's payload stays in L1 up to d = 64

/// A formula with its constants, chosen once per call.
struct Weigh {
  double (*weight)(double, const double *) = nullptr;
  double (*log2_weight)(double, const double *) = nullptr;
  Accumulate how = Accumulate::inner;
  bool scalars = false;
  double constants[4] = {};
};

template <PairKind kind>
Weigh weigh_by(const PairFunction &pair) {
  using F = Formula<kind>;
  Weigh w;
  w.weight = F::template weight<ScalarMath>;
  w.log2_weight = F::template log2_weight<ScalarMath>;
  w.how = F::declaration.accumulate;
  w.scalars = F::declaration.scalars > 0;
  F::constants(pair.parameters.data(), w.constants);
  return w;
}

Weigh choose_formula(const PairFunction &pair) {
  switch (pair.kind) {
#define FLASHRING_PAIR(name) \
  case PairKind::name:       \
    return weigh_by<PairKind::name>(pair);
#include "flashring/pair_list.inc"
#undef FLASHRING_PAIR
  }
  return {};
}

/// The quadratic form of the differences and of both points' triangles, which follow the features.
double accumulate_covariance(const double *x, const double *y, int d) {
  double q = 0;
  for (int k = 0, at = d; k < d; ++k) {
    double sum = 0;
    for (int l = 0; l <= k; ++l, ++at) sum += (x[at] + y[at]) * (x[l] - y[l]);
    q += sum * (x[k] - y[k]);
  }
  return q;
}

double accumulate(const Weigh &weigh, const double *x, const double *y, int d) {
  if (weigh.how == Accumulate::covariance) return accumulate_covariance(x, y, d);
  const bool inner = weigh.how == Accumulate::inner;
  double q = 0;
  for (int k = 0; k < d; ++k) q += inner ? x[k] * y[k] : (x[k] - y[k]) * (x[k] - y[k]);
  return weigh.scalars ? q * (x[d] * y[d]) : q;
}

/// Numbers of a row of the payload.
int row_numbers(const TileShape &shape) { return row_numbers(shape.pair.kind, shape.features); }

#include "ref/fold.hpp"

const RowFold &row_fold(RowKind kind) { return row_folds[static_cast<std::size_t>(kind)]; }

void evaluate_pair(const TileCall &call, const Weigh &weigh, std::int64_t number, std::size_t state_bytes) {
  const TileShape &shape = call.shape;
  const TilePair &pair = call.pairs[number];
  std::uint8_t *const touched = call.touched == nullptr ? nullptr : call.touched + number;
  const std::int64_t width = row_numbers(shape);
  const auto words = static_cast<std::size_t>(width) * tile_rows;
  const double *x = reinterpret_cast<const double *>(call.own.payload) + static_cast<std::size_t>(pair.own) * words;
  const double *y =
      reinterpret_cast<const double *>(call.visiting.payload) + static_cast<std::size_t>(pair.visiting) * words;
  const TileInfo own = call.own.tiles[pair.own];
  const TileInfo visiting = call.visiting.tiles[pair.visiting];
  const Fold to_own{shape,
                    call.visiting,
                    pair.visiting,
                    call.own,
                    pair.own,
                    Sides::own,
                    has_own(pair.sides) ? call.own.state + static_cast<std::size_t>(pair.own) * state_bytes : nullptr,
                    touched};
  const Fold to_visiting{
      shape,
      call.own,
      pair.own,
      call.visiting,
      pair.visiting,
      Sides::visiting,
      has_visiting(pair.sides) ? call.visiting.state + static_cast<std::size_t>(pair.visiting) * state_bytes : nullptr,
      touched};
  const RowFold &row = row_fold(shape.row);
  const auto fold = [&] {
    for (int i = 0; i < own.rows; ++i)
      for (int j = 0; j < visiting.rows; ++j) {
        if (pair.masked && !visible(shape.mask, own.first.value + i, visiting.first.value + j)) continue;
        const double q = accumulate(weigh, x + i * width, y + j * width, shape.features);
        const double value = row.takes == Takes::argument ? q
                             : row.takes == Takes::weight ? weigh.weight(q, weigh.constants)
                                                          : weigh.log2_weight(q, weigh.constants);
        if (has_own(pair.sides)) row.fold(to_own, i, j, value);
        if (has_visiting(pair.sides)) row.fold(to_visiting, j, i, value);
      }
  };
  // Both turns for the whole pair: plain rather than fast.
  if (pair.sides == Sides::both)
    call.turns.in_turn(Sides::own, [&] { call.turns.in_turn(Sides::visiting, fold); });
  else
    call.turns.in_turn(pair.sides, fold);
}

void evaluate(const TileCall &call) {
  const Weigh weigh = choose_formula(call.shape.pair);
  const std::size_t state_bytes = static_cast<std::size_t>(word_counts[static_cast<std::size_t>(call.shape.row)](
                                      call.shape.pass, call.shape.columns)) *
                                  tile_rows * 8;
  for (std::int64_t p = 0; p < call.pair_count; ++p) evaluate_pair(call, weigh, p, state_bytes);
}

bool supports(const TileShape &shape) {
  if (shape.row == RowKind::softmax_gradient || shape.row == RowKind::threshold_gradient)
    return shape.columns > shape.features;
  const Accumulate how = accumulate_of(shape.pair.kind);
  if (how == Accumulate::covariance && shape.features > most_covariance_features) return false;
  if (shape.row == RowKind::top_k) return how != Accumulate::inner && how != Accumulate::covariance;
  return shape.row != RowKind::slope || how != Accumulate::inner;
}

std::size_t payload_bytes(const TileShape &shape) {
  return static_cast<std::size_t>(row_numbers(shape)) * tile_rows * sizeof(double);
}

void pack(const TileShape &shape, const PackInput &input, std::byte *payload) {
  double *x = reinterpret_cast<double *>(payload);  // (T, d + s)
  std::memset(payload, 0, payload_bytes(shape));
  const std::int64_t width = row_numbers(shape);
  std::memcpy(x, input.rows, static_cast<std::size_t>(input.count * width) * sizeof(double));
  for (std::int64_t i = 0; i < input.count; ++i)
    for (int k = 0; k < shape.features; ++k) {
      double &value = x[i * width + k];
      value = (value - (input.mean != nullptr ? input.mean[k] : 0)) * input.scale;
    }
}

void unpack(const TileShape &shape, const std::byte *payload, std::int64_t rows, double *values) {
  std::memcpy(values, payload, static_cast<std::size_t>(rows * row_numbers(shape)) * sizeof(double));
}

std::size_t scratch_bytes(const TileShape & /*shape*/) { return 0; }

TileCost cost(const TileShape &shape, Sides sides) {
  const int used = (has_own(sides) ? 1 : 0) + (has_visiting(sides) ? 1 : 0);
  double multiply_adds = row_numbers(shape) + scalars_of(shape.pair.kind) + double{1} * shape.columns * used;
  if (shape.row == RowKind::softmax_gradient || shape.row == RowKind::threshold_gradient)
    multiply_adds =
        row_numbers(shape) + Rule<RowKind::softmax_gradient>::multiply_adds(shape.features, shape.columns, sides);
  return {multiply_adds, static_cast<double>(shape.features), 1, 0};
}

/// The yardstick states no limit of speed.
Rates rates(const TileShape & /*shape*/) { return {}; }

/// Worst case: a feature is off by 2u, the scale by 2u, differences and squares by 3u of q <= 2(|x|^2 + |y|^2), and
/// each of d sums by u of q (half of that for inner products). Scalars: u each, and two products of q. Covariances: the
/// terms of the form add up to |x - y|^2 at most, since the triangles' traces are 1 together, and each is rounded 2d +
/// 6 times: numbers, their sum, differences, products, 2d sums.
TileError error(const TileShape &shape) {
  if (accumulate_of(shape.pair.kind) == Accumulate::covariance)
    return {(28 + 4.0 * shape.features) * 0x1p-53, 8 * 0x1p-53};
  return {(22 + 2.0 * shape.features + 8 * scalars_of(shape.pair.kind)) * 0x1p-53, 8 * 0x1p-53};
}

constexpr Backend table = {"ref",  "scalar",      1,        1,    tile_rows, supports, payload_bytes, pack,
                           unpack, scratch_bytes, evaluate, cost, rates,     error,    nullptr};

}  // namespace

const Backend *open(const char *ceiling) { return *ceiling == '\0' ? &table : nullptr; }

std::vector<std::string> ceilings() { return {""}; }

}  // namespace flashring::ref
