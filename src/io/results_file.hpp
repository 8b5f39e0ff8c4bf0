// results.h5: the arrays of a run with their units and provenance, as docs/files.md specifies them.
#pragma once

#include <string>
#include <vector>

#include "flashring/communicator.hpp"
#include "flashring/results.hpp"
#include "io/row_matrix.hpp"

namespace flashring {

/// Factors lambda_k^t of the embedding, k = 1, 2, ..., K-1. A negative eigenvalue has no power t unless t is a whole
/// number: NaN, and a sentence in `findings`.
std::vector<double> embedding_scale(const Results &results, std::vector<std::string> &findings);

/// lambda_k^t psi_k, k >= 1; refers to `results` and `scale`.
RowMatrix embedding_of(const Results &results, std::int64_t local_rows, const std::vector<double> &scale);

/// Of coordinates, in words.
std::string coordinate_unit(const PointBlock &points);

/// Makes the file with the points and their feature scales. Collective; an Error is common to all ranks.
void write_points_file(const Communicator &communicator, const std::string &file, const PointBlock &points);

/// Adds all the rest to that file, which is whole then. Collective; an Error is common to all ranks.
void add_results(const Communicator &communicator, const std::string &file, const Results &results,
                 const Report &report, const WrittenPoints &points, const std::vector<double> &scale);

}  // namespace flashring
