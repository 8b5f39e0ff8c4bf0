// Ring: one pass over all (own, visiting) tile pairs of a rank, blocks travelling from rank to rank meanwhile.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "flashring/communicator.hpp"
#include "flashring/partition.hpp"
#include "flashring/tile.hpp"
#include "flashring/tile_block.hpp"
#include "flashring/transport.hpp"

namespace flashring {

/// How a state that a visiting block gathered comes home.
enum class Route : std::uint8_t {
  direct,  ///< each partial state is sent to its owner as soon as its tiles are done, and merged there in step order
  travel,  ///< the state goes on with its block, is merged at every rank, and comes home at the end
};

struct RingOptions {
  int threads = 1;
  Route route = Route::direct;
  /// Of points that are the host's while tiles are a device's: so many bytes of either side are there at a time. With
  /// n = part_bytes / (6 d) rows a part brings n 12 d operations for each 6 d bytes of another one, n > 2e5 at d = 784:
  /// copies are a few percent of the time, so nothing is gained by doing both at once. Sums depend on it by rounding.
  std::size_t part_bytes = std::size_t{1} << 30U;
};

/// Tiles of a part, an even number.
std::int64_t tiles_of_part(std::size_t part_bytes, std::size_t payload_bytes);

/// What one or more passes did, on this rank.
struct PassReport {
  double pairs = 0;               ///< pairs of points evaluated
  double tile_pairs = 0;          ///< pairs of tiles evaluated
  double tile_pairs_skipped = 0;  ///< left out by a TileChoice
  double seconds = 0;             ///< wall time of the passes
  double wait_seconds = 0;        ///< of which the host waited for messages; 0 where the transport queues on a device
  double bytes_sent = 0;
  double bytes_copied = 0;  ///< of vectors and points, between host and device
  PassReport &operator+=(const PassReport &other);
};

/// Tiles of a group whose payloads have that size: an even number, and few enough for two groups to stay in a core's
/// cache (1 MB).
int tiles_of_group(std::size_t payload_bytes);

/// Sequences that meet: own sequence s meets visiting sequence s visiting/own, rounded down. `own` is a multiple of
/// `visiting`, and as many own sequences in a row share a visiting one (grouped heads).
struct Meeting {
  int own = 1;
  int visiting = 1;
  int met_by(int own_sequence) const { return own_sequence / (own / visiting); }
};

/// Which pairs of tiles hold weights that are not 0, a bit each for every step of a schedule: written by a pass of a
/// rule that says so (TileCall::touched), read by later passes over the same blocks, which leave the others out.
struct TileBits {
  std::vector<std::vector<std::uint64_t>> steps;  // (steps) of (own tiles, kept_words(visiting tiles of a sequence))
};

/// What a pass leaves out and what it writes down; null: nothing. A device has copies while a step lasts.
struct TileChoice {
  const TileBits *kept = nullptr;
  TileBits *touched = nullptr;
};

/// The tile pairs of one visit, in the fixed order in which sums are accepted. Made pair by pair: nothing of the size
/// of the matrix is stored. All pairs of two groups of tiles follow each other, so that tiles are read from cache;
/// among them consecutive pairs are disjoint (a round-robin tournament, or the diagonals of a rectangle), so that
/// threads that work on them seldom wait for each other's sums.
class PairList {
 public:
  using Tiles = std::shared_ptr<const std::vector<TileInfo>>;

  /// `group`: tiles of a group, even. Sequences of a side have as many tiles.
  PairList(PairPattern pattern, Sides sides, Mask mask, Tiles own, Tiles visiting, int group, Meeting meeting = {});

  /// Forward iterator over the pairs that count: hidden ones are left out, cut ones are marked masked.
  class Iterator {
   public:
    Iterator(const PairList &list, std::int64_t at) : list_(&list), at_(at) { settle(); }
    const TilePair &operator*() const { return pair_; }
    Iterator &operator++() {
      ++at_;
      settle();
      return *this;
    }
    bool operator!=(const Iterator &other) const { return at_ != other.at_; }
    bool operator==(const Iterator &other) const { return at_ == other.at_; }
    /// Pairs passed over so far because their bit is 0.
    std::int64_t skipped() const { return skipped_; }

