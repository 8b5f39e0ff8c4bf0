// Which kernels and which payload serve a call: decided in one place, for devices and for their emulation. The payload
// depends on pair function, precision and number of features alone, never on columns or sides, nor on the row rule but
// for those of attention: a block is packed once for all of them.
#pragma once

#include <cstdint>
#include <type_traits>

#include "flashring/tile.hpp"
#include "sm80/pieces.hpp"
#include "sm80/tile_size.hpp"
#include "sm80/weights.hpp"

namespace flashring::sm80 {

/// The kernels of a call.
enum class Path : std::uint8_t {
  plain,         ///< fold_wave: any features, any columns, any precision
  few_features,  ///< fold_wave_few: fp32, few features, one value or a few
  tensor,        ///< pieces of features, exponents from tensor cores
};

/// What the name of the backend asks for.
enum class Variant : std::uint8_t {
  chosen,  ///< "sm80": the path that is expected to be fastest
  plain,   ///< "sm80:plain": the plain path always
  tensor,  ///< "sm80:tensor": the tensor path for any number of features, to be compared with differences
};

/// Gradients of attention, whose columns are [a | b] or [a | v] (kernels/row/softmax_gradient.hpp).
constexpr bool is_gradient(RowKind row) {
  return row == RowKind::softmax_gradient || row == RowKind::threshold_gradient;
}

/// Rules that write down which pairs of tiles may hold a weight.
constexpr bool notes_tiles(RowKind row) {
  return row == RowKind::score_bins || row == RowKind::power_sums || row == RowKind::threshold_sum ||
         row == RowKind::score_list;
}

/// Rules of attention: for inner products alone, with any number of columns. Their blocks serve no other rules but one
/// another.
constexpr bool is_attention(RowKind row) { return is_gradient(row) || notes_tiles(row); }

/// Rules of attention whose blocks are packed as features are in all variants: those of thresholds, which share a
/// block.
constexpr bool keeps_features(RowKind row) { return is_attention(row) && row != RowKind::softmax_gradient; }

/// Rules that keep a second number of each pair of a piece in shared memory: y^(e-1), or the score.
constexpr bool keeps_two(RowKind row) { return row == RowKind::threshold_sum || row == RowKind::threshold_gradient; }

/// The rule whose identity, merge and answers are those of `row`: states of sums are alike.
constexpr RowKind state_rule(RowKind row) {
  const bool own =
      row == RowKind::logsumexp || row == RowKind::top_k || row == RowKind::score_bins || row == RowKind::score_list;
  return own ? row : RowKind::sum;
}

/// Rules without a visiting side, and without values.
constexpr bool has_own_sides_alone(RowKind row) { return row == RowKind::top_k || row == RowKind::slope; }

/// Values that weights are multiplied with: columns, and 1 before them where a rule sums the weights themselves; none
/// for rules of own sides alone. Differences and columns of attention are multiplied a chunk at a time, however many
/// there are.
constexpr int values_of(RowKind row, int columns) {
  if (has_own_sides_alone(row)) return 0;
  if (row == RowKind::difference_product || is_attention(row)) return column_chunk;
  return columns + (row == RowKind::logsumexp ? 1 : 0);
}

/// Whether a rule has kernels of all tuned paths; the others, softmax_gradient on the tensor path apart, are folded on
/// the plain one, from features as they are.
constexpr bool is_tuned(RowKind row) { return row == RowKind::sum || row == RowKind::logsumexp; }

/// Whether there are kernels for both: top_k looks at distances by differences, whatever the formula, slope at weights
/// that are not above 1, and rules of attention at inner products.
constexpr bool folds(PairKind kind, RowKind row) {
  if (is_attention(row)) return accumulate_of(kind) == Accumulate::inner;
  if (row == RowKind::slope) return accumulate_of(kind) != Accumulate::inner;
  return row != RowKind::top_k || (accumulate_of(kind) == Accumulate::difference && scalars_of(kind) == 0);
}

/// Whether there are kernels of few features for both: they hold a point in registers, without its covariance.
constexpr bool folds_few(PairKind kind, RowKind row) {
  return is_tuned(row) && accumulate_of(kind) != Accumulate::covariance;
}

/// Calls use(D, NC) with the padded numbers of features (and scalars) and values of the kernel that serves these, as
/// types with a constexpr value. Instances cost compile time: with one value, which most calls have, up to 4 features
/// are not padded and more by one at most; with more values, whose sums take the time, 4 or 8 features serve all.
template <class Use>
auto with_padded_numbers(int features, int values, Use use) {
  constexpr std::integral_constant<int, 1> one{};
  constexpr std::integral_constant<int, 2> two{};
  constexpr std::integral_constant<int, 3> three{};
  constexpr std::integral_constant<int, 4> four{};
  constexpr std::integral_constant<int, 6> six{};
  constexpr std::integral_constant<int, max_few_features> all{};
  constexpr std::integral_constant<int, max_few_values> some{};
  if (values > 1) return features > 4 ? use(all, some) : use(four, some);
  if (features == 1) return use(one, one);
  if (features == 2) return use(two, one);
  if (features == 3) return use(three, one);
  if (features == 4) return use(four, one);
  return features > 6 ? use(all, one) : use(six, one);
}

/// Numbers of a row in a payload of features as they are: with those of the pair function.
constexpr int row_numbers(const TileShape &shape) { return row_numbers(shape.pair.kind, shape.features); }

/// Whether the payload is pieces, for the tensor path; else features as they are.
constexpr bool takes_pieces(Variant variant, const TileShape &shape) {
  if (variant == Variant::plain || shape.precision == Precision::fp64 || keeps_features(shape.row) ||
      needs_differences(accumulate_of(shape.pair.kind)))
    return false;
  return variant == Variant::tensor || shape.features >= least_tensor_features;
}

constexpr Path chosen_path(Variant variant, const TileShape &shape) {
  if (takes_pieces(variant, shape)) return Path::tensor;
  const int values = values_of(shape.row, shape.columns);
  const bool few = folds_few(shape.pair.kind, shape.row) && shape.precision != Precision::fp64 &&
                   row_numbers(shape) <= max_few_features && values >= 1 && values <= max_few_values;
  return variant != Variant::plain && few ? Path::few_features : Path::plain;
}

/// The same of rules of attention: chunks of columns and features make shared memory the same for any width.
constexpr bool has_attention_kernels(const TileShape &shape) {
  const bool places = shape.row == RowKind::score_bins || shape.row == RowKind::score_list;
  const int least = is_gradient(shape.row) ? shape.features + 1 : places ? 1 : 0;
  const bool held = shape.row != RowKind::score_bins || shape.columns <= max_columns;
  return folds(shape.pair.kind, shape.row) && shape.features >= 1 && shape.columns >= least && held;
}

/// Whether there are kernels for a call. Products of differences and powers are folded from features as they are.
constexpr bool has_kernels(Variant variant, const TileShape &shape) {
  if (is_attention(shape.row)) return has_attention_kernels(shape);
  if (!on_devices(shape.row) || shape.features < 1 || shape.columns < 0 || shape.columns > max_columns) return false;
  if (accumulate_of(shape.pair.kind) == Accumulate::covariance && shape.features > most_covariance_features)
    return false;
  if (is_tuned(shape.row)) return true;
  if (shape.row == RowKind::top_k)
    return folds(shape.pair.kind, shape.row) && shape.precision != Precision::reduced && !shape.mask.causal &&
           shape.columns >= 1;
  if (shape.row == RowKind::slope)
    return folds(shape.pair.kind, shape.row) && shape.precision != Precision::reduced && !shape.mask.active() &&
           shape.columns >= 1 && !takes_pieces(variant, shape);
  const bool held = Rule<RowKind::difference_product>::word(0, shape.columns) <= identity_words;
  return shape.columns >= 1 && held && !takes_pieces(variant, shape);
}

/// Of the payload on the tensor path. Reduced precision is fp32 where features are few: one bf16 piece is off by 2^-8
/// there, and no other feature's error makes up for it.
inline PieceLayout layout_of(const TileShape &shape) {
  const bool few = shape.features < least_tensor_features;
  return piece_layout(shape.features, few ? Precision::fp32 : shape.precision, accumulate_of(shape.pair.kind));
}

/// Who folds a call on the tensor path.
enum class TensorRole : std::uint8_t {
  none,       ///< a rule without words
  sum,        ///< one column
  columns,    ///< more
  logsumexp,  ///< own side alone
  gradient,   ///< of softmax attention
  pieces,     ///< log-sum-exp with a visiting side and a causal mask: plain kernels that read pieces
};

constexpr TensorRole tensor_role(RowKind row, int columns, Sides sides) {
  if (row == RowKind::softmax_gradient) return TensorRole::gradient;
  if (row == RowKind::logsumexp) return has_visiting(sides) ? TensorRole::pieces : TensorRole::logsumexp;
  return columns == 0 ? TensorRole::none : columns == 1 ? TensorRole::sum : TensorRole::columns;
}

/// Whether the sides of a call are served as own sides, the visiting one by a sweep with both sides exchanged: that of
/// log-sum-exp on the tensor path, which has no visiting side. Pairs are then evaluated for each side, by the
/// model at several times the rate of the plain kernels. A causal mask would have to be turned round for every pair of
/// points; calls with one stay as they are. top_k and slope, which have no visiting side either, refuse one.
constexpr bool serves_own_sides(Variant variant, const TileShape &shape, Sides sides) {
  if (!has_visiting(sides)) return false;
  return has_own_sides_alone(shape.row) ||
         (shape.row == RowKind::logsumexp && !shape.mask.causal && takes_pieces(variant, shape));
}

}  // namespace flashring::sm80
