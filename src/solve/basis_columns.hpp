// BasisColumns: where the columns of a basis lie in memory.
#pragma once

#include <slepcbv.h>

#include <cstddef>

#include "petsc/mat_context.hpp"

namespace flashring {

/// Of a BV that keeps its columns in one array.
struct BasisColumns {
  explicit BasisColumns(BV of) : basis(of) {
    PetscInt constraints = 0;
    PetscInt ld = 0;
    check_petsc(BVGetNumConstraints(basis, &constraints), "BVGetNumConstraints");
    check_petsc(BVGetSizes(basis, &rows, nullptr, &count), "BVGetSizes");
    check_petsc(FLASHRING_BASIS_STRIDE(basis, rows, &ld), "BVGetLeadingDimension");
    stride = ld;
    first = stride * constraints;
  }
  BV basis = nullptr;
  PetscInt rows = 0, count = 0;
  std::ptrdiff_t stride = 0, first = 0;  // numbers from column to column, and before the first
};

}  // namespace flashring
