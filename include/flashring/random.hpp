// Counter-based random numbers: number i of a stream does not depend on the rank that asks for it.
#pragma once

#include <array>
#include <cstdint>

namespace flashring {

/// Philox4x64-10 (Salmon et al., SC11): four 64-bit words from counter (4) and key (2).
std::array<std::uint64_t, 4> philox4x64(std::array<std::uint64_t, 4> counter, std::array<std::uint64_t, 2> key);

/// What a stream is for; part of the key, so that streams with one seed are independent.
enum class RandomStream : std::uint64_t { start_vector = 1, points = 2, centres = 3, sample = 4, landmarks = 5 };

/// Uniform in (0,1): (bits + 1/2) / 2^52 from the top 52 bits of word 0 of counter (index, minor, 0, 0), key (seed,
/// stream).
double random_uniform(std::uint64_t seed, RandomStream stream, std::uint64_t index, std::uint64_t minor = 0);

/// Standard normal by Box and Muller from words 0 and 1 of the same counter.
double random_normal(std::uint64_t seed, RandomStream stream, std::uint64_t index, std::uint64_t minor = 0);

}  // namespace flashring
