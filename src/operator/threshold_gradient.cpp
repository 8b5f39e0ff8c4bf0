// The gradient of threshold attention: one pass over the pairs of tiles that hold a weight.
//
//   dP = dO V^T,   dS = s e u (dP - delta),   own: dS K and sum r (dP - delta),   sources: dS^T Q and P^T dO
//
// Cost: of N_q N_k pairs 2 (d + c) multiply-adds for scores and dP, 2 (d + c) for the sums of both sides, and a power.
// Reference: docs/mathematics.md.
#include <limits>

#include "flashring/check.hpp"
#include "flashring/threshold_attention.hpp"
#include "operator/threshold_row.hpp"

namespace flashring {
namespace {

/// Whether the bits are of these two blocks, or empty: those of other blocks would be read beyond their end.
bool fits(const TileBits &bits, const Communicator &communicator, const TileBlock &own, const TileBlock &sources) {
  if (bits.steps.empty()) return true;
  const int ranks = communicator.size();
  bool same = bits.steps.size() == static_cast<std::size_t>(ranks);
  for (int step = 0; same && step < ranks; ++step) {
    const std::int64_t visiting =
        count_tiles(sources.partition(), (communicator.rank() + step) % ranks, sources.tile_rows());
    same = bits.steps[static_cast<std::size_t>(step)].size() ==
           own.tiles().size() * static_cast<std::size_t>(kept_words(visiting));
  }
  return same;
}

}  // namespace

PassReport threshold_gradient(const Communicator &communicator, Ring &ring, TileShape shape, TileBlock &own,
                              TileBlock &sources, const ThresholdRequest &request, const RowThresholds &rows,
                              std::span<const double> delta) {
  constexpr std::size_t numbers = 7;  // f, m, t, 1 - t, e - 1, s e, delta
  constexpr double infinity = std::numeric_limits<double>::infinity();
  const auto n = static_cast<std::size_t>(own.local_rows());
  shape.row = RowKind::threshold_gradient;
  FLASHRING_REQUIRE(&own != &sources, "queries and keys have numbers of their own: give two blocks");
  communicator.agree([&] {
    FLASHRING_CHECK(own.backend().supports(shape), "-backend ", own.backend().name,
                    " has no threshold rules; -backend simd has");
    FLASHRING_CHECK(rows.t.size() == n && rows.row_maximum.size() == n && delta.size() == n && request.s.size() == n &&
                        request.e_minus_1.size() == n,
                    "the rows of the forward pass are ", rows.t.size(), " on this rank, and of these arrays ", n);
    FLASHRING_CHECK(fits(rows.tiles, communicator, own, sources),
                    "the pairs of tiles that the forward pass kept are of other blocks, or of another backend");
  });
  communicator.agree([&] {
    std::vector<double> scalars(numbers * n, 0.0);  // (rows, numbers) column-major; zeros: the row gives nothing
    for (std::size_t i = 0; i < n; ++i) {
      if (!(rows.row_maximum[i] > -infinity)) continue;
      const double s = request.s[i];
      const double of_row[numbers] = {s * ln_of_2,          rows.row_maximum[i] / ln_of_2, rows.t[i], 1 - rows.t[i],
                                      request.e_minus_1[i], s * request.e_minus_1[i] + s,  delta[i]};
      for (std::size_t k = 0; k < numbers; ++k) scalars[k * n + i] = of_row[k];
    }
    own.set_pass_scalars({scalars.data(), own.local_rows(), static_cast<int>(numbers)}, 0);
  });
  const bool kept = !rows.tiles.steps.empty();
  return ring.run(shape, Sides::both, own, sources, {kept ? &rows.tiles : nullptr, nullptr});
}

}  // namespace flashring
