#include "support/sm90.hpp"

#include <algorithm>
#include <limits>
#include <stdexcept>

#include "sm80/evaluate.hpp"
#include "sm90/arguments.hpp"
#include "sm90/evaluate.hpp"

namespace flashring::test {
namespace {

using Body = void (*)(HopperThread &, const sm90::SweepArguments &);

template <class Fold>
void body(HopperThread &t, const sm90::SweepArguments &arguments) {
  sm90::fold_wave<Fold>(t, arguments);
}

Body body_of(sm90::Way way, int pieces) {
  using T = HopperThread;
  switch (way) {
    case sm90::Way::sum:
      return body<sm90::SumFold<T>>;
    case sm90::Way::columns:
      return pieces == 3 ? body<sm90::ColumnsFold<T, 3>> : body<sm90::ColumnsFold<T, 1>>;
    case sm90::Way::logsumexp:
      return body<sm90::LogSumExpFold<T>>;
    case sm90::Way::logsumexp_columns:
      return pieces == 3 ? body<sm90::LogSumExpColumnsFold<T, 3>> : body<sm90::LogSumExpColumnsFold<T, 1>>;
    case sm90::Way::others:
      break;
  }
  throw std::logic_error("sm90 leaves this call to sm80");
}

void fold(Body body, const sm90::SweepArguments &arguments, const Machine &machine) {
  HopperBlock block(sm90::block_threads, sm90::consumers, machine.order, machine.delivery);
  const int blocks = std::min(machine.blocks, arguments.wave.wave.own_count);
  for (int b = 0; b < blocks; ++b)
    block.run(b, blocks, arguments.plan.bytes, [&](HopperThread &t) { body(t, arguments); });
}

}  // namespace

void emulate_sm90(const BlockCall &call, Machine machine, WaveSteps steps) {
  const sm90::Way way = sm90::way_of(call.shape, call.sides);
  const Body body = body_of(way, sm80::layout_of(call.shape).pieces);
  sm80::WaveArguments arguments = emulated_arguments(call);
  const int words = arguments.words;
  sm80::Waves waves = sm80::make_waves(call.own_tiles, call.visiting_tiles, call.sides, words);
  if (has_visiting(call.sides)) {
    waves.own_step = steps.own;
    waves.visiting_step = steps.visiting;
  }
  std::vector<double> slots;
  CudaBlock adder(sm80::tile_rows, machine.order);
  arguments.slots = nullptr;
  sm80::for_each_wave(
      arguments, waves,
      [&](sm80::WaveArguments a) {
        if (has_visiting(call.sides))
          slots.assign(static_cast<std::size_t>(sm80::slot_offset(a.wave, a.wave.own_count, 0, words)),
                       std::numeric_limits<double>::quiet_NaN());
        a.slots = slots.data();
        fold(body, sm90::make_sweep(way, a), machine);
      },
      [&](sm80::WaveArguments a) {
        a.slots = slots.data();
        for (int b = 0; b < sm80::add_blocks(call.shape.row, a); ++b)
          adder.run(b, 0, [&](CudaThread &t) { sm80_add_slots(call.shape.row, t, a); });
      });
}

}  // namespace flashring::test
