#include "flashring/tile_block.hpp"

#include <algorithm>

#include "flashring/check.hpp"
#include "tile/tile_loop.hpp"

namespace flashring {
namespace {

/// Rows of points as backends pack them: each ends with what the pair function reads of its length or covariance.
class RowSource {
 public:
  RowSource(const TileShape &shape, const PointBlock &points)
      : points_(points),
        pair_(shape.pair),
        numbers_(point_scale(shape.pair.kind) == PointScale::none
                     ? 0
                     : static_cast<std::size_t>(scale_numbers(points.point_scale(), points.features()))) {
    const int width = points.features() + static_cast<int>(numbers_);
    FLASHRING_REQUIRE(points.local_rows() == 0 || width == point_numbers(shape.pair, shape.features), width,
                      " numbers a point");
  }
  /// Valid until the next call.
  const double *rows(LocalRow first, std::int64_t count) {
    if (numbers_ == 0) return points_.row(first);
    joined_.clear();
    for (std::int64_t i = first.value; i < first.value + count; ++i) {
      const double *row = points_.row(LocalRow{i});
      joined_.insert(joined_.end(), row, row + points_.features());
      joined_.resize(joined_.size() + numbers_);
      scale_in_tile(pair_, points_.features(), points_.point_scales().data() + static_cast<std::size_t>(i) * numbers_,
                    joined_.data() + joined_.size() - numbers_);
    }
    return joined_.data();
  }

