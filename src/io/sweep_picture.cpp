// Picture of a sweep: every eigenvalue against beta or alpha.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "flashring/options.hpp"
#include "io/gnuplot.hpp"
#include "io/picture_parts.hpp"
#include "io/pictures.hpp"
#include "io/report.hpp"

namespace flashring {
namespace {

/// One of the lists, in the order of the sweep.
struct SweepAxis {
  const char *name;
  std::string SweepPoint::*text;
  std::vector<std::string> values;  // each once
};

SweepAxis sweep_axis(const SweepTable &table, const char *name, std::string SweepPoint::*text) {
  SweepAxis axis{name, text, {}};
  for (const SweepOutcome &outcome : table.outcomes) {
    const std::string &value = outcome.point.*text;
    if (std::find(axis.values.begin(), axis.values.end(), value) == axis.values.end()) axis.values.push_back(value);
  }
  return axis;
}

double number_of(const std::string &text) { return parse_real("value of a sweep", text); }

/// Where what is drawn.
struct SweepPicture {
  SweepAxis along, panels;
  std::size_t pairs = 0;
  double low = std::numeric_limits<double>::infinity(), high = -low;

  /// The longer list goes along the axis.
  explicit SweepPicture(const SweepTable &table)
      : along(sweep_axis(table, "β", &SweepPoint::beta)), panels(sweep_axis(table, "α", &SweepPoint::alpha)) {
    if (along.values.front().empty() || panels.values.size() > along.values.size()) std::swap(along, panels);
    for (const SweepOutcome &outcome : table.outcomes) {
      pairs = std::max(pairs, outcome.eigenvalues.size());
      for (const double value : outcome.eigenvalues) {
        low = std::min(low, value);
        high = std::max(high, value);
      }
    }
  }
  bool logarithmic() const { return along.text == &SweepPoint::beta; }
  int count() const { return static_cast<int>(panels.values.size()); }
  int columns() const { return std::min(3, count()); }
  int rows() const { return (count() + columns() - 1) / columns(); }
  // Pixels: a panel with its marks and title, and room for headings and the scale of colours.
  static constexpr int left = 130, right = 130, top = 100;
  int panel_width() const { return count() == 1 ? 1100 : 530; }
  int panel_height() const { return count() == 1 ? 850 : 500; }
  int width() const { return left + columns() * panel_width() + right; }
  int height() const { return top + rows() * panel_height(); }
};

/// Scale of the horizontal axis, marks at the values as they were typed where there is room for the text.
std::string axis_settings(const SweepPicture &picture) {
  constexpr double room = 0.09;  // of the axis
  std::vector<std::pair<double, std::string>> marks;
  for (const std::string &text : picture.along.values)
    marks.emplace_back(picture.logarithmic() ? std::log(number_of(text)) : number_of(text), text);
  std::sort(marks.begin(), marks.end());
  const double width = marks.back().first - marks.front().first;
  double last = -std::numeric_limits<double>::infinity();
  std::string list;
  for (const auto &[place, text] : marks) {
    const bool shown = place - last >= room * width;
    if (shown) last = place;
    list += (list.empty() ? "" : ", ") + gnuplot_quote(shown ? text : "") + " " + text;
  }
  std::string script =
      fmt::format("set xlabel '{{/:Italic {}}}' offset 0,0.3\nset xtics ({})\n", picture.along.name, list);
  if (picture.logarithmic()) script += "set logscale x\nunset mxtics\n";
  const double pad = std::max(0.04 * (picture.high - picture.low), 1e-3);
  script += fmt::format("set yrange [{:g}:{:g}]\nset autoscale x noextend\nset offsets graph 0.04, graph 0.04, 0, 0\n",
                        picture.low - pad, picture.high + pad);
  return script;
}

std::string colour_bar(const SweepPicture &picture) {
  const double width = picture.width();
  return palette() + fmt::format(
                         "set cbrange [0:{}]\nset cblabel 'index {{/:Italic k}}' offset 0.5\nset cbtics scale 0.3\n"
                         "set colorbox vertical user origin {:g}, 0.3 size {:g}, 0.4 noborder\n",
                         std::max<std::size_t>(1, picture.pairs - 1), 1 - 125 / width, 20 / width);
}

/// Lines "value lambda_0 lambda_1 ..." in ascending order; empty where no map of the panel is there.
std::string panel_data(const SweepTable &table, const SweepPicture &picture, const std::string &value) {
  std::vector<std::pair<double, const SweepOutcome *>> maps;
  for (const SweepOutcome &outcome : table.outcomes)
    if (outcome.point.*picture.panels.text == value && !outcome.eigenvalues.empty())
      maps.emplace_back(number_of(outcome.point.*picture.along.text), &outcome);
  std::sort(maps.begin(), maps.end());
  std::string data;
  for (const auto &[place, outcome] : maps) {
    data += gnuplot_number(place);
    for (std::size_t k = 0; k < picture.pairs; ++k)
      data += k < outcome->eigenvalues.size() ? " " + gnuplot_number(outcome->eigenvalues[k]) : " NaN";
    data += '\n';
  }
  return data;
}

std::string panel_plot(const SweepTable &table, const SweepPicture &picture, int panel) {
  const std::string &value = picture.panels.values[static_cast<std::size_t>(panel)];
  const std::string data = panel_data(table, picture, value);
  if (data.empty()) return {};
  const int column = panel % picture.columns();
  const int row = panel / picture.columns();
  const double left = (picture.left + picture.panel_width() * column) / double(picture.width());
  const double top = 1 - (picture.top + 30.0 + picture.panel_height() * row) / picture.height();
  std::string script = fmt::format("$panel{} << EOD\n{}EOD\n", panel, data);
  script += margins(left, left + (picture.panel_width() - 85.0) / picture.width(),
                    top - (picture.panel_height() - 115.0) / picture.height(), top);
  if (!value.empty())
    script += fmt::format("set label 3 '{{/:Italic {}}} = {}' at graph 0.5, 1.05 center\n", picture.panels.name, value);
  script += column == 0 ? "set ylabel 'eigenvalue {/:Italic λ_k}' offset 0.4\n" : "unset ylabel\n";
  return script + fmt::format(
                      "plot for [k=0:{}] $panel{} using 1:(column(k+2)):(k) with linespoints pointtype 7 pointsize "
                      "0.9 linewidth 1.6 linecolor palette\nunset label 1\nunset label 2\nunset colorbox\n",
                      picture.pairs - 1, panel);
}

std::string normalization_of(const Report &report) {
  if (!option_value(report, "target").empty()) return "target";
  const std::string normalization = option_value(report, "normalization");
  return normalization == "density" ? "α = " + option_value(report, "alpha") : normalization;
}

std::string details_of(const SweepTable &table) {
  const SweepOutcome &first = table.outcomes.front();
  std::string text = first.point.beta.empty() ? first.report.pair : option_value(table.report, "pair");
  if (first.point.alpha.empty()) text += "   " + normalization_of(table.report);
  return text + fmt::format("   N = {}   d = {}", grouped(table.shape.rows), table.shape.features);
}

std::string sweep_script(const std::string &file, const SweepTable &table, const SweepPicture &picture) {
  std::string script = preamble(file, picture.width(), picture.height());
  script += "set multiplot\n" + headings(headings_of("Eigenvalues", table.report, details_of(table)),
                                         double(picture.left) / picture.width(), picture.height());
  script += axis_settings(picture) + colour_bar(picture);
  for (int panel = 0; panel < picture.count(); ++panel) script += panel_plot(table, picture, panel);
  return script + "unset multiplot\n";
}

}  // namespace

std::string draw_sweep(const Communicator &communicator, const std::string &file, const SweepTable &table) {
  const SweepPicture picture(table);
  if (picture.pairs == 0) return "no eigenpair converged, nothing to draw";
  return on_first_rank(communicator, [&] { return run_gnuplot(sweep_script(file, table, picture), file); });
}

}  // namespace flashring
