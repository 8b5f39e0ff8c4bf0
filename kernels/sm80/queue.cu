// The Device table of backend sm80: memory, copies and launches on one stream. Errors are kept, the first of them, and
// told by `finish`.
#include "sm80/queue.hpp"

#include <cuda_runtime_api.h>
#include <unistd.h>

#include <string>

#include "sm80/evaluate.hpp"
#include "sm80/launch.hpp"
#include "sm80/primitives.hpp"
#include "sm80/stored_rows.hpp"

namespace flashring::sm80 {
namespace {

// Eight blocks on a multiprocessor leave 64 registers; without a bound the compiler aims at 32 and keeps one in memory.
template <RowKind row>
__global__ void __launch_bounds__(tile_rows, 8) add_kernel(const WaveArguments arguments) {
  DeviceThread thread(nullptr);
  add_wave(Rule<row>{}, thread, arguments);
}

template <RowKind row>
__global__ void __launch_bounds__(tile_rows) merge_kernel(int words, double *into, const double *from) {
  DeviceThread thread(nullptr);
  merge_states<row>(thread, words, into, from);
}

__global__ void __launch_bounds__(tile_rows) reset_kernel(int words, const Identity identity, double *states) {
  DeviceThread thread(nullptr);
  reset_states(thread, words, identity, states);
}

template <class T>
__global__ void __launch_bounds__(tile_rows)
    place_kernel(const RowMap rows, int columns, int column, const double *values, double padding, T *array) {
  DeviceThread thread(nullptr);
  place_rows(thread, rows, columns, column, values, padding, array);
}

template <RowKind row>
__global__ void __launch_bounds__(tile_rows)
    take_kernel(const RowMap rows, int words, int output, const double *states, double *values) {
  DeviceThread thread(nullptr);
  take_rows<row>(thread, rows, words, output, states, values);
}

/// Shared memory of the kernels between tiles and arrays of a caller.
__device__ __forceinline__ std::byte *stage() {
  __shared__ double numbers[stage_numbers];
  return reinterpret_cast<std::byte *>(numbers);
}

template <class T>
__global__ void __launch_bounds__(tile_rows)
    place_stored_kernel(const RowMap rows, int columns, int column, const StoredRows<const std::byte> from,
                        double scale, std::int32_t *wrong, T *array) {
  DeviceThread thread(stage());
  place_stored(thread, rows, columns, column, from, scale, wrong, array);
}

__global__ void __launch_bounds__(tile_rows)
    pack_stored_kernel(const RowMap rows, const PieceLayout layout, const StoredRows<const std::byte> from,
                       double scale, std::int32_t *wrong, std::byte *payloads) {
  DeviceThread thread(nullptr);
  pack_stored_pieces(thread, rows, layout, from, scale, wrong, payloads);
}

template <RowKind row>
__global__ void __launch_bounds__(tile_rows)
    take_stored_kernel(const RowMap rows, int words, const StoredAnswers answers, const double *states,
                       const StoredRows<std::byte> to) {
  DeviceThread thread(stage());
  take_stored<row>(thread, rows, words, answers, states, to);
}

__global__ void __launch_bounds__(tile_rows)
    multiply_stored_kernel(const RowMap rows, const StoredRows<const std::byte> a, const StoredRows<const std::byte> b,
                           double *products) {
  DeviceThread thread(stage());
  multiply_stored(thread, rows, a, b, products);
}

/// What a rule gives to the queue.
struct RowEntry {
  int (*state_words)(int pass, int columns);
  void (*identity)(int pass, int columns, std::size_t rows, std::byte *state);
  void (*add)(WaveArguments arguments);
  void (*merge)(int words, double *into, const double *from);
  void (*take)(RowMap rows, int words, int output, const double *states, double *values);
  void (*take_stored)(RowMap rows, int words, StoredAnswers answers, const double *states, StoredRows<std::byte> to);
};

constexpr RowEntry row_entries[] = {
#define FLASHRING_DEVICE_ROW(name)                                                  \
  {Rule<RowKind::name>::state_words,       Rule<RowKind::name>::identity,           \
   add_kernel<state_rule(RowKind::name)>,  merge_kernel<state_rule(RowKind::name)>, \
   take_kernel<state_rule(RowKind::name)>, take_stored_kernel<state_rule(RowKind::name)>},
#include "flashring/device_row_list.inc"
#undef FLASHRING_DEVICE_ROW
};

const RowEntry &row_entry(const TileShape &shape) { return row_entries[static_cast<std::size_t>(shape.row)]; }
int words_of(const TileShape &shape) { return row_entry(shape).state_words(shape.pass, shape.columns); }

/// The stream and what went wrong. Made when it is first used; lives as long as the process, since the runtime may be
/// gone before static objects are.
struct Queue {
  cudaStream_t stream = nullptr;
  std::string wrong;    ///< empty: nothing
  std::string message;  ///< what `finish` gave out last

