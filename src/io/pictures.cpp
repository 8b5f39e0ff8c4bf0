#include "io/pictures.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "io/gnuplot.hpp"
#include "io/picture_parts.hpp"
#include "io/point_sample.hpp"
#include "io/results_file.hpp"

namespace flashring {
namespace {

constexpr int picture_height = 1050;  // pixels
constexpr const char *faint_points = "#c4c9d1";

/// `more`: words behind the number of points.
std::string details_of(const Results &results, const Report &report, const std::string &more = "") {
  return fmt::format("{}   {}   N = {}{}   d = {}", report.pair,
                     normalization_text(results.normalization, results.alpha), grouped(results.rows), more,
                     results.features);
}

/// Lines "index eigenvalue residual residual_over_gap"; zeros lifted to the smallest value that a log axis shows here.
std::string spectrum_data(const Results &results, double smallest) {
  std::string data = "$spectrum << EOD\n";
  for (std::size_t k = 0; k < results.eigenvalues.size(); ++k) {
    const auto shown = [&](const std::vector<double> &values) {
      return k < values.size() ? gnuplot_number(std::max(smallest, values[k])) : std::string("NaN");
    };
    data += fmt::format("{} {} {} {}\n", k, gnuplot_number(results.eigenvalues[k]), shown(results.residuals),
                        shown(results.residual_over_gap));
  }
  return data + "EOD\n";
}

/// Whole decades around the residuals, and a tick distance of at most five ticks.
std::string residual_axis(const Results &results, double smallest) {
  double low = 0;
  double high = -std::numeric_limits<double>::infinity();
  for (const auto *values : {&results.residuals, &results.residual_over_gap})
    for (const double value : *values) {
      if (!std::isfinite(value)) continue;
      low = std::min(low, std::floor(std::log10(std::max(smallest, value)) - 0.1));
      high = std::max(high, std::ceil(std::log10(std::max(smallest, value)) + 0.1));
    }
  if (!(high > low)) high = low + 1;
  const int step = std::max(1, static_cast<int>(std::ceil((high - low) / 5)));
  return fmt::format("set logscale y\nunset mytics\nset yrange [1e{:g}:1e{:g}]\nset ytics 1e{}\n", low, high, step) +
         "set format y '10^{%T}'\n";
}

std::string spectrum_script(const std::string &file, const Results &results, const Report &report) {
  constexpr double smallest = 1e-17;  // below the rounding of any residual in double
  const auto count = static_cast<double>(results.eigenvalues.size());
  const auto [low, high] = std::minmax_element(results.eigenvalues.begin(), results.eigenvalues.end());
  const double pad = std::max(0.06 * (*high - *low), 1e-3);
  const double size = std::clamp(1.9 * std::sqrt(20 / count), 0.5, 1.7);
  const double tick = std::max(1.0, std::pow(10, std::floor(std::log10(count / 5))));
  std::string script = preamble(file, 1400, picture_height) + spectrum_data(results, smallest);
  script +=
      "set multiplot\n" + headings(headings_of("Spectrum", report, details_of(results, report)), 0.11, picture_height);
  script += margins(0.11, 0.97, 0.405, 0.89);
  script += fmt::format("set xrange [{:g}:{:g}]\nset xtics {:g}\n", -0.02 * count - 0.2, 1.02 * count - 0.8,
                        count / tick > 12 ? 2 * tick : tick);
  script += fmt::format("set yrange [{:g}:{:g}]\nset format x ''\n", *low - pad, *high + pad);
  script += "set ylabel 'eigenvalue {/:Italic λ_k}' offset -0.2\n";
  script += fmt::format(
      "plot $spectrum using 1:2 with lines linecolor rgb '#9db8d9' linewidth 1.6, '' using 1:2 with "
      "points pointtype 7 pointsize {:g} linecolor rgb '#1f5fa8'\n",
      size);
  script += "unset label\nset format x '%g'\nset xlabel 'index {/:Italic k}' offset 0,0.3\n";
  script += margins(0.11, 0.97, 0.09, 0.335);
  script += residual_axis(results, smallest) + "set ylabel 'accuracy' offset -0.6\n";
  script += "set key at screen 0.97, 0.372 right top Left reverse horizontal samplen 0.8 spacing 1 font ',15'\n";
  script += fmt::format(
      "plot $spectrum using 1:3 with points pointtype 7 pointsize {0:g} linecolor rgb '#d1662a' title "
      "'residual', '' using 1:4 with points pointtype 6 pointsize {0:g} linewidth 1.4 linecolor rgb "
      "'#7d4fa8' title 'residual / gap'\n",
      0.8 * size);
  return script + "unset multiplot\n";
}

/// Which coordinate (1-based; 4 is the fourth number of the sample) is drawn where.
struct Panel {
  int x, y;
  double left, right, bottom, top;
};

std::vector<Panel> panels(int coordinates) {
  if (coordinates == 1) return {{1, 4, 0.095, 0.79, 0.085, 0.88}};
  if (coordinates == 2) return {{1, 2, 0.095, 0.79, 0.085, 0.88}};
  return {{1, 2, 0.064, 0.55, 0.085, 0.88}, {1, 3, 0.621, 0.842, 0.535, 0.88}, {2, 3, 0.621, 0.842, 0.085, 0.43}};
}

std::string axis_name(int coordinate, double time) {
  if (coordinate == 4) return "'{/:Italic N π}  (stationary law)'";
  const std::string psi = fmt::format("{{/:Italic ψ}}_{}", coordinate);
  if (time == 0) return "'" + psi + "'";
  if (time == 1) return fmt::format("'{{/:Italic λ}}_{} {}'", coordinate, psi);
  // The index takes no room, so that it stands below the power.
  return fmt::format("'{{/:Italic λ}}@_{{{}}}^{{{:g}}} {}'", coordinate, time, psi);
}

std::string map_data(const PointSample &sample, const std::vector<SampleRow> &behind, const std::string &ellipses) {
  std::string data = "$map << EOD\n";
  for (const SamplePoint &point : sample.points) {
    for (const double value : point.coordinates) data += gnuplot_number(value) + ' ';
    data += gnuplot_number(point.colour) + '\n';
  }
  data += "EOD\n$behind << EOD\n";
  for (const SampleRow &row : behind) {
    for (const double value : row.coordinates) data += gnuplot_number(value) + ' ';
    data += '\n';
  }
  return data + "EOD\n$ellipses << EOD\n" + ellipses + "EOD\n";
}

/// Legend of the categories or colour bar, right of the panels that end at `right`.
std::string colour_settings(const PointSample &sample, double right) {
  if (!sample.categories.empty())
    return fmt::format(
        "set key at screen {:g}, 0.88 left top Left reverse samplen 0.4 spacing 1.25 font ',14' "
        "noenhanced\n",
        right + 0.013);
  std::string script = palette();
  script += fmt::format("set cbrange [{}:{}]\n", gnuplot_number(sample.low), gnuplot_number(sample.high));
  script += fmt::format("set colorbox vertical user origin {:g}, 0.25 size 0.014, 0.46 noborder\n", right + 0.035);
  script += "set cbtics scale 0.3 font ',14'\nset format cb '%g'\n";
  return script + "set cblabel " + sample.colour_name + " offset 0.5\n";
}

/// Size of so many points, of the first panel or of another one.
double point_size(std::size_t count, bool first) {
  const double points = static_cast<double>(std::max<std::size_t>(1, count));
  return std::clamp(1.35 * std::pow(1000 / points, 0.32), 0.4, 1.7) * (first ? 1 : 0.62);
}

/// Of map.png of a committor: a feature of the points, or q as the fourth number.
std::string feature_name(int coordinate) {
  if (coordinate == 4) return "'committor {/:Italic q}'";
  return fmt::format("'{{/:Italic x}}_{}'", coordinate);
}

/// What map.png shows.
struct Map {
  Headings headings;
  PointSample sample;
  std::vector<SampleRow> behind;  ///< points in grey behind the others
  int coordinates = 3;
  double time = 1;
  bool features = false;      ///< coordinates are features of the points
  std::string ellipses = {};  ///< closed lines, for the first panel
};

std::string panel_plot(const Panel &panel, const Map &map, bool first) {
  std::string script = margins(panel.left, panel.right, panel.bottom, panel.top);
  const auto name = [&](int axis) { return map.features ? feature_name(axis) : axis_name(axis, map.time); };
  script += "set xlabel " + name(panel.x) + " offset 0,0.3\n";
  script += "set ylabel " + name(panel.y) + " offset 0.6\nplot ";
  if (!map.behind.empty())
    script += fmt::format("$behind using {}:{} with points pointtype 7 pointsize {:g} linecolor rgb '{}' notitle, ",
                          panel.x, panel.y, 0.8 * point_size(map.behind.size(), first), faint_points);
  const bool legend = !map.sample.categories.empty();
  script += fmt::format("$map using {}:{}:5 with points pointtype 7 pointsize {:g} linecolor {} notitle", panel.x,
                        panel.y, point_size(map.sample.points.size(), first), legend ? "rgb variable" : "palette");
  if (first && !map.ellipses.empty())
    script += ", $ellipses using 1:2 with lines linewidth 1.1 linecolor rgb '#2b2f36' notitle";
  if (first && legend)
    for (const Category &category : map.sample.categories)
      script += fmt::format(", keyentry with points pointtype 7 pointsize 1.5 linecolor rgb '#{:06x}' title {}",
                            category.rgb, gnuplot_quote(category.name));
  return script + "\nunset label\nunset key\nunset colorbox\n";
}

std::string map_script(const std::string &file, const Map &map) {
  std::string script = preamble(file, map.coordinates >= 3 ? 1800 : 1300, picture_height) +
                       map_data(map.sample, map.behind, map.ellipses);
  const std::vector<Panel> parts = panels(map.coordinates);
  script += "set multiplot\n" + headings(map.headings, parts.front().left, picture_height);
  script += "set offsets graph 0.03, graph 0.03, graph 0.03, graph 0.03\nset autoscale noextend\n" +
            colour_settings(map.sample, parts.back().right);
  for (std::size_t p = 0; p < parts.size(); ++p) {
    if (p == 1) script += "set tics font ',13'\n";
    script += panel_plot(parts[p], map, p == 0);
  }
  return script + "unset multiplot\n";
}

/// (local_rows, 3): entries 11, 12, 22 of the dual metric h.
std::vector<double> leading_block(const Metric &metric) {
  const auto c = static_cast<std::size_t>(metric.coordinates);
  std::vector<double> block;
  block.reserve(3 * metric.dimension.size());
  for (const auto &[k, l] : {std::pair<std::size_t, std::size_t>{0, 0}, {0, 1}, {1, 1}})
    for (std::size_t i = 0; i < metric.dimension.size(); ++i)
      block.push_back(metric.scale[k] * metric.gamma[(i * c + k) * c + l] * metric.scale[l]);
  return block;
}

/// Extent of a coordinate over the sample, above 0.
double extent_of(const std::vector<SampleRow> &rows, std::size_t coordinate) {
  const auto less = [coordinate](const SampleRow &a, const SampleRow &b) {
    return a.coordinates[coordinate] < b.coordinates[coordinate];
  };
  const auto [low, high] = std::minmax_element(rows.begin(), rows.end(), less);
  return std::max(high->coordinates[coordinate] - low->coordinates[coordinate], std::numeric_limits<double>::min());
}

/// Radius of the circles whose images are about a thirtieth of the picture: half of them are larger.
double circle_radius(const std::vector<SampleRow> &rows, const std::vector<SampleRow> &blocks, std::size_t shown) {
  const double x = extent_of(rows, 0);
  const double y = extent_of(rows, 1);
  std::vector<double> sizes;
  for (std::size_t i = 0; i < shown; ++i)
    sizes.push_back(std::sqrt(blocks[i].coordinates[0] / (x * x) + blocks[i].coordinates[2] / (y * y)));
  std::nth_element(sizes.begin(), sizes.begin() + static_cast<std::ptrdiff_t>(shown / 2), sizes.end());
  return sizes[shown / 2] > 0 ? 0.03 / sizes[shown / 2] : 0;
}

/// Images of circles of that radius as closed lines: p + radius L (cos, sin)' with L L' the leading block of h.
std::string ellipse_lines(const std::vector<SampleRow> &rows, const std::vector<SampleRow> &blocks, std::size_t shown,
                          double radius) {
  constexpr int corners = 40;
  constexpr double turn = 6.283185307179586;
  std::string lines;
  for (std::size_t i = 0; i < shown; ++i) {
    const auto &[a, b, c, unused] = blocks[i].coordinates;
    const double first = std::sqrt(std::max(a, 0.0));
    const double below = first > 0 ? b / first : 0;
    const double second = std::sqrt(std::max(c - below * below, 0.0));
    for (int n = 0; n <= corners; ++n) {
      const double x = radius * std::cos(turn * n / corners);
      const double y = radius * std::sin(turn * n / corners);
      lines += gnuplot_number(rows[i].coordinates[0] + first * x) + ' ' +
               gnuplot_number(rows[i].coordinates[1] + below * x + second * y) + '\n';
    }
    lines += '\n';
  }
  return lines;
}

}  // namespace

std::string draw_spectrum(const Communicator &communicator, const std::string &file, const Results &results,
                          const Report &report) {
  if (results.eigenvalues.empty()) return "no eigenpair converged, nothing to draw";
  return on_first_rank(communicator, [&] { return run_gnuplot(spectrum_script(file, results, report), file); });
}

std::string draw_map(const Communicator &communicator, const std::string &file, const Results &results,
                     const Report &report, const std::vector<double> &scale, const RowPartition &partition,
                     const std::vector<std::string> &labels) {
  if (scale.empty()) return "the map needs at least two converged eigenpairs";
  const Map map{headings_of("Diffusion map", report, details_of(results, report)),
                sample_points(communicator, results, scale, partition, labels),
                {},
                static_cast<int>(std::min<std::size_t>(3, scale.size())),
                results.time};
  return on_first_rank(communicator, [&] { return run_gnuplot(map_script(file, map), file); });
}

std::string draw_extension(const Communicator &communicator, const std::string &file, const ExtensionPicture &picture) {
  if (picture.coordinates < 2) return "the map needs at least three eigenpairs";
  const std::vector<SampleRow> rows = picture.rows.gather(communicator);
  Map map;
  map.behind = picture.map_rows.gather(communicator);
  map.coordinates = std::min(3, picture.coordinates);
  map.time = picture.map.time;
  return on_first_rank(communicator, [&] {
    map.sample = colour_rows(rows, picture.labels, picture.coordinates, "'ln density'");
    map.headings =
        headings_of("Diffusion coordinates", picture.report,
                    details_of(picture.map, picture.report, fmt::format(" (grey)   M = {}", grouped(picture.count))));
    return run_gnuplot(map_script(file, map), file);
  });
}

std::string draw_committor(const Communicator &communicator, const std::string &file, const CommittorResults &results,
                           const Report &report, const RowSampler &points, int coordinates) {
  const std::vector<SampleRow> rows = points.gather(communicator);
  Map map;
  map.coordinates = coordinates;
  map.features = true;
  return on_first_rank(communicator, [&] {
    // Two coordinates: it is the fourth number that colours.
    map.sample = colour_rows(rows, {}, 2, feature_name(4));
    map.headings = headings_of("Committor", report,
                               fmt::format("{}   {}   N = {}   d = {}   rate {:.3g} per step", report.pair,
                                           normalization_text(results.normalization, results.alpha),
                                           grouped(results.rows), results.features, results.rate));
    return run_gnuplot(map_script(file, map), file);
  });
}

std::string draw_metric(const Communicator &communicator, const std::string &file, const MetricPicture &picture) {
  if (picture.metric.coordinates < 2) return "the picture needs at least three eigenpairs";
  constexpr std::size_t most_ellipses = 250;
  const std::int64_t local_rows = picture.partition.local_rows(communicator.rank());
  std::vector<double> powers;  // lambda_k^t
  for (std::size_t k = 1; k < picture.map.eigenvalues.size(); ++k)
    powers.push_back(std::pow(picture.map.eigenvalues[k], picture.map.time));
  const std::vector<double> block = leading_block(picture.metric);
  const auto gather = [&](const RowMatrix &matrix, std::span<const double> fourth) {
    return sample_rows(matrix, fourth, picture.partition, communicator.rank()).gather(communicator);
  };
  // The same rows in the same order.
  const std::vector<SampleRow> rows = gather(embedding_of(picture.map, local_rows, powers), picture.metric.dimension);
  const std::vector<SampleRow> blocks = gather({block, local_rows, 3, false, {}, {}}, {});
  return on_first_rank(communicator, [&] {
    const std::size_t shown = std::min(most_ellipses, rows.size());
    const double radius = circle_radius(rows, blocks, shown);
    Map map;
    map.coordinates = 2;
    map.time = picture.map.time;
    map.sample = colour_rows(rows, picture.labels, map.coordinates, "'local dimension'");
    map.ellipses = ellipse_lines(rows, blocks, shown, radius);
    map.headings = headings_of("Metric", picture.report, details_of(picture.map, picture.report));
    map.headings.details += fmt::format("   images of circles of radius {:.3g}", radius);
    return run_gnuplot(map_script(file, map), file);
  });
}

}  // namespace flashring
