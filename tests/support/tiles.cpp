#include "support/tiles.hpp"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <string>

namespace flashring::test {

void AlignedBytes::resize(std::size_t bytes) {
  const std::size_t rounded = (bytes + 127) / 128 * 128 + 128;
  data_.reset(static_cast<std::byte *>(std::aligned_alloc(128, rounded)));
  std::memset(data_.get(), 0, rounded);
  size_ = bytes;
}

namespace {

/// Rows [first, first + count) of points as a backend packs them.
std::vector<double> rows_with_scalars(const PairFunction &pair, const PointSet &points, std::size_t first, int count) {
  std::vector<double> rows;
  for (std::size_t i = first; i < first + static_cast<std::size_t>(count); ++i) {
    rows.insert(rows.end(), points.row(i), points.row(i) + points.features);
    if (traits(pair.kind).scalars > 0) rows.push_back(pair.length_unit / length_of(points.row(i), points.features));
    if (traits(pair.kind).accumulate != Accumulate::covariance) continue;
    const std::vector<Real> inverse = inverse_covariance_of(points.row(i), points.features);
    for (int k = 0, at = 0; k < points.features; ++k)
      for (int l = 0; l <= k; ++l)
        rows.push_back(static_cast<double>(inverse[static_cast<std::size_t>(at++)] / (k == l ? 2 : 1)) *
                       pair.length_unit * pair.length_unit);
  }
  return rows;
}

}  // namespace

TileArrays::TileArrays(const Backend &backend, const TileShape &shape, const PointSet &points,
                       std::vector<TileInfo> tiles, const std::vector<double> &mean)
    : backend_(&backend), shape_(shape), tiles_(std::move(tiles)) {
  const std::size_t bytes = backend.payload_bytes(shape);
  payload_.resize(bytes * tiles_.size());
  for (std::size_t t = 0; t < tiles_.size(); ++t) {
    const std::vector<double> rows = rows_with_scalars(shape.pair, points, rows_, tiles_[t].rows);
    PackInput input;
    input.rows = rows.data();
    input.count = tiles_[t].rows;
    input.mean = mean.empty() ? nullptr : mean.data();
    input.scale = feature_scale(shape.pair);
    backend.pack(shape, input, payload_.data() + t * bytes);
    rows_ += static_cast<std::size_t>(tiles_[t].rows);
  }
  if (rows_ != points.count()) throw std::logic_error("tiles and points differ in rows");
  reset_state();
}

void TileArrays::fill(AlignedBytes &array, const std::vector<double> &values, int columns, double padding) const {
  const std::size_t T = tile_rows();
  const auto c = static_cast<std::size_t>(columns);
  const bool is_double = shape_.precision == Precision::fp64;
  array.resize(tiles_.size() * c * T * column_bytes(shape_.precision));
  std::size_t first = 0;
  for (std::size_t t = 0; t < tiles_.size(); ++t) {
    for (std::size_t k = 0; k < c; ++k)
      for (std::size_t i = 0; i < T; ++i) {
        const bool real = i < static_cast<std::size_t>(tiles_[t].rows);
        const double value = real ? values[k * rows_ + first + i] : padding;
        const std::size_t at = (t * c + k) * T + i;
        if (is_double)
          reinterpret_cast<double *>(array.data())[at] = value;
        else
          reinterpret_cast<float *>(array.data())[at] = static_cast<float>(value);
      }
    first += static_cast<std::size_t>(tiles_[t].rows);
  }
}

void TileArrays::set_columns(const std::vector<double> &values) { fill(columns_, values, shape_.columns, 0); }

void TileArrays::set_log_weights(const std::vector<double> &values) {
  set_pass_scalars(values, 1, -std::numeric_limits<double>::infinity());
}

void TileArrays::set_pass_scalars(const std::vector<double> &values, int count, double padding) {
  fill(log_weights_, values, count, padding);
}

void TileArrays::reset_state() {
  const RowRule &rule = row_rule(shape_.row);
  const std::size_t bytes = static_cast<std::size_t>(rule.state_words(shape_.pass, shape_.columns)) * 8 * tile_rows();
  state_.resize(bytes * tiles_.size());
  for (std::size_t t = 0; t < tiles_.size(); ++t)
    rule.identity(shape_.pass, shape_.columns, tile_rows(), state_.data() + t * bytes);
}

void TileArrays::fill_state_padding(double value) {
  const std::size_t T = tile_rows();
  const auto words = static_cast<std::size_t>(row_rule(shape_.row).state_words(shape_.pass, shape_.columns));
  auto *state = reinterpret_cast<double *>(state_.data());
  for (std::size_t t = 0; t < tiles_.size(); ++t)
    for (std::size_t w = 0; w < words; ++w)
      for (auto i = static_cast<std::size_t>(tiles_[t].rows); i < T; ++i) state[(t * words + w) * T + i] = value;
}

TileSide TileArrays::side() {
  TileSide side;
  side.tiles = tiles_.data();
  side.payload = payload_.data();
  side.pass_scalars = log_weights_.size() == 0 ? nullptr : log_weights_.data();
  side.columns = columns_.size() == 0 ? nullptr : columns_.data();
  side.state = state_.data();
  return side;
}

std::vector<double> TileArrays::finish() const {
  const RowRule &rule = row_rule(shape_.row);
  const std::size_t T = tile_rows();
  const auto outputs = static_cast<std::size_t>(rule.outputs(shape_.columns));
  const std::size_t bytes = static_cast<std::size_t>(rule.state_words(shape_.pass, shape_.columns)) * 8 * T;
  std::vector<double> out(rows_ * outputs);
  std::vector<double> tile(outputs * T);
  std::size_t first = 0;
  for (std::size_t t = 0; t < tiles_.size(); ++t) {
    rule.finish(shape_.columns, T, state_.data() + t * bytes, tile.data());
    for (std::size_t o = 0; o < outputs; ++o)
      for (std::size_t i = 0; i < static_cast<std::size_t>(tiles_[t].rows); ++i)
        out[o * rows_ + first + i] = tile[o * T + i];
    first += static_cast<std::size_t>(tiles_[t].rows);
  }
  return out;
}

std::vector<std::int64_t> TileArrays::global_rows() const {
  std::vector<std::int64_t> rows;
  for (const TileInfo &tile : tiles_)
    for (int i = 0; i < tile.rows; ++i) rows.push_back(tile.first.value + i);
  return rows;
}

std::vector<TilePair> all_pairs(const TileArrays &own, const TileArrays &visiting, Sides sides, bool masked) {
  std::vector<TilePair> pairs;
  for (std::size_t a = 0; a < own.tiles().size(); ++a)
    for (std::size_t b = 0; b < visiting.tiles().size(); ++b)
      pairs.push_back({static_cast<std::int32_t>(a), static_cast<std::int32_t>(b), sides, masked});
  return pairs;
}

void evaluate(const Backend &backend, const TileShape &shape, TileArrays &own, TileArrays &visiting,
              const std::vector<TilePair> &pairs) {
  AlignedBytes scratch;
  scratch.resize(backend.scratch_bytes(shape));
  TileCall call;
  call.shape = shape;
  call.own = own.side();
  call.visiting = visiting.side();
  call.pairs = pairs.data();
  call.pair_count = static_cast<std::int64_t>(pairs.size());
  call.scratch = scratch.data();
  backend.evaluate(call);
}

std::vector<std::byte> fold_state(const Backend &backend, const TileShape &shape, TileArrays &own, TileArrays &visiting,
                                  const std::vector<int> &tiles) {
  own.reset_state();
  std::vector<TilePair> pairs;
  for (const int tile : tiles) pairs.push_back({0, tile, Sides::own, shape.mask.active()});
  evaluate(backend, shape, own, visiting, pairs);
  return own.state().copy();
}

std::vector<std::byte> merge_states(const Backend &backend, const TileShape &shape, std::vector<std::byte> into,
                                    const std::vector<std::byte> &from) {
  row_rule(shape.row).merge(0, shape.columns, static_cast<std::size_t>(backend.tile_rows), into.data(), from.data());
  return into;
}

std::vector<double> single_weights(const Backend &backend, TileShape shape, const PointSet &own,
                                   const std::vector<TileInfo> &own_tiles, const PointSet &visiting,
                                   const std::vector<TileInfo> &visiting_tiles, int columns) {
  const std::size_t rows = own.count();
  const std::size_t sources = visiting.count();
  std::vector<double> weights(rows * sources);
  for (std::size_t first = 0; first < sources; first += static_cast<std::size_t>(columns)) {
    const std::size_t count = std::min(sources - first, static_cast<std::size_t>(columns));
    shape.columns = static_cast<int>(count);
    TileArrays receiver(backend, shape, own, own_tiles);
    TileArrays giver(backend, shape, visiting, visiting_tiles);
    std::vector<double> units(sources * count, 0.0);
    for (std::size_t c = 0; c < count; ++c) units[c * sources + first + c] = 1;
    giver.set_columns(units);
    evaluate(backend, shape, receiver, giver, all_pairs(receiver, giver, Sides::own, false));
    const std::vector<double> sums = receiver.finish();
    for (std::size_t c = 0; c < count; ++c)
      for (std::size_t i = 0; i < rows; ++i) weights[i * sources + first + c] = sums[c * rows + i];
  }
  return weights;
}

std::vector<TileInfo> cut(std::int64_t first, std::size_t rows, int tile_rows) {
  std::vector<int> counts;
  for (std::size_t at = 0; at < rows; at += static_cast<std::size_t>(tile_rows))
    counts.push_back(static_cast<int>(std::min(rows - at, static_cast<std::size_t>(tile_rows))));
  return make_tile_list(first, counts);
}

std::vector<TileInfo> make_tile_list(std::int64_t first, const std::vector<int> &counts) {
  std::vector<TileInfo> tiles;
  for (const int count : counts) {
    tiles.push_back({GlobalRow{first}, count});
    first += count;
  }
  return tiles;
}

std::size_t total_rows(const std::vector<int> &counts) {
  return static_cast<std::size_t>(std::accumulate(counts.begin(), counts.end(), 0));
}

namespace {

/// For each row the tile that it is in.
std::vector<std::int64_t> tile_of_rows(const std::vector<TileInfo> &tiles) {
  std::vector<std::int64_t> of;
  for (std::size_t t = 0; t < tiles.size(); ++t)
    of.insert(of.end(), static_cast<std::size_t>(tiles[t].rows), static_cast<std::int64_t>(t));
  return of;
}

}  // namespace

void keep(PairTable &table, const std::vector<TileInfo> &own, const std::vector<TileInfo> &visiting,
          PairPattern pattern, const std::uint64_t *kept) {
  const std::vector<std::int64_t> own_tile = tile_of_rows(own);
  const std::vector<std::int64_t> visiting_tile = tile_of_rows(visiting);
  const auto tiles = static_cast<std::int64_t>(visiting.size());
  for (std::size_t i = 0; i < own_tile.size(); ++i)
    for (std::size_t j = 0; j < visiting_tile.size(); ++j)
      if (!is_due(pattern, own_tile[i], visiting_tile[j]) || !is_kept(kept, tiles, own_tile[i], visiting_tile[j]))
        table.visible[table.at(i, j)] = 0;
}

Bounded first_columns(const Bounded &most, std::size_t count) {
  const auto end = static_cast<std::ptrdiff_t>(count);
  return {{most.value.begin(), most.value.begin() + end}, {most.bound.begin(), most.bound.begin() + end}};
}

std::vector<std::string> backends_to_test() {
  std::vector<std::string> names;
  std::vector<const Backend *> seen;
  for (const std::string &name : backend_names()) {
    const Backend *backend = &find_backend(name);
    if (std::find(seen.begin(), seen.end(), backend) != seen.end()) continue;  // the best instruction set has two names
    seen.push_back(backend);
    names.push_back(name);
  }
  return names;
}

std::vector<std::string> vector_backends() {
  std::vector<std::string> names;
  for (const std::string &name : backends_to_test())
    if (name.substr(0, 3) != "amx") names.push_back(name);
  return names;
}

std::string test_name(std::string text) {
  for (char &letter : text)
    if (std::isalnum(static_cast<unsigned char>(letter)) == 0) letter = '_';
  return text;
}

}  // namespace flashring::test
