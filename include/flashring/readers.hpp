// Readers: files that hold points or labels.
#pragma once

#include <string>
#include <vector>

#include "flashring/communicator.hpp"
#include "flashring/points.hpp"

namespace flashring {

/// Points from an NPY file (format 1.0 to 3.0) of shape (N, d) or (N,): f4, f8, bool and all integers (beyond 2^53
/// rounded to double), either byte order, C and Fortran order. Every rank reads its own rows alone. Collective. Throws
/// Error, the same on every rank, that names rank, file, place, value and remedy: file missing, not an NPY file, cut
/// off, complex or structured type, wrong number of axes, N = 0 or d = 0, NaN or infinite value (names the row), not
/// the same file for every rank.
PointBlock read_npy(const std::string &file, const Communicator &communicator);

/// One label per line; `rows` of them, without blanks around them. Every rank gets all. Throws Error when the count
/// differs.
std::vector<std::string> read_labels(const std::string &file, std::int64_t rows, const Communicator &communicator);

}  // namespace flashring
