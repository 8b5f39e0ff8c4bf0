// What a matrix of type flashring holds, and the guards between exceptions and PETSc error codes.
#pragma once

#include <petscmat.h>

#include <exception>
#include <memory>
#include <vector>

#include "flashring/check.hpp"
#include "flashring/input.hpp"
#include "flashring/petsc_mat.hpp"

// One source for PETSc 3.18 to 3.25.
#if PETSC_VERSION_GE(3, 20, 0)
#define FLASHRING_BASIS_STRIDE(basis, rows, stride) BVGetLeadingDimension(basis, stride)
#else
#define FLASHRING_BASIS_STRIDE(basis, rows, stride) (*(stride) = (rows), PETSC_SUCCESS)  // columns follow each other
#endif
#if PETSC_VERSION_GE(3, 23, 0)
using FlashringOptionItems = PetscOptionItems;
#define FLASHRING_FEATURE_THRESHOLD EPS_FEATURE_THRESHOLD
#else
using FlashringOptionItems = PetscOptionItems *;
#define FLASHRING_FEATURE_THRESHOLD 0
#endif
#if PETSC_VERSION_GE(3, 24, 0)
#define FLASHRING_OPERATION(f) ((PetscErrorCodeFn *)(f))
#else
#define FLASHRING_OPERATION(f) ((void (*)(void))(f))
#endif
#if PETSC_VERSION_GE(3, 25, 0)
#define FLASHRING_DESTROY_ARGUMENT PetscCtxRt
#define FLASHRING_DESTROYED(p) (*(void **)(p))
#elif PETSC_VERSION_GE(3, 23, 0)
#define FLASHRING_DESTROY_ARGUMENT void **
#define FLASHRING_DESTROYED(p) (*(p))
#else
#define FLASHRING_DESTROY_ARGUMENT void *
#define FLASHRING_DESTROYED(p) (p)
#endif

namespace flashring {

/// Represents scale * op + shift * I. Scale and shift are kept here because MATSHELL forgets the shift in block
/// products.
struct MatContext {
  std::shared_ptr<KernelOperator> op;         // shared by duplicates
  OperatorOptions options;                    // until the operator is made
  InputOptions input;                         // where the points come from when the program gives none
  int features = 0;                           // of the points that the program gave, 0: none
  std::vector<double> coordinates;            // (local_rows, features) until the operator is made
  PointScale point_scale = PointScale::none;  // what the program gave of every point
  std::vector<double> point_scales;           // that, until points take it
  std::vector<double> weights;                // (local_rows), empty: not given
  std::vector<double> target;                 // the same
  PetscScalar scale = 1;
  PetscScalar shift = 0;
};

PetscErrorCode mat_context(Mat A, MatContext **context);

/// Lower triangles of covariances as a program gives them, (rows, features, features). Throws Error for a number of
/// rows or features that none can have, and for one that is not symmetric.
inline std::vector<double> triangles_of(PetscInt rows, PetscInt features, const PetscReal covariances[]) {
  FLASHRING_CHECK(rows >= 0 && features >= 1 && features <= most_covariance_features, "covariances of ", rows,
                  " points of ", features, " features; give 0 rows or more, of 1 to ", most_covariance_features,
                  " features");
  const auto d = static_cast<std::int64_t>(features);
  return covariance_triangles({covariances, covariances + rows * d * d}, d * d, static_cast<int>(features));
}

/// Keeps an exception that is about to become a PetscErrorCode, for check_petsc. Every guard forgets what was kept
/// before: a program may have looked at the code alone.
void remember_error(std::exception_ptr error);

/// Log events, registered with the type: passes over all pairs with all their flops, and inside it one flop per pair of
/// points evaluated, so that -log_view shows pairs in its flop column and Mpairs/s in its rate.
PetscLogEvent pass_event();
PetscLogEvent pairs_event();

PetscErrorCode mat_set_from_options(Mat A, FlashringOptionItems PetscOptionsObject);
PetscErrorCode mat_set_up(Mat A);
/// Installs the operations on a matrix that is a shell and carries its context.
PetscErrorCode mat_install_operations(Mat A);

}  // namespace flashring

/// Runs C++ statements that may throw inside a PETSc callback.
#define FLASHRING_GUARD(comm, ...)                                 \
  do {                                                             \
    ::flashring::remember_error(nullptr);                          \
    try {                                                          \
      __VA_ARGS__;                                                 \
    } catch (const std::exception &error) {                        \
      ::flashring::remember_error(std::current_exception());       \
      SETERRQ(comm, PETSC_ERR_LIB, "flashring: %s", error.what()); \
    }                                                              \
  } while (false)
