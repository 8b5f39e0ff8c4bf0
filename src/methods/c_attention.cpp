// The C interface of attention.h.
#include "flashring/attention.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <optional>
#include <utility>

#include "flashring/attention_options.hpp"
#include "flashring/check.hpp"
#include "flashring/communicator_mpi.hpp"
#include "petsc/mat_context.hpp"

struct FlashringAttention_ {
  MPI_Comm comm = MPI_COMM_NULL;
  std::unique_ptr<flashring::Communicator> communicator;
  flashring::AttentionShape shape;
  flashring::Storage storage = flashring::Storage::fp32;
  flashring::AttentionOptions options;
  std::optional<flashring::Attention> attention;   // from the first use on
  std::optional<flashring::AttentionSaved> saved;  // of the last forward pass
};

struct FlashringThresholdRows_ {
  MPI_Comm comm = MPI_COMM_NULL;
  std::unique_ptr<flashring::Communicator> communicator;
  flashring::RowsShape shape;
  flashring::Storage storage = flashring::Storage::fp32;
  flashring::ThresholdRowsOptions options;
  std::optional<flashring::ThresholdRows> rows;    // from the first use of these options on
  std::optional<flashring::ThresholdSaved> saved;  // of the last forward pass
  void renew() {
    rows.reset();
    saved.reset();
  }
};

namespace flashring {
namespace {

Attention &object_of(FlashringAttention attention) {
  if (!attention->attention) {
    attention->attention.emplace(*attention->communicator, attention->shape, attention->options);
  }
  return *attention->attention;
}

AttentionInput input_of(FlashringAttention attention, const void *q, const void *k, const void *v,
                        const unsigned char *key_padding) {
  const Storage storage = attention->storage;
  AttentionInput input{{q, storage}, {k, storage}, {v, storage}, {}};
  const std::int64_t rows = object_of(attention).key_partition().local_rows(attention->communicator->rank());
  if (key_padding != nullptr)
    input.key_padding = {key_padding, static_cast<std::size_t>(attention->shape.batch * rows)};
  return input;
}

ThresholdRows &object_of(FlashringThresholdRows rows) {
  if (!rows->rows) {
    ThresholdRowsOptions options = rows->options;
    if (options.parameters.empty()) options.parameters = {default_parameter(options.op)};
    rows->rows.emplace(*rows->communicator, rows->shape, options);
  }
  return *rows->rows;
}

Storage storage_of(FlashringStorage storage) {
  FLASHRING_CHECK(storage >= FLASHRING_FP64 && storage <= FLASHRING_FP16, "storage ", static_cast<int>(storage),
                  " is unknown; give FLASHRING_FP64, FLASHRING_FP32, FLASHRING_BF16 or FLASHRING_FP16");
  return static_cast<Storage>(storage);
}

/// Of numbers with names, that with this one.
double metric_named(std::string_view name, std::initializer_list<std::pair<std::string_view, double>> metrics) {
  std::string known;
  for (const auto &[key, value] : metrics) {
    if (key == name) return value;
    known += (known.empty() ? "" : ", ") + std::string(key);
  }
  throw Error(detail::concatenate("metric '", name, "' is unknown; known are ", known));
}

}  // namespace
}  // namespace flashring

