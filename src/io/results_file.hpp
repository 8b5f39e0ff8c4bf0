// results.h5: the arrays of a run with their units and provenance, as docs/files.md specifies them.
#pragma once

#include <string>
#include <vector>

#include "flashring/communicator.hpp"
#include "flashring/results.hpp"
#include "io/hdf5_file.hpp"
#include "io/row_matrix.hpp"

namespace flashring {

/// Attributes `kind` and `format` of a file of results: what it holds, and how. The number grows when older readers
/// would misread it.
inline constexpr const char *map_kind = "a diffusion map";
inline constexpr const char *extension_kind = "an extension";
inline constexpr std::int64_t results_format = 1;
/// lambda_0 of a map whose points were killed outside a set; other maps lack it.
inline constexpr const char *perron_attribute = "perron_eigenvalue";

/// Factors lambda_k^t of the embedding, k = 1, 2, ..., K-1. A negative eigenvalue has no power t unless t is a whole
/// number: NaN, and a sentence in `findings`.
std::vector<double> embedding_scale(const Results &results, std::vector<std::string> &findings);

/// lambda_k^t psi_k, k >= 1; refers to `results` and `scale`.
RowMatrix embedding_of(const Results &results, std::int64_t local_rows, const std::vector<double> &scale);

/// Attributes that every file of results has. `kind`: map_kind or extension_kind.
void write_provenance(Hdf5File &file, const char *kind, const Results &results, const Report &report);
/// Attributes of a dataset.
void describe(Hdf5File &file, const std::string &dataset, const std::string &unit, const std::string &description);

/// Of coordinates, in words.
std::string coordinate_unit(const PointBlock &points);

/// Makes the file with the points and their feature scales. Collective; an Error is common to all ranks.
void write_points_file(const Communicator &communicator, const std::string &file, const PointBlock &points);

/// Adds all the rest to that file, which is whole then. Collective; an Error is common to all ranks.
void add_results(const Communicator &communicator, const std::string &file, const Results &results,
                 const Report &report, const WrittenPoints &points, const std::vector<double> &scale);

}  // namespace flashring
