// An operator over all ranks and the matrix of PETSc that is made of it.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "flashring/petsc_mat.hpp"
#include "support/apply.hpp"

namespace flashring::test {

struct OperatorMat {
  OperatorMat(const OperatorOptions &options, PointBlock points)
      : op(flashring::make_operator(PETSC_COMM_WORLD, options, std::move(points))) {
    check_petsc(mat_create(PETSC_COMM_WORLD, op, &A), "mat_create");
  }
  /// Of generated points.
  OperatorMat(Settings settings, const std::string &set)
      : OperatorMat(options_of(settings), generate_points(set, world())) {}
  OperatorMat(const OperatorMat &) = delete;
  OperatorMat &operator=(const OperatorMat &) = delete;
  ~OperatorMat() { MatDestroy(&A); }

  std::shared_ptr<KernelOperator> op;
  Mat A = nullptr;
};

}  // namespace flashring::test
