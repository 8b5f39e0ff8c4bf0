// What a launch is given: the wave as sm80 has it, and how the block works through it. Shared by the device's queue and
// its emulation.
#pragma once

#include "sm90/columns.hpp"
#include "sm90/logsumexp.hpp"
#include "sm90/pipeline.hpp"
#include "sm90/sum.hpp"

namespace flashring::sm90 {

/// How a call is folded.
enum class Way : std::uint8_t {
  others,             ///< by sm80's kernels
  sum,                ///< one column
  columns,            ///< more
  logsumexp,          ///< one column at most, own sides
  logsumexp_columns,  ///< more, own sides
};

inline Way way_of(const TileShape &shape, Sides sides) {
  if (!sm80::takes_pieces(sm80::Variant::chosen, shape)) return Way::others;
  if (shape.row == RowKind::sum && shape.columns >= 1) return shape.columns == 1 ? Way::sum : Way::columns;
  const bool own_sides = !has_visiting(sides) || sm80::serves_own_sides(sm80::Variant::chosen, shape, sides);
  if (shape.row == RowKind::logsumexp && own_sides) return shape.columns <= 1 ? Way::logsumexp : Way::logsumexp_columns;
  return Way::others;
}

/// What folding needs of shared memory.
constexpr std::size_t fold_bytes(Way way, int pieces, Sides sides) {
  switch (way) {
    case Way::sum:
      return sum_fold_bytes(sides);
    case Way::columns:
      return columns_fold_bytes(pieces, sides);
    case Way::logsumexp_columns:
      return columns_fold_bytes(pieces, Sides::own);
    case Way::logsumexp:
    case Way::others:
      break;
  }
  return self_pair_bytes;
}

/// `wave`: as sm80::make_arguments gives it, with the formula's constants.
inline SweepArguments make_sweep(Way way, const WaveArguments &wave) {
  SweepArguments a;
  a.wave = wave;
  a.copied_scalars = way == Way::logsumexp || way == Way::logsumexp_columns;
  const bool many = way == Way::columns || way == Way::logsumexp_columns;
  a.copied_column = adds_to_own(wave) && wave.columns > 0 && !many;
  a.copied_columns = adds_to_own(wave) && many;
  a.note_bytes = note_bytes_of(a.copied_scalars, a.copied_column);
  const std::uint32_t columns = static_cast<std::uint32_t>(columns_of_sweep(wave.columns, 0)) * vector_bytes;
  a.plan = plan_block(wave.layout, a.note_bytes, a.copied_columns ? columns : 0,
                      fold_bytes(way, wave.layout.pieces, wave.sides));
  return a;
}

}  // namespace flashring::sm90
