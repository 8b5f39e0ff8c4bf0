// Backend sm90 on a host: the bodies of its kernels on HopperBlock, and sm80's for what it leaves to that. What is left
// out is what only a device has: .cu files and primitives.hpp.
#pragma once

#include "support/hopper_block.hpp"
#include "support/sm80.hpp"

namespace flashring::test {

/// How the machine behaves; no bit may depend on it.
struct Machine {
  int blocks = 2;  ///< that run at once, so that some of them have several own tiles
  CudaBlock::Order order = CudaBlock::Order::forward;
  HopperBlock::Delivery delivery = HopperBlock::Delivery::late;
};

/// What Device::evaluate does for a call that sm90 serves by its own kernels.
void emulate_sm90(const BlockCall &call, Machine machine = {}, WaveSteps steps = {});

}  // namespace flashring::test
