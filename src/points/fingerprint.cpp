// Fingerprint of a point set.
//
// Formula   F = t(-1, N) + t(-2, d) + sum over i, k of t(i d + k, bits(x_ik + 0.0)) mod 2^64, with i the global row, k
//           the feature and t the term of base/word_sum.hpp. Adding 0.0 makes 0.0 of -0.0 and changes nothing else.
//           Points with lengths l: and t(-3, F(l)), l being N rows of one number.
// Steps     Every rank sums over its rows, then one sum over the ranks.
// Cost      N d terms of 4 integer products, far below one pass over the pairs; one message of 16 bytes.
// Reference base/word_sum.hpp.
#include "flashring/fingerprint.hpp"

#include <bit>

#include "base/word_sum.hpp"
#include "flashring/check.hpp"

namespace flashring {
namespace {

std::uint64_t fingerprint(const Communicator &communicator, const RowPartition &partition, std::int64_t features,
                          std::span<const double> values) {
  std::uint64_t sum = 0;
  std::size_t at = 0;
  for (const RowRange &range : partition.ranges(communicator.rank())) {
    auto place = static_cast<std::uint64_t>(range.begin.value * features);
    for (std::int64_t left = range.count * features; left > 0; --left)
      sum += word_term(place++, std::bit_cast<std::uint64_t>(values[at++] + 0.0));
  }
  // The sizes count too: (4, 1) and (2, 2) hold the same numbers.
  return sum_over_ranks(communicator, sum) +
         word_term(~std::uint64_t{0}, static_cast<std::uint64_t>(partition.rows())) +
         word_term(~std::uint64_t{1}, static_cast<std::uint64_t>(features));
}

}  // namespace

std::uint64_t fingerprint(const Communicator &communicator, const PointBlock &points) {
  const std::uint64_t of_rows = fingerprint(communicator, points.partition(), points.features(), points.rows());
  const auto kind = static_cast<PointScale>(communicator.max(static_cast<double>(points.point_scale())));
  if (kind == PointScale::none) return of_rows;
  const std::uint64_t of_scales =
      fingerprint(communicator, points.partition(), scale_numbers(kind, points.features()), points.point_scales());
  return of_rows + word_term(~std::uint64_t{2}, of_scales);
}

std::uint64_t fingerprint(const Communicator &communicator, const RowPartition &partition,
                          std::span<const double> values) {
  communicator.agree([&] {
    FLASHRING_CHECK(std::ssize(values) == partition.local_rows(communicator.rank()), "fingerprint: ", values.size(),
                    " values given for ", partition.local_rows(communicator.rank()), " rows of this rank");
  });
  return fingerprint(communicator, partition, 1, values);
}

std::string to_hex(std::uint64_t bits) {
  std::string text(16, '0');
  for (auto digit = text.rbegin(); digit != text.rend(); ++digit, bits >>= 4U) *digit = "0123456789abcdef"[bits & 15U];
  return text;
}

}  // namespace flashring
