// Summation by tiles: every pair of points is evaluated once (the matrix is symmetric), blocks go round the ring.
#include <algorithm>
#include <map>

#include "flashring/check.hpp"
#include "flashring/devices.hpp"
#include "flashring/summation.hpp"
#include "tile/calibrate.hpp"

namespace flashring {
namespace {

const Backend &checked_backend(const Communicator &communicator, const TilesOptions &options) {
  const Backend &backend = common_backend(communicator, options.backend);
  if (backend.device != nullptr && !options.share_devices) check_devices(communicator, *backend.device);
  return backend;
}

std::unique_ptr<Transport> common_transport(const Communicator &communicator, const TilesOptions &options,
                                            const Device *device) {
  TransportOptions how;
  how.patience = options.patience;
  how.host_messages = device != nullptr && options.points == PointsMemory::host;
  std::unique_ptr<Transport> transport;
  communicator.agree([&] { transport = make_transport(options.transport, communicator, device, how); });
  return transport;
}

class TilesSummation final : public Summation {
 public:
  TilesSummation(const Communicator &communicator, const TilesOptions &options, const PairFunction &pair,
                 PointBlock &&points, std::span<const double> mean)
      : communicator_(communicator),
        backend_(checked_backend(communicator, options)),
        transport_(common_transport(communicator, options, backend_.device)),
        ring_(communicator, *transport_, backend_, options.ring),
        threads_(std::max(1, options.ring.threads)),
        resident_(options.resident && communicator.size() > 1),
        pair_(pair),
        features_(points.features()) {
    communicator_.agree([&] {  // a rank without room says so to all
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

  double cost(int columns, Precision precision) override {
    const auto key = std::make_pair(columns, precision);
    const auto known = costs_.find(key);
    if (known != costs_.end()) return known->second;
    const double tiles = communicator_.sum(static_cast<double>(block_.tiles().size()));
    return costs_[key] = seconds_per_pass(communicator_, backend_, shape(precision, columns), threads_, tiles);
  }

  void update_points(const PairFunction &pair, PointBlock points, std::span<const double> mean) override {
    pair_ = pair;
    communicator_.agree([&] { block_.replace_points(shape(Precision::fp64, 1), std::move(points), mean); });
    current_ = false;
  }

 private:
  TileShape shape(Precision precision, int columns) const {
    return {pair_, RowKind::sum, 0, precision, features_, columns, {}};
  }

  /// Packing takes N d operations beside the N^2 d of a pass.
  void set_precision(Precision precision) {
    current_ = current_ && precision == block_.precision();
    try {
      if (precision != block_.precision()) communicator_.agree([&] { block_.set_precision(shape(precision, 1)); });
    } catch (const Error &) {
      block_.set_precision(shape(Precision::fp64, 1));  // which needs nothing: ranks stay alike
      throw;
    }
    if (resident_ && !current_) ring_.make_resident(shape(precision, 1), block_);
    current_ = true;
  }

  const Communicator &communicator_;
  const Backend &backend_;
  std::unique_ptr<Transport> transport_;
  Ring ring_;
  int threads_;
  bool resident_;
  bool current_ = false;  // resident payloads are those of the points and the precision
  PairFunction pair_;
  int features_;
  TileBlock block_;                                    // packed in fp64
  std::map<std::pair<int, Precision>, double> costs_;  // seconds by columns and precision, as measured
};

}  // namespace

std::unique_ptr<Summation> make_tiles_summation(const Communicator &communicator, const TilesOptions &options,
                                                const PairFunction &pair, PointBlock points,
                                                std::span<const double> mean) {
  return std::make_unique<TilesSummation>(communicator, options, pair, std::move(points), mean);
}

}  // namespace flashring
