// Backend sm80 on a host: the bodies of its kernels and its loop over waves, with threads of CudaBlock and ordinary
// memory. What is left out is what only a device has: tile.cu and primitives.hpp.
#pragma once

#include "sm80/arguments.hpp"
#include "sm80/path.hpp"
#include "support/cuda_block.hpp"
#include "support/tiles.hpp"

namespace flashring::test {

/// A table for TileArrays: rows, payload, pack and unpack. It evaluates nothing.
const Backend &sm80_table();

/// Tiles of a wave; those of the backend would make a wave of every test.
struct WaveSteps {
  std::int32_t own = 2;
  std::int32_t visiting = 2;
};

/// How a call is run.
struct Emulation {
  sm80::Form form = sm80::Form::plain;
  WaveSteps steps;
  CudaBlock::Order order = CudaBlock::Order::forward;
};

/// What Device::evaluate does. Slots hold NaN before each wave.
void emulate(const BlockCall &call, const Emulation &how = {});
/// Device::reset and Device::merge.
void emulate_reset(const TileShape &shape, std::int64_t tiles, std::byte *state);
void emulate_merge(const TileShape &shape, std::int64_t tiles, std::byte *into, const std::byte *from);

/// The polynomial of precision fp64.
double sm80_exp2(double x);
/// The polynomial of few features.
float sm80_exp2_polynomial(float x);

}  // namespace flashring::test
