#include "flashring/tile_block.hpp"

#include <algorithm>
#include <cstring>
#include <new>

#include "base/pages.hpp"
#include "flashring/check.hpp"

namespace flashring {
namespace {

/// Two cache lines, so that the adjacent-line prefetcher never mixes two buffers.
constexpr std::align_val_t alignment{128};

/// Large buffers have pages of their own: huge ones, since a pass runs over all tiles again and again, more pages than
/// a processor remembers; and they go back to the system when they go.
constexpr bool is_large(std::size_t bytes) { return bytes >= std::size_t{1} << 20; }

std::byte *allocate(std::size_t bytes) {
  return is_large(bytes) ? map_pages(bytes) : static_cast<std::byte *>(::operator new(bytes, alignment, std::nothrow));
}

/// Calls `visit(tile, local row of its first row)` for every tile; tiles follow the local rows.
template <class Visit>
void for_each_tile(std::span<const TileInfo> tiles, Visit visit) {
  std::int64_t local = 0;
  for (std::size_t t = 0; t < tiles.size(); ++t) {
    visit(t, local);
    local += tiles[t].rows;
  }
}

}  // namespace

void detail::FreeAligned::operator()(std::byte *p) const {
  is_large(bytes) ? unmap_pages(p, bytes) : ::operator delete(p, alignment);
}

void AlignedBuffer::resize(std::size_t bytes) {
  if (bytes > capacity_) {
    data_.reset();
    capacity_ = 0;
    size_ = 0;
    data_ = {allocate(bytes), detail::FreeAligned{bytes}};
    FLASHRING_CHECK(data_ != nullptr, "out of memory: ", bytes,
                    " bytes for tiles and their sums cannot be had; use more ranks, -exchange ring or fewer columns, "
                    "and see what -dry_run says");
    capacity_ = bytes;
  }
  size_ = bytes;
}

std::vector<TileInfo> make_tiles(const RowPartition &partition, int rank, int tile_rows) {
  std::vector<TileInfo> tiles;
  for (const RowRange &range : partition.ranges(rank))
    for (std::int64_t at = 0; at < range.count; at += tile_rows)
      tiles.push_back({GlobalRow{range.begin.value + at},
                       static_cast<std::int32_t>(std::min<std::int64_t>(tile_rows, range.count - at))});
  return tiles;
}

std::int64_t count_tiles(const RowPartition &partition, int rank, int tile_rows) {
  std::int64_t tiles = 0;
  for (const RowRange &range : partition.ranges(rank)) tiles += (range.count + tile_rows - 1) / tile_rows;
  return tiles;
}

TileBlock::TileBlock(const Backend &backend, const RowPartition &partition, int rank)
    : backend_(&backend),
      partition_(partition),
      local_rows_(partition.local_rows(rank)),
      tiles_(make_tiles(partition, rank, backend.tile_rows)) {}

TileBlock::TileBlock(const Backend &backend, const TileShape &shape, const PointBlock &points,
                     std::span<const double> mean)
    : TileBlock(backend, points.partition(), points.rank()) {
  pack(shape, points, mean, [](LocalRow /*begin*/, LocalRow /*end*/) {});
}

TileBlock::TileBlock(const Backend &backend, const TileShape &shape, PointBlock &&points, std::span<const double> mean)
    : TileBlock(backend, points.partition(), points.rank()) {
  replace_points(shape, std::move(points), mean);
}

void TileBlock::replace_points(const TileShape &shape, PointBlock &&points, std::span<const double> mean) {
  PointBlock given = std::move(points);
  pack(shape, given, mean, [&given](LocalRow begin, LocalRow end) { given.release(begin, end); });
}

template <class Done>
void TileBlock::pack(const TileShape &shape, const PointBlock &points, std::span<const double> mean, Done done) {
  FLASHRING_REQUIRE(mean.empty() || static_cast<int>(mean.size()) == points.features(), "mean of ", mean.size());
  FLASHRING_REQUIRE(points.local_rows() == local_rows_, points.local_rows(), " points for tiles of ", local_rows_);
  const std::int64_t many = std::max(1, (1 << 18) / points.features());  // rows: a call to the system for 2 MB
  packed_ = precision_ = shape.precision;
  other_ = {};
  for (AlignedBuffer &block : resident_) block.resize(0);  // they held what was packed before
  const std::size_t bytes = backend_->payload_bytes(shape);
  const double scale = feature_scale(shape.pair);
  points_.resize(bytes * tiles_.size());
  std::int64_t begin = 0;
  for_each_tile(tiles_, [&](std::size_t t, std::int64_t local) {
    const PackInput input{points.row(LocalRow{local}), tiles_[t].rows, mean.empty() ? nullptr : mean.data(), scale};
    backend_->pack(shape, input, points_.data() + t * bytes);
    const std::int64_t end = local + tiles_[t].rows;
    if (end - begin < many) return;
    done(LocalRow{begin}, LocalRow{end});
    begin = end;
  });
}

void TileBlock::set_precision(const TileShape &shape) {
  if (shape.precision == precision_) return;
  FLASHRING_REQUIRE(shape.precision == packed_ || packed_ == Precision::fp64,
                    "the points were packed in another precision");
  precision_ = shape.precision;
  for (AlignedBuffer &block : resident_) block.resize(0);
  other_ = {};
  if (precision_ == packed_) return;
  TileShape from = shape;
  from.precision = packed_;
  const std::size_t from_bytes = backend_->payload_bytes(from);
  const std::size_t bytes = backend_->payload_bytes(shape);
  other_.resize(bytes * tiles_.size());
  std::vector<double> rows(static_cast<std::size_t>(tile_rows()) * static_cast<std::size_t>(shape.features));
  for (std::size_t t = 0; t < tiles_.size(); ++t) {
    backend_->unpack(from, points_.data() + t * from_bytes, tiles_[t].rows, rows.data());
    backend_->pack(shape, {rows.data(), tiles_[t].rows, nullptr, 1}, other_.data() + t * bytes);
  }
}

template <class T>
void TileBlock::fill_columns(const double *x, std::int64_t ld, int columns, std::span<const double> scale) {
  const auto rows = static_cast<std::size_t>(tile_rows());
  T *out = reinterpret_cast<T *>(columns_.data());  // (tiles, c, T)
  for_each_tile(tiles_, [&](std::size_t t, std::int64_t local) {
    for (int c = 0; c < columns; ++c) {
      T *to = out + (t * static_cast<std::size_t>(columns) + static_cast<std::size_t>(c)) * rows;
      const double *from = x + c * ld + local;
      for (std::int32_t i = 0; i < tiles_[t].rows; ++i)
        to[i] = static_cast<T>(scale.empty() ? from[i] : from[i] * scale[static_cast<std::size_t>(local + i)]);
      std::fill(to + tiles_[t].rows, to + rows, T(0));
    }
  });
}

void TileBlock::set_columns(const double *x, std::int64_t ld, int columns, std::span<const double> scale) {
  columns_.resize(tiles_.size() * static_cast<std::size_t>(columns) * static_cast<std::size_t>(tile_rows()) *
                  column_bytes(precision_));
  if (precision_ == Precision::fp64)
    fill_columns<double>(x, ld, columns, scale);
  else
    fill_columns<float>(x, ld, columns, scale);
}

void TileBlock::set_pass_scalars(std::span<const double> values, double padding) {
  const auto rows = static_cast<std::size_t>(tile_rows());
  pass_scalars_.resize(tiles_.size() * rows * column_bytes(precision_));
  const auto put = [&](std::size_t at, double value) {
    if (precision_ == Precision::fp64)
      reinterpret_cast<double *>(pass_scalars_.data())[at] = value;
    else
      reinterpret_cast<float *>(pass_scalars_.data())[at] = static_cast<float>(value);
  };
  for_each_tile(tiles_, [&](std::size_t t, std::int64_t local) {
    for (std::size_t i = 0; i < rows; ++i)
      put(t * rows + i,
          i < static_cast<std::size_t>(tiles_[t].rows) ? values[static_cast<std::size_t>(local) + i] : padding);
  });
}

void TileBlock::finish(RowKind row, int columns, double *out, std::int64_t ld) const {
  const RowRule &rule = row_rule(row);
  const auto rows = static_cast<std::size_t>(tile_rows());
  const auto words = static_cast<std::size_t>(rule.state_words(rule.passes - 1, columns));
  const auto outputs = static_cast<std::size_t>(rule.outputs(columns));
  std::vector<double> tile(outputs * rows);  // (outputs, T)
  for_each_tile(tiles_, [&](std::size_t t, std::int64_t local) {
    rule.finish(columns, rows, state_.data() + t * words * rows * 8, tile.data());
    for (std::size_t o = 0; o < outputs; ++o)
      std::copy_n(tile.data() + o * rows, tiles_[t].rows, out + static_cast<std::int64_t>(o) * ld + local);
  });
}

}  // namespace flashring
