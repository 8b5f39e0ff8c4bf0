// Scores bounded by balls. Of the keys of a tile that may be seen:
//
//   c  their mean,  r = max |k - c|,  g = max g_j,  and k' the key with the largest score against c, g' its g_j
//   x_ij <= <q_i, c> + |q_i| r + g for the keys j of the tile,   max_j x_ij >= max over tiles of <q_i, k'> + g'
//
// A pair of tiles is left out when for every row of the own tile the first number is below the second by more than
// asked. With C the mean of the c of a sequence, and R = max |c - C| + r, the scores of a row are no further apart than
// 2 |q_i| R + max g - min g. Numbers of all ranks' tiles are gathered: 2 d + 5 for T keys. Cost: rows of an own tile
// are looked at until no pair is left to leave out, the first alone where scores are alike; 2 d operations for each
// tile of keys then, 2/T of a pass for all. Memory: that of the gathered numbers, 2 d N/T for each sequence.
#include "operator/score_bounds.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "flashring/pair.hpp"

namespace flashring {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

/// Features of rows of a tile as the formula reads them, (rows, d).
void read_rows(const TileShape &shape, TileBlock &block, std::size_t tile, int rows, double *out) {
  const Backend &backend = block.backend();
  backend.unpack(shape, block.payload().data() + tile * backend.payload_bytes(shape), rows, out);
}

/// ln k of inner_exp, linear in the product of packed features, which are those of a user times the feature scale.
struct Line {
  double offset, slope;
  explicit Line(const PairFunction &pair)
      : offset(log_weight(pair, 0)),
        slope((log_weight(pair, 1) - offset) / (feature_scale(pair) * feature_scale(pair))) {}
  double at(double q) const { return offset + slope * q; }
  double size(double q) const { return std::abs(slope) * q; }
};

double log_weight_of(const TileShape &shape, TileBlock &sources, std::size_t at) {
  const std::byte *array = sources.pass_scalars().data();
  return shape.precision == Precision::fp64 ? reinterpret_cast<const double *>(array)[at]
                                            : reinterpret_cast<const float *>(array)[at];
}

/// What is told of the keys of a tile: c, k', r, g, g', the number of row k', min g_j (d, d, 1, 1, 1, 1, 1). No key:
/// g = g' = -infinity.
constexpr std::size_t record_numbers(std::size_t d) { return 2 * d + 5; }

void summarize(const TileShape &shape, TileBlock &sources, std::size_t tile, std::vector<double> &rows,
               double *record) {
  const auto d = static_cast<std::size_t>(shape.features);
  const TileInfo &info = sources.tiles()[tile];
  const auto first = tile * static_cast<std::size_t>(sources.tile_rows());
  const Line line(shape.pair);
  read_rows(shape, sources, tile, info.rows, rows.data());
  std::vector<std::size_t> seen;
  double largest = -infinity;
  double smallest = infinity;
  for (std::size_t j = 0; j < static_cast<std::size_t>(info.rows); ++j) {
    const double g = log_weight_of(shape, sources, first + j);
    if (g == -infinity) continue;
    seen.push_back(j);
    largest = std::max(largest, g);
    smallest = std::min(smallest, g);
  }
  std::fill_n(record, record_numbers(d), 0.0);
  record[2 * d + 1] = record[2 * d + 2] = largest;
  record[2 * d + 4] = smallest;
  if (seen.empty()) return;
  for (const std::size_t j : seen)
    for (std::size_t k = 0; k < d; ++k) record[k] += rows[j * d + k] / static_cast<double>(seen.size());
  double best = -infinity;  // ln k(k', c)
  for (const std::size_t j : seen) {
    double square = 0;
    double product = 0;
    for (std::size_t k = 0; k < d; ++k) {
      square += (rows[j * d + k] - record[k]) * (rows[j * d + k] - record[k]);
      product += rows[j * d + k] * record[k];
    }
    record[2 * d] = std::max(record[2 * d], std::sqrt(square));
    const double score = line.at(product);
    if (!(score > best)) continue;
    best = score;
    std::copy_n(rows.data() + j * d, d, record + d);
    record[2 * d + 2] = log_weight_of(shape, sources, first + j);
    record[2 * d + 3] = static_cast<double>(info.first.value) + static_cast<double>(j);
  }
}

/// Tiles of keys whose products with a row are summed together.
constexpr std::size_t together = 8;

/// The tiles of keys of one sequence, of all ranks in their order.
struct KeyTiles {
  std::size_t count = 0;
  std::size_t padded = 0;                                  ///< a multiple of `together`
  std::vector<TileInfo> tiles;                             // (count)
  std::vector<std::int64_t> of_ranks;                      // (ranks) of each
  std::vector<double> centre, chosen;                      // (d, padded) c, k'
  std::vector<double> radius, weight, chosen_weight, row;  // (count) r, g, g', number of k'
  std::vector<double> reach, chosen_norm;                  // (count) (|c| + r)^2, |k'|^2
  // Of all tiles that hold a key:
  double ball = 0;                                          ///< R
  double furthest = 0;                                      ///< the largest reach
  double most_weight = -infinity, least_weight = infinity;  ///< max g, min g

