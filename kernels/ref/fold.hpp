// How each row rule takes in one pair of points. No include guard: included once, inside the namespace of backend ref.

double read_value(Precision precision, const std::byte *array, std::int64_t index) {
  return precision == Precision::fp64 ? reinterpret_cast<const double *>(array)[index]
                                      : static_cast<double>(reinterpret_cast<const float *>(array)[index]);
}

constexpr int scalar_counts[] = {
#define FLASHRING_ROW(name) Rule<RowKind::name>::scalars,
#include "flashring/row_list.inc"
#undef FLASHRING_ROW
};
constexpr int (*word_counts[])(int pass, int columns) = {
#define FLASHRING_ROW(name) Rule<RowKind::name>::state_words,
#include "flashring/row_list.inc"
#undef FLASHRING_ROW
};
constexpr int row_scalars(RowKind row) { return scalar_counts[static_cast<std::size_t>(row)]; }

/// Where one point takes from (the giving side) and folds into (the receiving side).
struct Fold {
  const TileShape &shape;
  const TileSide &give;
  std::int64_t give_tile;
  const TileSide &receive;
  std::int64_t receive_tile;
  Sides receiver;
  std::byte *state;       // (words, T) of the receiving tile
  std::uint8_t *touched;  ///< of the pair of tiles, or null

  double column(int c, int j) const { return column_of(give, give_tile, c, j); }
  double own_column(int c, int i) const { return column_of(receive, receive_tile, c, i); }
  double column_of(const TileSide &side, std::int64_t tile, int c, int row) const {
    return read_value(shape.precision, side.columns, (tile * shape.columns + c) * tile_rows + row);
  }
  double scalar(int j) const { return scalar_of(give, give_tile, 0, j); }
  double scalar_of(const TileSide &side, std::int64_t tile, int n, int row) const {
    return number_of(side, tile, row_scalars(shape.row), n, row);
  }
  /// Pass scalar n of `count` of the own side, which receives.
  double own_scalar(int count, int n, int i) const { return number_of(receive, receive_tile, count, n, i); }
  double number_of(const TileSide &side, std::int64_t tile, std::int64_t count, int n, int row) const {
    return read_value(shape.precision, side.pass_scalars, (tile * count + n) * tile_rows + row);
  }
  void touch() const {
    if (touched != nullptr) *touched = 1;
  }
};

void fold_sum(const Fold &f, int i, int j, double weight) {
  double *s = reinterpret_cast<double *>(f.state);  // (c, T)
  for (int c = 0; c < f.shape.columns; ++c) s[c * tile_rows + i] += weight * f.column(c, j);
}

void fold_logsumexp(const Fold &f, int i, int j, double log2_weight) {
  const double l = log2_weight + f.scalar(j) * log2_of_e;
  if (l == -__builtin_inf()) return;
  double *s = reinterpret_cast<double *>(f.state);  // (2 + c, T)
  double &m = s[i];
  const double top = l > m ? std::ceil(l) : m;  // whole numbers, see the rule
  const double keep = std::exp2(m - top);
  const double take = std::exp2(l - top);
  m = top;
  s[tile_rows + i] = s[tile_rows + i] * keep + take;
  for (int c = 0; c < f.shape.columns; ++c) {
    double &v = s[(2 + c) * tile_rows + i];
    v = v * keep + take * f.column(c, j);
  }
}

void fold_difference_product(const Fold &f, int i, int j, double weight) {
  double *s = reinterpret_cast<double *>(f.state);  // (words, T)
  for (int l = 0; l < f.shape.columns; ++l) {
    const double right = f.column(l, j) - f.own_column(l, i);
    for (int k = 0; k <= l; ++k)
      s[Rule<RowKind::difference_product>::word(k, l) * tile_rows + i] +=
          weight * f.scalar(j) * (f.column(k, j) - f.own_column(k, i)) * right;
  }
}

/// Own row and visiting row of a pair, whichever receives.
struct AttentionPair {
  AttentionPair(const Fold &f, int i, int j)
      : fold(f),
        to_own(has_own(f.receiver)),
        queries(to_own ? f.receive : f.give),
        keys(to_own ? f.give : f.receive),
        query_tile(to_own ? f.receive_tile : f.give_tile),
        key_tile(to_own ? f.give_tile : f.receive_tile),
        query(to_own ? i : j),
        key(to_own ? j : i) {}
  /// <b_i, v_j>
  double product() const {
    double dp = 0;
    for (int c = fold.shape.features; c < fold.shape.columns; ++c)
      dp += fold.column_of(queries, query_tile, c, query) * fold.column_of(keys, key_tile, c, key);
    return dp;
  }
  /// What row i takes from row j.
  void add(int i, int j, double p, double ds) const {
    double *s = reinterpret_cast<double *>(fold.state);  // (c, T)
    for (int c = 0; c < (to_own ? fold.shape.features : fold.shape.columns); ++c)
      s[c * tile_rows + i] += (c < fold.shape.features ? ds : p) * fold.column(c, j);
  }

