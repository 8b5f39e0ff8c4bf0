// SLEPc's EPS on a symmetric matrix, start vectors that do not depend on the number of ranks.
#include "flashring/eigensolve.hpp"

#include <slepc/private/epsimpl.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string_view>

#include "base/pages.hpp"
#include "flashring/block_krylov_schur.h"
#include "flashring/check.hpp"
#include "flashring/petsc_mat.hpp"
#include "petsc/mat_context.hpp"
#include "solve/basis_columns.hpp"
#include "solve/block_basis.hpp"
#include "solve/block_checkpoint.hpp"
#include "solve/block_krylov_schur.hpp"

namespace flashring {
namespace {

/// After an interruption SLEPc's own objects are in the middle of a step and refuse to go: what they hold then stays
/// until the process ends.
struct DestroyEps {
  void operator()(EPS eps) const { EPSDestroy(&eps); }
};
using OwnedEps = std::unique_ptr<std::remove_pointer_t<EPS>, DestroyEps>;

struct DestroyVec {
  void operator()(Vec v) const { VecDestroy(&v); }
};
using OwnedVec = std::unique_ptr<std::remove_pointer_t<Vec>, DestroyVec>;

/// What the monitor remembers and passes on.
struct Watch {
  const EigenRequest *request = nullptr;
  EigenPairs found;
};

std::string type_of(EPS eps) {
  EPSType type = nullptr;
  check_petsc(EPSGetType(eps, &type), "EPSGetType");
  return type;
}

double untransformed(EPS eps, PetscScalar value) {
  ST st = nullptr;
  PetscScalar none = 0;
  check_petsc(EPSGetST(eps, &st), "EPSGetST");
  check_petsc(STBackTransform(st, 1, &value, &none), "STBackTransform");
  return value;
}

PetscErrorCode monitor(EPS eps, PetscInt /*its*/, PetscInt converged, PetscScalar *values, PetscScalar * /*imag*/,
                       PetscReal *errors, PetscInt estimates, void *context) {
  auto *watch = static_cast<Watch *>(context);
  const int wanted = watch->request->pairs;
  const double open_error = converged < estimates ? errors[converged] : 0.0;
  PetscFunctionBegin;
  FLASHRING_GUARD(PetscObjectComm((PetscObject)eps), {
    if (estimates > wanted) watch->found.next_value = untransformed(eps, values[wanted]);
    watch->found.values.clear();
    for (PetscInt k = 0; k < std::min<PetscInt>(converged, wanted); ++k)
      watch->found.values.push_back(untransformed(eps, values[k]));
    const double last_error = estimates >= wanted ? errors[wanted - 1] : std::numeric_limits<double>::quiet_NaN();
    if (watch->request->progress)
      watch->request->progress({static_cast<int>(converged), wanted, open_error, last_error, watch->found.tolerance});
  });
  PetscFunctionReturn(PETSC_SUCCESS);
}

OwnedVec random_vector(Mat A, std::uint64_t seed, int minor) {
  Vec v = nullptr;
  check_petsc(MatCreateVecs(A, &v, nullptr), "MatCreateVecs");
  OwnedVec owned(v);
  set_random(v, seed, static_cast<std::uint64_t>(minor));
  return owned;
}

/// The block solver draws vectors of the same numbers itself.
void set_seed(EPS eps, std::uint64_t seed) {
  PetscBool given = PETSC_FALSE;
  const char *prefix = nullptr;
  check_petsc(EPSGetOptionsPrefix(eps, &prefix), "EPSGetOptionsPrefix");
  check_petsc(PetscOptionsHasName(nullptr, prefix, "-eps_blockkrylovschur_seed", &given), "PetscOptionsHasName");
  if (given == PETSC_FALSE)
    check_petsc(EPSBlockKrylovSchurSetSeed(eps, static_cast<PetscInt>(seed & 0x7fffffffU)),
                "EPSBlockKrylovSchurSetSeed");
}

void set_checkpoints(EPS eps, const EigenRequest &request) {
  if (request.checkpoint.empty() && request.restart.empty()) return;
  if (type_of(eps) != EPSBLOCKKRYLOVSCHUR)
    throw Error(
        detail::concatenate("-checkpoint and -restart need -eps_type ", EPSBLOCKKRYLOVSCHUR, ", not ", type_of(eps)),
        true);
  if (!request.checkpoint.empty())
    check_petsc(EPSBlockKrylovSchurSetCheckpoint(eps, request.checkpoint.c_str(), request.checkpoint_every),
                "EPSBlockKrylovSchurSetCheckpoint");
  claim_checkpoint(eps, *static_cast<BlockKrylovSchur *>(eps->data));  // a refusal comes before the set-up passes
  if (!request.restart.empty())
    check_petsc(EPSBlockKrylovSchurSetRestart(eps, request.restart.c_str()), "EPSBlockKrylovSchurSetRestart");
}

/// What the block solver has to say beside its pairs.
std::vector<std::string> findings_of(EPS eps) {
  if (type_of(eps) != EPSBLOCKKRYLOVSCHUR) return {};
  return static_cast<const BlockKrylovSchur *>(eps->data)->findings;
}

/// The vectors that the request has for a block of the size that was chosen.
void set_block_start(EPS eps, Mat A, const EigenRequest &request) {
  set_seed(eps, request.seed);
  if (!request.start || !request.restart.empty()) return;
  PetscInt block = 0;
  PetscInt rows = 0;
  check_petsc(EPSSetUp(eps), "EPSSetUp");
  check_petsc(EPSBlockKrylovSchurGetBlockSize(eps, &block), "EPSBlockKrylovSchurGetBlockSize");
  check_petsc(MatGetLocalSize(A, &rows, nullptr), "MatGetLocalSize");
  const std::vector<double> given = request.start(static_cast<int>(block));
  // A rank without rows knows the number of vectors from the others.
  PetscInt count = rows > 0 ? static_cast<PetscInt>(std::ssize(given) / rows) : 0;
  const int code = MPI_Allreduce(MPI_IN_PLACE, &count, 1, MPIU_INT, MPI_MAX, PetscObjectComm((PetscObject)eps));
  FLASHRING_CHECK(code == MPI_SUCCESS, "MPI_Allreduce failed");
  std::vector<OwnedVec> owned;
  std::vector<Vec> start;
  for (PetscInt c = 0; c < count; ++c) {
    Vec v = nullptr;
    PetscScalar *array = nullptr;
    check_petsc(MatCreateVecs(A, &v, nullptr), "MatCreateVecs");
    owned.emplace_back(v);
    start.push_back(v);
    check_petsc(VecGetArrayWrite(v, &array), "VecGetArrayWrite");
    std::copy_n(given.begin() + std::ptrdiff_t{c} * rows, rows, array);
    check_petsc(VecRestoreArrayWrite(v, &array), "VecRestoreArrayWrite");
  }
  if (count > 0) check_petsc(EPSSetInitialSpace(eps, count, start.data()), "EPSSetInitialSpace");
}

/// Krylov solvers read one start vector, block solvers a whole space: what they do not get they draw rank by rank.
void set_start(EPS eps, Mat A, const EigenRequest &request) {
  PetscInt nev = 0;
  PetscInt ncv = 0;
  check_petsc(EPSGetDimensions(eps, &nev, &ncv, nullptr), "EPSGetDimensions");
  const std::string name = type_of(eps);
  if (name == EPSBLOCKKRYLOVSCHUR) return set_block_start(eps, A, request);
  const bool single =
      name == EPSKRYLOVSCHUR || name == EPSARNOLDI || name == EPSLANCZOS || name == EPSPOWER || name == EPSARPACK;
  PetscInt rows = 0;
  check_petsc(MatGetSize(A, &rows, nullptr), "MatGetSize");
  const PetscInt count = single ? 1 : std::min(rows, ncv > 0 ? ncv : nev);
  std::vector<OwnedVec> owned;
  std::vector<Vec> start;
  for (PetscInt c = 0; c < count; ++c) {
    owned.push_back(random_vector(A, request.seed, static_cast<int>(c)));
    start.push_back(owned.back().get());
  }
  check_petsc(EPSSetInitialSpace(eps, count, start.data()), "EPSSetInitialSpace");
}

/// Power and subspace iteration know magnitudes only. The kernels are positive semidefinite, so the largest magnitudes
/// are the largest values there.
void choose_by_magnitude_where_needed(EPS eps) {
  EPSWhich which = EPS_LARGEST_REAL;
  check_petsc(EPSGetWhichEigenpairs(eps, &which), "EPSGetWhichEigenpairs");
  const std::string name = type_of(eps);
  if (which == EPS_LARGEST_REAL && (name == EPSSUBSPACE || name == EPSPOWER))
    check_petsc(EPSSetWhichEigenpairs(eps, EPS_LARGEST_MAGNITUDE), "EPSSetWhichEigenpairs");
}

/// Defaults first, then the user's options. The inner solver is none: without a preconditioner there is nothing to
/// solve, and LOBPCG's default of five GMRES steps a column multiplies the passes by a hundred.
OwnedEps make_solver(Mat A, const EigenRequest &request, Watch &watch) {
  EPS eps = nullptr;
  ST st = nullptr;
  KSP ksp = nullptr;
  PC pc = nullptr;
  check_petsc(FlashringRegisterAll(), "FlashringRegisterAll");
  check_petsc(EPSCreate(PetscObjectComm((PetscObject)A), &eps), "EPSCreate");
  OwnedEps owned(eps);
  check_petsc(EPSSetOptionsPrefix(eps, request.prefix.empty() ? nullptr : request.prefix.c_str()),
              "EPSSetOptionsPrefix");
  check_petsc(EPSSetOperators(eps, A, nullptr), "EPSSetOperators");
  check_petsc(EPSSetProblemType(eps, EPS_HEP), "EPSSetProblemType");
  check_petsc(EPSSetType(eps, EPSBLOCKKRYLOVSCHUR), "EPSSetType");
  check_petsc(EPSSetWhichEigenpairs(eps, EPS_LARGEST_REAL), "EPSSetWhichEigenpairs");
  check_petsc(EPSSetDimensions(eps, request.pairs, PETSC_DEFAULT, PETSC_DEFAULT), "EPSSetDimensions");
  check_petsc(EPSSetTolerances(eps, request.tolerance, PETSC_DEFAULT), "EPSSetTolerances");
  check_petsc(EPSGetST(eps, &st), "EPSGetST");
  check_petsc(STGetKSP(st, &ksp), "STGetKSP");
  check_petsc(KSPSetType(ksp, KSPPREONLY), "KSPSetType");
  check_petsc(KSPGetPC(ksp, &pc), "KSPGetPC");
  check_petsc(PCSetType(pc, PCNONE), "PCSetType");
  check_petsc(EPSSetFromOptions(eps), "EPSSetFromOptions");
  choose_by_magnitude_where_needed(eps);
  set_checkpoints(eps, request);
  check_petsc(EPSMonitorSet(eps, monitor, &watch, nullptr), "EPSMonitorSet");
  return owned;
}

BV basis_of(EPS eps) {
  BV basis = nullptr;
  check_petsc(EPSGetBV(eps, &basis), "EPSGetBV");
  return basis;
}

/// Gives columns [begin, end) of a basis back to the system, where it is one array: nobody reads them any more.
void release_columns(EPS eps, PetscInt begin, PetscInt end) {
  const BasisColumns columns(basis_of(eps));
  BVType type = nullptr;
  PetscScalar *array = nullptr;
  check_petsc(BVGetType(columns.basis, &type), "BVGetType");
  if (std::string_view(type) == BVVECS || begin >= end) return;
  check_petsc(BVGetArray(columns.basis, &array), "BVGetArray");
  release_pages(array + columns.first + begin * columns.stride,
                static_cast<std::size_t>((end - begin) * columns.stride) * sizeof(PetscScalar));
  check_petsc(BVRestoreArray(columns.basis, &array), "BVRestoreArray");
}

/// After an interruption the first columns are the pairs that the monitor counted last. Single columns are out of reach
/// then, since the product that did not end still holds two; the array is not. The basis cannot be destroyed, but its
/// pages go.
void take_interrupted(EPS eps, EigenPairs &found) {
  const BasisColumns columns(basis_of(eps));
  const auto count = static_cast<PetscInt>(found.values.size());
  const PetscScalar *array = nullptr;
  release_columns(eps, count, columns.count);
  found.vectors.reserve(found.values.size() * static_cast<std::size_t>(columns.rows));
  check_petsc(BVGetArrayRead(columns.basis, &array), "BVGetArrayRead");
  for (PetscInt k = 0; k < count; ++k) {
    const PetscScalar *column = array + columns.first + k * columns.stride;
    found.vectors.insert(found.vectors.end(), column, column + columns.rows);
  }
  check_petsc(BVRestoreArrayRead(columns.basis, &array), "BVRestoreArrayRead");
  release_columns(eps, 0, count);
}

void append_column(Vec v, std::vector<double> &columns) {
  const PetscScalar *array = nullptr;
  PetscInt rows = 0;
  check_petsc(VecGetLocalSize(v, &rows), "VecGetLocalSize");
  check_petsc(VecGetArrayRead(v, &array), "VecGetArrayRead");
  columns.insert(columns.end(), array, array + rows);
  check_petsc(VecRestoreArrayRead(v, &array), "VecRestoreArrayRead");
}

void take_pairs(EPS eps, Mat A, const EigenRequest &request, EigenPairs &found) {
  PetscInt converged = 0;
  PetscInt rows = 0;
  Vec v = nullptr;
  check_petsc(EPSGetConverged(eps, &converged), "EPSGetConverged");
  check_petsc(MatCreateVecs(A, &v, nullptr), "MatCreateVecs");
  const OwnedVec owned(v);
  check_petsc(VecGetLocalSize(v, &rows), "VecGetLocalSize");
  const int count = static_cast<int>(std::min<PetscInt>(converged, request.pairs));
  found.values.clear();
  found.vectors.reserve(static_cast<std::size_t>(count) * static_cast<std::size_t>(rows));
  for (int k = 0; k < count; ++k) {
    PetscScalar value = 0;
    check_petsc(EPSGetEigenpair(eps, k, &value, nullptr, v, nullptr), "EPSGetEigenpair");
    // All vectors are there now, and their copies shall take no more memory.
    if (k == 0) release_columns(eps, converged, BasisColumns(basis_of(eps)).count);
    check_petsc(VecNormalize(v, nullptr), "VecNormalize");
    found.values.push_back(value);
    append_column(v, found.vectors);
  }
  if (converged > request.pairs) {
    PetscScalar next = 0;
    check_petsc(EPSGetEigenvalue(eps, request.pairs, &next, nullptr), "EPSGetEigenvalue");
    found.next_value = next;
  }
}

std::string reason_in_words(EPS eps) {
  EPSConvergedReason reason = EPS_CONVERGED_ITERATING;
  check_petsc(EPSGetConvergedReason(eps, &reason), "EPSGetConvergedReason");
  if (reason == EPS_DIVERGED_ITS) return "not converged: the iteration limit was reached (-eps_max_it)";
  if (reason == EPS_DIVERGED_BREAKDOWN) return "not converged: the solver broke down; try another -eps_type or -seed";
  if (reason == EPS_DIVERGED_SYMMETRY_LOST) return "not converged: symmetry was lost";
  return "converged";
}

}  // namespace

double default_tolerance(Precision precision) {
  if (precision == Precision::fp64) return 1e-8;
  return precision == Precision::fp32 ? 1e-6 : 1e-4;
}

EigenPairs eigensolve(Mat A, const EigenRequest &request) {
  PetscInt rows = 0;
  check_petsc(MatGetSize(A, &rows, nullptr), "MatGetSize");
  FLASHRING_CHECK(request.pairs >= 1 && request.pairs <= rows, "-nev ", request.pairs, " is outside [1, ", rows,
                  "]: there are ", rows, " points");
  Watch watch{&request, {}};
  EigenPairs &found = watch.found;
  const OwnedEps eps = make_solver(A, request, watch);
  found.solver = type_of(eps.get());
  check_petsc(EPSGetTolerances(eps.get(), &found.tolerance, nullptr), "EPSGetTolerances");
  if (request.before_first_pass) request.before_first_pass();
  set_start(eps.get(), A, request);
  try {
    check_petsc(EPSSolve(eps.get()), "EPSSolve");
    take_pairs(eps.get(), A, request, found);
    found.status = reason_in_words(eps.get());
  } catch (const Interrupted &) {
    if (found.values.empty()) throw;
    found.interrupted = true;
    found.status = "interrupted by the user";
    take_interrupted(eps.get(), found);
  }
  found.findings = findings_of(eps.get());
  PetscInt iterations = 0;
  check_petsc(EPSGetIterationNumber(eps.get(), &iterations), "EPSGetIterationNumber");
  found.iterations = static_cast<int>(iterations);
  found.complete = !found.interrupted && static_cast<int>(found.values.size()) == request.pairs;
  return std::move(found);
}

}  // namespace flashring
