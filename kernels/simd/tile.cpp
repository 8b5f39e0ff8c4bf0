// Backend simd: every vector instruction set of CPUs through Highway, compiled once per set and chosen at run time.
//
// A tile pair (T x T pairs of points) is worked through in pieces of own_vectors x 4: accumulate features in registers,
// apply the formula, then either fold into one fused column or store into a panel of weights in L1 that serves column
// blocks, both sides, masks and log-sum-exp. Sums within a tile are in the working precision, then fp64.
// Cost per pair: 2d (differences) or d + 3 operations, the formula's exponential (about 10), 1 per column and side.
//
// Payload of a tile: (d + 1, T + 16) values, feature-major, centred and scaled; the last row holds half the squared
// norms of the rounded features, so that a point's distance to itself is the rounding of the sum alone.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "simd/tile.cpp"
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

#include "flashring/tile.hpp"
#include "simd/backend.hpp"
#include "simd/tile_size.hpp"

HWY_BEFORE_NAMESPACE();
namespace flashring::simd {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#include "flashring/pair_formulas.inc"
#include "flashring/row_rules.inc"
// In this order, each on the one before.
#include "simd/primitives.hpp"

#include "simd/weights.hpp"

#include "simd/fold.hpp"

bool supports(const TileShape &shape) {
  const bool known = shape.row == RowKind::sum || shape.row == RowKind::logsumexp;
  return known && shape.features >= 1 && shape.columns <= max_columns;
}

std::size_t payload_values(const TileShape &shape) {
  return static_cast<std::size_t>(shape.features + 1) * payload_stride;
}

std::size_t payload_bytes(const TileShape &shape) { return payload_values(shape) * column_bytes(shape.precision); }

template <class T>
void pack_as(const TileShape &shape, const PackInput &input, std::byte *payload) {
  T *x = reinterpret_cast<T *>(payload);  // (d + 1, payload_stride)
  std::memset(payload, 0, payload_bytes(shape));
  T *half_norm = x + static_cast<std::size_t>(shape.features) * payload_stride;
  for (std::int64_t i = 0; i < input.count; ++i) {
    double norm = 0;
    for (int k = 0; k < shape.features; ++k) {
      const double mean = input.mean != nullptr ? input.mean[k] : 0;
      const T value = static_cast<T>((input.rows[i * shape.features + k] - mean) * input.scale);
      x[static_cast<std::size_t>(k) * payload_stride + static_cast<std::size_t>(i)] = value;
      norm += static_cast<double>(value) * static_cast<double>(value);
    }
    half_norm[i] = static_cast<T>(norm / 2);
  }
}

void pack(const TileShape &shape, const PackInput &input, std::byte *payload) {
  if (shape.precision == Precision::fp64)
    pack_as<double>(shape, input, payload);
  else
    pack_as<float>(shape, input, payload);
}

std::size_t scratch_bytes(const TileShape &shape) {
  const std::size_t lanes = 64 / column_bytes(shape.precision);
  const std::size_t width = (static_cast<std::size_t>(shape.columns) + lanes - 1) / lanes * lanes;
  const std::size_t panel = panel_rows * 4 * lanes;
  const std::size_t sums = (2 + static_cast<std::size_t>(shape.columns)) * tile_rows;
  // panel, sums, then rows and give_sums, or the fp64 copy of the sums; one column needs (T, lanes) slots
  const std::size_t values = panel + sums + 2 * tile_rows * (width > 0 ? width : lanes);
  return values * column_bytes(shape.precision) + sums * sizeof(double);
}

int words(const TileShape &shape) {
  switch (shape.row) {
#define FLASHRING_ROW(name) \
  case RowKind::name:       \
    return Rule<RowKind::name>::state_words(shape.pass, shape.columns);
#include "flashring/row_list.inc"
#undef FLASHRING_ROW
  }
  return 0;
}

/// The two sides of one tile pair as the piece in which `receive` receives.
template <class T>
Piece<T> make_piece(const TileCall &call, const TileSide &receive, int receive_tile, const TileSide &give,
                    int give_tile, const double *constants, bool masked, bool transposed) {
  const TileShape &s = call.shape;
  const auto r = static_cast<std::size_t>(receive_tile);
  const auto g = static_cast<std::size_t>(give_tile);
  const std::size_t columns = static_cast<std::size_t>(s.columns) * tile_rows;
  const std::size_t state = static_cast<std::size_t>(words(s)) * tile_rows;
  const auto values = [](const std::byte *array, std::size_t at) {
    return array == nullptr ? nullptr : reinterpret_cast<const T *>(array) + at;
  };
  const auto states = [](std::byte *array, std::size_t at) {
    return array == nullptr ? nullptr : reinterpret_cast<double *>(array) + at;
  };
  return {{values(receive.payload, r * payload_values(s)), s.features},
          {values(give.payload, g * payload_values(s)), s.features},
          receive.tiles[receive_tile].rows,
          give.tiles[give_tile].rows,
          values(give.columns, g * columns),
          values(give.pass_scalars, g * tile_rows),
          values(receive.columns, r * columns),
          states(receive.state, r * state),
          states(give.state, g * state),
          s.columns,
          constants,
          call.scratch,
          masked ? &s.mask : nullptr,
          receive.tiles[receive_tile].first.value,
          give.tiles[give_tile].first.value,
          transposed};
}

template <PairKind kind, Sum sum, class T>
void fold_piece(const TileShape &shape, const Piece<T> &piece, bool two_sided) {
  if (shape.row == RowKind::logsumexp) return logsumexp_columns<kind, sum, T>(piece);
  if (shape.columns == 1 && piece.mask == nullptr)
    return two_sided ? sum_one_column<kind, sum, true, T>(piece) : sum_one_column<kind, sum, false, T>(piece);
  two_sided ? sum_columns<kind, sum, true, T>(piece) : sum_columns<kind, sum, false, T>(piece);
}

template <PairKind kind, Sum sum, class T>
void evaluate_as(const TileCall &call) {
  double constants[4] = {};
  Formula<kind>::constants(call.shape.pair.parameters.data(), constants);
  for (std::int64_t n = 0; n < call.pair_count; ++n) {
    const TilePair &pair = call.pairs[n];
    const bool masked = pair.masked && call.shape.mask.active();
    // Sums serve both sides in one evaluation; log-sum-exp rescales per row, so its second side is a turn of its own.
    const bool fused = pair.sides == Sides::both && call.shape.row == RowKind::sum;
    if (has_own(pair.sides))
      fold_piece<kind, sum, T>(
          call.shape, make_piece<T>(call, call.own, pair.own, call.visiting, pair.visiting, constants, masked, false),
          fused);
    if (has_visiting(pair.sides) && !fused)
      fold_piece<kind, sum, T>(
          call.shape, make_piece<T>(call, call.visiting, pair.visiting, call.own, pair.own, constants, masked, true),
          false);
  }
}

template <PairKind kind, class T>
void evaluate_kind(const TileCall &call) {
  constexpr Accumulate accumulate = Formula<kind>::declaration.accumulate;
  if constexpr (accumulate == Accumulate::inner) return evaluate_as<kind, Sum::inner, T>(call);
  if constexpr (accumulate == Accumulate::difference) return evaluate_as<kind, Sum::differences, T>(call);
  if (choose_sum(accumulate, call.shape.features) == Sum::norms)
    evaluate_as<kind, Sum::norms, T>(call);
  else
    evaluate_as<kind, Sum::differences, T>(call);
}

void evaluate(const TileCall &call) {
  [[maybe_unused]] const FlushSubnormals flush;
  const bool fp64 = call.shape.precision == Precision::fp64;
  switch (call.shape.pair.kind) {
#define FLASHRING_PAIR(name)                       \
  case PairKind::name:                             \
    if (fp64)                                      \
      evaluate_kind<PairKind::name, double>(call); \
    else                                           \
      evaluate_kind<PairKind::name, float>(call);  \
    break;
#include "flashring/pair_list.inc"
#undef FLASHRING_PAIR
  }
}

TileCost cost(const TileShape &shape, Sides sides) {
  const int used = (has_own(sides) ? 1 : 0) + (has_visiting(sides) ? 1 : 0);
  const int exponential = shape.precision == Precision::fp64 ? 2 * 11 + 3 : 2 * 6 + 3;
  return {3.0 * shape.features + exponential + 2.0 * shape.columns * used};
}

const Backend *get_table() {
  static const Backend table = {"simd",
                                hwy::TargetName(HWY_TARGET),
                                static_cast<int>(hn::Lanes(hn::ScalableTag<double>())),
                                static_cast<int>(hn::Lanes(hn::ScalableTag<float>())),
                                tile_rows,
                                supports,
                                payload_bytes,
                                pack,
                                scratch_bytes,
                                evaluate,
                                cost};
  return &table;
}

}  // namespace HWY_NAMESPACE
}  // namespace flashring::simd
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace flashring::simd {
namespace {

HWY_EXPORT(get_table);

/// Instruction sets compiled in that this machine has, best first.
std::vector<std::int64_t> runnable_targets() {
  std::vector<std::int64_t> targets;
  for (const std::int64_t target : hwy::SupportedAndGeneratedTargets()) targets.push_back(target);
  return targets;
}

/// The table of one instruction set: Highway dispatches on a set of allowed targets, narrowed for this one call.
const Backend *table_for(std::int64_t target) {
  hwy::SetSupportedTargetsForTest(target);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  const Backend *table = HWY_DYNAMIC_DISPATCH(get_table)();
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  return table;
}

/// All tables, made once before any thread asks.
const std::vector<const Backend *> &tables() {
  static const std::vector<const Backend *> all = [] {
    std::vector<const Backend *> made;
    for (const std::int64_t target : runnable_targets()) made.push_back(table_for(target));
    return made;
  }();
  return all;
}

}  // namespace

const Backend *open(const char *ceiling) {
  if (*ceiling == '\0') return tables().front();
  for (const Backend *table : tables())
    if (std::strcmp(table->target, ceiling) == 0) return table;
  return nullptr;
}

std::vector<std::string> ceilings() {
  std::vector<std::string> names;
  for (std::size_t t = 1; t < tables().size(); ++t) names.emplace_back(tables()[t]->target);
  return names;
}

}  // namespace flashring::simd
#endif  // HWY_ONCE
