// The queue of a device: its stream, the first thing that went wrong on it, and the functions of the Device table.
#pragma once

#include <cuda_runtime_api.h>

#include "flashring/tile.hpp"
#include "sm80/arguments.hpp"
#include "sm80/path.hpp"

namespace flashring::sm80 {

/// For the device that is current when it is first used. The thread that calls must have that device as its current
/// one: programs choose devices, the library takes one.
const Device *device(Variant variant);

/// Queues what folds the tiles of one wave, with the formula's constants and the slots of the visiting side in place.
using FoldWave = cudaError_t (*)(const TileShape &shape, const WaveArguments &arguments, cudaStream_t stream);

/// Device::evaluate with these kernels instead of those of sm80; all else, slots of the visiting side too, is that of
/// sm80's variant.
void evaluate_with(Variant variant, const BlockCall &call, FoldWave fold);

/// Keeps what went wrong on the queue, the first of it, for Device::finish to tell. `doing`: "copying to the device".
void note_error(cudaError_t error, const char *doing);

/// Compute capability of the current device as 10 major + minor; 0 without a device, a driver that serves it, or code
/// in this build that it runs.
int capability();

/// Doubles that slots take, of a call with this shape whatever its size.
std::size_t scratch_bytes(const TileShape &shape);

}  // namespace flashring::sm80
