// Backend amx: inner products and column sums on the matrix unit of x86 processors (AMX, bf16 operands, fp32 sums); the
// formula on vectors. Permission to use the unit is asked from the system once. fp64, few features, pair functions
// that need differences and rules of thresholds are simd's.
//
// A tile pair is worked through in panels of 32 receiving x 64 giving rows:
//   1. products of features, 32 x 16 at a time, from bf16 terms of both sides (unit: features)
//   2. sums and norms to q, formula, weights into the panel in L1 (weights.hpp); k(x,x) is set, masked pairs are hidden
//   3. log-sum-exp: log weights, running maxima, exponentials; gradients: exponentials, products of columns (unit: add)
//   4. panel x columns to the receiver, its transpose x columns to the giver: on vectors for few columns, else the
//      panel is split into bf16 terms and the unit adds them up (unit: add)
// Sums within a tile are in fp32, then fp64.
// Cost per pair: 6 (fp32) or 1 (reduced) products per feature, d padded to 32, the formula, and per column and side one
// multiply-add, or 6 or 1 products. Operands: 12 d or 4 d bytes per point.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "amx/tile.cpp"
#include "hwy/foreach_target.h"
// Highway asks for this order.
#include "hwy/contrib/math/math-inl.h"
#include "hwy/highway.h"
#if HWY_ARCH_X86
#include <xmmintrin.h>
#endif

#include <cmath>
#include <cstring>
#include <limits>

#include "amx/backend.hpp"
#include "amx/payload.hpp"
#include "amx/scratch.hpp"
#include "amx/unit.hpp"
#include "flashring/tile.hpp"
#include "simd/backend.hpp"

HWY_BEFORE_NAMESPACE();
namespace flashring::amx {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#include "flashring/pair_formulas.inc"
#include "flashring/row_rules.inc"
// In this order, each on the one before.
#include "simd/primitives.hpp"

#include "amx/words.hpp"

#include "amx/weights.hpp"

#include "amx/fold.hpp"

#include "amx/softmax_gradient.hpp"

/// The formula's part of a frame.
template <PairKind kind, class P>
void choose_formula(const TileShape &shape, Frame &f) {
  if constexpr (needs_differences(Formula<kind>::declaration.accumulate)) return;  // simd's
  const bool logarithm = shape.row != RowKind::sum;
  Formula<kind>::constants(shape.pair.parameters.data(), f.constants);
  f.weigh = logarithm ? weigh_block<kind, true, P> : weigh_block<kind, false, P>;
  f.at_zero = weight_at_zero<kind>(logarithm, f.constants);
  f.hidden = logarithm ? -std::numeric_limits<float>::infinity() : 0;
  f.distances = Formula<kind>::declaration.accumulate == Accumulate::squared_distance;
}

template <class P>
Frame make_frame(const TileCall &call, const Unit &unit) {
  Frame f{};
  f.unit = &unit;
  f.layout = payload_layout(call.shape);
  f.at = lay_out_scratch(call.shape);
  f.scratch = call.scratch;
  f.on_unit = columns_on_unit(call.shape);
  switch (call.shape.pair.kind) {
#define FLASHRING_PAIR(name)                          \
  case PairKind::name:                                \
    choose_formula<PairKind::name, P>(call.shape, f); \
    break;
#include "flashring/pair_list.inc"
#undef FLASHRING_PAIR
  }
  return f;
}

/// Those of gradients are sums.
int state_words(const TileShape &shape) {
  return shape.row == RowKind::logsumexp ? Rule<RowKind::logsumexp>::state_words(shape.pass, shape.columns)
                                         : Rule<RowKind::sum>::state_words(shape.pass, shape.columns);
}

/// The two sides of one tile pair as the piece in which `receive` receives.
Piece make_piece(const TileCall &call, const TileSide &receive, int receive_tile, const TileSide &give, int give_tile,
                 bool masked, bool transposed) {
  const TileShape &s = call.shape;
  const auto r = static_cast<std::size_t>(receive_tile);
  const auto g = static_cast<std::size_t>(give_tile);
  const std::size_t payload = payload_layout(s).bytes();
  const std::size_t columns = static_cast<std::size_t>(s.columns) * tile_rows;
  const std::size_t state = static_cast<std::size_t>(state_words(s)) * tile_rows;
  const std::size_t numbers =
      s.row == RowKind::softmax_gradient ? Rule<RowKind::softmax_gradient>::own_scalars * tile_rows : tile_rows;
  const auto values = [](const std::byte *array, std::size_t at) {
    return array == nullptr ? nullptr : reinterpret_cast<const float *>(array) + at;
  };
  const auto states = [](std::byte *array, std::size_t at) {
    return array == nullptr ? nullptr : reinterpret_cast<double *>(array) + at;
  };
  return {receive.payload + r * payload,
          give.payload + g * payload,
          receive.tiles[receive_tile].rows,
          give.tiles[give_tile].rows,
          receive.tiles[receive_tile].first.value,
          give.tiles[give_tile].first.value,
          values(give.columns, g * columns),
          values(give.pass_scalars, g * tile_rows),
          values(receive.columns, r * columns),
          values(receive.pass_scalars, r * numbers),
          states(receive.state, r * state),
          states(give.state, g * state),
          masked ? &s.mask : nullptr,
          transposed,
          &call.turns};
}

template <class P>
void fold_piece(const Frame &f, const TileShape &shape, const Piece &p, bool two_sided) {
  find_same_points(f, p);
  pack_columns<P>(f, p, two_sided);
  if (shape.row == RowKind::logsumexp) return logsumexp_columns<P>(f, p);
  two_sided ? sum_columns<P, true>(f, p) : sum_columns<P, false>(f, p);
}

/// The unit is configured while this lives.
class Session {
 public:
  explicit Session(const Unit &unit) : unit_(unit) { unit_.begin(); }
  Session(const Session &) = delete;
  Session &operator=(const Session &) = delete;
  ~Session() { unit_.end(); }

