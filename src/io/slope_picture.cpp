// The slope of the kernel sum over its bandwidth, with the maximum.
#include <fmt/format.h>

#include "io/gnuplot.hpp"
#include "io/picture_parts.hpp"
#include "io/pictures.hpp"

namespace flashring {
namespace {

constexpr int height = 900;  // pixels

std::string data_block(const char *name, const std::vector<SlopePoint> &points) {
  std::string block = fmt::format("${} << EOD\n", name);
  for (const SlopePoint &point : points) block += gnuplot_number(point.beta) + " " + gnuplot_number(point.slope) + "\n";
  return block + "EOD\n";
}

std::string script_of(const std::string &file, const Report &report, PointShape shape) {
  const SlopeCurve &curve = report.bandwidth.curve;
  std::string script = preamble(file, 1400, height) + data_block("curve", curve.points);
  if (!curve.sampled.empty()) script += data_block("sampled", curve.sampled);
  const std::string details = fmt::format(
      "N = {}   d = {}   largest {:.4g} at β = {:.4g}   dimension {}", grouped(shape.rows), shape.features,
      curve.maximum, curve.beta,
      curve.at_edge ? std::string("not found: edge of the grid") : fmt::format("{:.3g}", curve.dimension()));
  script += headings(headings_of("Slope of the kernel sum", report, details), 0.11, height);
  script += margins(0.11, 0.97, 0.115, 0.87);
  script += "set logscale x\nset format x '10^{%L}'\nset xlabel '{/:Italic β}' offset 0,0.3\n";
  script += "set ylabel '−d ln {/:Italic S} / d ln {/:Italic β}' offset 0.6\nset yrange [0:*]\n";
  script += fmt::format(
      "set arrow from {0}, graph 0 to {0}, graph 1 nohead front linecolor rgb '#d1662a' linewidth 1.6\nplot ",
      gnuplot_number(curve.beta));
  if (!curve.sampled.empty()) script += "$sampled using 1:2 with lines linecolor rgb '#b9c0ca' linewidth 2, ";
  return script + "$curve using 1:2 with linespoints pointtype 7 pointsize 1.1 linewidth 1.8 linecolor rgb '#35568c'\n";
}

}  // namespace

std::string draw_slope(const Communicator &communicator, const std::string &file, const Report &report,
                       PointShape shape) {
  if (report.bandwidth.curve.points.empty()) return {};
  return on_first_rank(communicator, [&] { return run_gnuplot(script_of(file, report, shape), file); });
}

}  // namespace flashring
