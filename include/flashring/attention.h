/* Attention for C, and for any language that calls C: O = P V, P = softmax(scale Q K^T + mask) row by row, or diffmax,
 * entmax or sparsemax in its place, with tokens spread over ranks, forward and backward. P is never stored.
 *
 * Every function returns a PetscErrorCode and is collective on the communicator of its object unless it says otherwise.
 * PETSc must have been initialised.
 *
 *   FlashringAttentionShape shape = {1, 8, 8, 4096, 4096, 64, 64};
 *   FlashringAttentionCreate(comm, &shape, FLASHRING_FP32, &attention);
 *   FlashringAttentionSetOption(attention, "causal", "true");
 *   FlashringAttentionGetRows(attention, PETSC_FALSE, &n_q, NULL);
 *   FlashringAttentionForward(attention, q, k, v, NULL, o);
 *   FlashringAttentionBackward(attention, q, k, v, NULL, o, d_o, d_q, d_k, d_v, NULL);
 *   FlashringAttentionDestroy(&attention);
 *
 * Source: docs/mathematics.md, "Attention" and "Threshold families". */
#ifndef FLASHRING_ATTENTION_H
#define FLASHRING_ATTENTION_H

#include <petscsys.h>

typedef struct FlashringAttention_ *FlashringAttention;

/* How the numbers of all arrays of an object lie in memory. */
typedef enum { FLASHRING_FP64, FLASHRING_FP32, FLASHRING_BF16, FLASHRING_FP16 } FlashringStorage;

/* Of all ranks together. heads is a multiple of key_heads: query head h reads key head h key_heads / heads. */
typedef struct {
  PetscInt64 batch;
  PetscInt heads, key_heads;
  PetscInt64 queries, keys;
  PetscInt width, value_width; /* of Q and K; of V and O */
} FlashringAttentionShape;

PETSC_EXTERN PetscErrorCode FlashringAttentionCreate(MPI_Comm comm, const FlashringAttentionShape *shape,
                                                     FlashringStorage storage, FlashringAttention *attention);
PETSC_EXTERN PetscErrorCode FlashringAttentionDestroy(FlashringAttention *attention);

/* One option as text, the same on every rank: op, alpha, scale_family, scale, causal, causal_offset, backend,
 * transport, route, threads, with the values that `flashring-attention -help` lists; and memory, where the arrays of the
 * calls lie, key_padding apart: host or device, the current one of CUDA, whose arrays are used where they lie, or by
 * backends of processors copied to the host and results back, with the work on them done before a call and when it
 * returns. Before the first of the following calls. */
PETSC_EXTERN PetscErrorCode FlashringAttentionSetOption(FlashringAttention attention, const char name[],
                                                        const char value[]);

/* Tokens of this rank: how many, and which of all in the order in which the arrays hold them, rows (local_rows) or
 * NULL. of_keys: those of keys and values instead of queries and outputs. Contiguous, or with a causal mask one early
 * and one late run. Collective the first time. */
PETSC_EXTERN PetscErrorCode FlashringAttentionGetRows(FlashringAttention attention, PetscBool of_keys,
                                                      PetscInt64 *local_rows, PetscInt64 rows[]);

/* q (batch, heads, n_q, width), k (batch, key_heads, n_k, width), v (batch, key_heads, n_k, value_width) -> o (batch,
 * heads, n_q, value_width), C order, n_q and n_k the local rows, finite. key_padding (batch, n_k): 1 for a real token,
 * 0 for padding, or NULL on every rank. A query that sees no key gets zeros. */
PETSC_EXTERN PetscErrorCode FlashringAttentionForward(FlashringAttention attention, const void *q, const void *k,
                                                      const void *v, const unsigned char *key_padding, void *o);

/* Gradients with respect to q, k, v of a loss whose gradient with respect to o is d_o, shaped as these. The other
 * arrays are those of the last FlashringAttentionForward. d_alpha, or NULL: the derivative by each number of the option
 * alpha (one where it was not set), summed over all ranks; softmax and sparsemax leave it as it is. */
PETSC_EXTERN PetscErrorCode FlashringAttentionBackward(FlashringAttention attention, const void *q, const void *k,
                                                       const void *v, const unsigned char *key_padding, const void *o,
                                                       const void *d_o, void *d_q, void *d_k, void *d_v,
                                                       PetscReal d_alpha[]);

#endif
