// Products of a rank's rows with points that every rank has.
//
//   y_ic = left_i sum_j k(x_i, z_j) right_j x_jc,  i an own row, j one of m landmarks
//
// One sweep over the rectangle (own tiles, landmark tiles), the own side receiving, or the landmarks. Cost: m N/P pairs
// of points for up to 64 columns, against N^2/(2P) of a symmetric pass; no messages; m (d + c) numbers beside the own
// block.
#include "flashring/landmark_tiles.hpp"

#include <algorithm>
#include <chrono>

#include "flashring/check.hpp"
#include "tile/sweep.hpp"

namespace flashring {
namespace {

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

PointBlock block_of(std::span<const double> points, const TileShape &shape) {
  const int numbers = point_numbers(shape.pair, shape.features);
  FLASHRING_REQUIRE(numbers >= 1 && !points.empty() && points.size() % static_cast<std::size_t>(numbers) == 0,
                    points.size(), " numbers for landmarks of ", numbers, " each");
  const auto count = static_cast<std::int64_t>(points.size()) / numbers;
  return {RowPartition::contiguous(count, 1), 0, numbers, {points.begin(), points.end()}};
}

PairList::Tiles copy_of(std::span<const TileInfo> tiles) {
  return std::make_shared<const std::vector<TileInfo>>(tiles.begin(), tiles.end());
}

}  // namespace

LandmarkTiles::LandmarkTiles(const Backend &backend, const TileShape &shape, std::span<const double> points,
                             const RingOptions &options, PointsMemory memory)
    : backend_(backend),
      shape_(shape),
      landmarks_(TileBlock::repack(backend, shape, block_of(points, shape), memory)),
      sweep_(std::make_unique<Sweep>(backend, std::max(1, options.threads), options.part_bytes)) {}

LandmarkTiles::~LandmarkTiles() = default;

TileShape LandmarkTiles::shape(const SumRequest &request) const {
  TileShape shape = shape_;
  shape.row = RowKind::sum;
  shape.pass = 0;
  shape.precision = request.precision;
  shape.columns = request.columns;
  return shape;
}

double LandmarkTiles::sweep(const TileShape &shape, TileBlock &receiving, TileBlock &visiting,
                            const SumRequest &request) {
  const std::size_t tiles = receiving.tiles().size();
  if (tiles == 0) return 0;
  receiving.state().resize(tiles * state_bytes(backend_, shape));
  reset_states(backend_, shape, tiles, receiving.state().data());
  double done = 0;
  if (!visiting.tiles().empty()) {
    const PairList pairs(PairPattern::rectangle, Sides::own, {}, copy_of(receiving.tiles()), copy_of(visiting.tiles()),
                         tiles_of_group(backend_.payload_bytes(shape)));
    const bool host_points = receiving.payload().device() != backend_.device;
    done = sweep_->run({shape, receiving.side(true), visiting.side(false), pairs, host_points}, [] {}).pairs;
  }
  receiving.finish(RowKind::sum, request.columns,
                   {request.y, request.ldy, request.columns, request.left, request.scaling, request.on_device});
  return done;
}

PassReport LandmarkTiles::run(TileBlock &receiving, TileBlock &visiting, const SumRequest &request) {
  FLASHRING_REQUIRE(request.columns >= 1 && request.columns <= max_columns, request.columns, " columns");
  const double before = now();
  const auto copied = [&] { return receiving.bytes_copied() + visiting.bytes_copied() + sweep_->bytes_copied(); };
  const std::size_t copied_before = copied();
  PassReport report;
  const TileShape all = shape(request);
  try {
    landmarks_.set_precision(all);
    FLASHRING_REQUIRE(receiving.precision() == visiting.precision(), "own tiles of another precision");
    visiting.set_columns({request.x, request.ldx, request.columns, request.right, 0, request.on_device});
    report.pairs = sweep(all, receiving, visiting, request);
  } catch (...) {
    if (backend_.device != nullptr) backend_.device->finish();  // what is queued still uses these arrays
    throw;
  }
  report.seconds = now() - before;
  report.bytes_copied = static_cast<double>(copied() - copied_before);
  return report;
}

PassReport LandmarkTiles::apply(TileBlock &own, const SumRequest &request) { return run(own, landmarks_, request); }

PassReport LandmarkTiles::apply_transpose(TileBlock &own, const SumRequest &request) {
  return run(landmarks_, own, request);
}

PassReport LandmarkTiles::apply_among(const SumRequest &request) { return run(landmarks_, landmarks_, request); }

}  // namespace flashring
