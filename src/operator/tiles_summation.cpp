// Summation by tiles: every pair of points is evaluated once (the matrix is symmetric), blocks go round the ring.
#include <algorithm>
#include <map>

#include "flashring/check.hpp"
#include "flashring/landmark_tiles.hpp"
#include "flashring/summation.hpp"
#include "operator/common_tiles.hpp"
#include "tile/calibrate.hpp"

namespace flashring {
namespace {

class TilesSummation final : public Summation {
 public:
  TilesSummation(const Communicator &communicator, const TilesOptions &options, const PairFunction &pair,
                 PointBlock &&points, std::span<const double> mean)
      : communicator_(communicator),
        backend_(checked_backend(communicator, options)),
        transport_(common_transport(communicator, options, backend_.device)),
        ring_(communicator, *transport_, backend_, options.ring),
        ring_options_(options.ring),
        points_memory_(options.points),
        resident_(options.resident && communicator.size() > 1),
        pair_(pair),
        features_(points.features()) {
    communicator_.agree([&] {  // a rank without room says so to all
      check_pair(backend_, pair_, features_);
      block_ = TileBlock(backend_, shape(Precision::fp64, 1), std::move(points), mean, options.points);
    });
  }

  const char *name() const override { return "tiles"; }
  bool supports(const PairFunction & /*pair*/, int features) const override { return features >= 1; }
  double bound() const override { return 0; }

  PassReport apply(const SumRequest &request) override {
    FLASHRING_REQUIRE(request.columns >= 1 && request.columns <= max_columns, request.columns, " columns");
    set_precision(request.precision);
    const std::uint64_t before = block_.bytes_copied();
    communicator_.agree([&] {  // a rank without room says so before the others wait for its messages
      block_.set_columns({request.x, request.ldx, request.columns, request.right, request.scaling, request.on_device});
    });
    PassReport report = ring_.run(shape(request.precision, request.columns), Sides::both, block_, block_);
    block_.finish(RowKind::sum, request.columns,
                  {request.y, request.ldy, request.columns, request.left, request.scaling, request.on_device});
    report.bytes_copied += static_cast<double>(block_.bytes_copied() - before);
    return report;
  }

  PassReport apply_differences(const SumRequest &request) override {
    const TileShape with = difference_shape(request.precision, request.columns);
    communicator_.agree([&] { check_differences(backend_, with); });
    set_precision(request.precision);
    const std::uint64_t before = block_.bytes_copied();
    communicator_.agree([&] {
      block_.set_columns({request.x, request.ldx, request.columns});
      block_.set_pass_scalars(request.right, 0);
    });
    PassReport report = ring_.run(with, Sides::both, block_, block_);
    const int answers = row_rule(with.row).outputs(request.columns);
    block_.finish(with.row, request.columns, {request.y, request.ldy, answers, request.left});
    report.bytes_copied += static_cast<double>(block_.bytes_copied() - before);
    return report;
  }

  int difference_columns() override {
    int most = max_columns;
    while (most > 0 && !backend_.supports(difference_shape(Precision::fp64, most))) --most;
    return most;
  }

  double cost(int columns, Precision precision) override {
    const auto key = std::make_pair(columns, precision);
    const auto known = costs_.find(key);
    if (known != costs_.end()) return known->second;
    const double tiles = communicator_.sum(static_cast<double>(block_.tiles().size()));
    return costs_[key] = seconds_per_pass(communicator_, backend_, shape(precision, columns),
                                          std::max(1, ring_options_.threads), tiles);
  }

  void update_points(const PairFunction &pair, PointBlock points, std::span<const double> mean) override {
    pair_ = pair;
    communicator_.agree([&] { block_.replace_points(shape(Precision::fp64, 1), std::move(points), mean); });
    current_ = false;
  }

  std::vector<double> gather_points(std::span<const GlobalRow> rows) override;
  std::unique_ptr<LandmarkSummation> landmarks(std::span<const double> points) override;

  LogSumExpResult log_sum_exp(const PointBlock &queries, std::span<const double> mean,
                              const LogSumExpRequest &request) override {
    pack_in(request.precision);
    TileShape with = shape(request.precision, request.columns);
    with.row = RowKind::logsumexp;
    with.mask = request.mask;
    TileBlock own;
    const std::uint64_t before = block_.bytes_copied();
    communicator_.agree([&] {
      own = TileBlock(backend_, with, queries, mean, points_memory_);
      set_sources(block_, request);
    });
    LogSumExpResult result = flashring::log_sum_exp(ring_, with, own, block_);
    result.report.bytes_copied += static_cast<double>(own.bytes_copied() + block_.bytes_copied() - before);
    return result;
  }

