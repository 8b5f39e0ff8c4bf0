// What pictures have in common: terminal, fonts, colours, headings.
#pragma once

#include <cstdint>
#include <exception>
#include <string>

#include "flashring/communicator.hpp"
#include "flashring/results.hpp"

namespace flashring {

/// Runs `draw` on rank 0; its text, or that of its exception, on every rank.
template <class Draw>
std::string on_first_rank(const Communicator &communicator, Draw draw) {
  std::string text;
  if (communicator.rank() == 0) {
    try {
      text = draw();
    } catch (const std::exception &error) {
      text = error.what();
    }
  }
  return communicator.gather(text).front();
}

/// Terminal, fonts, colours of frame and grid.
std::string preamble(const std::string &file, int width, int height);

/// A scale of colours from dark to light.
std::string palette();

/// A number with commas between thousands.
std::string grouped(std::int64_t value);

/// Two lines above the panels: what it is, and of what. User's texts are never interpreted.
struct Headings {
  std::string title, details;
};

/// `what` of the data set that the report names.
Headings headings_of(const std::string &what, const Report &report, const std::string &details);

/// In a picture of that height in pixels, from `left` on.
std::string headings(const Headings &text, double left, int height);

/// Of a panel, in parts of the picture.
std::string margins(double left, double right, double bottom, double top);

}  // namespace flashring
