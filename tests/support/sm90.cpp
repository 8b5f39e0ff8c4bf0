#include "support/sm90.hpp"

#include <algorithm>
#include <stdexcept>

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
  emulate_waves(call, {sm80::Variant::chosen, steps, machine.order},
                [&](const sm80::WaveArguments &a) { fold(body, sm90::make_sweep(way, a), machine); });
}

}  // namespace flashring::test
