// Coarse spaces of linear systems, from guesses of their slow modes.
#pragma once

#include <cstddef>
#include <vector>

#include "flashring/communicator.hpp"
#include "solve/column_cg.hpp"

namespace flashring {

/// One for each column c, of counts[c] guesses or fewer; `guesses` (rows, sum of counts), those of column 0
/// first, of about unit length. All are multiplied in one product. Collective.
std::vector<CoarseSpace> coarse_spaces(const Communicator &communicator, const ColumnProduct &product, std::size_t rows,
                                       const std::vector<double> &guesses, const std::vector<std::size_t> &counts);

}  // namespace flashring