  const Fold &fold;
  bool to_own;
  const TileSide &queries, &keys;
  std::int64_t query_tile, key_tile;
  int query, key;
};

void fold_softmax_gradient(const Fold &f, int i, int j, double log2_weight) {
  const AttentionPair at(f, i, j);
  constexpr int numbers = Rule<RowKind::softmax_gradient>::own_scalars;  // lse, delta
  const double lse = f.number_of(at.queries, at.query_tile, numbers, 0, at.query);
  const double l = log2_weight * ln_of_2 + f.scalar_of(at.keys, at.key_tile, 0, at.key);
  if (lse == -__builtin_inf() || l == -__builtin_inf()) return;
  const double p = std::exp(l - lse);
  at.add(i, j, p, p * (at.product() - f.number_of(at.queries, at.query_tile, numbers, 1, at.query)));
}

void fold_threshold_gradient(const Fold &f, int i, int j, double log2_weight) {
  using R = Rule<RowKind::threshold_gradient>;
  const AttentionPair at(f, i, j);
  const double l = log2_weight + f.scalar_of(at.keys, at.key_tile, 0, at.key) * log2_of_e;
  double own[R::own_scalars];  // f, m, t, 1 - t, e - 1, s e, delta
  for (int n = 0; n < R::own_scalars; ++n) own[n] = f.number_of(at.queries, at.query_tile, R::own_scalars, n, at.query);
  const double z = own[0] * (l - own[1]);
  const double d = z - own[2];
  const double y = z + own[3];
  constexpr ThresholdPower any = ThresholdPower::any;
  const ThresholdWeight<ScalarMath> w = threshold_powers<any, ScalarMath>(d, y, own[4]);
  if (!(w.u > 0) || own[5] == 0) return;
  const double centred = at.product() - own[6];
  at.add(i, j, w.p, own[5] * w.u * centred);
  if (!at.to_own) return;
  double *s = reinterpret_cast<double *>(f.state) + f.shape.columns * tile_rows + i;  // (3, T)
  const double e = own[4] + 1;
  s[0] += centred * threshold_parameter<any, ThresholdScale::tsallis, ScalarMath>(d, y, w, e, own[5]);
  s[tile_rows] += centred * threshold_parameter<any, ThresholdScale::none, ScalarMath>(d, y, w, e, own[5]);
  s[2 * tile_rows] += centred * threshold_parameter<any, ThresholdScale::porous, ScalarMath>(d, y, w, e, own[5]);
}

void fold_top_k(const Fold &f, int i, int j, double q) {
  using R = Rule<RowKind::top_k>;
  double *s = reinterpret_cast<double *>(f.state);  // (2 k T)
  R::insert(R::list_of(s, tile_rows, static_cast<std::size_t>(i), f.shape.columns), q,
            f.give.tiles[f.give_tile].first.value + j);
}

void fold_score_bins(const Fold &f, int i, int j, double log2_weight) {
  using R = Rule<RowKind::score_bins>;
  const double l = log2_weight + f.scalar(j) * log2_of_e;
  if (l == -__builtin_inf()) return;
  double *s = reinterpret_cast<double *>(f.state);  // (3 + B, T)
  const int bins = f.shape.columns;
  const double factor = f.own_scalar(1, 0, i);
  double &top = s[tile_rows + i];
  double *const counts = s + 2 * tile_rows + i;  // every T-th
  const double v = factor * l;
  const double k = std::floor(v);
  if (R::near_top(v, factor * s[i], bins)) f.touch();
  s[i] = std::max(s[i], l);
  if (k > top) {
    R::raise(counts, bins, tile_rows, k - top);
    top = k;
  }
  if (top - k <= bins) counts[static_cast<int>(top - k) * tile_rows] += 1;
}

/// s: the first three words of a row.
void add_powers(const ThresholdPowers<ScalarMath> &w, double *s) {
  s[0] += w.p;
  s[tile_rows] += w.u;
  s[2 * tile_rows] += w.v;
}

