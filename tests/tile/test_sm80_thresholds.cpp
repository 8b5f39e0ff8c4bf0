// Threshold attention by the kernels of backend sm80 without a GPU: the outputs of backends of processors, in as many
// passes.
#include <gtest/gtest.h>

#include "support/attention_case.hpp"
#include "support/sm80.hpp"
#include "support/tiles.hpp"
#include "support/tolerance.hpp"

namespace flashring::test {
namespace {

constexpr sm80::Variant variant = sm80::Variant::chosen;

/// A pair of tiles is a block call that keeps this pair alone.
void evaluate_pair(const TileCall &call, std::int64_t n) {
  const TilePair &pair = call.pairs[n];
  BlockCall block{call.shape, call.own, call.visiting, pair.own + 1, pair.visiting + 1};
  block.sides = pair.sides;
  const std::size_t words = static_cast<std::size_t>(block.own_tiles * kept_words(block.visiting_tiles));
  std::vector<std::uint64_t> kept(words, 0);
  std::vector<std::uint64_t> touched(words, 0);
  kept.back() = std::uint64_t{1} << (pair.visiting % 64);
  block.kept = kept.data();
  block.touched = touched.data();
  const auto run = [&] { emulate(block, {variant, {}, CudaBlock::Order::forward}); };
  call.turns.in_turn(has_own(pair.sides) ? Sides::own : Sides::visiting, [&] {
    if (pair.sides == Sides::both) return call.turns.in_turn(Sides::visiting, run);
    run();
  });
  if (call.touched != nullptr && touched.back() != 0) call.touched[n] = 1;
}

/// The backend with ordinary memory; its products' error is that of sm80/cost.cpp for inner products.
const Backend &emulated() {
  static const Backend backend = [] {
    Backend made = sm80_table(variant);
    made.supports = [](const TileShape &shape) { return sm80::has_kernels(variant, shape); };
    made.scratch_bytes = [](const TileShape & /*shape*/) { return std::size_t{0}; };
    made.evaluate = [](const TileCall &call) {
      for (std::int64_t n = 0; n < call.pair_count; ++n) evaluate_pair(call, n);
    };
    made.error = [](const TileShape &shape) {
      return TileError{(4 + shape.features / 2.0) * unit_roundoff(shape.precision), 0};
    };
    return made;
  }();
  return backend;
}

/// |v| <= 1, so o is off by what weights are: 2 e sum u of what scores are off by, (d + 12) u of sums of d terms over
/// sqrt d, with e <= 2 and u <= 1 here; and by twice what a sum of p may be off from 1.
template <class T>
void check(const AttentionProblem &p, AttentionOptions options) {
  constexpr bool fp64 = sizeof(T) == 8;
  const double d = p.shape.width;
  const double u = unit_roundoff(fp64 ? Precision::fp64 : Precision::fp32);
  const double bound =
      4 * static_cast<double>(p.shape.keys) * (d + 12) * u * std::sqrt(d) + 2 * (fp64 ? 0x1p-46 : 0x1p-20);
  options.kernels = &emulated();
  const Computed<T> found = compute<T>(p, options);
  for (const std::string &name : vector_backends()) {
    SCOPED_TRACE(name);
    options.kernels = &find_backend(name);
    const Computed<T> expected = compute<T>(p, options);
    EXPECT_EQ(found.forward.passes, expected.forward.passes);
    for (std::size_t n = 0; n < found.o.size(); ++n) ASSERT_NEAR(found.o[n], expected.o[n], bound) << n;
  }
}

TEST(Sm80ThresholdAttention, TakesAsManyPassesAsAProcessor) {
  for (const char *op : {"sparsemax", "entmax", "diffmax"})
    for (const double alike : {1.0, 0.02}) {  // rows are listed whole, or around a threshold
      SCOPED_TRACE(std::string(op) + " " + std::to_string(alike));
      AttentionProblem p = random_attention({1, 1, 1, 130, 190, 5, 3}, 61);
      p.scale *= alike;
      AttentionOptions options = options_for(p);
      options.op = op;
      options.threads = 1;
      if (options.op == "diffmax") options.alpha = {0.5};
      check<double>(p, options);
      check<float>(p, options);
    }
}

}  // namespace
}  // namespace flashring::test