PetscErrorCode FlashringAttentionCreate(MPI_Comm comm, const FlashringAttentionShape *shape, FlashringStorage storage,
                                        FlashringAttention *attention) {
  PetscFunctionBegin;
  FLASHRING_GUARD(comm, {
    for (const PetscInt extent : {shape->heads, shape->key_heads, shape->width, shape->value_width})
      FLASHRING_CHECK(extent <= std::numeric_limits<int>::max(), "heads ", shape->heads, " and ", shape->key_heads,
                      ", widths ", shape->width, " and ", shape->value_width, ": each must be below 2^31");
    auto made = std::make_unique<FlashringAttention_>();
    made->comm = comm;
    made->communicator = flashring::make_mpi_communicator(comm);
    made->shape = {shape->batch, static_cast<int>(shape->heads), static_cast<int>(shape->key_heads),  shape->queries,
                   shape->keys,  static_cast<int>(shape->width), static_cast<int>(shape->value_width)};
    made->storage = flashring::storage_of(storage);
    *attention = made.release();
  });
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode FlashringAttentionDestroy(FlashringAttention *attention) {
  PetscFunctionBegin;
  delete *attention;
  *attention = nullptr;
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode FlashringAttentionSetOption(FlashringAttention attention, const char name[], const char value[]) {
  PetscFunctionBegin;
  FLASHRING_GUARD(attention->comm, {
    FLASHRING_CHECK(!attention->attention, "option '", name, "' comes after the first use; set it before");
    flashring::set_option(attention->options, name, value);
  });
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode FlashringAttentionGetRows(FlashringAttention attention, PetscBool of_keys, PetscInt64 *local_rows,
                                         PetscInt64 rows[]) {
  PetscFunctionBegin;
  FLASHRING_GUARD(attention->comm, {
    const flashring::Attention &object = flashring::object_of(attention);
    const flashring::RowPartition &partition =
        of_keys == PETSC_TRUE ? object.key_partition() : object.query_partition();
    const int rank = attention->communicator->rank();
    *local_rows = partition.local_rows(rank);
    for (std::int64_t i = 0; rows != nullptr && i < *local_rows; ++i)
      rows[i] = partition.global_row(rank, flashring::LocalRow{i}).value;
  });
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode FlashringAttentionForward(FlashringAttention attention, const void *q, const void *k, const void *v,
                                         const unsigned char *key_padding, void *o) {
  PetscFunctionBegin;
  FLASHRING_GUARD(attention->comm, {
    flashring::Attention &object = flashring::object_of(attention);
    attention->saved.reset();  // where this fails there is nothing to go back from
    attention->saved = object.forward(flashring::input_of(attention, q, k, v, key_padding), {o, attention->storage});
  });
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode FlashringAttentionBackward(FlashringAttention attention, const void *q, const void *k, const void *v,
                                          const unsigned char *key_padding, const void *o, const void *d_o, void *d_q,
                                          void *d_k, void *d_v, PetscReal d_alpha[]) {
  PetscFunctionBegin;
  PetscCheck(attention->saved.has_value(), attention->comm, PETSC_ERR_ORDER,
             "call FlashringAttentionForward before FlashringAttentionBackward");
  FLASHRING_GUARD(attention->comm, {
    const flashring::Storage storage = attention->storage;
    const std::vector<double> slopes = attention->attention->backward(
        flashring::input_of(attention, q, k, v, key_padding), {o, storage}, *attention->saved, {d_o, storage},
        {d_q, storage}, {d_k, storage}, {d_v, storage});
    if (d_alpha != nullptr) std::copy(slopes.begin(), slopes.end(), d_alpha);
  });
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode FlashringAttentionGetMetric(FlashringAttention attention, const char name[], PetscReal *value) {
  PetscFunctionBegin;
  FLASHRING_GUARD(PETSC_COMM_SELF, {
    FLASHRING_CHECK(attention->attention, "no call has been made");
    const flashring::AttentionReport &report = attention->attention->report();
    *value = flashring::metric_named(name, {{"passes", report.passes},
                                            {"iterations", report.iterations},
                                            {"sum_error", report.sum_error},
                                            {"tiles_visited", report.tiles_visited},
                                            {"tiles_skipped", report.tiles_skipped}});
  });
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode FlashringThresholdRowsCreate(MPI_Comm comm, PetscInt64 outer, PetscInt64 n, PetscInt64 inner,
                                            FlashringStorage storage, FlashringThresholdRows *rows) {
  PetscFunctionBegin;
  FLASHRING_GUARD(comm, {
    auto made = std::make_unique<FlashringThresholdRows_>();
    made->comm = comm;
    made->communicator = flashring::make_mpi_communicator(comm);
    made->shape = {outer, n, inner};
    made->storage = flashring::storage_of(storage);
    made->options.parameters.clear();
    *rows = made.release();
  });
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode FlashringThresholdRowsDestroy(FlashringThresholdRows *rows) {
  PetscFunctionBegin;
  delete *rows;
  *rows = nullptr;
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode FlashringThresholdRowsSetOption(FlashringThresholdRows rows, const char name[], const char value[]) {
  PetscFunctionBegin;
  FLASHRING_GUARD(rows->comm, {
    flashring::set_option(rows->options, name, value);
    rows->renew();
  });
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode FlashringThresholdRowsSetAlpha(FlashringThresholdRows rows, PetscInt64 count, const PetscReal numbers[],
                                              PetscInt64 rows_per_group) {
  PetscFunctionBegin;
  FLASHRING_GUARD(rows->comm, {
    FLASHRING_CHECK(count >= 1, "alpha: ", count, " numbers; give 1 or more");
    rows->options.parameters.assign(numbers, numbers + count);
    rows->options.rows_per_group = rows_per_group;
    rows->renew();
  });
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode FlashringThresholdRowsForward(FlashringThresholdRows rows, const void *x, void *p) {
  PetscFunctionBegin;
  FLASHRING_GUARD(rows->comm, {
    rows->saved.reset();  // where this fails there is nothing to go back from
    rows->saved = flashring::object_of(rows).forward(x, rows->storage, p);
  });
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode FlashringThresholdRowsBackward(FlashringThresholdRows rows, const void *x, const void *g, void *dx,
                                              PetscReal d_alpha[]) {
  PetscFunctionBegin;
  PetscCheck(rows->saved.has_value(), rows->comm, PETSC_ERR_ORDER,
             "call FlashringThresholdRowsForward before FlashringThresholdRowsBackward");
  FLASHRING_GUARD(rows->comm, {
    const std::vector<double> slopes = rows->rows->backward(x, *rows->saved, g, rows->storage, dx);
    if (d_alpha != nullptr) std::copy(slopes.begin(), slopes.end(), d_alpha);
  });
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode FlashringThresholdRowsGetMetric(FlashringThresholdRows rows, const char name[], PetscReal *value) {
  PetscFunctionBegin;
  FLASHRING_GUARD(PETSC_COMM_SELF, {
    FLASHRING_CHECK(rows->rows, "no call has been made with these options");
    const flashring::ThresholdMetrics &m = rows->rows->metrics();
    *value = flashring::metric_named(name, {{"rows", static_cast<double>(m.rows)},
                                            {"iterations", m.iterations},
                                            {"largest_step", m.largest_step},
                                            {"sum_error", m.sum_error},
                                            {"mean_support", m.mean_support},
                                            {"zeros", m.zeros},
                                            {"mean_entropy", m.mean_entropy},
                                            {"alpha_min", m.alpha_min},
                                            {"alpha_mean", m.alpha_mean},
                                            {"alpha_max", m.alpha_max},
                                            {"gradient_norm", m.gradient_norm},
                                            {"alpha_gradient_norm", m.parameter_gradient_norm}});
  });
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode FlashringAlphaMap(const char map[], PetscReal c, PetscReal beta0, PetscReal log_beta, PetscReal *alpha,
                                 PetscReal *complement, PetscReal *derivative) {
  PetscFunctionBegin;
  FLASHRING_GUARD(PETSC_COMM_SELF, {
    const flashring::AlphaMap of_beta(map, c, beta0);
    if (alpha != nullptr) *alpha = of_beta.value(log_beta);
    if (complement != nullptr) *complement = of_beta.complement(log_beta);
    if (derivative != nullptr) *derivative = of_beta.derivative(log_beta);
  });
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode FlashringAlphaMapInverse(const char map[], PetscReal c, PetscReal beta0, PetscReal alpha,
                                        PetscReal *log_beta) {
  PetscFunctionBegin;
  FLASHRING_GUARD(PETSC_COMM_SELF, { *log_beta = flashring::AlphaMap(map, c, beta0).inverse(alpha); });
  PetscFunctionReturn(PETSC_SUCCESS);
}
