// From a call to the kernel of its shape. No include guard: included once per instruction set inside HWY_NAMESPACE.

inline Sum sum_of(const TileShape &shape) { return choose_sum(accumulate_of(shape.pair.kind), shape.features); }

inline bool short_features(const TileShape &shape) {
  return shape.precision == Precision::reduced && has_products(sum_of(shape));
}

/// Words of a point.
inline int payload_words(const TileShape &shape) {
  if (sum_of(shape) == Sum::covariances) return row_numbers(shape.pair.kind, shape.features);
  return feature_words(short_features(shape), shape.features);
}

inline std::size_t payload_values(const TileShape &shape) {
  const std::size_t line = 64 / column_bytes(shape.precision);
  return static_cast<std::size_t>(payload_words(shape) + 1) * tile_rows + line;
}

inline int words(const TileShape &shape) {
  switch (shape.row) {
#define FLASHRING_ROW(name) \
  case RowKind::name:       \
    return Rule<RowKind::name>::state_words(shape.pass, shape.columns);
#include "flashring/row_list.inc"
#undef FLASHRING_ROW
  }
  return 0;
}

inline int row_scalars(RowKind row) {
  switch (row) {
#define FLASHRING_ROW(name) \
  case RowKind::name:       \
    return Rule<RowKind::name>::scalars;
#include "flashring/row_list.inc"
#undef FLASHRING_ROW
  }
  return 0;
}