  Queue() { note(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "making a stream"); }
  void note(cudaError_t error, const char *doing) {
    if (error != cudaSuccess && wrong.empty())
      wrong = std::string("backend sm80, ") + doing + ": " + cudaGetErrorString(error) + " (" +
              cudaGetErrorName(error) + ")";
  }
  void note_launch(const char *doing) { note(cudaGetLastError(), doing); }
};

Queue &queue() {
  static Queue *const made = new Queue;
  return *made;
}

std::byte *allocate(std::size_t bytes) {
  void *data = nullptr;
  const cudaError_t error = cudaMalloc(&data, bytes);
  if (error == cudaSuccess) return static_cast<std::byte *>(data);
  cudaGetLastError();  // no room is an answer, not an error
  if (error != cudaErrorMemoryAllocation) queue().note(error, "allocating memory");
  return nullptr;
}

void release(std::byte *data) {
  queue().note(cudaStreamSynchronize(queue().stream), "waiting for the queue");
  queue().note(cudaFree(data), "releasing memory");
}

void upload(std::byte *to, const std::byte *from, std::size_t bytes) {
  queue().note(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, queue().stream), "copying to the device");
}

void download(std::byte *to, const std::byte *from, std::size_t bytes) {
  queue().note(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, queue().stream), "copying from the device");
}

void reset(const TileShape &shape, std::int64_t tiles, std::byte *state) {
  if (tiles == 0 || words_of(shape) == 0) return;
  const Identity identity = make_identity(shape, row_entry(shape).identity);
  reset_kernel<<<static_cast<unsigned>(tiles), tile_rows, 0, queue().stream>>>(words_of(shape), identity,
                                                                               reinterpret_cast<double *>(state));
  queue().note_launch("setting states");
}

void merge(const TileShape &shape, std::int64_t tiles, std::byte *into, const std::byte *from) {
  if (tiles == 0) return;
  row_entry(shape).merge<<<static_cast<unsigned>(tiles), tile_rows, 0, queue().stream>>>(
      words_of(shape), reinterpret_cast<double *>(into), reinterpret_cast<const double *>(from));
  queue().note_launch("merging states");
}

cudaError_t launch_tensor(TensorRole role, const WaveArguments &arguments, cudaStream_t stream) {
  switch (role) {
    case TensorRole::sum:
      return launch_tensor_sum(arguments, stream);
    case TensorRole::columns:
      return launch_tensor_columns(arguments, stream);
    case TensorRole::logsumexp:
      return launch_tensor_logsumexp(arguments, stream);
    case TensorRole::gradient:
      return launch_tensor_gradient(arguments, stream);
    case TensorRole::pieces:
      return launch_pieces_logsumexp(arguments, stream);
    case TensorRole::none:
      break;
  }
  return cudaSuccess;
}

/// The kernels of this backend for one wave.
template <Variant variant>
cudaError_t launch_fold(const TileShape &shape, const WaveArguments &arguments, cudaStream_t stream) {
  const Path path = chosen_path(variant, shape);
  if (path == Path::tensor)
    return launch_tensor(tensor_role(shape.row, shape.columns, arguments.sides), arguments, stream);
  const auto launch = path == Path::few_features           ? launch_fold_few
                      : shape.precision == Precision::fp64 ? launch_fold_fp64
                                                           : launch_fold_fp32;
  return launch(shape.pair.kind, shape.row, arguments, stream);
}

template <Variant variant>
void evaluate(const BlockCall &call) {
  evaluate_with(variant, call, launch_fold<variant>);
}

void place(const RowMap &rows, Precision precision, int columns, int column, const double *values, double padding,
           std::byte *array) {
  const auto blocks = static_cast<unsigned>(rows.tiles);
  if (precision == Precision::fp64)
    place_kernel<<<blocks, tile_rows, 0, queue().stream>>>(rows, columns, column, values, padding,
                                                           reinterpret_cast<double *>(array));
  else
    place_kernel<<<blocks, tile_rows, 0, queue().stream>>>(rows, columns, column, values, padding,
                                                           reinterpret_cast<float *>(array));
  queue().note_launch("placing columns");
}

void take(const RowMap &rows, const TileShape &shape, int output, const std::byte *state, double *values) {
  row_entry(shape).take<<<static_cast<unsigned>(rows.tiles), tile_rows, 0, queue().stream>>>(
      rows, words_of(shape), output, reinterpret_cast<const double *>(state), values);
  queue().note_launch("taking answers");
}

void place_stored_rows(const RowMap &rows, Precision precision, int columns, int column,
                       const StoredRows<const std::byte> &from, double scale, std::int32_t *wrong, std::byte *array) {
  const auto blocks = static_cast<unsigned>(rows.tiles);
  if (precision == Precision::fp64)
    place_stored_kernel<<<blocks, tile_rows, 0, queue().stream>>>(rows, columns, column, from, scale, wrong,
                                                                  reinterpret_cast<double *>(array));
  else
    place_stored_kernel<<<blocks, tile_rows, 0, queue().stream>>>(rows, columns, column, from, scale, wrong,
                                                                  reinterpret_cast<float *>(array));
  queue().note_launch("placing rows of an array");
}

