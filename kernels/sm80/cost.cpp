// A file of the host's compiler: it runs the formulas with a policy that counts.
#include "sm80/cost.hpp"

#include "sm80/weights.hpp"

namespace flashring::sm80 {
namespace {

/// A policy of formula.hpp that computes nothing and counts. In fp32 the special function unit gives roots and
/// exponentials; in fp64 roots are Newton steps. A logarithm is about an exponential and as many multiply-adds again.
template <bool fp64>
struct Tally {
  struct V {};
  using Q = V;
  static inline thread_local TileCost cost;
  static V set(double /*a*/) { return {}; }
  static V add(V /*a*/, V /*b*/) { return ++cost.adds, V{}; }
  static V mul(V /*a*/, V /*b*/) { return ++cost.multiply_adds, V{}; }
  static V fma(V /*a*/, V /*b*/, V /*c*/) { return ++cost.multiply_adds, V{}; }
  static V neg(V /*a*/) { return {}; }  // an operand's sign costs nothing
  static V sqrt(V /*a*/) { return cost.adds += 1, cost.multiply_adds += fp64 ? 8 : 2, V{}; }
  static V exp2(V /*a*/) { return ++cost.exponentials, V{}; }
  static V log2(V /*a*/) { return ++cost.exponentials, cost.multiply_adds += 7, V{}; }
};

TileCost sum_of(const TileCost &a, const TileCost &b) {
  return {a.multiply_adds + b.multiply_adds, a.adds + b.adds, a.exponentials + b.exponentials, a.products + b.products};
}

bool is_inner(PairKind kind) { return accumulate_of(kind) == Accumulate::inner; }

/// Instead of features and columns: chunk products of 16, the column of one value as multiply-adds, more columns padded
/// to 8 as products of pieces, which are split first (5 operations and a half for three pieces of a weight).
void add_tensor_products(const TileShape &shape, int sides, TileCost &cost) {
  const PieceLayout layout = layout_of(shape);
  cost.products += layout.chunk_products() * chunk_columns;
  const bool multiplied = shape.columns > 1 || (shape.row == RowKind::logsumexp && shape.columns > 0);
  if (!multiplied) {
    cost.multiply_adds += shape.columns * sides;
    return;
  }
  cost.products += (shape.columns + 7) / 8 * 8 * products_of(layout.pieces) * sides;
  cost.adds += layout.pieces == 3 ? 5.5 : 0.5;
}

/// Instructions of the unit that add to the whole sum, or to all that 16 features give it: the first pieces' columns
/// and norms in the folded form; in the form of pieces the last product of a step, of which there is one for all steps
/// together, and norms. In reduced precision all of them.
double whole_sums(const PieceLayout &layout) {
  if (layout.pieces == 1) return layout.chunk_products();
  return layout.folded ? (layout.features + 6 + 2 * (chunk_columns - 1)) / chunk_columns : 2;
}

/// Worst cases to first order, derived in kernels/README.md ("Errors of tensor cores").
TileError tensor_error(const TileShape &shape) {
  const PieceLayout layout = layout_of(shape);
  constexpr double u = 0x1p-24;
  const double pieces = layout.pieces == 3 ? 2 * u : 0x1p-7 * (1 + 0x1p-9);
  const double additions = layout.folded ? 0 : layout.feature_chunks();
  const double sums = (11 * whole_sums(layout) + 2 + additions) * u;
  const double argument = is_inner(shape.pair.kind) ? 4 * u + (pieces + sums) / 2 : 17 * u + pieces + sums + 2 * u;
  const bool multiplied = shape.columns > 1 || (shape.row == RowKind::logsumexp && shape.columns > 0);
  return {argument, 0x1p-22 + 8 * u + (multiplied ? pieces + 3 * u : 0)};
}

/// The gradient of softmax on the tensor path: products of scores, of 16 of <b, v> at a time, and of columns in blocks
/// of 8; p and ds are split anew for each sweep of 32 columns. Beside the logarithm of a weight, two shifts, an
/// exponential, and ds.
void add_gradient_products(const TileShape &shape, Sides sides, TileCost &cost) {
  const PieceLayout layout = layout_of(shape);
  const int values = shape.columns - shape.features;
  const auto parts = [](int columns, int width) { return (columns + width - 1) / width; };
  const auto both = [&](int width) {  // of the columns that the visiting side sums
    return parts(shape.features, width) + parts(values, width);
  };
  const int blocks = (has_own(sides) ? parts(shape.features, 8) : 0) + (has_visiting(sides) ? both(8) : 0);
  const int splits =
      (has_own(sides) ? parts(shape.features, tensor_columns) : 0) + (has_visiting(sides) ? both(tensor_columns) : 0);
  cost.products +=
      (layout.chunk_products() + products_of(layout.pieces) * parts(values, chunk_columns)) * chunk_columns;
  cost.products += products_of(layout.pieces) * blocks * 8;
  cost.exponentials += 1;
  cost.multiply_adds += 2;
  cost.adds += 2 + splits * (layout.pieces == 3 ? 5.5 : 0.5);
}

/// Beyond the logarithm of a weight, rules of attention shift it (an add), and gradients take an exponential from it,
/// or as the others a power, which is a logarithm more (7 multiply-adds, an exponential of its own) and some adds. The
/// powers of p, of the visiting side, are made twice; r takes a logarithm's series. Columns as the rules say.
void add_attention(const TileShape &shape, Sides sides, TileCost &cost) {
  cost.multiply_adds += shape.features;
  cost.adds += 2;
  if (shape.row == RowKind::score_bins || shape.row == RowKind::score_list) {  // few scores are listed or summed
    cost.multiply_adds += 1;
    cost.adds += 4;
    return;
  }
  const bool softmax = shape.row == RowKind::softmax_gradient;
  const int powers = softmax ? 0 : shape.row == RowKind::threshold_gradient && has_visiting(sides) ? 2 : 1;
  cost.exponentials += softmax ? 1 : 2 * powers;
  cost.multiply_adds += 10 * powers;
  cost.adds += 4 * powers;
  if (is_gradient(shape.row)) {
    cost.adds += 1;
    cost.multiply_adds +=
        1 + (softmax ? 0 : 50) + Rule<RowKind::softmax_gradient>::multiply_adds(shape.features, shape.columns, sides);
  } else {
    cost.multiply_adds += (shape.row == RowKind::threshold_sum ? 2 : 1) * shape.columns;
  }
}

}  // namespace

/// Features, then the formula, then one multiply-add for each column and side. Log-sum-exp shifts each logarithm (2
/// adds), takes an exponential and adds it, for each side. top_k takes differences and a comparison, slope what
/// slope.hpp says. Sides that are served by sweeps of their own cost one each.
TileCost cost(Variant variant, const TileShape &shape, Sides sides) {
  if (serves_own_sides(variant, shape, sides)) {
    const TileCost one = cost(variant, shape, Sides::own);
    return has_own(sides) ? sum_of(one, one) : one;
  }
  if (shape.row == RowKind::top_k) return {double{1} * shape.features, shape.features + 1.0, 0, 0};
  const int used = (has_own(sides) ? 1 : 0) + (has_visiting(sides) ? 1 : 0);
  const bool powers = shape.row == RowKind::slope;
  const bool logarithm = shape.row == RowKind::logsumexp || powers || is_attention(shape.row);
  TileCost cost = shape.precision == Precision::fp64 ? formula_cost<Tally<true>>(shape.pair.kind, logarithm)
                                                     : formula_cost<Tally<false>>(shape.pair.kind, logarithm);
  if (is_attention(shape.row)) {
    if (takes_pieces(variant, shape))
      add_gradient_products(shape, sides, cost);
    else
      add_attention(shape, sides, cost);
    return cost;
  }
  if (takes_pieces(variant, shape) && tensor_role(shape.row, shape.columns, sides) != TensorRole::pieces) {
    add_tensor_products(shape, used, cost);
  } else {
    const bool pairs = shape.row == RowKind::difference_product;
    const int products = pairs    ? 1 + shape.columns + shape.columns * (shape.columns + 1) / 2
                         : powers ? 2 * shape.columns
                                  : shape.columns;
    cost.multiply_adds += shape.features + 2 * scalars_of(shape.pair.kind) + products * used;
    if (pairs) cost.adds += shape.columns * used;
    if (!is_inner(shape.pair.kind)) cost.adds += shape.features;
    if (accumulate_of(shape.pair.kind) == Accumulate::covariance) {
      cost.adds += 3 * covariance_numbers(shape.features);
      cost.multiply_adds += 2 * covariance_numbers(shape.features);
    }
  }
  if (powers) {
    constexpr int block = Rule<RowKind::slope>::block;
    cost.adds += shape.columns;
    cost.exponentials += (shape.columns + block - 1) / block;
  } else if (logarithm) {
    cost.adds += 3 * used;
    cost.exponentials += used;
  }
  return cost;
}

/// Worst cases to first order. A feature is centred, scaled and rounded, 2u, and the scale itself is off by 2u. With
/// |x||y| <= (|x|^2 + |y|^2)/2 and q <= 2(|x|^2 + |y|^2) that makes, in units of u(|x|^2 + |y|^2), 4 for inner products
/// and d/2 for their d sums; 8 + 8 for differences, 6 for them and their squares, and 2d for d sums below q; 8 for
/// scalars, u each and two products of q; 8 + 8 for covariances, and 7 roundings of the terms, whose sum is at most
/// |x-y|^2 (simd/cost.hpp), with d(d+1)/2 for adding them.
/// weight: the exponential (2^-22 in fp32, as the PTX manual states ex2.approx, and the polynomial of few features
/// stays below; a rounding in fp64) and 8 roundings of the formula's functions.
TileError error(Variant variant, const TileShape &shape) {
  if (takes_pieces(variant, shape)) return tensor_error(shape);
  const double d = shape.features;
  const double u = shape.precision == Precision::fp64 ? 0x1p-53 : 0x1p-24;
  const double exponential = shape.precision == Precision::fp64 ? u : 0x1p-22;
  const double scalars = 8 * scalars_of(shape.pair.kind);
  if (accumulate_of(shape.pair.kind) == Accumulate::covariance) return {(30 + d * (d + 1)) * u, exponential + 8 * u};
  return {(is_inner(shape.pair.kind) ? 4 + d / 2 : 22 + 2 * d + scalars) * u, exponential + 8 * u};
}

}  // namespace flashring::sm80