 private:
  const Unit &unit_;
};

template <class P>
void evaluate_as(const TileCall &call, const Unit &unit) {
  const Session session(unit);
  const Frame f = make_frame<P>(call, unit);
  for (std::int64_t n = 0; n < call.pair_count; ++n) {
    const TilePair &pair = call.pairs[n];
    const bool masked = pair.masked && call.shape.mask.active();
    if (call.shape.row == RowKind::softmax_gradient) {
      const Piece piece = make_piece(call, call.own, pair.own, call.visiting, pair.visiting, masked, false);
      find_same_points(f, piece);
      softmax_gradients<P>(f, piece, pair.sides);
      continue;
    }
    // Sums serve both sides in one evaluation; log-sum-exp rescales per row, so its second side is a turn of its own.
    const bool two_sided = pair.sides == Sides::both && call.shape.row == RowKind::sum;
    if (has_own(pair.sides))
      fold_piece<P>(f, call.shape, make_piece(call, call.own, pair.own, call.visiting, pair.visiting, masked, false),
                    two_sided);
    if (has_visiting(pair.sides) && !two_sided)
      fold_piece<P>(f, call.shape, make_piece(call, call.visiting, pair.visiting, call.own, pair.own, masked, true),
                    false);
  }
}

void evaluate_on(const TileCall &call, const Unit &unit) {
  [[maybe_unused]] const FlushSubnormals flush;
  if (call.shape.precision == Precision::reduced)
    evaluate_as<Reduced>(call, unit);
  else
    evaluate_as<Fp32>(call, unit);
}

}  // namespace HWY_NAMESPACE
}  // namespace flashring::amx
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace flashring::amx {
namespace {

#include "flashring/pair_formulas.inc"
#include "formula_facts.hpp"

HWY_EXPORT(evaluate_on);

const Backend &simd_table() { return *simd::open(""); }

/// Rules that simd folds on any shape. Their blocks serve no rule of another kind, so they may have simd's payload.
bool is_threshold(RowKind row) {
  return row == RowKind::score_bins || row == RowKind::power_sums || row == RowKind::threshold_sum ||
         row == RowKind::score_list || row == RowKind::threshold_gradient;
}

/// Whether the unit works on this shape; all others are simd's. Gradients with few features or values are, too.
bool on_unit(const TileShape &shape) {
  if (shape.precision == Precision::fp64 || shape.features < least_features ||
      needs_differences(accumulate_of(shape.pair.kind)) || is_threshold(shape.row))
    return false;
  return shape.row != RowKind::softmax_gradient ||
         (shape.features >= unit_columns && shape.columns - shape.features >= unit_columns);
}

bool supports(const TileShape &shape) {
  if (!on_unit(shape)) return simd_table().supports(shape);
  if (shape.row == RowKind::logsumexp) return shape.columns <= simd::widest_value;
  return shape.row == RowKind::softmax_gradient || (shape.row == RowKind::sum && shape.columns <= max_columns);
}

std::size_t payload_bytes(const TileShape &shape) {
  return on_unit(shape) ? payload_layout(shape).bytes() : simd_table().payload_bytes(shape);
}

void pack(const TileShape &shape, const PackInput &input, std::byte *payload) {
  if (!on_unit(shape)) return simd_table().pack(shape, input, payload);
  pack_terms(shape, input, accumulate_of(shape.pair.kind) == Accumulate::squared_distance, payload);
}

std::size_t scratch_bytes(const TileShape &shape) {
  return on_unit(shape) ? lay_out_scratch(shape).bytes : simd_table().scratch_bytes(shape);
}

void evaluate(const TileCall &call, const Unit &unit) {
  if (!on_unit(call.shape)) return simd_table().evaluate(call);
  // simd chooses instruction sets when it is first opened, for the whole of Highway.
  static const auto best = (simd_table(), HWY_DYNAMIC_DISPATCH(evaluate_on));
  best(call, unit);
}

/// Those of two split numbers that are formed.
int products_of(int terms) { return terms * (terms + 1) / 2; }

/// Products of columns, and the terms and words of ds and p. The logarithm was counted as one of log-sum-exp, whose
/// three additions a gradient has as well.
void add_gradient_cost(const TileShape &shape, Sides sides, TileCost &c) {
  const int terms = terms_of(shape.precision);
  const int values = shape.columns - shape.features;
  const int used = (has_own(sides) ? 1 : 0) + (has_visiting(sides) ? 1 : 0);
  double summed = chunk * column_chunks(values) + used * padded_columns(shape.features);
  c.adds += (3.0 + used) * terms;
  if (has_visiting(sides)) {
    summed += padded_columns(values);
    c.adds += 4.0 * terms;
  }
  c.multiply_adds += 1;
  c.products += products_of(terms) * summed;
}

TileCost cost(const TileShape &shape, Sides sides) {
  if (!on_unit(shape)) return simd_table().cost(shape, sides);
  const bool gradient = shape.row == RowKind::softmax_gradient;
  const int terms = terms_of(shape.precision);
  const int products = products_of(terms);
  const int used = (has_own(sides) ? 1 : 0) + (has_visiting(sides) ? 1 : 0);
  const double turns = shape.row == RowKind::logsumexp ? used : 1;
  TileShape formula = shape;  // simd counts the formula; its features are not multiplied here
  formula.row = gradient ? RowKind::logsumexp : shape.row;
  formula.precision = Precision::fp32;
  formula.columns = 0;
  TileCost c = simd_table().cost(formula, gradient ? Sides::own : sides);
  c.multiply_adds -= turns * shape.features;
  c.adds += turns * groups(terms);  // the groups, and the clamp
  c.products = turns * products * chunk * payload_layout(shape).chunks;
  if (gradient) {
    add_gradient_cost(shape, sides, c);
  } else if (columns_on_unit(shape)) {
    c.products += double{1} * products * padded_columns(shape.columns) * used;
    c.adds += (3.0 + used) * terms * turns;  // terms of weights, and their words
  } else {
    c.multiply_adds += double{1} * shape.columns * used;
  }
  return c;
}

/// Derived in kernels/README.md. u = 2^-24; a register adds 16 products of each kind one after the other.
TileError error(const TileShape &shape) {
  if (!on_unit(shape)) return simd_table().error(shape);
  constexpr double u = 0x1p-24;
  const bool reduced = shape.precision == Precision::reduced;
  const bool inner = accumulate_of(shape.pair.kind) == Accumulate::inner;
  const double summation = (22 + 2 * payload_layout(shape).chunks) * u;
  const double left_out = reduced ? 0x1p-7 * (1 + 0x1p-9) : 0x1p-23 * (1 + 0x1p-9);
  const double exponential = reduced ? 1e-4 : 1e-6;
  double columns = 0;
  if (columns_on_unit(shape)) columns = left_out;
  return {(summation + left_out) * (inner ? 0.5 : 1), exponential + columns};
}

Rates rates(const TileShape &shape, const Unit &unit) {
  Rates r = simd_table().rates(shape);
  if (!on_unit(shape)) return r;
  r.products = unit.rate();
  return r.products > 0 ? r : Rates{};
}

Backend table_of(const Unit &unit, void (*evaluate_call)(const TileCall &), Rates (*rates_of)(const TileShape &)) {
  Backend table = simd_table();  // unpack among the rest: tiles in fp64 are simd's
  table.name = "amx";
  table.target = unit.name;
  table.supports = supports;
  table.payload_bytes = payload_bytes;
  table.pack = pack;
  table.scratch_bytes = scratch_bytes;
  table.evaluate = evaluate_call;
  table.cost = cost;
  table.rates = rates_of;
  table.error = error;
  return table;
}

const Backend *open_hardware() {
  if (hardware_unit() == nullptr) return nullptr;
  static const Backend table = table_of(
      *hardware_unit(), [](const TileCall &call) { evaluate(call, *hardware_unit()); },
      [](const TileShape &shape) { return rates(shape, *hardware_unit()); });
  return &table;
}

const Backend *open_emulated() {
  static const Backend table = table_of(
      emulated_unit(), [](const TileCall &call) { evaluate(call, emulated_unit()); },
      [](const TileShape &shape) { return rates(shape, emulated_unit()); });
  return &table;
}

}  // namespace

const Backend *open(const char *ceiling) {
  if (*ceiling == '\0') return open_hardware();
  return std::strcmp(ceiling, "emulated") == 0 ? open_emulated() : nullptr;
}

std::vector<std::string> ceilings() {
  std::vector<std::string> names = {"emulated"};
  if (hardware_is_present()) names.insert(names.begin(), "");
  return names;
}

}  // namespace flashring::amx
#endif  // HWY_ONCE