  /// Of the scores of query q with all keys, as the backend rounds them.
  ScoreRange range(const double *q, std::size_t d, const Line &line, double argument) const {
    if (most_weight == -infinity) return {0, 0};
    double norm = 0;
    for (std::size_t k = 0; k < d; ++k) norm += q[k] * q[k];
    const double room = 4 * argument * (norm + furthest);
    const double weights = std::max(std::abs(most_weight), std::abs(least_weight));
    return {line.size(2 * std::sqrt(norm) * ball + room) + most_weight - least_weight + weights * 0x1p-20,
            std::abs(line.at(0)) + line.size(std::sqrt(norm * furthest) + room) + weights};
  }
};

/// What is known of all keys: needs the centres and radii.
void enclose(KeyTiles &keys, std::size_t d) {
  double tiles = 0;
  std::vector<double> mean(d);
  for (std::size_t t = 0; t < keys.count; ++t) {
    if (keys.weight[t] == -infinity) continue;
    ++tiles;
    for (std::size_t k = 0; k < d; ++k) mean[k] += keys.centre[k * keys.padded + t];
  }
  for (std::size_t t = 0; t < keys.count; ++t) {
    if (keys.weight[t] == -infinity) continue;
    double square = 0;
    for (std::size_t k = 0; k < d; ++k) {
      const double off = keys.centre[k * keys.padded + t] - mean[k] / tiles;
      square += off * off;
    }
    keys.ball = std::max(keys.ball, std::sqrt(square) + keys.radius[t]);
    keys.furthest = std::max(keys.furthest, keys.reach[t]);
    keys.most_weight = std::max(keys.most_weight, keys.weight[t]);
  }
}

KeyTiles key_tiles(const TileBlock &sources, std::size_t d, std::size_t sequence, const double *records) {
  KeyTiles keys;
  const RowPartition &partition = sources.partition();
  std::vector<const double *> from;
  const double *of_rank = records;
  for (int r = 0; r < partition.ranks(); ++r) {
    const std::vector<TileInfo> tiles = make_tiles(partition, r, sources.tile_rows(), {1, sources.sequences().shift});
    for (std::size_t t = 0; t < tiles.size(); ++t)
      from.push_back(of_rank + (sequence * tiles.size() + t) * record_numbers(d));
    of_rank += static_cast<std::size_t>(sources.sequences().count) * tiles.size() * record_numbers(d);
    keys.of_ranks.push_back(std::ssize(tiles));
    keys.tiles.insert(keys.tiles.end(), tiles.begin(), tiles.end());
  }
  keys.count = from.size();
  keys.padded = (keys.count + together - 1) / together * together;
  keys.centre.resize(d * keys.padded);
  keys.chosen.resize(d * keys.padded);
  for (std::size_t t = 0; t < keys.count; ++t) {
    const double *const record = from[t];
    double centre_norm = 0;
    double chosen_norm = 0;
    for (std::size_t k = 0; k < d; ++k) {
      keys.centre[k * keys.padded + t] = record[k];
      keys.chosen[k * keys.padded + t] = record[d + k];
      centre_norm += record[k] * record[k];
      chosen_norm += record[d + k] * record[d + k];
    }
    keys.radius.push_back(record[2 * d]);
    keys.weight.push_back(record[2 * d + 1]);
    keys.chosen_weight.push_back(record[2 * d + 2]);
    keys.row.push_back(record[2 * d + 3]);
    const double reach = std::sqrt(centre_norm) + record[2 * d];
    keys.reach.push_back(reach * reach);
    keys.chosen_norm.push_back(chosen_norm);
    keys.least_weight = std::min(keys.least_weight, record[2 * d + 4]);
  }
  enclose(keys, d);
  return keys;
}

/// sums[t] = <q, column t of `columns`>, (d, padded), some columns at a time with their sums in registers.
void multiply(const double *q, const std::vector<double> &columns, std::size_t d, std::vector<double> &sums) {
  for (std::size_t t = 0; t < sums.size(); t += together) {
    double sum[together] = {};
    const double *at = columns.data() + t;
    for (std::size_t k = 0; k < d; ++k, at += sums.size())
      for (std::size_t u = 0; u < together; ++u) sum[u] += q[k] * at[u];
    std::copy_n(sum, together, sums.data() + t);
  }
}

/// Rows of own tiles against the tiles of keys of their sequence. One for a thread: nothing is allocated by its work.
class FarTiles {
 public:
  FarTiles(const TileShape &shape, const KeyTiles &keys, TileBlock &own, double width)
      : shape_(shape),
        keys_(keys),
        own_(own),
        line_(shape.pair),
        argument_(own.backend().error(shape).argument),
        width_(width),
        d_(static_cast<std::size_t>(shape.features)),
        products_(keys.padded),
        far_(keys.count),
        rows_(static_cast<std::size_t>(own.tile_rows()) * d_) {}

