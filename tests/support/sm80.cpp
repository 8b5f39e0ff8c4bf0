#include "support/sm80.hpp"

#include <limits>
#include <memory>

#include "sm80/evaluate.hpp"
#include "sm80/few_features.hpp"
#include "sm80/pack.hpp"
#include "sm80/tensor_gradient.hpp"
#include "sm80/tensor_logsumexp.hpp"
#include "sm80/tensor_sum.hpp"

namespace flashring::test {
namespace {

using Body = void (*)(CudaThread &, const sm80::WaveArguments &);

/// What queue.cu launches.
struct Launch {
  Body body = nullptr;
  std::size_t shared_bytes = 0;
  int threads = sm80::tile_rows;
};

/// The path for few features or the plain one.
template <PairKind kind, RowKind row>
Launch plain_launch(const TileShape &shape, Sides sides, sm80::Variant variant) {
  const int values = sm80::values_of(row, shape.columns);
  if constexpr (sm80::is_tuned(row))
    if (sm80::chosen_path(variant, shape) == sm80::Path::few_features)
      return sm80::with_padded_numbers(sm80::row_numbers(shape), values, [](auto padded_features, auto padded_values) {
        return Launch{sm80::fold_wave_few<kind, row, padded_features.value, padded_values.value, CudaThread>,
                      sm80::few_shared_bytes<row, padded_features.value, padded_values.value>()};
      });
  const std::size_t numbers = sm80::shared_values(sides, row, shape.columns);
  if constexpr (sm80::folds(kind, row)) {
    if (shape.precision == Precision::fp64)
      return {sm80::fold_wave<kind, row, double, sm80::PlainPoints<double>, CudaThread>, numbers * sizeof(double)};
    return {sm80::fold_wave<kind, row, float, sm80::PlainPoints<float>, CudaThread>, numbers * sizeof(float)};
  }
  return {};
}

template <PairKind kind>
Launch plain_launch(const TileShape &shape, Sides sides, sm80::Variant variant) {
  switch (shape.row) {
#define FLASHRING_DEVICE_ROW(name) \
  case RowKind::name:              \
    return plain_launch<kind, RowKind::name>(shape, sides, variant);
#include "flashring/device_row_list.inc"
#undef FLASHRING_DEVICE_ROW
    default:
      break;
  }
  return {};
}

Launch plain_launch(const TileShape &shape, Sides sides, sm80::Variant variant) {
  switch (shape.pair.kind) {
#define FLASHRING_PAIR(name) \
  case PairKind::name:       \
    return plain_launch<PairKind::name>(shape, sides, variant);
#include "flashring/pair_list.inc"
#undef FLASHRING_PAIR
  }
  return {};
}

int words_of(const TileShape &shape) { return row_rule(shape.row).state_words(shape.pass, shape.columns); }

/// The second launch of a wave.
void add_slots(RowKind row, CudaThread &t, const sm80::WaveArguments &a) {
  switch (row) {
#define FLASHRING_DEVICE_ROW(name) \
  case RowKind::name:              \
    return sm80::add_wave(sm80::Rule<sm80::state_rule(RowKind::name)>{}, t, a);
#include "flashring/device_row_list.inc"
#undef FLASHRING_DEVICE_ROW
    default:
      break;
  }
}

template <sm80::Variant variant>
Backend make_table() {
  Backend backend{};
  backend.name = "sm80";
  backend.target = "emulated";
  backend.tile_rows = sm80::tile_rows;
  backend.payload_bytes = sm80::payload_bytes<variant>;
  backend.pack = sm80::pack<variant>;
  backend.unpack = sm80::unpack<variant>;
  return backend;
}

template <class TensorFold>
Launch launch_of(const sm80::PieceLayout &layout) {
  return {sm80::fold_tensor_wave<TensorFold, CudaThread>,
          static_cast<std::size_t>(sm80::tensor_shared(layout).fold) + TensorFold::shared_bytes, sm80::tensor_threads};
}

template <template <int> class TensorFold>
Launch tensor_launch(const TileShape &shape) {
  const sm80::PieceLayout layout = sm80::layout_of(shape);
  return layout.pieces == 3 ? launch_of<TensorFold<3>>(layout) : launch_of<TensorFold<1>>(layout);
}

template <PairKind kind>
Body pieces_body() {
  if constexpr (!needs_differences(sm80::accumulate_of(kind)))
    return sm80::fold_wave<kind, RowKind::logsumexp, float, sm80::PiecePoints, CudaThread>;
  return nullptr;
}

Body pieces_body(PairKind kind) {
  switch (kind) {
#define FLASHRING_PAIR(name) \
  case PairKind::name:       \
    return pieces_body<PairKind::name>();
#include "flashring/pair_list.inc"
#undef FLASHRING_PAIR
  }
  return nullptr;
}

Launch choose_launch(const TileShape &shape, Sides sides, sm80::Variant variant) {
  Launch launch = plain_launch(shape, sides, variant);
  if (!sm80::takes_pieces(variant, shape)) return launch;
  switch (sm80::tensor_role(shape.row, shape.columns, sides)) {
    case sm80::TensorRole::sum:
      return sm80::crossed_steps(sm80::layout_of(shape)) > 0
                 ? launch_of<sm80::TensorSum<true>>(sm80::layout_of(shape))
                 : launch_of<sm80::TensorSum<false>>(sm80::layout_of(shape));
    case sm80::TensorRole::columns:
      return tensor_launch<sm80::TensorColumns>(shape);
    case sm80::TensorRole::logsumexp:
      return tensor_launch<sm80::TensorLogSumExp>(shape);
    case sm80::TensorRole::gradient:
      return tensor_launch<sm80::TensorGradient>(shape);
    case sm80::TensorRole::pieces:
      launch.body = pieces_body(shape.pair.kind);
      break;
    case sm80::TensorRole::none:
      launch.body = [](CudaThread & /*t*/, const sm80::WaveArguments & /*a*/) {};
      break;
  }
  return launch;
}

}  // namespace

const Backend &sm80_table(sm80::Variant variant) {
  using sm80::Variant;
  static const Backend chosen = make_table<Variant::chosen>();
  static const Backend plain = make_table<Variant::plain>();
  static const Backend tensor = make_table<Variant::tensor>();
  return variant == Variant::chosen ? chosen : variant == Variant::plain ? plain : tensor;
}

sm80::WaveArguments emulated_arguments(const BlockCall &call) {
  return sm80::make_arguments(call, words_of(call.shape));
}

void emulate_waves(const BlockCall &call, const Emulation &how,
                   const std::function<void(const sm80::WaveArguments &)> &fold) {
  CudaBlock block(sm80::tile_rows, how.order);
  std::vector<double> slots;
  const auto fold_tiles = [&](sm80::WaveArguments a) {
    if (has_visiting(a.sides))
      slots.assign(static_cast<std::size_t>(sm80::slot_offset(a.wave, a.wave.own_count, 0, a.words)),
                   std::numeric_limits<double>::quiet_NaN());
    a.slots = slots.data();
    fold(a);
  };
  const auto add = [&](sm80::WaveArguments a) {
    a.slots = slots.data();
    for (int b = 0; b < sm80::add_blocks(call.shape.row, a); ++b)
      block.run(b, 0, [&](CudaThread &t) { add_slots(call.shape.row, t, a); });
  };
  sm80::for_each_sweep(how.variant, call, words_of(call.shape), [&](const sm80::WaveArguments &a, sm80::Waves waves) {
    if (has_visiting(a.sides)) {
      waves.own_step = how.steps.own;
      waves.visiting_step = how.steps.visiting;
    }
    sm80::for_each_wave(a, waves, fold_tiles, add);
  });
}

void emulate(const BlockCall &call, const Emulation &how) {
  std::unique_ptr<CudaBlock> block;  // its stacks are large
  emulate_waves(call, how, [&](const sm80::WaveArguments &a) {
    const Launch launch = choose_launch(call.shape, a.sides, how.variant);
    if (block == nullptr) block = std::make_unique<CudaBlock>(launch.threads, how.order);
    for (int b = 0; b < a.wave.own_count; ++b)
      block->run(b, launch.shared_bytes, [&](CudaThread &t) { launch.body(t, a); });
  });
}

void emulate_reset(const TileShape &shape, std::int64_t tiles, std::byte *state) {
  CudaBlock block(sm80::tile_rows);
  const int words = words_of(shape);
  const sm80::Identity identity = sm80::make_identity(shape, row_rule(shape.row).identity);
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
      switch (shape.row) {
#define FLASHRING_DEVICE_ROW(name) \
  case RowKind::name:              \
    return sm80::merge_states<sm80::state_rule(RowKind::name)>(t, words, a, b);
#include "flashring/device_row_list.inc"
#undef FLASHRING_DEVICE_ROW
        default:
          break;
      }
    });
}

double sm80_exp2(double x) { return sm80::exp2_word<CudaThread>(x); }
float sm80_exp2_polynomial(float x) { return sm80::exp2_polynomial<CudaThread>(x); }

}  // namespace flashring::test
