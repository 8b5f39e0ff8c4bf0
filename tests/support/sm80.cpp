#include "support/sm80.hpp"

#include <limits>

#include "sm80/evaluate.hpp"
#include "sm80/pack.hpp"

namespace flashring::test {
namespace {

using Fold = void (*)(CudaThread &, const sm80::WaveArguments &);

template <PairKind kind, class T>
Fold fold_by_row(RowKind row) {
  switch (row) {
#define FLASHRING_ROW(name) \
  case RowKind::name:       \
    return sm80::fold_wave<kind, RowKind::name, T, CudaThread>;
#include "flashring/row_list.inc"
#undef FLASHRING_ROW
  }
  return nullptr;
}

template <class T>
Fold fold_by_kind(const TileShape &shape) {
  switch (shape.pair.kind) {
#define FLASHRING_PAIR(name) \
  case PairKind::name:       \
    return fold_by_row<PairKind::name, T>(shape.row);
#include "flashring/pair_list.inc"
#undef FLASHRING_PAIR
  }
  return nullptr;
}

template <PairKind kind>
void set_constants(const PairFunction &pair, double *constants) {
  sm80::Formula<kind>::constants(pair.parameters.data(), constants);
}

void set_constants(const PairFunction &pair, double *constants) {
  switch (pair.kind) {
#define FLASHRING_PAIR(name) \
  case PairKind::name:       \
    return set_constants<PairKind::name>(pair, constants);
#include "flashring/pair_list.inc"
#undef FLASHRING_PAIR
  }
}

int words_of(const TileShape &shape) { return row_rule(shape.row).state_words(shape.pass, shape.columns); }

void add_slots(RowKind row, CudaThread &t, const sm80::WaveArguments &a) {
  if (row == RowKind::sum)
    sm80::add_wave<RowKind::sum>(t, a);
  else
    sm80::add_wave<RowKind::logsumexp>(t, a);
}

}  // namespace

const Backend &sm80_table() {
  static const Backend table = [] {
    Backend backend{};
    backend.name = "sm80";
    backend.tile_rows = sm80::tile_rows;
    backend.payload_bytes = sm80::payload_bytes;
    backend.pack = sm80::pack;
    backend.unpack = sm80::unpack;
    return backend;
  }();
  return table;
}

void emulate(const BlockCall &call, WaveSteps steps, CudaBlock::Order order) {
  CudaBlock block(sm80::tile_rows, order);
  const int words = words_of(call.shape);
  const bool is_double = call.shape.precision == Precision::fp64;
  const Fold fold = is_double ? fold_by_kind<double>(call.shape) : fold_by_kind<float>(call.shape);
  const std::size_t shared =
      sm80::shared_values(call.sides, sm80::values_of(call.shape.row, call.shape.columns)) * (is_double ? 8 : 4);
  sm80::WaveArguments arguments = sm80::make_arguments(call, words);
  set_constants(call.shape.pair, arguments.constants);
  sm80::Waves waves = sm80::make_waves(call.own_tiles, call.visiting_tiles, call.sides, words);
  if (has_visiting(call.sides)) {
    waves.own_step = steps.own;
    waves.visiting_step = steps.visiting;
  }
  std::vector<double> slots;
  arguments.slots = nullptr;
  sm80::for_each_wave(
      arguments, waves,
      [&](sm80::WaveArguments a) {
        if (has_visiting(call.sides))
          slots.assign(static_cast<std::size_t>(sm80::slot_offset(a.wave, a.wave.own_count, 0, words)),
                       std::numeric_limits<double>::quiet_NaN());
        a.slots = slots.data();
        for (int b = 0; b < a.wave.own_count; ++b) block.run(b, shared, [&](CudaThread &t) { fold(t, a); });
      },
      [&](sm80::WaveArguments a) {
        a.slots = slots.data();
        for (int b = 0; b < a.wave.visiting_count; ++b)
          block.run(b, 0, [&](CudaThread &t) { add_slots(call.shape.row, t, a); });
      });
}

void emulate_reset(const TileShape &shape, std::int64_t tiles, std::byte *state) {
  CudaBlock block(sm80::tile_rows);
  const int words = words_of(shape);
  sm80::Identity identity{};
  row_rule(shape.row).identity(shape.pass, shape.columns, 1, reinterpret_cast<std::byte *>(identity.words));
  for (int b = 0; b < tiles; ++b)
    block.run(b, 0, [&](CudaThread &t) { sm80::reset_states(t, words, identity, reinterpret_cast<double *>(state)); });
}

void emulate_merge(const TileShape &shape, std::int64_t tiles, std::byte *into, const std::byte *from) {
  CudaBlock block(sm80::tile_rows);
  const int words = words_of(shape);
  double *a = reinterpret_cast<double *>(into);
  const double *b = reinterpret_cast<const double *>(from);
  for (int tile = 0; tile < tiles; ++tile)
    block.run(tile, 0, [&](CudaThread &t) {
      if (shape.row == RowKind::sum)
        sm80::merge_states<RowKind::sum>(t, words, a, b);
      else
        sm80::merge_states<RowKind::logsumexp>(t, words, a, b);
    });
}

double sm80_exp2(double x) { return sm80::exp2_word<CudaThread>(x); }

}  // namespace flashring::test
