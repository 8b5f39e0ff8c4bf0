// The histogram of the distances to the k-th neighbour.
#include <fmt/format.h>

#include <algorithm>

#include "io/gnuplot.hpp"
#include "io/picture_parts.hpp"
#include "io/pictures.hpp"

namespace flashring {
namespace {

constexpr int height = 900;  // pixels
constexpr int bins = 60;

/// Rows in each of `bins` equal stretches from the least to the largest distance, of all ranks.
std::vector<std::int64_t> histogram(const Communicator &communicator, const NeighbourPicture &picture) {
  const double least = picture.summary.least;
  const double width = (picture.summary.largest - least) / bins;
  std::vector<std::int64_t> counts(bins, 0);
  for (const double distance : picture.distances) {
    const int bin = width > 0 ? static_cast<int>((distance - least) / width) : 0;
    ++counts[static_cast<std::size_t>(std::clamp(bin, 0, bins - 1))];
  }
  communicator.sum(std::span<std::int64_t>(counts));
  return counts;
}

std::string script_of(const std::string &file, const NeighbourPicture &picture,
                      const std::vector<std::int64_t> &counts) {
  const double least = picture.summary.least;
  const double range = picture.summary.largest - least;
  const double width = range > 0 ? range / bins : 1;
  std::string script = preamble(file, 1400, height) + "$counts << EOD\n";
  for (int n = 0; n < bins; ++n)
    script += fmt::format("{} {}\n", gnuplot_number(least + (n + 0.5) * width), counts[static_cast<std::size_t>(n)]);
  script += "EOD\n";
  const std::string details =
      fmt::format("k = {}   N = {}   d = {}   median {:.4g}", picture.k, grouped(picture.points.rows),
                  picture.points.features, picture.summary.median);
  script += headings(headings_of("Distance to the neighbours", picture.report, details), 0.11, height);
  script += margins(0.11, 0.97, 0.115, 0.87);
  script +=
      fmt::format("set xlabel 'distance to neighbour {}' offset 0,0.3\nset ylabel 'points' offset 0.6\n", picture.k);
  script +=
      fmt::format("set yrange [0:*]\nset boxwidth {}\nset style fill solid 0.85 noborder\n", gnuplot_number(width));
  script +=
      fmt::format("set arrow from {0}, graph 0 to {0}, graph 1 nohead front linecolor rgb '#d1662a' linewidth 1.6\n",
                  gnuplot_number(picture.summary.median));
  return script + "plot $counts using 1:2 with boxes linecolor rgb '#35568c'\n";
}

}  // namespace

std::string draw_neighbours(const Communicator &communicator, const std::string &file,
                            const NeighbourPicture &picture) {
  if (picture.summary.rows == 0) return "there is no row to draw";
  const std::vector<std::int64_t> counts = histogram(communicator, picture);
  return on_first_rank(communicator, [&] { return run_gnuplot(script_of(file, picture, counts), file); });
}

}  // namespace flashring