 private:
  const PointBlock &points_;
  PairFunction pair_;
  std::size_t numbers_;         // of a row's scale
  std::vector<double> joined_;  // (count, features + numbers)
};

}  // namespace

std::vector<TileInfo> make_tiles(const RowPartition &partition, int rank, int tile_rows, Sequences sequences) {
  std::vector<TileInfo> tiles;
  for (int s = 0; s < sequences.count; ++s)
    for (const RowRange &range : partition.ranges(rank))
      for (std::int64_t at = 0; at < range.count; at += tile_rows)
        tiles.push_back({GlobalRow{sequences.shift + range.begin.value + at},
                         static_cast<std::int32_t>(std::min<std::int64_t>(tile_rows, range.count - at))});
  return tiles;
}

std::int64_t count_tiles(const RowPartition &partition, int rank, int tile_rows, Sequences sequences) {
  std::int64_t tiles = 0;
  for (const RowRange &range : partition.ranges(rank)) tiles += (range.count + tile_rows - 1) / tile_rows;
  return tiles * sequences.count;
}

void check_point_scales(const PairFunction &pair, const PointBlock &points) {
  const PointScale needed = point_scale(pair.kind);
  const char *name = traits(pair.kind).name;
  FLASHRING_CHECK(needed != PointScale::covariance || points.features() <= most_covariance_features, "-pair ", name,
                  ": points have ", points.features(), " features, and covariances of at most ",
                  most_covariance_features, " are taken; project the points onto fewer");
  if (needed == points.point_scale() || points.local_rows() == 0) return;
  FLASHRING_CHECK(needed != PointScale::length, "-pair ", name,
                  " reads a length of every point: give them by -point_scales FILE (PointBlock::set_point_scales, "
                  "MatFlashringSetPointScales)");
  FLASHRING_CHECK(needed != PointScale::covariance, "-pair ", name,
                  " reads a covariance of every point: give them by -point_covariances FILE "
                  "(PointBlock::set_point_scales, MatFlashringSetPointCovariances)");
  throw Error(detail::concatenate("-pair ", name,
                                  points.point_scale() == PointScale::length
                                      ? " reads no lengths of points; leave -point_scales out, or take self_tuned or "
                                        "variable_bandwidth"
                                      : " reads no covariances of points; leave -point_covariances out, or take "
                                        "local_mahalanobis"));
}

TileBlock::TileBlock(const Backend &backend, const RowPartition &partition, int rank, PointsMemory memory,
                     Sequences sequences)
    : backend_(&backend),
      partition_(partition),
      sequences_(sequences),
      local_rows_(partition.local_rows(rank) * sequences.count),
      tiles_(make_tiles(partition, rank, backend.tile_rows, sequences)),
      rank_(rank),
      device_tiles_(backend.device),
      offsets_(backend.device),
      numbers_(backend.device),
      scales_{Scale(backend.device), Scale(backend.device)},
      points_(memory == PointsMemory::host ? nullptr : backend.device),
      other_(points_.device()),
      pass_scalars_(backend.device),
      columns_(backend.device),
      state_(backend.device) {
  if (backend.device == nullptr || partition.rows() == 0) return;
  std::vector<TileInfo> all;
  for (int r = 0; r < partition.ranks(); ++r) {
    device_first_.push_back(all.size());
    const std::vector<TileInfo> theirs = make_tiles(partition, r, backend.tile_rows, sequences);
    all.insert(all.end(), theirs.begin(), theirs.end());
  }
  std::vector<std::int64_t> offsets;
  for_each_tile(tiles_, [&](std::size_t /*t*/, std::int64_t local) { offsets.push_back(local); });
  offsets.push_back(local_rows_);
  const auto send = [&](std::span<const std::byte> bytes, AlignedBuffer &buffer) {
    buffer.resize(bytes.size());
    backend.device->upload(buffer.data(), bytes.data(), bytes.size());
  };
  send(std::as_bytes(std::span<const TileInfo>(all)), device_tiles_);
  send(std::as_bytes(std::span<const std::int64_t>(offsets)), offsets_);
  wait_for(backend.device);
}

TileBlock::TileBlock(const Backend &backend, const TileShape &shape, const PointBlock &points,
                     std::span<const double> mean, PointsMemory memory)
    : TileBlock(backend, points.partition(), points.rank(), memory) {
  pack(shape, points, mean, feature_scale(shape.pair), [](LocalRow /*begin*/, LocalRow /*end*/) {});
}

TileBlock::TileBlock(const Backend &backend, const TileShape &shape, PointBlock &&points, std::span<const double> mean,
                     PointsMemory memory)
    : TileBlock(backend, points.partition(), points.rank(), memory) {
  replace_points(shape, std::move(points), mean);
}

TileBlock::TileBlock(const Backend &backend, const TileShape &shape, const RowPartition &partition, int rank,
                     Sequences sequences, const RowReader &points, int threads)
    : TileBlock(backend, partition, rank, PointsMemory::device, sequences) {
  packed_ = precision_ = shape.precision;
  threads_ = backend.device == nullptr ? threads : 1;
  const std::size_t bytes = backend.payload_bytes(shape);
  points_.resize(bytes * tiles_.size());
  BufferWriter writer(points_, bytes);
  const auto numbers = static_cast<std::size_t>(tile_rows()) * static_cast<std::size_t>(shape.features);
  for_each_tile(tiles_, threads_, numbers, [&](std::size_t t, std::int64_t local, double *rows) {
    points(LocalRow{local}, tiles_[t].rows, rows);  // (T, features)
    backend.pack(shape, {rows, tiles_[t].rows, nullptr, feature_scale(shape.pair)}, writer.piece(t));
  });
  writer.finish();
}

TileBlock TileBlock::repack(const Backend &backend, const TileShape &shape, const PointBlock &points,
                            PointsMemory memory) {
  TileBlock block(backend, points.partition(), points.rank(), memory);
  block.pack(shape, points, {}, 1, [](LocalRow /*begin*/, LocalRow /*end*/) {});
  return block;
}

void TileBlock::replace_points(const TileShape &shape, PointBlock &&points, std::span<const double> mean) {
  PointBlock given = std::move(points);
  pack(shape, given, mean, feature_scale(shape.pair),
       [&given](LocalRow begin, LocalRow end) { given.release(begin, end); });
}

template <class Done>
void TileBlock::pack(const TileShape &shape, const PointBlock &points, std::span<const double> mean, double scale,
                     Done done) {
  FLASHRING_REQUIRE(mean.empty() || static_cast<int>(mean.size()) == points.features(), "mean of ", mean.size());
  FLASHRING_REQUIRE(points.local_rows() == local_rows_, points.local_rows(), " points for tiles of ", local_rows_);
  const std::int64_t many = std::max(1, (1 << 18) / points.features());  // rows: a call to the system for 2 MB
  packed_ = precision_ = shape.precision;
  other_.clear();
  for (AlignedBuffer &block : resident_) block.resize(0);  // they held what was packed before
  const std::size_t bytes = backend_->payload_bytes(shape);
  points_.resize(bytes * tiles_.size());
  BufferWriter writer(points_, bytes);
  RowSource source(shape, points);
  std::int64_t begin = 0;
  for_each_tile(tiles_, [&](std::size_t t, std::int64_t local) {
    const std::int64_t rows = tiles_[t].rows;
    const PackInput input{source.rows(LocalRow{local}, rows), rows, mean.empty() ? nullptr : mean.data(), scale};
    backend_->pack(shape, input, writer.next());
    const std::int64_t end = local + tiles_[t].rows;
    if (end - begin < many) return;
    done(LocalRow{begin}, LocalRow{end});
    begin = end;
  });
  writer.finish();
}

void TileBlock::set_precision(const TileShape &shape) {
  if (shape.precision == precision_) return;
  FLASHRING_REQUIRE(shape.precision == packed_ || packed_ == Precision::fp64,
                    "the points were packed in another precision");
  for (AlignedBuffer &block : resident_) block.resize(0);
  other_.clear();
  precision_ = packed_;  // until the other precision is there
  if (shape.precision == packed_) return;
  TileShape from = shape;
  from.precision = packed_;
  const std::size_t from_bytes = backend_->payload_bytes(from);
  const std::size_t bytes = backend_->payload_bytes(shape);
  other_.resize(bytes * tiles_.size());
  std::vector<double> rows(static_cast<std::size_t>(tile_rows() * point_numbers(shape.pair, shape.features)));
  BufferReader reader(points_, from_bytes);
  BufferWriter writer(other_, bytes);
  for (const TileInfo &tile : tiles_) {
    backend_->unpack(from, reader.next(), tile.rows, rows.data());
    backend_->pack(shape, {rows.data(), tile.rows, nullptr, 1}, writer.next());
  }
  writer.finish();
  precision_ = shape.precision;
}

std::vector<double> TileBlock::unpack(const TileShape &shape, std::span<const LocalRow> rows) const {
  TileShape from = shape;
  from.precision = packed_;
  const std::size_t bytes = backend_->payload_bytes(from);
  const auto numbers = static_cast<std::size_t>(point_numbers(shape.pair, shape.features));
  std::vector<std::int64_t> first;  // (tiles) local row of a tile's first
  for_each_tile(tiles_, [&](std::size_t /*t*/, std::int64_t local) { first.push_back(local); });
  std::vector<std::byte> copy(points_.device() != nullptr ? bytes : 0);
  std::vector<double> tile(static_cast<std::size_t>(tile_rows()) * numbers);  // (T, numbers)
  std::vector<double> values;
  values.reserve(rows.size() * numbers);
  for (const LocalRow row : rows) {
    FLASHRING_REQUIRE(row.value >= 0 && row.value < local_rows_, "row ", row.value, " of ", local_rows_);
    const auto t =
        static_cast<std::size_t>(std::upper_bound(first.begin(), first.end(), row.value) - first.begin()) - 1;
    const std::byte *payload = points_.data() + t * bytes;
    if (points_.device() != nullptr) {
      points_.device()->download(copy.data(), payload, bytes);
      wait_for(points_.device());
      payload = copy.data();
    }
    backend_->unpack(from, payload, tiles_[t].rows, tile.data());
    const double *begin_of_row = tile.data() + static_cast<std::size_t>(row.value - first[t]) * numbers;
    values.insert(values.end(), begin_of_row, begin_of_row + numbers);
  }
  return values;
}

const TileInfo *TileBlock::tile_list(int rank) const {
  if (backend_->device != nullptr && device_first_.empty()) return nullptr;  // no rank has rows
  if (backend_->device != nullptr)
    return reinterpret_cast<const TileInfo *>(device_tiles_.data()) + device_first_[static_cast<std::size_t>(rank)];
  FLASHRING_REQUIRE(rank == rank_, "tiles of rank ", rank, " asked of rank ", rank_);
  return tiles_.data();
}

TileSide TileBlock::side(bool receives) {
  return {tile_list(rank_), payload().data(), pass_scalars_.data(), columns_.data(),
          receives ? state_.data() : nullptr};
}

const double *TileBlock::upload(const double *values, AlignedBuffer &buffer) {
  const std::size_t bytes = static_cast<std::size_t>(local_rows_) * sizeof(double);
  buffer.resize(bytes);
  backend_->device->upload(buffer.data(), reinterpret_cast<const std::byte *>(values), bytes);
  bytes_copied_ += bytes;
  return reinterpret_cast<const double *>(buffer.data());
}

RowMap TileBlock::row_map(std::span<const double> scale, std::uint64_t scaling) {
  RowMap map{static_cast<std::int64_t>(tiles_.size()), reinterpret_cast<const std::int64_t *>(offsets_.data()),
             nullptr};
  if (scale.empty()) return map;
  for (Scale &known : scales_)
    if (scaling != 0 && known.scaling == scaling && known.host == scale.data()) {
      map.scale = reinterpret_cast<const double *>(known.buffer.data());
      return map;
    }
  latest_scale_ = 1 - latest_scale_;
  Scale &latest = scales_[latest_scale_];
  latest.scaling = 0;  // nothing is known where the next line fails
  map.scale = upload(scale.data(), latest.buffer);
  latest.host = scale.data();
  latest.scaling = scaling;
  return map;
}

void TileBlock::place_rows(const Columns<const double> &x, double padding, AlignedBuffer &array) {
  const RowMap map = row_map(x.scale, x.scaling);
  for (int c = 0; c < x.count; ++c) {
    const double *column = x.values + c * x.ld;
    const double *there = x.on_device ? column : upload(column, numbers_);
    backend_->device->place(map, precision_, x.count, c, there, padding, array.data());
  }
  wait_for(backend_->device);
}

template <class T>
void TileBlock::fill_rows(const Columns<const double> &x, double padding, AlignedBuffer &array) {
  const auto rows = static_cast<std::size_t>(tile_rows());
  const std::span<const double> scale = x.scale;
  T *to = reinterpret_cast<T *>(array.data());  // (tiles, c, T)
  for_each_tile(tiles_, [&](std::size_t t, std::int64_t local) {
    for (int c = 0; c < x.count; ++c, to += rows) {
      const double *from = x.values + c * x.ld + local;
      for (std::int32_t i = 0; i < tiles_[t].rows; ++i)
        to[i] = static_cast<T>(scale.empty() ? from[i] : from[i] * scale[static_cast<std::size_t>(local + i)]);
      std::fill(to + tiles_[t].rows, to + rows, static_cast<T>(padding));
    }
  });
}

void TileBlock::set_rows(const Columns<const double> &x, double padding, AlignedBuffer &array) {
  FLASHRING_REQUIRE(!x.on_device || backend_->device != nullptr, "vectors of a device for tiles of the host");
  const auto rows = static_cast<std::size_t>(tile_rows());
  array.resize(tiles_.size() * static_cast<std::size_t>(x.count) * rows * column_bytes(precision_));
  if (backend_->device != nullptr) {
    if (!tiles_.empty()) place_rows(x, padding, array);
  } else if (precision_ == Precision::fp64) {
    fill_rows<double>(x, padding, array);
  } else {
    fill_rows<float>(x, padding, array);
  }
}

void TileBlock::set_columns(const Columns<const double> &x) { set_rows(x, 0, columns_); }

void TileBlock::set_columns(int columns, const RowReader &values) {
  const auto rows = static_cast<std::size_t>(tile_rows());
  const auto width = static_cast<std::size_t>(columns);
  const std::size_t bytes = width * rows * column_bytes(precision_);
  columns_.resize(tiles_.size() * bytes);
  BufferWriter writer(columns_, bytes);
  constexpr std::size_t block = 16;  // rows: lines of `from` stay in L1 while their numbers are read
  const auto turn = [&]<class T>(const double *from, T *to, std::size_t count) {
    for (std::size_t first = 0; first < rows; first += block)
      for (std::size_t c = 0; c < width; ++c)
        for (std::size_t i = first; i < std::min(first + block, rows); ++i)
          to[c * rows + i] = i < count ? static_cast<T>(from[i * width + c]) : T(0);
  };
  for_each_tile(tiles_, threads_, rows * width, [&](std::size_t t, std::int64_t local, double *from) {
    values(LocalRow{local}, tiles_[t].rows, from);  // (T, columns)
    std::byte *tile = writer.piece(t);
    if (precision_ == Precision::fp64)
      turn(from, reinterpret_cast<double *>(tile), static_cast<std::size_t>(tiles_[t].rows));
    else
      turn(from, reinterpret_cast<float *>(tile), static_cast<std::size_t>(tiles_[t].rows));
  });
  writer.finish();
}

void TileBlock::set_pass_scalars(const Columns<const double> &values, double padding) {
  set_rows(values, padding, pass_scalars_);
}

void TileBlock::set_pass_scalars(std::span<const double> values, double padding) {
  set_pass_scalars({values.data(), local_rows_, 1}, padding);
}

void TileBlock::take_answers(const TileShape &shape, const Columns<double> &out, int first) {
  const Device &device = *backend_->device;
  const std::size_t bytes = static_cast<std::size_t>(local_rows_) * sizeof(double);
  if (!out.on_device) numbers_.resize(bytes);
  const RowMap map = row_map(out.scale, out.scaling);
  for (int o = 0; o < out.count; ++o) {
    double *column = out.values + o * out.ld;
    device.take(map, shape, first + o, state_.data(),
                out.on_device ? column : reinterpret_cast<double *>(numbers_.data()));
    if (out.on_device) continue;
    device.download(reinterpret_cast<std::byte *>(column), numbers_.data(), bytes);
    bytes_copied_ += bytes;
  }
  wait_for(&device);
}

void TileBlock::finish(RowKind row, int columns, const AnswerReader &take, int threads, int few) {
  if (few > 0 && backend_->device != nullptr) {
    std::vector<double> answers(static_cast<std::size_t>(few * local_rows_));
    finish(row, columns, Columns<double>{answers.data(), local_rows_, few});
    return take(LocalRow{0}, local_rows_, answers.data(), local_rows_);
  }
  const RowRule &rule = row_rule(row);
  const auto rows = static_cast<std::size_t>(tile_rows());
  const auto words = static_cast<std::size_t>(rule.state_words(rule.passes - 1, columns));
  BufferReader reader(state_, words * rows * 8);
  for_each_tile(tiles_, reader, threads, static_cast<std::size_t>(rule.outputs(columns)) * rows,
                [&](std::size_t t, std::int64_t local, double *answers) {  // (outputs, T)
                  rule.finish(columns, rows, reader.piece(t), answers);
                  take(LocalRow{local}, tiles_[t].rows, answers, tile_rows());
                });
}

void TileBlock::finish(RowKind row, int columns, const Columns<double> &out, int first) {
  const int outputs = row_rule(row).outputs(columns);
  FLASHRING_REQUIRE(first >= 0 && first + out.count <= outputs, out.count, " answers from ", first, " of ", outputs);
  if (tiles_.empty()) return;
  if (backend_->device != nullptr) return take_answers(answer_shape(row, columns), out, first);
  finish(row, columns, [&](LocalRow begin, std::int64_t count, const double *answers, std::int64_t stride) {
    for (std::int64_t o = 0; o < out.count; ++o)
      for (std::int64_t i = 0; i < count; ++i) {
        const double value = answers[(first + o) * stride + i];
        const std::int64_t local = begin.value + i;
        out.values[o * out.ld + local] = out.scale.empty() ? value : value * out.scale[static_cast<std::size_t>(local)];
      }
  });
}

}  // namespace flashring
