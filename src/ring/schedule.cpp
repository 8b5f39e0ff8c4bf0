// Which tile pairs are due at which visit, and in which order.
//
// Groups of g tiles, g even: all pairs of two groups, then of the next two. Two groups: diagonals of the torus, so that
// g consecutive pairs share no row and no column. One group with itself: the circle method for round-robin tournaments,
// g/2 disjoint pairs a round. Pairs are numbered as if all groups were full and all pairs were due; the others are left
// out.
#include <algorithm>

#include "flashring/check.hpp"
#include "flashring/ring.hpp"

namespace flashring {

int tiles_of_group(std::size_t payload_bytes) {
  constexpr std::size_t cache = std::size_t{1} << 20;
  return static_cast<int>(std::clamp<std::size_t>(cache / 2 / payload_bytes, 8, 64)) / 2 * 2;
}

PairList::PairList(PairPattern pattern, Sides sides, Mask mask, Tiles own, Tiles visiting, int group, Meeting meeting)
    : pattern_(pattern),
      sides_(sides),
      mask_(mask),
      own_(std::move(own)),
      visiting_(std::move(visiting)),
      meeting_(meeting) {
  FLASHRING_REQUIRE(group >= 2 && group % 2 == 0, "groups of ", group, " tiles");
  FLASHRING_REQUIRE(meeting.visiting >= 1 && meeting.own % meeting.visiting == 0, meeting.own, " and ",
                    meeting.visiting, " sequences");
  const std::int64_t m = own_tiles();
  const std::int64_t n = visiting_tiles();
  group_ = std::min<std::int64_t>(group, std::max(m, n) + std::max(m, n) % 2);
  if (m > 0 && n > 0) candidates_ = (m + group_ - 1) / group_ * ((n + group_ - 1) / group_) * group_ * group_;
}

int PairList::disjoint() const {
  const std::int64_t fewest = std::min(own_tiles(), visiting_tiles());
  return static_cast<int>(std::min(fewest, group_) / (pattern_ == PairPattern::square ? 2 : 1));
}

bool PairList::within_group(std::int64_t at, TilePair &pair) const {
  const std::int64_t circle = group_ - 1;
  const std::int64_t round = (at - group_) / (group_ / 2);
  const std::int64_t k = (at - group_) % (group_ / 2);
  std::int64_t a = at;
  std::int64_t b = at;
  if (at >= group_) {
    if (round >= circle) return false;
    a = k == 0 ? circle : (round + k) % circle;
    b = (round - k + circle) % circle;
  }
  pair = {static_cast<std::int32_t>(std::min(a, b)), static_cast<std::int32_t>(std::max(a, b)),
          a == b ? Sides::own : sides_, false};
  return true;
}

bool PairList::candidate(std::int64_t all, TilePair &pair) const {
  const std::int64_t m = own_tiles();
  const std::int64_t n = visiting_tiles();
  const std::int64_t groups = (n + group_ - 1) / group_;
  const auto sequence = static_cast<int>(all / candidates_);
  const std::int64_t at = all % candidates_;
  const std::int64_t own = at / (group_ * group_) / groups * group_;
  const std::int64_t visiting = at / (group_ * group_) % groups * group_;
  const std::int64_t place = at % (group_ * group_);
  if (pattern_ == PairPattern::square && visiting <= own) {
    if (visiting < own || !within_group(place, pair)) return false;
  } else {
    const std::int64_t k = place % group_;
    pair = {static_cast<std::int32_t>(k), static_cast<std::int32_t>((k + place / group_) % group_), sides_, false};
  }
  pair.own += static_cast<std::int32_t>(own);
  pair.visiting += static_cast<std::int32_t>(visiting);
  if (pair.own >= m || pair.visiting >= n) return false;
  if (pattern_ != PairPattern::square && !is_due(pattern_, pair.own, pair.visiting)) return false;
  pair.own += static_cast<std::int32_t>(sequence * m);
  pair.visiting += static_cast<std::int32_t>(meeting_.met_by(sequence) * n);
  return true;
}

bool PairList::apply_mask(TilePair &pair) const {
  if (!mask_.active()) return true;
  const Visibility seen = visibility(mask_, (*own_)[static_cast<std::size_t>(pair.own)],
                                     (*visiting_)[static_cast<std::size_t>(pair.visiting)]);
  pair.masked = seen == Visibility::some;
  return seen != Visibility::none;
}

PairList::Count PairList::count() const {
  Count count;
  if (mask_.causal || kept_ != nullptr) {  // the only mask that hides whole tiles
    Iterator at = begin();
    for (; at != end(); ++at) {
      const TilePair pair = *at;
      ++count.tiles;
      count.points += static_cast<double>((*own_)[static_cast<std::size_t>(pair.own)].rows) *
                      (*visiting_)[static_cast<std::size_t>(pair.visiting)].rows;
    }
    count.skipped = static_cast<double>(at.skipped());
    return count;
  }
  // Sequences have the same tiles: counted for the first. Rows of visiting tiles from J on, of even and odd J apart.
  const auto own_end = static_cast<std::size_t>(own_tiles());
  const auto visiting_end = static_cast<std::size_t>(visiting_tiles());
  const bool whole = pattern_ == PairPattern::square || pattern_ == PairPattern::rectangle;
  std::vector<double> rest[2];
  for (std::size_t parity : {0, 1}) {
    rest[parity].assign(visiting_end + 1, 0);
    for (std::size_t j = visiting_end; j-- > 0;)
      rest[parity][j] = rest[parity][j + 1] + (j % 2 == parity ? (*visiting_)[j].rows : 0);
  }
  for (std::size_t i = 0; i < own_end; ++i) {
    const std::size_t from = pattern_ == PairPattern::square ? i : 0;
    const std::size_t wanted = (i + (pattern_ == PairPattern::odd_half ? 1 : 0)) % 2;
    double rows = rest[wanted][from];
    if (whole) rows += rest[1 - wanted][from];
    count.points += rows * (*own_)[i].rows;
    const std::size_t tiles = whole ? visiting_end - from : (visiting_end + 1 - wanted) / 2;
    count.tiles += static_cast<double>(tiles);
  }
  count.points *= meeting_.own;
  count.tiles *= meeting_.own;
  return count;
}

void PairList::Iterator::settle() {
  for (const std::int64_t end = list_->candidates(); at_ < end; ++at_) {
    if (!list_->candidate(at_, pair_) || !list_->apply_mask(pair_)) continue;
    const std::int64_t visiting = list_->visiting_tiles();
    if (is_kept(list_->kept_, visiting, pair_.own, pair_.visiting % visiting)) return;
    ++skipped_;
  }
}

Visit Schedule::visit(int step) const {
  FLASHRING_REQUIRE(own.ranks() == visiting.ranks(), own.ranks(), " and ", visiting.ranks(), " ranks");
  FLASHRING_REQUIRE(!square || (sides == Sides::both && !mask.causal), "a square schedule serves both sides");
  const int ranks = own.ranks();
  const int owner = (rank + step) % ranks;
  const bool shared = square && step > 0 && 2 * step == ranks;
  const PairPattern half = rank < owner ? PairPattern::even_half : PairPattern::odd_half;
  const PairPattern pattern = square && step == 0 ? PairPattern::square : shared ? half : PairPattern::rectangle;
  const auto tiles = [&](const RowPartition &partition, int of, Sequences sequences) {
    return std::make_shared<const std::vector<TileInfo>>(make_tiles(partition, of, tile_rows, sequences));
  };
  return {owner,
          PairList(pattern, sides, mask, tiles(own, rank, own_sequences), tiles(visiting, owner, visiting_sequences),
                   group, {own_sequences.count, visiting_sequences.count})};
}

}  // namespace flashring
