// The EPS type blockkrylovschur: options, set-up, view. What SLEPc hides from types of others (sorting, vectors) is
// lent by one of its own.
#include "solve/block_krylov_schur.hpp"

#include <slepc/private/epsimpl.h>

#include <algorithm>
#include <array>

#include "flashring/block_krylov_schur.h"
#include "petsc/mat_context.hpp"
#include "solve/block_checkpoint.hpp"

namespace flashring {
namespace {

BlockKrylovSchur *data_of(EPS eps) { return static_cast<BlockKrylovSchur *>(eps->data); }

PetscErrorCode settle_block(EPS eps) {
  BlockKrylovSchur *solver = data_of(eps);
  Mat A = nullptr;
  PetscFunctionBegin;
  PetscCall(EPSGetOperators(eps, &A, nullptr));
  FLASHRING_GUARD(PetscObjectComm((PetscObject)eps), {
    PetscInt asked = solver->asked;
    solver->choice.op = kernel_operator_of(A);
    solver->findings.clear();
    prepare_checkpoints(eps, *solver);
    if (solver->checkpoint.reader != nullptr) asked = open_checkpoint(eps, *solver);
    solver->choice = choose_block(A, eps->nev, asked);
  });
  PetscInt &size = solver->choice.size;
  size = std::min(size, eps->n);
  if (solver->asked == 0 && eps->ncv >= 1)  // a basis of given size holds the pairs and a block
    size = std::clamp<PetscInt>(eps->ncv - eps->nev, 1, size);
  PetscFunctionReturn(PETSC_SUCCESS);
}

void settle_sizes(EPS eps) {
  const PetscInt p = data_of(eps)->choice.size;
  eps->ncv = basis_columns(p, eps->nev, eps->ncv, eps->mpd, data_of(eps)->choice.most_columns);
  eps->ncv = std::min(eps->ncv, eps->n);
  if (eps->mpd < 1) eps->mpd = eps->ncv;
  // As many steps as the restarts that Krylov-Schur allows itself would take.
  if (eps->max_it < 1) eps->max_it = std::max<PetscInt>(100, 2 * eps->n / eps->ncv) * ((eps->ncv + p - 1) / p);
}

PetscErrorCode set_up_projected(EPS eps) {
  PetscBool chosen = PETSC_FALSE;
  PetscFunctionBegin;
  PetscCall(DSSetType(eps->ds, eps->ishermitian == PETSC_TRUE ? DSHEP : DSNHEP));
  PetscCall(DSSetCompact(eps->ds, PETSC_FALSE));  // another solver may have left it so
  PetscCall(DSSetExtraRow(eps->ds, PETSC_FALSE));
  // Divide and conquer: the whole eigenproblem is solved in every step.
  PetscCall(PetscOptionsHasName(((PetscObject)eps)->options, ((PetscObject)eps)->prefix, "-ds_method", &chosen));
  if (chosen == PETSC_FALSE) PetscCall(DSSetMethod(eps->ds, eps->ishermitian == PETSC_TRUE ? 2 : 0));
  PetscCall(DSAllocate(eps->ds, eps->ncv));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode set_up(EPS eps) {
  PetscBool refused = PETSC_FALSE;
  PetscFunctionBegin;
  if (eps->isgeneralized == PETSC_TRUE) EPSCheckHermitianDefinite(eps);
  EPSCheckUnsupported(eps, EPS_FEATURE_BALANCE | EPS_FEATURE_ARBITRARY | EPS_FEATURE_REGION | EPS_FEATURE_EXTRACTION |
                               FLASHRING_FEATURE_THRESHOLD);
  PetscCheck(eps->which != EPS_ALL, PetscObjectComm((PetscObject)eps), PETSC_ERR_SUP,
             "%s finds pairs at one end of the spectrum or near a target, not all of an interval; use krylovschur with "
             "-st_type filter",
             EPSBLOCKKRYLOVSCHUR);
  PetscCall(PetscObjectTypeCompare((PetscObject)eps->st, STFILTER, &refused));
  PetscCheck(refused == PETSC_FALSE, PetscObjectComm((PetscObject)eps), PETSC_ERR_SUP,
             "%s does not work with -st_type filter, which is for intervals; use krylovschur", EPSBLOCKKRYLOVSCHUR);
  PetscCheck(eps->trueres == PETSC_FALSE, PetscObjectComm((PetscObject)eps), PETSC_ERR_SUP,
             "%s knows residuals without a product; -eps_true_residual is not there", EPSBLOCKKRYLOVSCHUR);
  eps->nev = std::max<PetscInt>(1, eps->nev);  // from 3.23 on 0 is "not given"
  PetscCall(settle_block(eps));
  settle_sizes(eps);
  const PetscInt p = data_of(eps)->choice.size;
  PetscCheck(eps->ncv >= std::min(eps->n, eps->nev + p), PetscObjectComm((PetscObject)eps), PETSC_ERR_USER_INPUT,
             "-eps_ncv %" PetscInt_FMT " is less than nev %" PetscInt_FMT " and a block of %" PetscInt_FMT
             "; raise it or lower -eps_blockkrylovschur_blocksize",
             eps->ncv, eps->nev, p);
  if (eps->which == 0) eps->which = EPS_LARGEST_MAGNITUDE;
  PetscCall(EPSAllocateSolution(eps, 0));
  PetscCall(EPS_SetInnerProduct(eps));
  PetscCall(set_up_projected(eps));
  eps->ops->computevectors =
      eps->ishermitian == PETSC_TRUE ? data_of(eps)->symmetric_vectors : data_of(eps)->schur_vectors;
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode solve(EPS eps) {
  PetscFunctionBegin;
  FLASHRING_GUARD(PetscObjectComm((PetscObject)eps), solve_block_krylov(eps, *data_of(eps)));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode checkpoint_options(EPS eps, FlashringOptionItems PetscOptionsObject) {
  std::array<char, PETSC_MAX_PATH_LEN> file{};
  PetscReal seconds = data_of(eps)->checkpoint.every;
  PetscBool given = PETSC_FALSE;
  PetscBool timed = PETSC_FALSE;
  PetscFunctionBegin;
  PetscCall(PetscOptionsString("-eps_blockkrylovschur_checkpoint", "File that takes the state of the solver",
                               "EPSBlockKrylovSchurSetCheckpoint", data_of(eps)->checkpoint.file.c_str(), file.data(),
                               file.size(), &given));
  const std::string name = given == PETSC_TRUE ? file.data() : data_of(eps)->checkpoint.file;
  PetscCall(PetscOptionsReal("-eps_blockkrylovschur_checkpoint_every", "Seconds between two of them",
                             "EPSBlockKrylovSchurSetCheckpoint", seconds, &seconds, &timed));
  if (given == PETSC_TRUE || timed == PETSC_TRUE)
    PetscCall(EPSBlockKrylovSchurSetCheckpoint(eps, name.c_str(), seconds));
  PetscCall(PetscOptionsString("-eps_blockkrylovschur_restart", "Such a file to go on from",
                               "EPSBlockKrylovSchurSetRestart", data_of(eps)->checkpoint.restart.c_str(), file.data(),
                               file.size(), &given));
  if (given == PETSC_TRUE) PetscCall(EPSBlockKrylovSchurSetRestart(eps, file.data()));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode set_from_options(EPS eps, FlashringOptionItems PetscOptionsObject) {
  BlockKrylovSchur *solver = data_of(eps);
  PetscInt size = solver->asked;
  auto seed = static_cast<PetscInt>(solver->seed);
  PetscBool given = PETSC_FALSE;
  PetscFunctionBegin;
  PetscOptionsHeadBegin(PetscOptionsObject, "EPS blockkrylovschur options");
  PetscCall(PetscOptionsInt("-eps_blockkrylovschur_blocksize",
                            "Vectors multiplied at a time, 0: of least expected seconds",
                            "EPSBlockKrylovSchurSetBlockSize", size, &size, &given));
  if (given == PETSC_TRUE) PetscCall(EPSBlockKrylovSchurSetBlockSize(eps, size));
  PetscCall(checkpoint_options(eps, PetscOptionsObject));
  PetscCall(PetscOptionsInt("-eps_blockkrylovschur_seed", "Key of random start vectors", "EPSBlockKrylovSchurSetSeed",
                            seed, &seed, &given));
  if (given == PETSC_TRUE) PetscCall(EPSBlockKrylovSchurSetSeed(eps, seed));
  PetscOptionsHeadEnd();
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode view(EPS eps, PetscViewer viewer) {
  const BlockKrylovSchur *solver = data_of(eps);
  PetscBool ascii = PETSC_FALSE;
  PetscFunctionBegin;
  PetscCall(PetscObjectTypeCompare((PetscObject)viewer, PETSCVIEWERASCII, &ascii));
  if (ascii == PETSC_TRUE && solver->choice.size > 0)
    PetscCall(PetscViewerASCIIPrintf(viewer, "  blocks of %" PetscInt_FMT " vectors (%s)\n", solver->choice.size,
                                     solver->choice.reason.c_str()));
  if (ascii == PETSC_TRUE && !solver->ramp.empty())
    PetscCall(PetscViewerASCIIPrintf(viewer, "  %s\n", solver->ramp.c_str()));
  if (ascii == PETSC_TRUE && solver->choice.size == 0)
    PetscCall(PetscViewerASCIIPrintf(viewer, "  block size chosen at set-up, unless given\n"));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode destroy(EPS eps) {
  PetscFunctionBegin;
  delete data_of(eps);
  eps->data = nullptr;
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode check_type(EPS eps) {
  PetscBool right = PETSC_FALSE;
  PetscFunctionBegin;
  PetscCall(PetscObjectTypeCompare((PetscObject)eps, EPSBLOCKKRYLOVSCHUR, &right));
  PetscCheck(right == PETSC_TRUE, PetscObjectComm((PetscObject)eps), PETSC_ERR_ARG_WRONG,
             "this EPS is not of type %s; call EPSSetType first", EPSBLOCKKRYLOVSCHUR);
  PetscFunctionReturn(PETSC_SUCCESS);
}

}  // namespace
}  // namespace flashring

PetscErrorCode EPSBlockKrylovSchurSetBlockSize(EPS eps, PetscInt size) {
  PetscFunctionBegin;
  PetscCall(flashring::check_type(eps));
  PetscCheck(size >= 0 && size <= flashring::most_block_size, PetscObjectComm((PetscObject)eps),
             PETSC_ERR_ARG_OUTOFRANGE, "block size %" PetscInt_FMT " is outside [0, %" PetscInt_FMT "]", size,
             flashring::most_block_size);
  if (flashring::data_of(eps)->asked != size) eps->state = EPS_STATE_INITIAL;
  flashring::data_of(eps)->asked = size;
  flashring::data_of(eps)->choice.size = 0;
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode EPSBlockKrylovSchurGetBlockSize(EPS eps, PetscInt *size) {
  PetscFunctionBegin;
  PetscCall(flashring::check_type(eps));
  const flashring::BlockKrylovSchur *solver = flashring::data_of(eps);
  *size = solver->choice.size > 0 ? solver->choice.size : solver->asked;
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode EPSBlockKrylovSchurSetSeed(EPS eps, PetscInt seed) {
  PetscFunctionBegin;
  PetscCall(flashring::check_type(eps));
  PetscCheck(seed >= 0, PetscObjectComm((PetscObject)eps), PETSC_ERR_ARG_OUTOFRANGE,
             "seed %" PetscInt_FMT " is negative", seed);
  flashring::data_of(eps)->seed = static_cast<std::uint64_t>(seed);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode EPSBlockKrylovSchurSetCheckpoint(EPS eps, const char file[], PetscReal seconds) {
  PetscFunctionBegin;
  PetscCall(flashring::check_type(eps));
  PetscCheck(seconds >= 0, PetscObjectComm((PetscObject)eps), PETSC_ERR_ARG_OUTOFRANGE,
             "%g seconds between checkpoints are no time", (double)seconds);
  flashring::data_of(eps)->checkpoint.file = file == nullptr ? "" : file;
  flashring::data_of(eps)->checkpoint.every = seconds;
  flashring::data_of(eps)->checkpoint.claim.reset();
  eps->state = EPS_STATE_INITIAL;
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode EPSBlockKrylovSchurSetRestart(EPS eps, const char file[]) {
  PetscFunctionBegin;
  PetscCall(flashring::check_type(eps));
  flashring::data_of(eps)->checkpoint.restart = file == nullptr ? "" : file;
  flashring::data_of(eps)->checkpoint.reader.reset();
  eps->state = EPS_STATE_INITIAL;
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode EPSCreate_BlockKrylovSchur(EPS eps) {
  EPS lender = nullptr;
  PetscFunctionBegin;
  auto *solver = new flashring::BlockKrylovSchur;
  eps->data = solver;
  eps->useds = PETSC_TRUE;
  eps->categ = EPS_CATEGORY_KRYLOV;
  PetscCall(EPSCreate(PETSC_COMM_SELF, &lender));
  PetscCall(EPSSetType(lender, EPSLANCZOS));
  solver->symmetric_vectors = lender->ops->computevectors;
  PetscCall(EPSSetType(lender, EPSARNOLDI));
  solver->schur_vectors = lender->ops->computevectors;
  eps->ops->setupsort = lender->ops->setupsort;
  eps->ops->backtransform = lender->ops->backtransform;
  PetscCall(EPSDestroy(&lender));
  eps->ops->setup = flashring::set_up;
  eps->ops->solve = flashring::solve;
  eps->ops->setfromoptions = flashring::set_from_options;
  eps->ops->view = flashring::view;
  eps->ops->destroy = flashring::destroy;
  PetscFunctionReturn(PETSC_SUCCESS);
}
