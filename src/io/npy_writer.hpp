// Rows of all ranks into one file: NPY files (format 1.0, C order), and places in other files.
#pragma once

#include <string>

#include "flashring/attention_results.hpp"
#include "io/row_matrix.hpp"

namespace flashring {

/// This rank's rows of an (N, columns) array into an existing file whose values begin at byte `begin`. Little-endian
/// f8, row-major. Not collective.
void write_rows(const std::string &file, std::int64_t begin, const RowMatrix &matrix,
                const std::vector<RowPiece> &pieces);

/// The same of whole numbers, i8; values: (local_rows, columns) row-major.
void write_integers(const std::string &file, std::int64_t begin, std::span<const std::int64_t> values, int columns,
                    const std::vector<RowPiece> &pieces);

/// The (N, columns) array whose rows lie on the ranks as `partition` says, <f8. Rank 0 writes the header, every rank
/// its rows at their place. Replaces an existing file. Collective; an Error is common to all ranks.
void write_npy(const Communicator &communicator, const std::string &file, const RowMatrix &matrix,
               const RowPartition &partition);

/// The same of an array of any number of axes, in its storage; bfloat16 as ml_dtypes writes it, <V2.
void write_npy(const Communicator &communicator, const std::string &file, const ResultArray &array);

}  // namespace flashring
