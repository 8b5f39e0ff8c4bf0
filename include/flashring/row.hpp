// Row rules: how the weights of a row combine. Rules stand in kernels/row/, one file each; this is their list and the
// monoid that host code merges states with. C++17, read by nvcc too.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "flashring/types.hpp"

namespace flashring {

/// One enumerator per file of kernels/row/.
enum class RowKind : std::uint8_t {
#define FLASHRING_ROW(name) name,
#include "flashring/row_list.inc"
#undef FLASHRING_ROW
};

/// Whether GPUs fold it.
constexpr bool on_devices(RowKind row) {
  switch (row) {
#define FLASHRING_DEVICE_ROW(name) case RowKind::name:
#include "flashring/device_row_list.inc"
#undef FLASHRING_DEVICE_ROW
    return true;
    default:
      return false;
  }
}

/// n_l of row rule slope: 2, 3, 4, 6, 8, 12, ...; exact.
constexpr double slope_power(int l) {
  double n = l % 2 == 0 ? 2 : 3;
  for (int octave = l / 2; octave > 0; --octave) n *= 2;
  return n;
}

/// A rule is a short list of passes. Each pass is a monoid on a per-row state of `state_words` 8-byte words:
/// `identity` starts it, a backend folds weights into it, `merge` combines two. `advance` turns the merged states of a
/// pass into the per-row scalars of the next; `finish` gives the answer. States lie tile by tile as (words, rows of a
/// tile), words slowest; a word is a double, or an integer of the same size. A rule may lay words of a row out
/// otherwise where word w of the identity is one number for all rows (top_k).
struct RowRule {
  const char *name;
  int passes;
  int scalars;  ///< per-row numbers that a pass reads, of either side (log weights of the giver, results of advance)
  int own_scalars;  ///< of the own side, where that has more or other numbers (thresholds of rows); else 0
  int (*value_columns)(int columns);  ///< of the columns of a shape, those that travel with the points
  int (*state_words)(int pass, int columns);
  int (*outputs)(int columns);  ///< numbers per row that finish writes
  /// `rows`: of a tile, its padding included. States are aligned to 8.
  void (*identity)(int pass, int columns, std::size_t rows, std::byte *state);
  void (*merge)(int pass, int columns, std::size_t rows, std::byte *into, const std::byte *from);
  /// (words, rows) states of `pass` -> (scalars, rows) of pass + 1; null for rules of one pass.
  void (*advance)(int pass, int columns, std::size_t rows, const std::byte *state, double *scalars);
  /// (words, rows) -> (outputs, rows); rows of the padding are written, too.
  void (*finish)(int columns, std::size_t rows, const std::byte *state, double *out);
};

const RowRule &row_rule(RowKind kind);
std::vector<std::string_view> row_names();

}  // namespace flashring
