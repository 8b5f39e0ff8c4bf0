// Summation by tiles: every pair of points is evaluated once (the matrix is symmetric), blocks go round the ring.
#include <algorithm>
#include <chrono>

#include "base/threads.hpp"
#include "flashring/check.hpp"
#include "flashring/summation.hpp"
#include "tile/sweep.hpp"

namespace flashring {
namespace {

/// The backend, which must be the same on every rank: blocks travel in its layout.
const Backend &common_backend(const Communicator &communicator, const std::string &name) {
  const Backend *backend = nullptr;
  communicator.agree([&] { backend = &find_backend(name); });
  const std::vector<std::string> names = communicator.gather(std::string(backend->name));
  communicator.agree([&] {
    for (std::size_t r = 0; r < names.size(); ++r)
      FLASHRING_CHECK(names[r] == names[0], "-backend ", name, " is ", names[0], " on rank 0 and ", names[r],
                      " on rank ", r, "; machines differ, name one backend that all have");
  });
  return *backend;
}

class TilesSummation final : public Summation {
 public:
  TilesSummation(const Communicator &communicator, const TilesOptions &options, const PairFunction &pair,
                 const PointBlock &points, std::span<const double> mean)
      : communicator_(communicator),
        backend_(common_backend(communicator, options.backend)),
        transport_(make_transport(options.transport, communicator)),
        ring_(communicator, *transport_, backend_, options.ring),
        threads_(std::max(1, options.ring.threads)),
        pair_(pair) {
    update_points(points, mean);
  }

  const char *name() const override { return "tiles"; }
  bool supports(const PairFunction & /*pair*/, int features) const override { return features >= 1; }
  double bound() const override { return 0; }

  PassReport apply(const SumRequest &request) override {
    FLASHRING_REQUIRE(request.columns >= 1 && request.columns <= max_columns, request.columns, " columns");
    TileBlock &block = block_of(request.precision);
    block.set_columns(request.x, request.ldx, request.columns, request.right);
    const PassReport report = ring_.run(shape(request.precision, request.columns), Sides::both, block, block);
    block.finish(RowKind::sum, request.columns, request.y, request.ldy);
    const std::int64_t rows = block.local_rows();
    if (!request.left.empty())
      for (int c = 0; c < request.columns; ++c)
        for (std::int64_t i = 0; i < rows; ++i)
          request.y[c * request.ldy + i] *= request.left[static_cast<std::size_t>(i)];
    return report;
  }

  double cost(int columns, Precision precision) override {
    TileBlock &block = block_of(precision);
    const auto tiles = static_cast<double>(block.tiles().size());
    double seconds = 0;
    if (!block.tiles().empty()) seconds = seconds_per_pair_of_tiles(block, shape(precision, columns));
    // Over all ranks about T^2/2 pairs of tiles, shared evenly.
    const double all = communicator_.sum(tiles);
    return communicator_.max(seconds) * (all * (all + 1) / 2) / communicator_.size() / threads_;
  }

  void update_points(const PointBlock &points, std::span<const double> mean) override {
    points_ = &points;
    mean_.assign(mean.begin(), mean.end());
    for (const Precision precision : {Precision::fp64, Precision::fp32}) {
      std::unique_ptr<TileBlock> &block = blocks_[static_cast<std::size_t>(precision)];
      if (block != nullptr) block->pack(shape(precision, 1), points, mean_);
    }
  }

 private:
  TileShape shape(Precision precision, int columns) const {
    return {pair_, RowKind::sum, 0, precision, points_->features(), columns, {}};
  }

  TileBlock &block_of(Precision precision) {
    std::unique_ptr<TileBlock> &block = blocks_[static_cast<std::size_t>(precision)];
    if (block == nullptr) block = std::make_unique<TileBlock>(backend_, shape(precision, 1), *points_, mean_);
    return *block;
  }

  /// The first tile against itself, both sides, for some milliseconds: the fastest of the repetitions.
  double seconds_per_pair_of_tiles(TileBlock &block, const TileShape &tile_shape) {
    const std::vector<double> zeros(static_cast<std::size_t>(block.local_rows() * tile_shape.columns), 0.0);
    block.set_columns(zeros.data(), block.local_rows(), tile_shape.columns, {});
    const std::size_t state = static_cast<std::size_t>(tile_shape.columns * backend_.tile_rows) * 8;
    AlignedBuffer scratch;
    AlignedBuffer sums;
    scratch.resize(backend_.scratch_bytes(tile_shape));
    sums.resize(2 * state);
    std::fill(sums.data(), sums.data() + 2 * state, std::byte{0});
    const TilePair pair{0, 0, Sides::both, false};
    TileSide own{block.tiles().data(), block.payload().data(), nullptr, nullptr, block.columns().data(), sums.data()};
    TileSide visiting = own;
    visiting.state = sums.data() + state;
    const TileCall call{tile_shape, own, visiting, &pair, 1, scratch.data(), nullptr};
    using Clock = std::chrono::steady_clock;
    double best = 1e300;
    const auto begin = Clock::now();
    for (int repeat = 0; repeat < 3 || Clock::now() - begin < std::chrono::milliseconds(3); ++repeat) {
      const auto before = Clock::now();
      backend_.evaluate(call);
      best = std::min(best, std::chrono::duration<double>(Clock::now() - before).count());
    }
    return best;
  }

  const Communicator &communicator_;
  const Backend &backend_;
  std::unique_ptr<Transport> transport_;
  Ring ring_;
  int threads_;
  PairFunction pair_;
  const PointBlock *points_ = nullptr;
  std::vector<double> mean_;
  std::unique_ptr<TileBlock> blocks_[2];  // one per precision, made when first needed
};

}  // namespace

std::unique_ptr<Summation> make_tiles_summation(const Communicator &communicator, const TilesOptions &options,
                                                const PairFunction &pair, const PointBlock &points,
                                                std::span<const double> mean) {
  return std::make_unique<TilesSummation>(communicator, options, pair, points, mean);
}

}  // namespace flashring
