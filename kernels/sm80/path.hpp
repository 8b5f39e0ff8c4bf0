// Which kernels serve a call: decided in one place, for devices and for their emulation.
#pragma once

#include <cstdint>
#include <type_traits>

#include "flashring/tile.hpp"
#include "sm80/fold.hpp"
#include "sm80/tile_size.hpp"

namespace flashring::sm80 {

/// The kernels of a call.
enum class Path : std::uint8_t {
  plain,         ///< fold_wave: any features, any columns, any precision
  few_features,  ///< fold_wave_few: fp32, few features, one value or a few
};

/// What a table of the backend offers: every path, each where it is thought to be the fastest, or the plain one alone.
enum class Form : std::uint8_t { tuned, plain };

constexpr Path chosen_path(Form form, const TileShape &shape) {
  const int values = values_of(shape.row, shape.columns);
  const bool few = shape.precision != Precision::fp64 && shape.features <= max_few_features && values >= 1 &&
                   values <= max_few_values;
  return form == Form::tuned && few ? Path::few_features : Path::plain;
}

/// Calls use(D, NC) with the padded numbers of features and values of the kernel that serves these, as types with a
/// constexpr value. Instances cost compile time: with one value, which most calls have, up to 4 features are not padded
/// and more by one at most; with more values, whose sums take the time, 4 or 8 features serve all.
template <class Use>
auto with_padded_numbers(int features, int values, Use use) {
  constexpr std::integral_constant<int, 1> one{};
  constexpr std::integral_constant<int, 2> two{};
  constexpr std::integral_constant<int, 3> three{};
  constexpr std::integral_constant<int, 4> four{};
  constexpr std::integral_constant<int, 6> six{};
  constexpr std::integral_constant<int, max_few_features> all{};
  constexpr std::integral_constant<int, max_few_values> some{};
  if (values > 1) return features > 4 ? use(all, some) : use(four, some);
  if (features == 1) return use(one, one);
  if (features == 2) return use(two, one);
  if (features == 3) return use(three, one);
  if (features == 4) return use(four, one);
  return features > 6 ? use(all, one) : use(six, one);
}

}  // namespace flashring::sm80