template <bool second>
void fold_powers(const Fold &f, int i, int j, double log2_weight) {
  using R = Rule<RowKind::power_sums>;
  const double l = log2_weight + f.scalar(j) * log2_of_e;
  double own[R::own_scalars];  // f, m, t, 1 - t, 1 - left, e - 2
  for (int n = 0; n < R::own_scalars; ++n) own[n] = f.own_scalar(R::own_scalars, n, i);
  const double z = own[0] * (l - own[1]);
  if (z + own[4] > 0) f.touch();
  const ThresholdPowers<ScalarMath> w = three_powers<ThresholdPower::any, ScalarMath>(z - own[2], z + own[3], own[5]);
  double *s = reinterpret_cast<double *>(f.state) + i;  // (3 + c or 2c, T)
  add_powers(w, s);
  if (!(w.u > 0)) return;
  for (int c = 0; c < f.shape.columns; ++c) {
    s[(R::sums + c) * tile_rows] += w.p * f.column(c, j);
    if (second) s[(R::sums + f.shape.columns + c) * tile_rows] += w.u * f.column(c, j);
  }
}

void fold_score_list(const Fold &f, int i, int j, double log2_weight) {
  using R = Rule<RowKind::score_list>;
  const double l = log2_weight + f.scalar(j) * log2_of_e;
  double own[R::own_scalars];  // f, m, t, 1 - t, 1 - left, e - 2, a, b
  for (int n = 0; n < R::own_scalars; ++n) own[n] = f.own_scalar(R::own_scalars, n, i);
  const double z = own[0] * (l - own[1]);
  if (z + own[4] > 0) f.touch();
  double *s = reinterpret_cast<double *>(f.state) + i;  // (4 + c, T)
  if (z + own[7] > 0)
    add_powers(three_powers<ThresholdPower::any, ScalarMath>(z - own[2], z + own[3], own[5]), s);
  else if (z + own[6] > 0)
    R::append(s, f.shape.columns, tile_rows, l);
}

void fold_slope(const Fold &f, int i, int /*j*/, double log2_weight) {
  double *s = reinterpret_cast<double *>(f.state);  // (2c, T)
  for (int l = 0; l < f.shape.columns; ++l) {
    const double power = std::exp2(slope_power(l) * log2_weight);
    s[l * tile_rows + i] += power;
    s[(f.shape.columns + l) * tile_rows + i] -= power * log2_weight;
  }
}

/// What a rule takes in for a pair.
enum class Takes : std::uint8_t { weight, log2_weight, argument };

/// How it takes that in; a rule of the list without a fold here does not compile.
struct RowFold {
  void (*fold)(const Fold &, int, int, double);
  Takes takes;
};
constexpr RowFold fold_of(Rule<RowKind::sum> /*rule*/) { return {fold_sum, Takes::weight}; }
constexpr RowFold fold_of(Rule<RowKind::logsumexp> /*rule*/) { return {fold_logsumexp, Takes::log2_weight}; }
constexpr RowFold fold_of(Rule<RowKind::top_k> /*rule*/) { return {fold_top_k, Takes::argument}; }
constexpr RowFold fold_of(Rule<RowKind::difference_product> /*rule*/) {
  return {fold_difference_product, Takes::weight};
}
constexpr RowFold fold_of(Rule<RowKind::slope> /*rule*/) { return {fold_slope, Takes::log2_weight}; }
constexpr RowFold fold_of(Rule<RowKind::softmax_gradient> /*rule*/) {
  return {fold_softmax_gradient, Takes::log2_weight};
}
constexpr RowFold fold_of(Rule<RowKind::score_bins> /*rule*/) { return {fold_score_bins, Takes::log2_weight}; }
constexpr RowFold fold_of(Rule<RowKind::power_sums> /*rule*/) { return {fold_powers<false>, Takes::log2_weight}; }
constexpr RowFold fold_of(Rule<RowKind::threshold_sum> /*rule*/) { return {fold_powers<true>, Takes::log2_weight}; }
constexpr RowFold fold_of(Rule<RowKind::score_list> /*rule*/) { return {fold_score_list, Takes::log2_weight}; }
constexpr RowFold fold_of(Rule<RowKind::threshold_gradient> /*rule*/) {
  return {fold_threshold_gradient, Takes::log2_weight};
}

constexpr RowFold row_folds[] = {
#define FLASHRING_ROW(name) fold_of(Rule<RowKind::name>{}),
#include "flashring/row_list.inc"
#undef FLASHRING_ROW
};