  /// Finds the tiles of keys that hold no near score for any row of `tile`, whose numbers s are given; how many.
  std::size_t look(std::size_t tile, const double *s) {
    const TileInfo &info = own_.tiles()[tile];
    std::size_t count = 0;
    for (std::size_t t = 0; t < keys_.count; ++t) {
      far_[t] = visibility(shape_.mask, info, keys_.tiles[t]) != Visibility::none ? 1 : 0;
      count += far_[t];
    }
    int read = 1;  // most often one row tells
    read_rows(shape_, own_, tile, read, rows_.data());
    for (int i = 0; i < info.rows && count > 0; ++i) {
      if (i == read) read_rows(shape_, own_, tile, read = info.rows, rows_.data());
      count = keep_far(rows_.data() + static_cast<std::size_t>(i) * d_, info.first.value + i, s[i]);
    }
    return count;
  }
  bool far(std::size_t t) const { return far_[t] != 0; }

 private:
  /// Below the largest score of the row. Errors of products are those of the backend at most, once for its score and
  /// once for the one here; those of log weights within 2^-20 of them.
  double least_top(const double *q, double norm, std::int64_t row) {
    multiply(q, keys_.chosen, d_, products_);
    double least = -infinity;
    for (std::size_t t = 0; t < keys_.count; ++t) {
      const double g = keys_.chosen_weight[t];
      if (g == -infinity || !visible(shape_.mask, row, static_cast<std::int64_t>(keys_.row[t]))) continue;
      const double room = 2 * argument_ * (norm + keys_.chosen_norm[t]);
      least = std::max(least, line_.at(products_[t]) - line_.size(room) + g - std::abs(g) * 0x1p-20);
    }
    return least;
  }

  /// Takes back the tiles that may hold a near score of this row; the number of those that stay. The rounding of
  /// f = s B ln 2 and of f l, which decide on a bin, is within 2^-20 of the numbers.
  std::size_t keep_far(const double *q, std::int64_t row, double s) {
    double norm = 0;
    for (std::size_t k = 0; k < d_; ++k) norm += q[k] * q[k];
    const double least = least_top(q, norm, row);
    const double enough = width_ * (1 + 0x1p-18) + s * std::abs(least) * 0x1p-20;
    multiply(q, keys_.centre, d_, products_);
    std::size_t count = 0;
    for (std::size_t t = 0; t < keys_.count; ++t) {
      const double g = keys_.weight[t];
      if (far_[t] == 0 || g == -infinity) {
        count += far_[t];
        continue;
      }
      const double room = 2 * argument_ * (norm + keys_.reach[t]) + std::sqrt(norm) * keys_.radius[t];
      const double most = line_.at(products_[t]) + line_.size(room);
      far_[t] = s * (least - most - g - std::abs(g) * 0x1p-20) > enough ? 1 : 0;  // not if one is no number
      count += far_[t];
    }
    return count;
  }

  const TileShape &shape_;
  const KeyTiles &keys_;
  TileBlock &own_;
  Line line_;
  double argument_, width_;
  std::size_t d_;
  std::vector<double> products_;   // (tiles of keys, padded)
  std::vector<std::uint8_t> far_;  // (tiles of keys)
  std::vector<double> rows_;       // (T, d)
};

/// Clears the bits of the pairs of own tile `own` that `worker` found far.
void clear_bits(const FarTiles &worker, const KeyTiles &keys, std::size_t own, int rank, TileBits &bits) {
  const std::size_t ranks = bits.steps.size();
  std::size_t t = 0;
  for (std::size_t owner = 0; owner < ranks; ++owner) {
    const std::int64_t tiles = keys.of_ranks[owner];
    std::vector<std::uint64_t> &step = bits.steps[(owner + ranks - static_cast<std::size_t>(rank)) % ranks];
    std::uint64_t *const words = step.data() + own * static_cast<std::size_t>(kept_words(tiles));
    for (std::int64_t j = 0; j < tiles; ++j, ++t)
      if (worker.far(t)) words[j / 64] &= ~(std::uint64_t{1} << j % 64);
  }
}

/// The local row that each own tile begins with.
std::vector<std::size_t> first_rows(const TileBlock &own) {
  std::vector<std::size_t> first(own.tiles().size());
  for (std::size_t t = 1; t < first.size(); ++t)
    first[t] = first[t - 1] + static_cast<std::size_t>(own.tiles()[t - 1].rows);
  return first;
}

/// Own tiles [begin, end), which meet the sequence of these keys. `first`: local row of each own tile.
void look_at(const KeyTiles &keys, std::size_t begin, std::size_t end, int rank, std::span<const std::size_t> first,
             std::span<const double> s, std::vector<FarTiles> &workers, TileBits &bits) {
  const auto threads = static_cast<int>(workers.size());
#pragma omp parallel for schedule(static, 1) num_threads(threads)
  for (int n = 0; n < threads; ++n) {
    FarTiles &worker = workers[static_cast<std::size_t>(n)];
    for (std::size_t t = begin + static_cast<std::size_t>(n); t < end; t += static_cast<std::size_t>(threads)) {
      if (worker.look(t, s.data() + first[t]) > 0) clear_bits(worker, keys, t, rank, bits);
    }
  }
}

}  // namespace

