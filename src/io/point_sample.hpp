// PointSample: the points of a picture, few enough to draw, with their colours.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "flashring/communicator.hpp"
#include "flashring/results.hpp"
#include "io/row_matrix.hpp"

namespace flashring {

/// A row of a picture.
struct SampleRow {
  double index = 0;                     ///< global row
  std::array<double, 4> coordinates{};  ///< embedding coordinates 1 to 3, then another number; NaN where there is none
};

/// Gathers rows of a picture as they come: at most 20,000, spread evenly over all.
class RowSampler {
 public:
  /// Of so many rows in all.
  explicit RowSampler(std::int64_t rows);
  /// Rows [first, first + count), which are those of `embedding` from `begin` on. `fourth`: (embedding.local_rows), or
  /// empty.
  void add(std::int64_t first, std::int64_t count, const RowMatrix &embedding, std::int64_t begin,
           std::span<const double> fourth);
  /// Those of all ranks on rank 0, in a mixed order, so that no class lies on top; none elsewhere. Collective.
  std::vector<SampleRow> gather(const Communicator &communicator) const;

 private:
  std::vector<std::int64_t> drawn_;  // increasing
  std::vector<SampleRow> rows_;
};

/// A label of the legend.
struct Category {
  std::string name;
  std::uint32_t rgb = 0;
};

struct SamplePoint {
  std::array<double, 4> coordinates{};  ///< as in SampleRow
  double colour = 0;  ///< 0xAARRGGBB (AA: transparency) with categories, otherwise a position in [low, high]
};

struct PointSample {
  std::vector<SamplePoint> points;
  std::vector<Category> categories;  ///< empty: colours are continuous
  double low = 0, high = 1;          ///< range of continuous colours
  std::string colour_name;           ///< of the colour bar, a gnuplot string
};

/// Up to 20 different labels become categories; numbers beyond that their values; other labels their place in sorted
/// order; without labels the third coordinate colours, or, with fewer than three, the fourth number, of that name.
PointSample colour_rows(const std::vector<SampleRow> &rows, const std::vector<std::string> &labels, int coordinates,
                        const std::string &fourth_name);

/// Rows of a matrix over all points; `fourth` as for RowSampler::add.
RowSampler sample_rows(const RowMatrix &matrix, std::span<const double> fourth, const RowPartition &partition,
                       int rank);
/// Points of a diffusion map, lambda_k^t psi_k and then N pi where the results have pi. `scale`: (K-1), lambda_k^t.
RowSampler sample_map(const Results &results, const std::vector<double> &scale, const RowPartition &partition,
                      int rank);
/// The same of all ranks, coloured; on rank 0. Collective: every rank sends its share only.
PointSample sample_points(const Communicator &communicator, const Results &results, const std::vector<double> &scale,
                          const RowPartition &partition, const std::vector<std::string> &labels);

}  // namespace flashring
