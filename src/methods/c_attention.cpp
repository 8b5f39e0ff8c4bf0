// The C interface of attention.h.
#include "flashring/attention.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <optional>

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

}  // namespace
}  // namespace flashring

PetscErrorCode FlashringAttentionCreate(MPI_Comm comm, const FlashringAttentionShape *shape, FlashringStorage storage,
                                        FlashringAttention *attention) {
  PetscFunctionBegin;
  FLASHRING_GUARD(comm, {
    FLASHRING_CHECK(storage >= FLASHRING_FP64 && storage <= FLASHRING_FP16, "storage ", static_cast<int>(storage),
                    " is unknown; give FLASHRING_FP64, FLASHRING_FP32, FLASHRING_BF16 or FLASHRING_FP16");
    for (const PetscInt extent : {shape->heads, shape->key_heads, shape->width, shape->value_width})
      FLASHRING_CHECK(extent <= std::numeric_limits<int>::max(), "heads ", shape->heads, " and ", shape->key_heads,
                      ", widths ", shape->width, " and ", shape->value_width, ": each must be below 2^31");
    auto made = std::make_unique<FlashringAttention_>();
    made->comm = comm;
    made->communicator = flashring::make_mpi_communicator(comm);
    made->shape = {shape->batch, static_cast<int>(shape->heads), static_cast<int>(shape->key_heads),  shape->queries,
                   shape->keys,  static_cast<int>(shape->width), static_cast<int>(shape->value_width)};
    made->storage = static_cast<flashring::Storage>(storage);
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
