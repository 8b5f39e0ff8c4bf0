// Philox4x64-10: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC11.
// Ten rounds of two 64x64 -> 128 bit products; the key grows by Weyl constants. Cost: 20 products a call.
#include <cmath>
#include <numbers>

#include "flashring/random.hpp"

namespace flashring {
namespace {

__extension__ using Wide = unsigned __int128;

constexpr std::uint64_t multiplier_0 = 0xD2E7470EE14C6C93U;
constexpr std::uint64_t multiplier_1 = 0xCA5A826395121157U;
constexpr std::uint64_t weyl_0 = 0x9E3779B97F4A7C15U;
constexpr std::uint64_t weyl_1 = 0xBB67AE8584CAA73BU;

std::uint64_t high(Wide product) { return static_cast<std::uint64_t>(product >> 64U); }

/// 52 bits and a half: one more bit would round the largest number to 1.
double to_uniform(std::uint64_t bits) { return (static_cast<double>(bits >> 12U) + 0.5) * 0x1p-52; }

}  // namespace

std::array<std::uint64_t, 4> philox4x64(std::array<std::uint64_t, 4> c, std::array<std::uint64_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const Wide p0 = static_cast<Wide>(multiplier_0) * c[0];
    const Wide p1 = static_cast<Wide>(multiplier_1) * c[2];
    c = {high(p1) ^ c[1] ^ key[0], static_cast<std::uint64_t>(p1), high(p0) ^ c[3] ^ key[1],
         static_cast<std::uint64_t>(p0)};
    key[0] += weyl_0;
    key[1] += weyl_1;
  }
  return c;
}

double random_uniform(std::uint64_t seed, RandomStream stream, std::uint64_t index, std::uint64_t minor) {
  return to_uniform(philox4x64({index, minor, 0, 0}, {seed, static_cast<std::uint64_t>(stream)})[0]);
}

double random_normal(std::uint64_t seed, RandomStream stream, std::uint64_t index, std::uint64_t minor) {
  const auto words = philox4x64({index, minor, 0, 0}, {seed, static_cast<std::uint64_t>(stream)});
  return std::sqrt(-2 * std::log(to_uniform(words[0]))) * std::cos(2 * std::numbers::pi * to_uniform(words[1]));
}

}  // namespace flashring
