// Options of the matrix type, and its set-up: points from the program, from a file or generated, laid out as PETSc
// wants them.
#include <petscmat.h>

#include <vector>

#include "flashring/communicator_mpi.hpp"
#include "flashring/devices.hpp"
#include "petsc/mat_context.hpp"

namespace flashring {
namespace {

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

/// Rows of every rank in the layout of the matrix.
PetscErrorCode layout_partition(Mat A, RowPartition *partition) {
  PetscLayout rows = nullptr;
  const PetscInt *ranges = nullptr;
  PetscMPIInt size = 0;
  const MPI_Comm comm = PetscObjectComm((PetscObject)A);
  PetscFunctionBegin;
  PetscCall(MatGetLayouts(A, &rows, nullptr));
  PetscCallMPI(MPI_Comm_size(comm, &size));
  PetscCall(PetscLayoutGetRanges(rows, &ranges));
  std::vector<std::int64_t> counts;
  for (PetscMPIInt r = 0; r < size; ++r) counts.push_back(ranges[r + 1] - ranges[r]);
  FLASHRING_GUARD(comm, *partition = RowPartition::from_counts(counts));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/// Fixes the layout of the matrix for `rows` points.
PetscErrorCode match_layouts(Mat A, std::int64_t rows, std::int64_t local_rows) {
  PetscLayout layouts[2];  // rows, columns
  PetscBool same = PETSC_FALSE;
  const MPI_Comm comm = PetscObjectComm((PetscObject)A);
  PetscFunctionBegin;
  PetscCheck(rows <= PETSC_MAX_INT, comm, PETSC_ERR_ARG_OUTOFRANGE,
             "%lld points do not fit PetscInt; use a PETSc with 64-bit indices", (long long)rows);
  PetscCall(MatGetLayouts(A, &layouts[0], &layouts[1]));
  for (PetscLayout layout : layouts) PetscCall(match_layout(layout, rows, local_rows, comm));
  PetscCall(PetscLayoutCompare(layouts[0], layouts[1], &same));
  PetscCheck(same, comm, PETSC_ERR_ARG_SIZ,
             "rows and columns are laid out differently; give both the same local sizes");
  PetscFunctionReturn(PETSC_SUCCESS);
}

/// What belongs to points that are here: from the options, and lengths or covariances that the program gave.
void add_to_points(const MatContext &context, const Communicator &communicator, Input &input) {
  read_scales_and_weights(context.input, communicator, input);
  communicator.agree([&] {
    if (!context.point_scales.empty()) input.points.set_point_scales(context.point_scales, context.point_scale);
  });
}

/// Points, weights and scales that the options name, on the layout of the matrix.
PetscErrorCode take_input(Mat A, const MatContext &context, Input *input) {
  RowPartition partition;
  const MPI_Comm comm = PetscObjectComm((PetscObject)A);
  PetscFunctionBegin;
  PetscCheck(context.input.points.empty() != context.input.generate.empty(), comm, PETSC_ERR_USER_INPUT,
             "give the points of this matrix by MatFlashringSetPoints, -mat_flashring_points FILE or "
             "-mat_flashring_generate SET");
  FLASHRING_GUARD(comm, input->points = read_input_points(context.input, *make_mpi_communicator(comm)));
  PetscCall(match_layouts(A, input->points.partition().rows(), input->points.local_rows()));
  PetscCall(layout_partition(A, &partition));
  FLASHRING_GUARD(comm, {
    const std::unique_ptr<Communicator> communicator = make_mpi_communicator(comm);
    input->points = redistribute(*communicator, std::move(input->points), partition);
    add_to_points(context, *communicator, *input);
  });
  PetscFunctionReturn(PETSC_SUCCESS);
}

/// Points that the program gave: their rows are those of the layout.
PetscErrorCode take_given(Mat A, const MatContext &context, Input *input) {
  RowPartition partition;
  const MPI_Comm comm = PetscObjectComm((PetscObject)A);
  PetscLayout layout = nullptr;
  PetscInt rows = 0;
  PetscInt local = 0;
  PetscFunctionBegin;
  PetscCheck(context.input.points.empty() && context.input.generate.empty(), comm, PETSC_ERR_USER_INPUT,
             "the program gives the points of this matrix; take back -mat_flashring_points or -mat_flashring_generate");
  PetscCall(MatGetLayouts(A, &layout, nullptr));
  PetscCall(PetscLayoutSetUp(layout));  // the program gave local sizes: their sum is known from here on
  PetscCall(PetscLayoutGetSize(layout, &rows));
  PetscCall(PetscLayoutGetLocalSize(layout, &local));
  PetscCall(match_layouts(A, rows, local));
  PetscCall(layout_partition(A, &partition));
  FLASHRING_GUARD(comm, {
    const std::unique_ptr<Communicator> communicator = make_mpi_communicator(comm);
    const double most = communicator->max(context.features);
    communicator->agree([&] {
      FLASHRING_CHECK(context.features == most, "points have ", context.features, " features here and ", most,
                      " on another rank; give every rank the same number");
      input->points = PointBlock(partition, communicator->rank(), context.features, context.coordinates);
    });
    add_to_points(context, *communicator, *input);
  });
  PetscFunctionReturn(PETSC_SUCCESS);
}

template <class Options>
PetscErrorCode read_option(FlashringOptionItems PetscOptionsObject, MPI_Comm comm, const Option &option,
                           Options &options) {
  char text[PETSC_MAX_PATH_LEN];
  const char *value = nullptr;
  PetscBool given = PETSC_FALSE;
  PetscFunctionBegin;
  const std::string key = std::string("-mat_flashring_") + option.name;
  const std::string help = std::string(option.help) + " (" + option.values + ")";
  PetscCall(PetscOptionsString(key.c_str(), help.c_str(), "", std::string(options.get(option.name)).c_str(), text,
                               sizeof(text), &given));
  if (!given) PetscFunctionReturn(PETSC_SUCCESS);
  // The text above is for -help and may be cut; lists of scales are long.
  PetscCall(PetscOptionsFindPair(PetscOptionsObject->options, PetscOptionsObject->prefix, key.c_str(), &value, &given));
  FLASHRING_GUARD(comm, options.set(option.name, value == nullptr ? "" : value));
  PetscFunctionReturn(PETSC_SUCCESS);
}

}  // namespace

PetscErrorCode mat_set_from_options(Mat A, FlashringOptionItems PetscOptionsObject) {
  MatContext *context = nullptr;
  const MPI_Comm comm = PetscObjectComm((PetscObject)A);
  PetscFunctionBegin;
  PetscCall(mat_context(A, &context));
  PetscOptionsHeadBegin(PetscOptionsObject, "Mat flashring options");
  for (const Option &option : input_options()) PetscCall(read_option(PetscOptionsObject, comm, option, context->input));
  for (const Option &option : operator_options())
    PetscCall(read_option(PetscOptionsObject, comm, option, context->options));
  PetscOptionsHeadEnd();
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode mat_set_up(Mat A) {
  MatContext *context = nullptr;
  PetscFunctionBegin;
  PetscCall(mat_context(A, &context));
  if (context->op == nullptr) {
    Input input;
    const MPI_Comm comm = PetscObjectComm((PetscObject)A);
    if (context->features > 0)
      PetscCall(take_given(A, *context, &input));
    else
      PetscCall(take_input(A, *context, &input));
    if (!context->weights.empty()) input.weights = context->weights;
    if (!context->target.empty()) input.target = context->target;
    // The context changes when all has gone well, so that a program may correct an option and try again.
    FLASHRING_GUARD(comm, context->op = make_operator(comm, context->options, std::move(input)));
    PetscCall(PetscFPrintf(comm, PETSC_STDERR, "%s", missing_device_note(context->options.backend).c_str()));
    context->coordinates = {};
    context->point_scales = {};
    context->weights = {};
    context->target = {};
    PetscCall(PetscInfo(A, "exchange %s: %s\n", context->op->options().exchange.c_str(),
                        context->op->exchange_reason().c_str()));
  }
  if (context->options.form != Form::markov) {
    PetscCall(MatSetOption(A, MAT_SYMMETRIC, PETSC_TRUE));
    PetscCall(MatSetOption(A, MAT_SYMMETRY_ETERNAL, PETSC_TRUE));
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

}  // namespace flashring