   private:
    void settle();
    const PairList *list_;
    std::int64_t at_;
    TilePair pair_;
    std::int64_t skipped_ = 0;
  };

  PairPattern pattern() const { return pattern_; }
  Sides sides() const { return sides_; }
  /// These pairs of tiles, the pairs of points in them, those that a mask cuts counted whole, and what is left out.
  struct Count {
    double tiles = 0;
    double points = 0;
    double skipped = 0;  ///< pairs of tiles whose bit is 0
  };
  Count count() const;
  const std::vector<TileInfo> &own() const { return *own_; }
  const std::vector<TileInfo> &visiting() const { return *visiting_; }
  Meeting meeting() const { return meeting_; }
  /// Leaves out the pairs whose bit in TileBits is 0; the bits stay the caller's.
  void keep_only(const std::uint64_t *kept) { kept_ = kept; }
  std::int64_t visiting_tiles_of_sequence() const { return visiting_tiles(); }
  /// Consecutive pairs that share no tile row, within two groups.
  int disjoint() const;

  Iterator begin() const { return {*this, 0}; }
  Iterator end() const { return {*this, candidates()}; }

 private:
  std::int64_t candidates() const { return candidates_ * meeting_.own; }
  bool candidate(std::int64_t at, TilePair &pair) const;
  /// Pair `at` of a group with itself, by place in the group; false beyond the last one.
  bool within_group(std::int64_t at, TilePair &pair) const;
  bool apply_mask(TilePair &pair) const;

  /// Tiles of a sequence.
  std::int64_t own_tiles() const { return static_cast<std::int64_t>(own_->size()) / meeting_.own; }
  std::int64_t visiting_tiles() const { return static_cast<std::int64_t>(visiting_->size()) / meeting_.visiting; }

  PairPattern pattern_;
  Sides sides_;
  Mask mask_;
  Tiles own_, visiting_;
  Meeting meeting_;
  const std::uint64_t *kept_ = nullptr;
  std::int64_t group_;
  std::int64_t candidates_ = 0;  // of a sequence
};

/// One visit of the schedule: the block of rank `owner` is here, these pairs are due.
struct Visit {
  int owner = 0;
  PairList pairs;
};

/// What stays the same for all visits of a pass. `square`: own and visiting rows are the same set and both sides take
/// sums, so every pair of tiles is evaluated once over all ranks (an even number of ranks shares the opposite block
/// half and half); a causal mask is not square.
struct Schedule {
  const RowPartition &own;
  const RowPartition &visiting;
  int rank = 0;
  int tile_rows = 0;
  Sides sides = Sides::own;
  bool square = false;
  Mask mask;
  int group = 2;  ///< tiles of a group, see PairList
  Sequences own_sequences = {};
  Sequences visiting_sequences = {};

  /// Visits of every rank.
  int steps() const { return square ? own.ranks() / 2 + 1 : own.ranks(); }
  /// Visit `step`; the first is the rank's own block. Made when it is due: the tiles of all other ranks are not stored.
  Visit visit(int step) const;
};

/// Runs passes. Keeps its visiting buffers between passes; one Ring serves one thread at a time.
class Ring {
 public:
  Ring(const Communicator &communicator, Transport &transport, const Backend &backend, RingOptions options);
  ~Ring();

  /// One pass: folds every weight into the states of `own` (has_own(sides)) and of `sources` (has_visiting(sides)).
  /// The blocks carry columns and pass scalars as the rule reads them; states are reset first and complete afterwards.
  /// `own` and `sources` may be the same object (square). Collective.
  PassReport run(const TileShape &shape, Sides sides, TileBlock &own, TileBlock &sources,
                 const TileChoice &choice = {});

  /// Brings here, once, the payloads that square passes over `block` visit: later runs move columns and states alone.
  /// To be called again after `block` was packed anew. Collective.
  void make_resident(const TileShape &shape, TileBlock &block);

  int threads() const { return options_.threads; }

 private:
  struct Buffers;
  struct Pass;
  const Communicator &communicator_;
  Transport &transport_;
  const Backend &backend_;
  RingOptions options_;
  std::unique_ptr<Buffers> buffers_;
};

}  // namespace flashring