/// Of a row of the own side.
inline int own_scalars(RowKind row) {
  switch (row) {
#define FLASHRING_ROW(name) \
  case RowKind::name:       \
    return std::max(Rule<RowKind::name>::own_scalars, Rule<RowKind::name>::scalars);
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
  const auto visiting_numbers = static_cast<std::size_t>(row_scalars(s.row)) * tile_rows;
  const auto own_numbers = static_cast<std::size_t>(own_scalars(s.row)) * tile_rows;
  const std::size_t state = static_cast<std::size_t>(words(s)) * tile_rows;
  const auto values = [](const std::byte *array, std::size_t at) {
    return array == nullptr ? nullptr : reinterpret_cast<const T *>(array) + at;
  };
  const auto states = [](std::byte *array, std::size_t at) {
    return array == nullptr ? nullptr : reinterpret_cast<double *>(array) + at;
  };
  const int feature_rows = payload_words(s);
  return {{values(receive.payload, r * payload_values(s)), feature_rows},
          {values(give.payload, g * payload_values(s)), feature_rows},
          receive.tiles[receive_tile].rows,
          give.tiles[give_tile].rows,
          values(give.columns, g * columns),
          values(give.pass_scalars, g * (transposed ? own_numbers : visiting_numbers)),
          values(receive.columns, r * columns),
          values(receive.pass_scalars, r * (transposed ? visiting_numbers : own_numbers)),
          states(receive.state, r * state),
          states(give.state, g * state),
          s.columns,
          constants,
          call.scratch,
          masked ? &s.mask : nullptr,
          receive.tiles[receive_tile].first.value,
          give.tiles[give_tile].first.value,
          transposed,
          &call.turns,
          call.touched};
}

template <class Kernel, class T = typename Kernel::T>
void fold_piece(const TileShape &shape, const Piece<T> &piece, bool two_sided) {
  using Precision = typename Kernel::Precision;
  if (shape.row == RowKind::logsumexp) return logsumexp_columns<Kernel>(piece);
  if constexpr (!Kernel::Precision::short_products)
    if (shape.row == RowKind::slope) return slope_sums<Kernel>(piece, two_sided);
  if (shape.row == RowKind::score_bins) return score_bins<T>(piece, fill_panel<Kernel, true, T>);
  if (shape.row == RowKind::power_sums) return power_sums<Precision, false>(piece, fill_panel<Kernel, true, T>);
  if (shape.row == RowKind::threshold_sum) return power_sums<Precision, true>(piece, fill_panel<Kernel, true, T>);
  if (shape.row == RowKind::score_list) return score_list<Precision>(piece, fill_panel<Kernel, true, T>);
  if (shape.row == RowKind::difference_product)
    return two_sided ? difference_products<Kernel, true>(piece) : difference_products<Kernel, false>(piece);
  if (shape.columns == 1 && piece.mask == nullptr)
    return two_sided ? sum_one_column<Kernel, true>(piece) : sum_one_column<Kernel, false>(piece);
  two_sided ? sum_columns<Kernel, true>(piece) : sum_columns<Kernel, false>(piece);
}

template <class Kernel>
void evaluate_as(const TileCall &call) {
  using T = typename Kernel::T;
  double constants[4] = {};
  Formula<Kernel::kind>::constants(call.shape.pair.parameters.data(), constants);
  for (std::int64_t n = 0; n < call.pair_count; ++n) {
    const TilePair &pair = call.pairs[n];
    const bool masked = pair.masked && call.shape.mask.active();
    if (call.shape.row == RowKind::softmax_gradient || call.shape.row == RowKind::threshold_gradient) {
      const Piece<T> piece =
          make_piece<T>(call, call.own, pair.own, call.visiting, pair.visiting, constants, masked, false);
      const auto gradients = call.shape.row == RowKind::softmax_gradient
                                 ? softmax_gradients<typename Kernel::Precision>
                                 : threshold_gradients<typename Kernel::Precision>;
      gradients(piece, call.shape.features, pair.sides, fill_panel<Kernel, true, T>);
      continue;
    }
    // Sums serve both sides in one evaluation; log-sum-exp rescales per row, so its second side is a turn of its own.
    const bool two_sided = pair.sides == Sides::both && call.shape.row != RowKind::logsumexp;
    if (has_own(pair.sides)) {
      Piece<T> piece = make_piece<T>(call, call.own, pair.own, call.visiting, pair.visiting, constants, masked, false);
      if (call.touched != nullptr) piece.touched = call.touched + n;
      fold_piece<Kernel>(call.shape, piece, two_sided);
    }
    if (has_visiting(pair.sides) && !two_sided)
      fold_piece<Kernel>(call.shape,
                         make_piece<T>(call, call.visiting, pair.visiting, call.own, pair.own, constants, masked, true),
                         false);
  }
}

template <PairKind kind, class Precision, bool fused>
void evaluate_kind(const TileCall &call) {
  constexpr Accumulate accumulate = Formula<kind>::declaration.accumulate;
  const Sum sum = choose_sum(accumulate, call.shape.features);
  if constexpr (accumulate == Accumulate::inner) evaluate_as<Kernel<kind, Sum::inner, Precision, fused>>(call);
  if constexpr (accumulate == Accumulate::covariance)
    evaluate_as<Kernel<kind, Sum::covariances, Precision, false>>(call);
  if constexpr (accumulate == Accumulate::squared_distance || accumulate == Accumulate::difference)
    if (sum == Sum::differences) return evaluate_as<Kernel<kind, Sum::differences, Precision, false>>(call);
  if constexpr (accumulate == Accumulate::squared_distance)
    evaluate_as<Kernel<kind, Sum::norms, Precision, fused>>(call);
}

/// Distances by differences, whatever the formula: one instance for all pair functions.
template <class T>
void evaluate_top_k(const TileCall &call) {
  for (std::int64_t n = 0; n < call.pair_count; ++n) {
    const TilePair &pair = call.pairs[n];
    const bool masked = pair.masked && call.shape.mask.active();
    top_k<T>(make_piece<T>(call, call.own, pair.own, call.visiting, pair.visiting, nullptr, masked, false), pair.sides);
  }
}

/// All pair functions in one precision.
template <class Precision, bool fused>
void evaluate_pairs(const TileCall &call) {
  [[maybe_unused]] const FlushSubnormals flush;
  if (call.shape.row == RowKind::top_k) return evaluate_top_k<typename Precision::T>(call);
  switch (call.shape.pair.kind) {
#define FLASHRING_PAIR(name) \
  case PairKind::name:       \
    return evaluate_kind<PairKind::name, Precision, fused>(call);
#include "flashring/pair_list.inc"
#undef FLASHRING_PAIR
  }
}
