// Fingerprint: a number that tells point sets apart, to see whether a saved state belongs to these points.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "flashring/communicator.hpp"
#include "flashring/partition.hpp"
#include "flashring/points.hpp"

namespace flashring {

/// Of N, d and every bit of the coordinates by global row and feature, mod 2^64; -0.0 counts as 0.0. The same for any
/// number of ranks and any partition. Sets that differ in one coordinate always differ in it, others but for one chance
/// in 2^64. With feature scales it is that of the scaled coordinates; lengths of points
/// (point_scales) count as well. Formula: src/points/fingerprint.cpp. Collective.
std::uint64_t fingerprint(const Communicator &communicator, const PointBlock &points);

/// The same of one number per row, such as a measure: `values` are this rank's, (partition.local_rows(rank)); it is
/// that of points of one feature. Throws Error (common to all ranks) when the size does not fit. Collective.
std::uint64_t fingerprint(const Communicator &communicator, const RowPartition &partition,
                          std::span<const double> values);

/// 16 hexadecimal digits.
std::string to_hex(std::uint64_t bits);

}  // namespace flashring
