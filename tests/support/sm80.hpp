// Backend sm80 on a host: the bodies of its kernels and its loop over waves, with threads of CudaBlock and ordinary
// memory. What is left out is what only a device has: tile.cu and primitives.hpp.
#pragma once

#include <functional>

#include "sm80/tensor.hpp"
#include "support/cuda_block.hpp"
#include "support/tiles.hpp"

namespace flashring::test {

/// A table for TileArrays: rows, payload, pack and unpack. It evaluates nothing.
const Backend &sm80_table(sm80::Variant variant = sm80::Variant::plain);

/// Tiles of a wave; those of the backend would make a wave of every test.
struct WaveSteps {
  std::int32_t own = 2;
  std::int32_t visiting = 2;
};

/// How a call is run.
struct Emulation {
  sm80::Variant variant = sm80::Variant::plain;
  WaveSteps steps;
  CudaBlock::Order order = CudaBlock::Order::forward;
};

/// The sweeps of a call and their waves as Device::evaluate goes through them: fold(arguments) writes the slots of a
/// wave, which hold NaN before, and then they are added.
void emulate_waves(const BlockCall &call, const Emulation &how,
                   const std::function<void(const sm80::WaveArguments &)> &fold);

/// What Device::evaluate does.
void emulate(const BlockCall &call, const Emulation &how = {});
/// The words of precision and path that emulate passes to a kernel, but for slots.
sm80::WaveArguments emulated_arguments(const BlockCall &call);

/// A call that serves the own side alone, by one Fold of the tensor path and threads of another kind.
template <class TensorFold, class Thread>
void emulate_as(const BlockCall &call, CudaBlock::Order order) {
  sm80::WaveArguments arguments = emulated_arguments(call);
  arguments.wave = sm80::make_waves(call.own_tiles, call.visiting_tiles, call.sides, arguments.words).at(0);
  const std::size_t shared = static_cast<std::size_t>(arguments.shared.fold) + TensorFold::shared_bytes;
  CudaBlock block(sm80::tensor_threads, order);
  for (int b = 0; b < arguments.wave.own_count; ++b)
    block.run(b, shared, [&](CudaThread &t) {
      Thread thread(t);
      sm80::fold_tensor_wave<TensorFold>(thread, arguments);
    });
}

/// Device::reset and Device::merge.
void emulate_reset(const TileShape &shape, std::int64_t tiles, std::byte *state);
void emulate_merge(const TileShape &shape, std::int64_t tiles, std::byte *into, const std::byte *from);

/// The polynomial of precision fp64.
double sm80_exp2(double x);
/// The polynomial of few features.
float sm80_exp2_polynomial(float x);

}  // namespace flashring::test
