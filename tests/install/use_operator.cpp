// The C++ interface from outside: an operator, its product with a vector, and the same as a PETSc matrix.
//   mpirun -n 2 ./use_operator
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <flashring/check.hpp>
#include <flashring/communicator_mpi.hpp>
#include <flashring/kernel_operator.hpp>
#include <flashring/petsc_mat.hpp>

namespace {

/// Largest |entry - 1| over all ranks.
double distance_from_one(const flashring::Communicator &communicator, const std::vector<double> &y) {
  double worst = 0;
  for (const double value : y) worst = std::max(worst, std::abs(value - 1));
  communicator.max(std::span<double>(&worst, 1));
  return worst;
}

/// Each row of P sums to 1: P times ones is ones.
PetscErrorCode run() {
  Mat A = nullptr;
  Vec x = nullptr;
  Vec y = nullptr;
  PetscReal norm = 0;
  PetscInt rows = 0;
  PetscFunctionBegin;
  flashring::OperatorOptions options;
  options.set("form", "markov");
  options.set("pair", "matern32:ell=0.5");
  const auto communicator = flashring::make_mpi_communicator(PETSC_COMM_WORLD);
  const auto op =
      flashring::make_operator(PETSC_COMM_WORLD, options, flashring::generate_points("torus:n=20,q=2", *communicator));
  const auto n = static_cast<std::size_t>(op->local_rows());
  const std::vector<double> ones(n, 1.0);
  std::vector<double> product(n);
  op->apply(ones.data(), op->local_rows(), product.data(), op->local_rows(), 1);
  const double worst = distance_from_one(*communicator, product);
  PetscCall(PetscPrintf(PETSC_COMM_WORLD, "apply: P 1 is 1: %s\n", worst < 1e-13 ? "yes" : "no"));

  PetscCall(flashring::mat_create(PETSC_COMM_WORLD, op, &A));
  PetscCall(MatGetSize(A, &rows, nullptr));
  PetscCall(MatCreateVecs(A, &x, &y));
  PetscCall(VecSet(x, 1));
  PetscCall(MatMult(A, x, y));
  PetscCall(VecAXPY(y, -1, x));
  PetscCall(VecNorm(y, NORM_INFINITY, &norm));
  PetscCall(PetscPrintf(PETSC_COMM_WORLD, "MatMult on %d rows: P 1 is 1: %s\n", static_cast<int>(rows),
                        norm < 1e-13 ? "yes" : "no"));
  PetscCall(VecDestroy(&x));
  PetscCall(VecDestroy(&y));
  PetscCall(MatDestroy(&A));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/// Exceptions of the library reach its users.
bool errors_arrive() {
  try {
    flashring::OperatorOptions().set("pair", "no_such_pair");
  } catch (const flashring::Error &error) {
    return std::string(error.what()).find("no_such_pair") != std::string::npos;
  }
  return false;
}

}  // namespace

int main(int argc, char **argv) {
  PetscCall(PetscInitialize(&argc, &argv, nullptr, nullptr));
  PetscCall(FlashringRegisterAll());
  PetscCall(PetscPrintf(PETSC_COMM_WORLD, "%s", flashring::build_description().c_str()));
  PetscCall(run());
  PetscCall(PetscPrintf(PETSC_COMM_WORLD, "errors arrive: %s\n", errors_arrive() ? "yes" : "no"));
  PetscCall(PetscFinalize());
  return 0;
}
