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
 * Rows of scores that a program has are made weights by FlashringThresholdRows.
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

/* One option as text, the same on every rank: op, alpha, complements, scale_family, ensure_sum_one, scale, causal,
 * causal_offset, backend, transport, route, threads, with the values that `flashring-attention -help` lists; gradient,
 * true, or false where there will be no FlashringAttentionBackward, so that a family needs no second output; and memory,
 * where the arrays of the calls lie, key_padding apart: host or device, the current one of CUDA, whose arrays are used where they lie, or by
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
 * 0 for padding, which is read as zeros (in arrays that a device uses where they lie its scores must be finite), or NULL
 * on every rank. A query that sees no key gets zeros. */
PETSC_EXTERN PetscErrorCode FlashringAttentionForward(FlashringAttention attention, const void *q, const void *k,
                                                      const void *v, const unsigned char *key_padding, void *o);

/* Gradients with respect to q, k, v of a loss whose gradient with respect to o is d_o, shaped as these. The other
 * arrays are those of the last FlashringAttentionForward. d_alpha, or NULL: the derivative by each number of the option
 * alpha (one where it was not set), summed over all ranks; softmax and sparsemax leave it as it is. */
PETSC_EXTERN PetscErrorCode FlashringAttentionBackward(FlashringAttention attention, const void *q, const void *k,
                                                       const void *v, const unsigned char *key_padding, const void *o,
                                                       const void *d_o, void *d_q, void *d_k, void *d_v,
                                                       PetscReal d_alpha[]);

/* A number of the last call, over all ranks: passes, iterations (of the threshold, forward), sum_error (largest |sum p -
 * 1| of a row before the division by it, forward), tiles_visited, tiles_skipped. Not collective. */
PETSC_EXTERN PetscErrorCode FlashringAttentionGetMetric(FlashringAttention attention, const char name[],
                                                        PetscReal *value);

/* ---- rows of scores ---- */

/* p_i = [s x_i - tau]_+^e, sum p = 1, for every row of scores x: diffmax, entmax, sparsemax, or their limit softmax.
 * Arrays are (outer, n, inner), C order; a row is the n numbers with the same outer and inner index, and -infinity hides
 * one of them. On several ranks rows are split: each has its n >= 0 of every row, outer and inner alike; with
 * PETSC_COMM_SELF they are whole. */
typedef struct FlashringThresholdRows_ *FlashringThresholdRows;

PETSC_EXTERN PetscErrorCode FlashringThresholdRowsCreate(MPI_Comm comm, PetscInt64 outer, PetscInt64 n,
                                                         PetscInt64 inner, FlashringStorage storage,
                                                         FlashringThresholdRows *rows);
PETSC_EXTERN PetscErrorCode FlashringThresholdRowsDestroy(FlashringThresholdRows *rows);

/* One option as text: op (diffmax unless set), complements, scale_family, ensure_sum_one, backend, threads, with the
 * values that `flashring-attention -help` lists; monitor (true: fill the metrics marked *); memory (host or device: where
 * x, p, g and dx lie; on the current device of CUDA they are worked on in place, and what was queued for them must be
 * done). At any time; a gradient then needs a FlashringThresholdRowsForward of its own. */
PETSC_EXTERN PetscErrorCode FlashringThresholdRowsSetOption(FlashringThresholdRows rows, const char name[],
                                                            const char value[]);
/* alpha of diffmax or a of entmax (with the option complements: 1 - alpha, a - 1), count numbers, 0.5 and 1.5 unless set:
 * one for all rows, or one for each group of rows_per_group rows after each other; behind the last group comes the first
 * again. Row number o inner + i. At any time, as options. */
PETSC_EXTERN PetscErrorCode FlashringThresholdRowsSetAlpha(FlashringThresholdRows rows, PetscInt64 count,
                                                           const PetscReal numbers[], PetscInt64 rows_per_group);

/* x -> p, (outer, n, inner), which may be one array. Fails with the row's number for NaN and +infinity. */
PETSC_EXTERN PetscErrorCode FlashringThresholdRowsForward(FlashringThresholdRows rows, const void *x, void *p);

/* x as the last FlashringThresholdRowsForward got it, g = dL/dp -> dx = dL/dx, (outer, n, inner); dx may be x or g.
 * d_alpha, or NULL: dL/dalpha (dL/da) for each of the numbers, summed over all ranks; softmax and sparsemax leave it as it
 * is. */
PETSC_EXTERN PetscErrorCode FlashringThresholdRowsBackward(FlashringThresholdRows rows, const void *x, const void *g,
                                                           void *dx, PetscReal d_alpha[]);

/* A number of the last call, NaN where it was not measured, over rows with a finite score, masked ones left out: rows,
 * iterations, largest_step, sum_error, mean_support*, zeros*, mean_entropy*, alpha_min, alpha_mean, alpha_max,
 * gradient_norm*, alpha_gradient_norm, as docs/files.md defines them. Not collective. */
PETSC_EXTERN PetscErrorCode FlashringThresholdRowsGetMetric(FlashringThresholdRows rows, const char name[],
                                                            PetscReal *value);

/* ---- a learned alpha ---- */

/* alpha = 1 - w of log beta, with b = beta / beta0: map "hill" w = c b/(1 + b), "tanh" w = c tanh b, "exp" w = c (1 -
 * exp(-b)); 0 < c < 1, beta0 > 0. complement: w with all its digits, for the option complements, however near alpha is to
 * 1, and 0 where it underflows; derivative: d alpha / d log beta. NULL is allowed for each. Not collective. */
PETSC_EXTERN PetscErrorCode FlashringAlphaMap(const char map[], PetscReal c, PetscReal beta0, PetscReal log_beta,
                                              PetscReal *alpha, PetscReal *complement, PetscReal *derivative);
/* log beta of an alpha in (1 - c, 1). Not collective. */
PETSC_EXTERN PetscErrorCode FlashringAlphaMapInverse(const char map[], PetscReal c, PetscReal beta0, PetscReal alpha,
                                                     PetscReal *log_beta);

#endif
