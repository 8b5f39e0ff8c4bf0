// results.h5: the arrays of a run with their units and provenance, as docs/files.md specifies them.
#pragma once

#include <functional>
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
inline constexpr const char *neighbours_kind = "nearest neighbours";
inline constexpr const char *committor_kind = "a committor";
inline constexpr const char *metric_kind = "a metric";
inline constexpr std::int64_t results_format = 1;
/// lambda_0 of a map whose points were killed outside a set; other maps lack it.
inline constexpr const char *perron_attribute = "perron_eigenvalue";

/// Factors lambda_k^t of the embedding, k = 1, 2, ..., K-1. A negative eigenvalue has no power t unless t is a whole
/// number: NaN, and a sentence in `findings`.
std::vector<double> embedding_scale(const Results &results, std::vector<std::string> &findings);

/// lambda_k^t psi_k, k >= 1; refers to `results` and `scale`.
RowMatrix embedding_of(const Results &results, std::int64_t local_rows, const std::vector<double> &scale);

/// Attributes that every file has: its kind, and how it was made.
void write_origin(Hdf5File &file, const char *kind, const Report &report);
/// These, and those of a map. `kind`: map_kind or extension_kind.
void write_provenance(Hdf5File &file, const char *kind, const Results &results, const Report &report);
/// Attributes of a dataset.
void describe(Hdf5File &file, const std::string &dataset, const std::string &unit, const std::string &description);

/// An array over rows: what it is, and this rank's share.
struct RowArray {
  std::string name, unit, description;
  RowMatrix matrix;
  int axes = 2;  ///< 1: (N), 2: (N, columns), 3: (N, c, c) of c^2 columns
};

/// Of `rows` rows of all of them.
std::int64_t bytes_of(const std::vector<RowArray> &arrays, std::int64_t rows);
/// Makes room for all rows; returns where each array begins.
std::vector<std::int64_t> reserve_arrays(Hdf5File &output, const std::vector<RowArray> &arrays, std::int64_t rows);
/// Rank 0 prepares the file and returns where each array begins; then every rank writes its rows. Collective; an Error
/// is common to all ranks.
void write_arrays(const Communicator &communicator, const std::string &file, const std::vector<RowArray> &arrays,
                  const RowPartition &partition, const std::function<std::vector<std::int64_t>()> &prepare);

/// Of coordinates, in words.
std::string coordinate_unit(const PointBlock &points);

/// Makes the file with the points and their feature scales. Collective; an Error is common to all ranks.
void write_points_file(const Communicator &communicator, const std::string &file, const PointBlock &points);

/// Adds all the rest to that file, which is whole then. Collective; an Error is common to all ranks.
void add_results(const Communicator &communicator, const std::string &file, const Results &results,
                 const Report &report, const WrittenPoints &points, const std::vector<double> &scale);

}  // namespace flashring
