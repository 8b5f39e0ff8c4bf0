// PointSample: the points of a picture, few enough to draw, with their colours.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "flashring/communicator.hpp"
#include "flashring/results.hpp"

namespace flashring {

/// A label of the legend.
struct Category {
  std::string name;
  std::uint32_t rgb = 0;
};

struct SamplePoint {
  std::array<double, 4> coordinates{};  ///< embedding coordinates 1 to 3 (NaN where there are fewer), then N pi
  double colour = 0;  ///< 0xAARRGGBB (AA: transparency) with categories, otherwise a position in [low, high]
};

struct PointSample {
  std::vector<SamplePoint> points;   ///< in a mixed order, so that no class lies on top; empty beyond rank 0
  std::vector<Category> categories;  ///< empty: colours are continuous
  double low = 0, high = 1;          ///< range of continuous colours
  std::string colour_name;           ///< of the colour bar, a gnuplot string
};

/// At most 20,000 points, spread evenly over the rows. Up to 20 different labels become categories; numbers
/// beyond that their values; other labels their place in sorted order; without labels the third coordinate colours, or
/// the stationary law where there is none. Collective: every rank sends its share only.
PointSample sample_points(const Communicator &communicator, const Results &results, const std::vector<double> &scale,
                          const RowPartition &partition, const std::vector<std::string> &labels);

}  // namespace flashring
