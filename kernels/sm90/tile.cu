// Backend sm90: GPUs of compute capability 9.0 (Hopper) and their own matrix unit, fed by bulk copies. It takes the
// shapes of sm80's tensor cores with sm80's payload (sm80/pieces.hpp); every other shape is sm80's.
//
// A block of 384 threads has a multiprocessor for itself and goes over its own tiles of 128 rows, each with all
// visiting tiles that are due. One thread, the producer, asks for copies of chunks, columns and scalars into a ring of
// stages (producer.hpp); two warpgroups, the consumers, multiply 64 own rows each with 128 visiting ones by wgmma,
// straight from there (consumer.hpp). The products give the exponent whole, and strips of 16 x 128 accumulators are
// folded in registers (sm80/strip.hpp, sum.hpp, columns.hpp, logsumexp.hpp). Mbarriers count arrivals, bytes and phases
// between them. For sums of one column each consumer has two sets of accumulators: products of the next visiting tile
// run beside the fold of this one (evaluate.hpp). The visiting side goes through sm80's slots. Cost of a pair: 16
// columns of a chunk product for each, and the fold. Reference: J. Shah et al., FlashAttention-3, arXiv:2407.08608, for
// the division of a block and its registers.
#include <cuda_runtime_api.h>

#include "sm80/backend.hpp"
#include "sm80/queue.hpp"
#include "sm90/arguments.hpp"
#include "sm90/backend.hpp"
#include "sm90/cost.hpp"
#include "sm90/launch.hpp"

namespace flashring::sm90 {
namespace {

template <Way way, cudaError_t launch(const SweepArguments &, cudaStream_t)>
cudaError_t fold_tiles(const TileShape & /*shape*/, const WaveArguments &arguments, cudaStream_t stream) {
  return launch(make_sweep(way, arguments), stream);
}

void evaluate(const BlockCall &call) {
  switch (way_of(call.shape, call.sides)) {
    case Way::sum:
      return sm80::evaluate_with(sm80::Variant::chosen, call, fold_tiles<Way::sum, launch_sum>);
    case Way::columns:
      return sm80::evaluate_with(sm80::Variant::chosen, call, fold_tiles<Way::columns, launch_columns>);
    case Way::logsumexp:
      return sm80::evaluate_with(sm80::Variant::chosen, call, fold_tiles<Way::logsumexp, launch_logsumexp>);
    case Way::logsumexp_columns:
      return sm80::evaluate_with(sm80::Variant::chosen, call,
                                 fold_tiles<Way::logsumexp_columns, launch_logsumexp_columns>);
    case Way::others:
      return sm80::device(sm80::Variant::chosen)->evaluate(call);
  }
}

/// sm80's table, whose payloads these kernels read, with evaluation of its own.
const Backend *make_table() {
  static const Backend *const base = sm80::capability() == 90 ? sm80::open("") : nullptr;
  if (base == nullptr) return nullptr;
  static const Device device = [] {
    Device d = *base->device;
    d.evaluate = evaluate;
    return d;
  }();
  static const Backend table = [] {
    Backend t = *base;
    t.name = "sm90";
    t.target = "sm_90a";
    t.error = error;
    t.device = &device;
    return t;
  }();
  return &table;
}

}  // namespace

const Backend *open(const char *ceiling) { return *ceiling == '\0' ? make_table() : nullptr; }

std::vector<std::string> ceilings() {
  if (make_table() == nullptr) return {};
  return {""};
}

}  // namespace flashring::sm90
