// Backend simd: every vector instruction set of CPUs through Highway, compiled once per set and chosen at run time.
//
// Own rows lie in vector lanes, visiting rows are broadcast. Pieces of own_vectors x visiting_rows vectors accumulate q
// in registers, then the formula, then either fold into one fused column or store into a panel of weights in L1 that
// serves column blocks, both sides, masks and log-sum-exp. Sums within a tile are in the working precision, then fp64.
// Cost per pair: see cost(). Errors: see error().
//
// Payload of a tile: (T/G, words, G) features, centred and scaled, in groups of G rows that fill a cache line, so that
// points are read in order however many features they have; then (T + G) more values. Where norms are summed features
// are multiplied by sqrt 2, and these hold -|x|^2/2 of the rounded features, so that a sum that starts there ends at
// -|x-y|^2, and at the rounding of the sum alone for a point and itself. Precision reduced packs two features into a
// word of 16-bit integers, in units that the tile's longest point decides.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "simd/tile.cpp"
#include "hwy/foreach_target.h"
// Highway asks for this order.
#include "simd/backend.hpp"
#include "simd/includes.hpp"
#include "simd/targets.hpp"

HWY_BEFORE_NAMESPACE();
namespace flashring::simd {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#include "simd/kernels.hpp"
// These on the ones before.
#include "simd/rates.hpp"

#include "simd/pack.hpp"

#include "simd/cost.hpp"

bool supports(const TileShape &shape) {
  const bool nearest = sum_of(shape) == Sum::differences && scalars_of(shape.pair.kind) == 0 &&
                       shape.precision != Precision::reduced && shape.columns >= 1;
  const bool covariances = sum_of(shape) == Sum::covariances;
  if (shape.features < 1 || (covariances && shape.features > most_covariance_features)) return false;
  // Values of attention are as wide as they are, once for all columns.
  if (shape.row == RowKind::softmax_gradient || shape.row == RowKind::threshold_gradient)
    return shape.columns > shape.features;
  if (shape.row == RowKind::power_sums || shape.row == RowKind::threshold_sum) return true;
  if (shape.row == RowKind::score_list) return shape.columns >= 1;
  if (shape.row == RowKind::logsumexp) return shape.columns <= widest_value;
  const bool powers = sum_of(shape) != Sum::inner && shape.precision != Precision::reduced && shape.columns >= 1 &&
                      !shape.mask.active();
  const bool known = shape.row == RowKind::sum || shape.row == RowKind::difference_product ||
                     (shape.row == RowKind::top_k && nearest) || (shape.row == RowKind::slope && powers) ||
                     (shape.row == RowKind::score_bins && shape.columns >= 1);
  return known && shape.columns <= max_columns;
}

std::size_t scratch_bytes(const TileShape &shape) {
  const std::size_t lanes = 64 / column_bytes(shape.precision);  // at most
  const std::size_t width = chunk_width(static_cast<std::size_t>(shape.columns), lanes);
  const std::size_t panel = panel_rows * 4 * lanes;
  if (shape.row == RowKind::slope)  // a panel, and a vector of sums for each word
    return panel * column_bytes(shape.precision) + static_cast<std::size_t>(words(shape)) * lanes * sizeof(double);
  // Products of differences: a panel and its transpose, the sums of both sides.
  if (shape.row == RowKind::difference_product)
    return (2 * panel + 2 * static_cast<std::size_t>(words(shape)) * (tile_rows + lanes)) *
           column_bytes(shape.precision);
  if (shape.row == RowKind::softmax_gradient || shape.row == RowKind::threshold_gradient) {
    const auto features = static_cast<std::size_t>(shape.features);
    const std::size_t values = static_cast<std::size_t>(shape.columns) - features;
    return gradient_values(features, values, lanes) * column_bytes(shape.precision) + 3 * tile_rows * sizeof(double);
  }
  // A panel, log weights, two numbers and the counts of some rows, and the state of the tile.
  if (shape.row == RowKind::score_bins)
    return (panel + tile_rows + (3 + static_cast<std::size_t>(shape.columns)) * 4 * lanes) *
               column_bytes(shape.precision) +
           static_cast<std::size_t>(words(shape)) * tile_rows * sizeof(double);
  // A panel, log weights, and the state of the tile.
  if (shape.row == RowKind::score_list)
    return (panel + tile_rows) * column_bytes(shape.precision) +
           static_cast<std::size_t>(words(shape)) * tile_rows * sizeof(double);
  // Two panels, log weights, sums of columns, and those of powers in fp64.
  constexpr int powers = Rule<RowKind::power_sums>::sums;
  if (shape.row == RowKind::power_sums || shape.row == RowKind::threshold_sum)
    return (2 * panel + tile_rows + static_cast<std::size_t>(words(shape) - powers) * tile_rows) *
               column_bytes(shape.precision) +
           powers * tile_rows * sizeof(double);
  const std::size_t sums = (2 + static_cast<std::size_t>(shape.columns)) * tile_rows;
  // sum: panel, sums, then rows and give_sums; one column: (T, lanes) slots. log-sum-exp: panel, state, shifts, and the
  // state in fp64. top_k: bounds of both sides and some distances, less than a panel.
  const std::size_t values = panel + sums + 2 * tile_rows * width;
  return values * column_bytes(shape.precision) + sums * sizeof(double);
}

// One source file each, so that they are compiled side by side.
void evaluate_fp64(const TileCall &call);
void evaluate_fp32(const TileCall &call);
void evaluate_reduced(const TileCall &call);
void evaluate_reduced_fused(const TileCall &call);

template <bool fused>
void evaluate(const TileCall &call) {
  if (call.shape.precision == Precision::fp64) return evaluate_fp64(call);
  if (call.shape.precision == Precision::fp32) return evaluate_fp32(call);
  fused ? evaluate_reduced_fused(call) : evaluate_reduced(call);
}

template <bool fused>
const Backend *make_table() {
  static const Backend table = {"simd",
                                target_name(fused),
                                static_cast<int>(hn::Lanes(hn::ScalableTag<double>())),
                                static_cast<int>(hn::Lanes(hn::ScalableTag<float>())),
                                tile_rows,
                                supports,
                                payload_bytes,
                                pack,
                                unpack,
                                scratch_bytes,
                                evaluate<fused>,
                                cost,
                                rates<fused>,
                                error,
                                nullptr};
  return &table;
}

/// The table with and without the instruction for sums of 16-bit products; null where there is none.
const Backend *get_table(bool fused) {
  if (!fused) return make_table<false>();
  return has_fused_pairs() ? make_table<true>() : nullptr;
}

}  // namespace HWY_NAMESPACE
}  // namespace flashring::simd
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace flashring::simd {
namespace {

HWY_EXPORT(get_table);

/// The tables of one instruction set, best first.
void add_tables(std::vector<const Backend *> &tables) {
  for (const bool fused : {true, false}) {
    const Backend *table = HWY_DYNAMIC_DISPATCH(get_table)(fused);
    if (table != nullptr) tables.push_back(table);
  }
}

/// All tables, best first: of the instruction sets compiled in that this machine has. Made when a backend is first
/// looked up, which the main thread does before others run kernels.
const std::vector<const Backend *> &tables() {
  static const std::vector<const Backend *> all = [] {
    std::vector<const Backend *> made;
    for_each_target([&made] { add_tables(made); });
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
  std::vector<std::string> names = {""};
  for (std::size_t t = 1; t < tables().size(); ++t) names.emplace_back(tables()[t]->target);
  return names;
}

}  // namespace flashring::simd
#endif  // HWY_ONCE
