// Word sums: a number for an array of 64-bit words that any change of the array changes.
//
// Formula   S = sum over i of mix(w_i xor mix(i + g)) mod 2^64, with i the place of word w_i in the whole array and
//           g = 0x9E3779B97F4A7C15, so that a word counts by its place. mix is the finalizer of SplitMix64.
// Steps     Whoever holds some words adds theirs in any order; the sums of all ranks are added.
// Detects   mix is a bijection: with one word changed, by one bit or by all of them, S is another number for certain;
//           with several changed, but for one chance in 2^64. No protection against intent.
// Cost      2 mixes (4 products) a word; one sum of two numbers over the ranks.
// Reference Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014 (mix: Stafford's 13th).
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <span>

#include "flashring/communicator.hpp"

namespace flashring {

constexpr std::uint64_t mix_bits(std::uint64_t word) {
  word = (word ^ (word >> 30U)) * 0xBF58476D1CE4E5B9U;
  word = (word ^ (word >> 27U)) * 0x94D049BB133111EBU;
  return word ^ (word >> 31U);
}

/// What word `word` adds at place `index`.
constexpr std::uint64_t word_term(std::uint64_t index, std::uint64_t word) {
  return mix_bits(word ^ mix_bits(index + 0x9E3779B97F4A7C15U));
}

/// Sum of the words that begin at place `first`; the last one is filled up with zero bytes.
inline std::uint64_t sum_words(std::span<const std::byte> bytes, std::uint64_t first) {
  constexpr std::size_t word_bytes = sizeof(std::uint64_t);
  std::uint64_t sum = 0;
  std::size_t at = 0;
  for (; at + word_bytes <= bytes.size(); at += word_bytes) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data() + at, word_bytes);
    sum += word_term(first++, word);
  }
  if (at == bytes.size()) return sum;
  std::uint64_t last = 0;
  std::memcpy(&last, bytes.data() + at, bytes.size() - at);
  return sum + word_term(first, last);
}

/// Sum over the ranks mod 2^64, the same on every rank. Collective.
inline std::uint64_t sum_over_ranks(const Communicator &communicator, std::uint64_t mine) {
  // By halves: a communicator adds signed numbers, which must not overflow.
  std::array<std::int64_t, 2> halves = {static_cast<std::int64_t>(mine & 0xFFFFFFFFU),
                                        static_cast<std::int64_t>(mine >> 32U)};
  communicator.sum(std::span<std::int64_t>(halves));
  return static_cast<std::uint64_t>(halves[0]) + (static_cast<std::uint64_t>(halves[1]) << 32U);
}

}  // namespace flashring
