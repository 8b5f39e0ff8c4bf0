#include "io/picture_parts.hpp"

#include <fmt/format.h>

#include "io/gnuplot.hpp"
#include "io/report.hpp"

namespace flashring {
namespace {

constexpr const char *ink = "#2b2f36";
constexpr const char *faint = "#d9dde3";

}  // namespace

std::string preamble(const std::string &file, int width, int height) {
  std::string script = "set encoding utf8\nset minussign\n";
  script += fmt::format(
      "set terminal pngcairo enhanced color rounded size {},{} font 'DejaVu Sans,17' linewidth 1.4 background "
      "'#ffffff'\n",
      width, height);
  script += "set output " + gnuplot_quote(file) + "\n";
  script += fmt::format("set border 3 linecolor rgb '{}' linewidth 1\n", ink);
  script += fmt::format("set tics nomirror out scale 0.6 textcolor rgb '{}'\n", ink);
  script += fmt::format("set grid linetype 1 linewidth 0.7 linecolor rgb '{}'\n", faint);
  script += "unset key\n";
  return script;
}

std::string palette() {
  return "set palette defined (0 '#3b0f57', 0.25 '#35568c', 0.5 '#218f8d', 0.75 '#63c15e', 1 '#f3e126')\n";
}

std::string grouped(std::int64_t value) {
  const std::string digits = std::to_string(value);
  std::string text;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return text;
}

Headings headings_of(const std::string &what, const Report &report, const std::string &details) {
  const std::string name = data_set_name(report);
  return {name.empty() ? what : what + " of " + name, details};
}

std::string headings(const Headings &text, double left, int height) {
  std::string script;
  script += fmt::format("set label 1 {} at screen {:g}, {:g} left noenhanced font ',22' textcolor rgb '{}'\n",
                        gnuplot_quote(text.title), left, 1 - 37.0 / height, ink);
  script += fmt::format("set label 2 {} at screen {:g}, {:g} left noenhanced font ',15' textcolor rgb '#667080'\n",
                        gnuplot_quote(text.details), left, 1 - 78.0 / height);
  return script;
}

std::string margins(double left, double right, double bottom, double top) {
  return fmt::format(
      "set lmargin at screen {:g}\nset rmargin at screen {:g}\nset bmargin at screen {:g}\nset tmargin at screen "
      "{:g}\n",
      left, right, bottom, top);
}

}  // namespace flashring