struct ScoreBounds::Keys {
  std::vector<KeyTiles> of_sequence;
};

ScoreBounds::ScoreBounds(const Communicator &communicator, const TileShape &shape, TileBlock &own, TileBlock &sources,
                         int threads)
    : communicator_(communicator), shape_(shape), own_(own), sources_(sources), threads_(threads) {
  if (shape.pair.kind != PairKind::inner_exp || shape.precision == Precision::reduced ||
      own.backend().device != nullptr)
    return;
  const auto d = static_cast<std::size_t>(shape.features);
  std::vector<double> mine;  // (own tiles of keys, numbers)
  communicator.agree([&] {
    mine.resize(sources.tiles().size() * record_numbers(d));
    std::vector<double> rows(static_cast<std::size_t>(sources.tile_rows()) * d);
    for (std::size_t t = 0; t < sources.tiles().size(); ++t)
      summarize(shape, sources, t, rows, mine.data() + t * record_numbers(d));
  });
  const std::vector<std::byte> records = communicator.gather(std::as_bytes(std::span<const double>(mine)));
  communicator.agree([&] {
    keys_ = std::make_unique<Keys>();
    for (std::size_t q = 0; q < static_cast<std::size_t>(sources.sequences().count); ++q)
      keys_->of_sequence.push_back(key_tiles(sources, d, q, reinterpret_cast<const double *>(records.data())));
  });
}
ScoreBounds::~ScoreBounds() = default;

std::vector<ScoreRange> ScoreBounds::ranges() const {
  const auto d = static_cast<std::size_t>(shape_.features);
  const auto tile_rows = static_cast<std::size_t>(own_.tile_rows());
  const std::vector<std::size_t> first = first_rows(own_);
  const std::size_t tiles = first.size();
  const Line line(shape_.pair);
  const double argument = own_.backend().error(shape_).argument;
  std::vector<ScoreRange> ranges(static_cast<std::size_t>(own_.local_rows()));
  std::vector<double> rows(static_cast<std::size_t>(threads_) * tile_rows * d);
#pragma omp parallel for schedule(static, 1) num_threads(threads_)
  for (int n = 0; n < threads_; ++n) {
    double *const mine = rows.data() + static_cast<std::size_t>(n) * tile_rows * d;
    for (auto t = static_cast<std::size_t>(n); t < tiles; t += static_cast<std::size_t>(threads_)) {
      const KeyTiles &keys = keys_->of_sequence[t * keys_->of_sequence.size() / tiles];
      const auto count = static_cast<std::size_t>(own_.tiles()[t].rows);
      read_rows(shape_, own_, t, own_.tiles()[t].rows, mine);
      for (std::size_t i = 0; i < count; ++i) ranges[first[t] + i] = keys.range(mine + i * d, d, line, argument);
    }
  }
  return ranges;
}

TileBits ScoreBounds::near_pairs(std::span<const double> s, double width) const {
  TileBits bits;
  const std::size_t own_tiles = own_.tiles().size();
  const int rank = communicator_.rank();
  const int ranks = sources_.partition().ranks();
  for (int step = 0; step < ranks; ++step) {
    const std::int64_t visiting = count_tiles(sources_.partition(), (rank + step) % ranks, sources_.tile_rows());
    bits.steps.emplace_back(own_tiles * static_cast<std::size_t>(kept_words(visiting)), ~std::uint64_t{0});
  }
  const std::vector<std::size_t> first = first_rows(own_);
  const std::size_t sequences = keys_->of_sequence.size();
  for (std::size_t q = 0; q < sequences; ++q) {
    const KeyTiles &keys = keys_->of_sequence[q];
    std::vector<FarTiles> workers(static_cast<std::size_t>(threads_), FarTiles(shape_, keys, own_, width));
    look_at(keys, q * own_tiles / sequences, (q + 1) * own_tiles / sequences, rank, first, s, workers, bits);
  }
  return bits;
}

}  // namespace flashring
