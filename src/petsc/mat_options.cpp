// Options of the matrix type and its set-up when a program only names the type and, perhaps, sizes.
#include <petscmat.h>

#include <vector>

#include "flashring/communicator_mpi.hpp"
#include "flashring/readers.hpp"
#include "petsc/mat_context.hpp"

namespace flashring {
namespace {

PetscErrorCode read_points(MPI_Comm comm, const MatContext &context, PointBlock *points) {
  PetscFunctionBegin;
  PetscCheck(context.points.empty() != context.generate.empty(), comm, PETSC_ERR_USER_INPUT,
             "give the points of this matrix by -mat_flashring_points FILE.npy or by -mat_flashring_generate SET");
  FLASHRING_GUARD(comm, {
    const std::unique_ptr<Communicator> communicator = make_mpi_communicator(comm);
    *points = context.points.empty() ? generate_points(context.generate, *communicator)
                                     : read_npy(context.points, *communicator);
  });
  PetscFunctionReturn(PETSC_SUCCESS);
}

/// Sizes that the program left open are set to those of the points, given ones must agree.
PetscErrorCode match_layout(PetscLayout layout, std::int64_t rows, std::int64_t local_rows, MPI_Comm comm) {
  PetscInt N = 0;
  PetscInt n = 0;
  PetscFunctionBegin;
  PetscCall(PetscLayoutGetSize(layout, &N));
  PetscCall(PetscLayoutGetLocalSize(layout, &n));
  if (N < 0 && n < 0) {
    PetscCall(PetscLayoutSetSize(layout, (PetscInt)rows));
    PetscCall(PetscLayoutSetLocalSize(layout, (PetscInt)local_rows));
  }
  PetscCall(PetscLayoutSetUp(layout));
  PetscCall(PetscLayoutGetSize(layout, &N));
  PetscCheck(N == rows, comm, PETSC_ERR_ARG_SIZ, "the matrix has %lld rows, there are %lld points; sizes must agree",
             (long long)N, (long long)rows);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/// Makes sizes and points fit: the layout of the matrix decides which rank holds which point.
PetscErrorCode match_sizes(Mat A, PointBlock *points) {
  PetscLayout layouts[2];  // rows, columns
  const PetscInt *ranges = nullptr;
  PetscMPIInt size = 0;
  const MPI_Comm comm = PetscObjectComm((PetscObject)A);
  const std::int64_t rows = points->partition().rows();
  PetscFunctionBegin;
  PetscCheck(rows <= PETSC_MAX_INT, comm, PETSC_ERR_ARG_OUTOFRANGE,
             "%lld points do not fit PetscInt; use a PETSc with 64-bit indices", (long long)rows);
  PetscCall(MatGetLayouts(A, &layouts[0], &layouts[1]));
  for (PetscLayout layout : layouts) PetscCall(match_layout(layout, rows, points->local_rows(), comm));
  PetscBool same = PETSC_FALSE;
  PetscCall(PetscLayoutCompare(layouts[0], layouts[1], &same));
  PetscCheck(same, comm, PETSC_ERR_ARG_SIZ,
             "rows and columns are laid out differently; give both the same local sizes");
  PetscCallMPI(MPI_Comm_size(comm, &size));
  PetscCall(PetscLayoutGetRanges(layouts[0], &ranges));
  std::vector<std::int64_t> counts;
  for (PetscMPIInt r = 0; r < size; ++r) counts.push_back(ranges[r + 1] - ranges[r]);
  FLASHRING_GUARD(comm, {
    const std::unique_ptr<Communicator> communicator = make_mpi_communicator(comm);
    *points = redistribute(*communicator, std::move(*points), RowPartition::from_counts(counts));
  });
  PetscFunctionReturn(PETSC_SUCCESS);
}

}  // namespace

PetscErrorCode mat_set_from_options(Mat A, FlashringOptionItems PetscOptionsObject) {
  MatContext *context = nullptr;
  char text[PETSC_MAX_PATH_LEN];
  PetscBool given = PETSC_FALSE;
  PetscFunctionBegin;
  PetscCall(mat_context(A, &context));
  PetscOptionsHeadBegin(PetscOptionsObject, "Mat flashring options");
  for (const Option &option : operator_options()) {
    const std::string key = std::string("-mat_flashring_") + option.name;
    const std::string help = std::string(option.help) + " (" + option.values + ")";
    PetscCall(PetscOptionsString(key.c_str(), help.c_str(), "", context->options.get(option.name).c_str(), text,
                                 sizeof(text), &given));
    if (given) FLASHRING_GUARD(PetscObjectComm((PetscObject)A), context->options.set(option.name, text));
  }
  PetscCall(PetscOptionsString("-mat_flashring_points", "file of points (NPY)", "", "", text, sizeof(text), &given));
  if (given) context->points = text;
  PetscCall(
      PetscOptionsString("-mat_flashring_generate", "generated set of points", "", "", text, sizeof(text), &given));
  if (given) context->generate = text;
  PetscOptionsHeadEnd();
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode mat_set_up(Mat A) {
  MatContext *context = nullptr;
  PetscFunctionBegin;
  PetscCall(mat_context(A, &context));
  if (context->op == nullptr) {
    PointBlock points;
    const MPI_Comm comm = PetscObjectComm((PetscObject)A);
    PetscCall(read_points(comm, *context, &points));
    PetscCall(match_sizes(A, &points));
    FLASHRING_GUARD(comm, context->op = make_operator(comm, context->options, std::move(points)));
  }
  if (context->options.form != Form::markov) {
    PetscCall(MatSetOption(A, MAT_SYMMETRIC, PETSC_TRUE));
    PetscCall(MatSetOption(A, MAT_SYMMETRY_ETERNAL, PETSC_TRUE));
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

}  // namespace flashring