 private:
  class Landmarks;
  TileShape shape(Precision precision, int columns) const {
    return {pair_, RowKind::sum, 0, precision, features_, columns, {}};
  }

  TileShape difference_shape(Precision precision, int columns) const {
    TileShape with = shape(precision, columns);
    with.row = RowKind::difference_product;
    return with;
  }

  /// Packing takes N d operations beside the N^2 d of a pass.
  void pack_in(Precision precision) {
    current_ = current_ && precision == block_.precision();
    try {
      if (precision != block_.precision()) communicator_.agree([&] { block_.set_precision(shape(precision, 1)); });
    } catch (const Error &) {
      block_.set_precision(shape(Precision::fp64, 1));  // which needs nothing: ranks stay alike
      throw;
    }
  }

  void set_precision(Precision precision) {
    pack_in(precision);
    if (resident_ && !current_) ring_.make_resident(shape(precision, 1), block_);
    current_ = true;
  }

  const Communicator &communicator_;
  const Backend &backend_;
  std::unique_ptr<Transport> transport_;
  Ring ring_;
  RingOptions ring_options_;
  PointsMemory points_memory_;
  bool resident_;
  bool current_ = false;  // resident payloads are those of the points and the precision
  PairFunction pair_;
  int features_;
  TileBlock block_;                                    // packed in fp64
  std::map<std::pair<int, Precision>, double> costs_;  // seconds by columns and precision, as measured
};

class TilesSummation::Landmarks final : public LandmarkSummation {
 public:
  Landmarks(TilesSummation &own, std::span<const double> points)
      : own_(own), tiles_(own.backend_, own.shape(Precision::fp64, 1), points, own.ring_options_, own.points_memory_) {}

  PassReport apply(const SumRequest &request) override {
    own_.pack_in(request.precision);  // points of other ranks have no part in this
    PassReport report;
    own_.communicator_.agree([&] { report = tiles_.apply(own_.block_, request); });
    return report;
  }
  PassReport apply_transpose(const SumRequest &request) override {
    own_.pack_in(request.precision);
    PassReport report;
    own_.communicator_.agree([&] { report = tiles_.apply_transpose(own_.block_, request); });
    for (int c = 0; c < request.columns; ++c)
      own_.communicator_.sum(std::span<double>(request.y + c * request.ldy, static_cast<std::size_t>(tiles_.count())));
    return report;
  }
  PassReport apply_among(const SumRequest &request) override { return tiles_.apply_among(request); }

 private:
  TilesSummation &own_;
  LandmarkTiles tiles_;
};

std::vector<double> TilesSummation::gather_points(std::span<const GlobalRow> rows) {
  const auto width = static_cast<std::size_t>(point_numbers(pair_, features_));
  std::vector<double> points;
  communicator_.agree([&] {
    points.resize(rows.size() * width);
    std::vector<LocalRow> mine;
    std::vector<std::size_t> places;
    for (std::size_t k = 0; k < rows.size(); ++k)
      if (const auto local = block_.partition().local_row(communicator_.rank(), rows[k])) {
        mine.push_back(*local);
        places.push_back(k);
      }
    const std::vector<double> unpacked = block_.unpack(shape(Precision::fp64, 1), mine);
    for (std::size_t k = 0; k < places.size(); ++k)
      std::copy_n(unpacked.data() + k * width, width, points.data() + places[k] * width);
  });
  communicator_.sum(std::span<double>(points));  // a row is zeros on all ranks but its owner, which changes no bit
  return points;
}

std::unique_ptr<LandmarkSummation> TilesSummation::landmarks(std::span<const double> points) {
  std::unique_ptr<LandmarkSummation> made;
  communicator_.agree([&] { made = std::make_unique<Landmarks>(*this, points); });
  return made;
}

}  // namespace

void check_differences(const Backend &backend, const TileShape &shape) {
  FLASHRING_CHECK(backend.supports(shape), "-backend ", backend.name, ": has no sums of products of ", shape.columns,
                  " differences with ", to_string(shape.pair),
                  " in this precision; -precision fp64 or -backend simd has");
}

std::unique_ptr<Summation> make_tiles_summation(const Communicator &communicator, const TilesOptions &options,
                                                const PairFunction &pair, PointBlock points,
                                                std::span<const double> mean) {
  return std::make_unique<TilesSummation>(communicator, options, pair, std::move(points), mean);
}

}  // namespace flashring
