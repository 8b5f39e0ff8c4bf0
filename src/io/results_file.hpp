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

/// Collective; an Error is common to all ranks.
void write_results_file(const Communicator &communicator, const std::string &file, const Results &results,
                        const Report &report, const PointBlock &points, const std::vector<double> &scale);

}  // namespace flashring
