// Scratch of a call: where its parts begin, in bytes, each on a cache line.
#pragma once

#include <cstddef>

#include "amx/payload.hpp"
#include "amx/unit.hpp"

namespace flashring::amx {

/// Columns padded to whole registers of the unit.
constexpr int padded_columns(int columns) { return (columns + unit_rows - 1) / unit_rows * unit_rows; }

constexpr bool columns_on_unit(const TileShape &shape) { return shape.columns >= unit_columns; }

struct Scratch {
  std::size_t sums;             // (groups, 32, 16) products of features of one block
  std::size_t panel;            // (32, panel_columns) weights or their logarithms
  std::size_t left_weights;     // (2, panel_columns / 32, terms) registers: left operand
  std::size_t right_weights;    // (panel_columns / 16, 1, terms) registers: right operand
  std::size_t give_columns;     // (c / 16, T / 32, terms) registers: right operand
  std::size_t receive_columns;  // (c / 16, T / 32, terms) registers: left operand
  std::size_t receive_sums;     // (32, padded c)
  std::size_t give_sums;        // (padded c, T)
  std::size_t maxima;           // (2, 32) running reference and sum of log-sum-exp
  std::size_t same;             // (T) bytes: receiving row i and the giving row of its number are one point
  std::size_t state;            // (words, T) doubles: what the pair gives to the receiver's state
  std::size_t bytes;
};

inline Scratch lay_out_scratch(const TileShape &shape) {
  std::size_t end = 0;
  const auto take = [&end](std::size_t bytes) {
    const std::size_t begin = end;
    end += (bytes + 63) / 64 * 64;
    return begin;
  };
  const std::size_t real = sizeof(float);
  const auto terms = static_cast<std::size_t>(terms_of(shape.precision));
  const auto width = static_cast<std::size_t>(padded_columns(shape.columns));
  const std::size_t on_unit = columns_on_unit(shape) ? terms : 0;
  const std::size_t columns = width / unit_rows * (tile_rows / chunk) * on_unit * unit_bytes;
  const std::size_t weights = std::size_t{2} * panel_columns / chunk * on_unit * unit_bytes;
  Scratch s{};
  s.sums = take(std::size_t{2} * unit_words * real * static_cast<std::size_t>(groups(terms_of(shape.precision))));
  s.panel = take(std::size_t{panel_rows} * panel_columns * real);
  s.left_weights = take(weights);
  s.right_weights = take(weights);
  s.give_columns = take(columns);
  s.receive_columns = take(columns);
  s.receive_sums = take(panel_rows * width * real);
  s.give_sums = take(width * tile_rows * real);
  s.maxima = take(2 * panel_rows * real);
  s.same = take(tile_rows);
  s.state = take((2 + width) * tile_rows * sizeof(double));
  s.bytes = end;
  return s;
}

}  // namespace flashring::amx
