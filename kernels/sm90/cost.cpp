// A file of the host's compiler.
#include "sm90/cost.hpp"

#include <algorithm>

#include "sm80/cost.hpp"
#include "sm80/path.hpp"

namespace flashring::sm90 {

/// As sm80's, but every product of 16 columns cuts off the whole sum, since wgmma adds all of them to one set of
/// accumulators: 17 addends at 2^-25 of the largest, 8.5u, and the result at 2u, 11u with what partial sums are above
/// the whole (kernels/README.md, "Errors of tensor cores"). It holds for calls that are left to sm80, too.
TileError error(const TileShape &shape) {
  TileError error = sm80::error(sm80::Variant::chosen, shape);
  if (!sm80::takes_pieces(sm80::Variant::chosen, shape)) return error;
  constexpr double u = 0x1p-24;
  const sm80::PieceLayout layout = sm80::layout_of(shape);
  const double pieces = layout.pieces == 3 ? 2 * u : 0x1p-7 * (1 + 0x1p-9);
  const double sums = 11 * layout.chunk_products() * u;
  const double argument = layout.norms ? 19 * u + pieces + sums : 4 * u + (pieces + sums) / 2;
  error.argument = std::max(error.argument, argument);
  return error;
}

}  // namespace flashring::sm90
