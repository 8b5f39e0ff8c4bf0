// Scratch of a call: where its parts begin, in bytes, each on a cache line.
#pragma once

#include <cstddef>

#include "amx/payload.hpp"
#include "amx/unit.hpp"

namespace flashring::amx {

/// Columns padded to whole registers of the unit.
constexpr int padded_columns(int columns) { return (columns + unit_rows - 1) / unit_rows * unit_rows; }

constexpr bool columns_on_unit(const TileShape &shape) { return shape.columns >= unit_columns; }

/// Chunks that columns fill where products are summed over them.
constexpr int column_chunks(int columns) { return (columns + chunk - 1) / chunk; }

/// Some of a call's columns: their operands and their sums.
struct ColumnPart {
  int first, count;
  std::size_t give;          // (c / 16, T / 32, terms) registers: right operand
  std::size_t receive;       // (c / 16, T / 32, terms) registers: left operand
  std::size_t receive_sums;  // (32, padded c)
  std::size_t give_sums;     // (padded c, T)
};

/// Of softmax_gradient alone, beside what every rule has.
struct GradientScratch {
  ColumnPart values;         // the columns from `features` on, which the visiting side alone sums by
  std::size_t receive_rows;  // (T / 16, c / 32, terms) registers: values of own rows, left operand
  std::size_t give_rows;     // (T / 16, c / 32, terms) registers: values of visiting rows, right operand
  std::size_t products;      // (32, panel_columns) <b_i, v_j>, then ds
  std::size_t numbers;       // (3, T): log-sum-exp and delta of own rows, log weights of visiting ones
};

struct Scratch {
  std::size_t sums;           // (groups, 32, 16) products of features of one block
  std::size_t panel;          // (32, panel_columns) weights or their logarithms
  std::size_t left_weights;   // (2, panel_columns / 32, terms) registers: left operand
  std::size_t right_weights;  // (panel_columns / 16, 1, terms) registers: right operand
  ColumnPart columns;         // all, of softmax_gradient the first `features`
  std::size_t maxima;         // (2, 32) running reference and sum of log-sum-exp
  std::size_t same;           // (T) bytes: receiving row i and the giving row of its number are one point
  std::size_t state;          // (words, T) doubles: what the pair gives to the receiver's state
  GradientScratch gradient;
  std::size_t bytes;
};

/// Cuts parts off the scratch of a call.
struct ScratchCut {
  std::size_t end = 0;
  std::size_t take(std::size_t bytes) {
    const std::size_t begin = end;
    end += (bytes + 63) / 64 * 64;
    return begin;
  }
  /// `terms` of each number are multiplied by the unit, 0: none.
  ColumnPart take_part(int first, int count, std::size_t terms, bool received) {
    const auto width = static_cast<std::size_t>(padded_columns(count));
    const std::size_t operand = width / unit_rows * (tile_rows / chunk) * terms * unit_bytes;
    return {first,
            count,
            take(received ? operand : 0),
            take(operand),
            take(received ? panel_rows * width * sizeof(float) : 0),
            take(width * tile_rows * sizeof(float))};
  }
};

inline GradientScratch lay_out_gradient(const TileShape &shape, std::size_t terms, ScratchCut &cut) {
  const int values = shape.columns - shape.features;
  const std::size_t rows = tile_rows / unit_rows * static_cast<std::size_t>(column_chunks(values)) * terms * unit_bytes;
  GradientScratch s{};
  s.values = cut.take_part(shape.features, values, terms, false);
  s.receive_rows = cut.take(rows);
  s.give_rows = cut.take(rows);
  s.products = cut.take(std::size_t{panel_rows} * panel_columns * sizeof(float));
  s.numbers = cut.take(std::size_t{3} * tile_rows * sizeof(float));
  return s;
}

inline Scratch lay_out_scratch(const TileShape &shape) {
  const bool gradient = shape.row == RowKind::softmax_gradient;
  const auto terms = static_cast<std::size_t>(terms_of(shape.precision));
  const int columns = gradient ? shape.features : shape.columns;
  const std::size_t on_unit = columns_on_unit(shape) ? terms : 0;
  const std::size_t weights = std::size_t{2} * panel_columns / chunk * on_unit * unit_bytes;
  ScratchCut cut;
  Scratch s{};
  s.sums = cut.take(std::size_t{2} * unit_bytes * static_cast<std::size_t>(groups(terms_of(shape.precision))));
  s.panel = cut.take(std::size_t{panel_rows} * panel_columns * sizeof(float));
  s.left_weights = cut.take(weights);
  s.right_weights = cut.take(weights);
  s.columns = cut.take_part(0, columns, on_unit, true);
  s.maxima = cut.take(2 * panel_rows * sizeof(float));
  s.same = cut.take(tile_rows);
  s.state = cut.take((2 + static_cast<std::size_t>(padded_columns(columns))) * tile_rows * sizeof(double));
  if (gradient) s.gradient = lay_out_gradient(shape, terms, cut);
  s.bytes = cut.end;
  return s;
}

}  // namespace flashring::amx
