/* The EPS type blockkrylovschur: a Krylov solver that multiplies a block of vectors at a time.
 *
 * For matrices whose product with many vectors costs little more than with one, such as kernel matrices in many
 * dimensions or on matrix units. It finds eigenvalues as often as they occur, up to the block size. For any matrix of
 * PETSc: symmetric problems (EPS_HEP, EPS_GHEP) and standard others (EPS_NHEP). The options -eps_* of Krylov-Schur work
 * here, but for those of intervals, regions and harmonic extraction.
 */
#ifndef FLASHRING_BLOCK_KRYLOV_SCHUR_H
#define FLASHRING_BLOCK_KRYLOV_SCHUR_H

#include <slepceps.h>

/* Name for EPSSetType and -eps_type, registered by FlashringRegisterAll. */
#define EPSBLOCKKRYLOVSCHUR "blockkrylovschur"

/* Vectors multiplied at a time, 1 to 64, or 0 (the default): for a matrix of type flashring the size of least expected
 * seconds, from the measured cost of a product; for others min(nev, 8). -eps_blockkrylovschur_blocksize. Before EPSSetUp. */
PETSC_EXTERN PetscErrorCode EPSBlockKrylovSchurSetBlockSize(EPS eps, PetscInt size);
/* The size in use after EPSSetUp, before it the one that was set. Not collective. */
PETSC_EXTERN PetscErrorCode EPSBlockKrylovSchurGetBlockSize(EPS eps, PetscInt *size);

/* Key of the random numbers of start vectors beyond EPSSetInitialSpace, default 1: the same for any number of ranks.
 * -eps_blockkrylovschur_seed. */
PETSC_EXTERN PetscErrorCode EPSBlockKrylovSchurSetSeed(EPS eps, PetscInt seed);

/* The state of the solver goes to `file` whenever so many seconds have passed (default 600), and where the stop function of a
 * matrix of type flashring asks for the end; "" or NULL: no more. The file and the one before it, file.previous, are kept
 * (docs/files.md). EPSSetUp refuses a name that another run is writing, as file.owner tells; a file that cannot be written later
 * does not end the solution. -eps_blockkrylovschur_checkpoint, -eps_blockkrylovschur_checkpoint_every. Collective. */
PETSC_EXTERN PetscErrorCode EPSBlockKrylovSchurSetCheckpoint(EPS eps, const char file[], PetscReal seconds);
/* The next solution goes on from such a file, on any number of ranks, with its block size and size of basis. EPSSetUp
 * refuses a file of other points, another kernel or other parameters, and names the difference.
 * -eps_blockkrylovschur_restart. Collective. */
PETSC_EXTERN PetscErrorCode EPSBlockKrylovSchurSetRestart(EPS eps, const char file[]);

#endif