void place_columns(const RowMap &rows, Precision precision, int columns, int column,
                   const StoredRows<const std::byte> &from, std::int32_t *wrong, std::byte *array) {
  place_stored_rows(rows, precision, columns, column, from, 1, wrong, array);
}

template <Variant variant>
void pack_stored(const RowMap &rows, const TileShape &shape, const StoredRows<const std::byte> &from, double scale,
                 std::int32_t *wrong, std::byte *payload) {
  if (!takes_pieces(variant, shape))
    return place_stored_rows(rows, shape.precision, shape.features, 0, from, scale, wrong, payload);
  pack_stored_kernel<<<static_cast<unsigned>(rows.tiles), tile_rows, 0, queue().stream>>>(rows, layout_of(shape), from,
                                                                                          scale, wrong, payload);
  queue().note_launch("packing rows of an array");
}

void take_answers(const RowMap &rows, const TileShape &shape, const StoredAnswers &answers, const std::byte *state,
                  const StoredRows<std::byte> &to) {
  row_entry(shape).take_stored<<<static_cast<unsigned>(rows.tiles), tile_rows, 0, queue().stream>>>(
      rows, words_of(shape), answers, reinterpret_cast<const double *>(state), to);
  queue().note_launch("taking answers into an array");
}

void multiply_rows(const RowMap &rows, const StoredRows<const std::byte> &a, const StoredRows<const std::byte> &b,
                   double *products) {
  multiply_stored_kernel<<<static_cast<unsigned>(rows.tiles), tile_rows, 0, queue().stream>>>(rows, a, b, products);
  queue().note_launch("multiplying rows of arrays");
}

const char *finish() {
  Queue &q = queue();
  q.note(cudaStreamSynchronize(q.stream), "waiting for the queue");
  q.message = std::move(q.wrong);
  q.wrong.clear();
  return q.message.empty() ? nullptr : q.message.c_str();
}

std::size_t room() {
  std::size_t available = 0;
  std::size_t all = 0;
  queue().note(cudaMemGetInfo(&available, &all), "asking for free memory");
  return available;
}

void *stream() { return queue().stream; }

/// Its UUID, and the machine's name: numbers of devices differ between processes.
const char *identity() {
  static const std::string text = [] {
    char host[256] = "?";
    int number = 0;
    cudaDeviceProp of{};
    queue().note(cudaGetDevice(&number), "asking for the device");
    queue().note(cudaGetDeviceProperties(&of, number), "asking for the device");
    gethostname(host, sizeof(host) - 1);
    std::string uuid;
    for (const char byte : of.uuid.bytes) uuid += std::to_string(static_cast<unsigned char>(byte)) + ".";
    return std::string(host) + " " + of.name + " " + uuid;
  }();
  return text.c_str();
}

/// One queue serves all tables: they differ in the kernels that they choose.
template <Variant variant>
constexpr Device table = {allocate,      release,           upload,        download, reset,
                          merge,         evaluate<variant>, place,         take,     pack_stored<variant>,
                          place_columns, take_answers,      multiply_rows, finish,   room,
                          stream,        identity,          wave_own_tiles};

}  // namespace

const Device *device(Variant variant) {
  return variant == Variant::plain    ? &table<Variant::plain>
         : variant == Variant::tensor ? &table<Variant::tensor>
                                      : &table<Variant::chosen>;
}

void evaluate_with(Variant variant, const BlockCall &call, FoldWave fold) {
  const TileShape &shape = call.shape;
  const auto fold_tiles = [&](const WaveArguments &a) {
    queue().note(fold(shape, a, queue().stream), "folding tiles");
  };
  const auto add_slots = [&](const WaveArguments &a) {
    row_entry(shape).add<<<static_cast<unsigned>(add_blocks(shape.row, a)), tile_rows, 0, queue().stream>>>(a);
    queue().note_launch("adding slots");
  };
  for_each_sweep(variant, call, words_of(shape),
                 [&](const WaveArguments &a, const Waves &waves) { for_each_wave(a, waves, fold_tiles, add_slots); });
}

void note_error(cudaError_t error, const char *doing) { queue().note(error, doing); }

int capability() {
  int count = 0;
  int device_number = 0;
  int major = 0;
  int minor = 0;
  cudaFuncAttributes loaded{};
  if (cudaGetDeviceCount(&count) != cudaSuccess || count == 0 || cudaGetDevice(&device_number) != cudaSuccess ||
      cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device_number) != cudaSuccess ||
      cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device_number) != cudaSuccess ||
      cudaFuncGetAttributes(&loaded, add_kernel<RowKind::sum>) != cudaSuccess) {
    cudaGetLastError();  // asked and answered
    return 0;
  }
  return 10 * major + minor;
}

std::size_t scratch_bytes(const TileShape &shape) {
  return notes_tiles(shape.row) ? 0 : slot_bytes(words_of(shape));  // these have no visiting side
}

}  // namespace flashring::sm80
