// Backend sm80: GPUs of compute capability 8.0 and later. Three variants, so that a machine can compare them: "sm80"
// takes the path that is thought to be the fastest for a call (path.hpp): few_features.hpp, tensor.hpp or the plain
// one; "sm80:tensor" tensor cores for any number of features, "sm80:plain" the plain path for all.
//
// Plain: a block of 128 threads has one own tile and one thread for each own row. It goes over visiting tiles, 32
// visiting rows at a time: features are staged in shared memory, each thread holds the weights of its row and 32
// visiting rows in registers, and folds them (fold.hpp, sum.hpp, logsumexp.hpp). The visiting side goes through slots
// that a second launch adds in a fixed order (waves.hpp). Sums of 32 rows (own side) or 128 (visiting side) are in the
// working precision, then in fp64. Cost of a pair: see cost(). Errors: see error().
//
// Payload of a tile: (d, T) features (pack.hpp), or pieces of them for tensor cores (pieces.hpp). Bits depend on the
// arguments alone.
#include <string>
#include <string_view>

#include "sm80/backend.hpp"
#include "sm80/cost.hpp"
#include "sm80/pack.hpp"
#include "sm80/queue.hpp"

namespace flashring::sm80 {
namespace {

template <Variant variant>
bool supports(const TileShape &shape) {
  return has_kernels(variant, shape);
}

/// No limit is stated before one has been measured.
Rates rates(const TileShape & /*shape*/) { return {}; }

template <Variant variant>
TileCost cost_of(const TileShape &shape, Sides sides) {
  return cost(variant, shape, sides);
}

template <Variant variant>
TileError error_of(const TileShape &shape) {
  return error(variant, shape);
}

/// The table of the device that is current at the first call; null where there is none of 8.0 or later.
template <Variant variant>
const Backend *make_table() {
  static const int found = capability();
  static const std::string target = "sm_" + std::to_string(found);
  static const Backend table = {"sm80",
                                target.c_str(),
                                warp_rows,
                                warp_rows,
                                tile_rows,
                                supports<variant>,
                                payload_bytes<variant>,
                                pack<variant>,
                                unpack<variant>,
                                scratch_bytes,
                                nullptr,
                                cost_of<variant>,
                                rates,
                                error_of<variant>,
                                device(variant)};
  return found >= 80 ? &table : nullptr;
}

}  // namespace

const Backend *open(const char *ceiling) {
  const std::string_view variant = ceiling;
  if (variant.empty()) return make_table<Variant::chosen>();
  if (variant == "tensor") return make_table<Variant::tensor>();
  return variant == "plain" ? make_table<Variant::plain>() : nullptr;
}

std::vector<std::string> ceilings() {
  if (make_table<Variant::chosen>() == nullptr) return {};
  return {"", "tensor", "plain"};
}

}  // namespace flashring::sm80
