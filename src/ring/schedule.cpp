// Which tile pairs are due at which visit, and in which order.
//
// Rectangle of m x n tiles: diagonals of the torus, so that min(m,n) consecutive pairs share no row and no column.
// Square: the circle method for round-robin tournaments, n/2 disjoint pairs a round.
#include <algorithm>

#include "flashring/check.hpp"
#include "flashring/ring.hpp"

namespace flashring {

PairList::PairList(Pattern pattern, Sides sides, Mask mask, Tiles own, Tiles visiting)
    : pattern_(pattern), sides_(sides), mask_(mask), own_(std::move(own)), visiting_(std::move(visiting)) {
  const auto m = static_cast<std::int64_t>(own_->size());
  const auto n = static_cast<std::int64_t>(visiting_->size());
  const std::int64_t players = m + m % 2;  // an odd number of tiles plays against a bye
  if (pattern_ == Pattern::square)
    candidates_ = m + (players > 0 ? (players - 1) * (players / 2) : 0);
  else
    candidates_ = m * n;
}

bool PairList::square_candidate(std::int64_t at, TilePair &pair) const {
  const auto n = static_cast<std::int64_t>(own_->size());
  if (at < n) {
    pair = {static_cast<std::int32_t>(at), static_cast<std::int32_t>(at), Sides::own, false};
    return true;
  }
  const std::int64_t players = n + n % 2;
  const std::int64_t circle = players - 1;
  const std::int64_t round = (at - n) / (players / 2);
  const std::int64_t k = (at - n) % (players / 2);
  const std::int64_t a = k == 0 ? circle : (round + k) % circle;
  const std::int64_t b = (round - k + circle) % circle;
  pair = {static_cast<std::int32_t>(std::min(a, b)), static_cast<std::int32_t>(std::max(a, b)), sides_, false};
  return std::max(a, b) < n;
}

bool PairList::candidate(std::int64_t at, TilePair &pair) const {
  if (pattern_ == Pattern::square) return square_candidate(at, pair);
  const auto m = static_cast<std::int64_t>(own_->size());
  const auto n = static_cast<std::int64_t>(visiting_->size());
  const std::int64_t shorter = std::min(m, n);
  const std::int64_t k = at % shorter;
  const std::int64_t shifted = (k + at / shorter) % std::max(m, n);
  pair = {static_cast<std::int32_t>(m <= n ? k : shifted), static_cast<std::int32_t>(m <= n ? shifted : k), sides_,
          false};
  if (pattern_ == Pattern::rectangle) return true;
  return ((pair.own + pair.visiting) % 2 == 0) == (pattern_ == Pattern::even_half);
}

bool PairList::apply_mask(TilePair &pair) const {
  if (!mask_.active()) return true;
  const TileInfo &own = (*own_)[static_cast<std::size_t>(pair.own)];
  const TileInfo &visiting = (*visiting_)[static_cast<std::size_t>(pair.visiting)];
  const std::int64_t own_last = own.first.value + own.rows - 1;
  const std::int64_t visiting_last = visiting.first.value + visiting.rows - 1;
  if (mask_.causal && visiting.first.value > own_last) return false;
  const bool overlap = visiting.first.value <= own_last && own.first.value <= visiting_last;
  pair.masked = (mask_.causal && visiting_last > own.first.value) || (mask_.exclude_self && overlap);
  return true;
}

void PairList::Iterator::settle() {
  for (; at_ < list_->candidates_; ++at_)
    if (list_->candidate(at_, pair_) && list_->apply_mask(pair_)) return;
}

Visit Schedule::visit(int step) const {
  FLASHRING_REQUIRE(own.ranks() == visiting.ranks(), own.ranks(), " and ", visiting.ranks(), " ranks");
  FLASHRING_REQUIRE(!square || (sides == Sides::both && !mask.causal), "a square schedule serves both sides");
  using Pattern = PairList::Pattern;
  const int ranks = own.ranks();
  const int owner = (rank + step) % ranks;
  const bool shared = square && step > 0 && 2 * step == ranks;
  const Pattern half = rank < owner ? Pattern::even_half : Pattern::odd_half;
  const Pattern pattern = square && step == 0 ? Pattern::square : shared ? half : Pattern::rectangle;
  return {owner, PairList(pattern, sides, mask,
                          std::make_shared<const std::vector<TileInfo>>(make_tiles(own, rank, tile_rows)),
                          std::make_shared<const std::vector<TileInfo>>(make_tiles(visiting, owner, tile_rows)))};
}

}  // namespace flashring
