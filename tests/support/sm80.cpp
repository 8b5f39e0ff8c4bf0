#include "support/sm80.hpp"

#include <limits>

#include "sm80/evaluate.hpp"
#include "sm80/few_features.hpp"
#include "sm80/pack.hpp"

namespace flashring::test {
namespace {

/// A body and what its launch gives it.
struct Fold {
  void (*body)(CudaThread &, const sm80::WaveArguments &);
  std::size_t shared_bytes;
};

template <PairKind kind, RowKind row>
Fold choose(const BlockCall &call, sm80::Form form) {
  const TileShape &shape = call.shape;
  const int values = sm80::values_of(row, shape.columns);
  if (sm80::chosen_path(form, shape) == sm80::Path::few_features)
    return sm80::with_padded_numbers(shape.features, values, [](auto padded_features, auto padded_values) {
      return Fold{sm80::fold_wave_few<kind, row, padded_features.value, padded_values.value, CudaThread>,
                  sm80::few_shared_bytes<row, padded_features.value, padded_values.value>()};
    });
  const std::size_t numbers = sm80::shared_values(call.sides, values);
  if (shape.precision == Precision::fp64)
    return {sm80::fold_wave<kind, row, double, CudaThread>, numbers * sizeof(double)};
  return {sm80::fold_wave<kind, row, float, CudaThread>, numbers * sizeof(float)};
}

template <PairKind kind>
Fold choose_row(const BlockCall &call, sm80::Form form) {
  switch (call.shape.row) {
#define FLASHRING_ROW(name) \
  case RowKind::name:       \
    return choose<kind, RowKind::name>(call, form);
#include "flashring/row_list.inc"
#undef FLASHRING_ROW
  }
  return {};
}

Fold choose_fold(const BlockCall &call, sm80::Form form) {
  switch (call.shape.pair.kind) {
#define FLASHRING_PAIR(name) \
  case PairKind::name:       \
    return choose_row<PairKind::name>(call, form);
#include "flashring/pair_list.inc"
#undef FLASHRING_PAIR
  }
  return {};
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

void emulate(const BlockCall &call, const Emulation &how) {
  CudaBlock block(sm80::tile_rows, how.order);
  const int words = words_of(call.shape);
  const Fold fold = choose_fold(call, how.form);
  sm80::WaveArguments arguments = sm80::make_arguments(call, words);
  set_constants(call.shape.pair, arguments.constants);
  sm80::Waves waves = sm80::make_waves(call.own_tiles, call.visiting_tiles, call.sides, words);
  if (has_visiting(call.sides)) {
    waves.own_step = how.steps.own;
    waves.visiting_step = how.steps.visiting;
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
        for (int b = 0; b < a.wave.own_count; ++b)
          block.run(b, fold.shared_bytes, [&](CudaThread &t) { fold.body(t, a); });
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
float sm80_exp2_polynomial(float x) { return sm80::exp2_polynomial<CudaThread>(x); }

}  // namespace flashring::test
