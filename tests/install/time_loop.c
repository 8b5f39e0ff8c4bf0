/* A simulation that follows its slowest process: two clouds of particles drift apart, and at every time step the second
 * eigenvalue of their diffusion map says how well separated they are (1: no way leads from one to the other).
 *
 *   mpirun -n 2 ./time_loop -particles 400 -steps 6 -speed 0.25
 *   mpirun -n 2 ./time_loop -mat_flashring_pair matern32:ell=1 -eps_tol 1e-10 -log_view
 *
 * The matrix is made once; each step moves its points. Nothing N x N is ever stored. */
#include <flashring/flashring.h>
#include <slepcsys.h> /* the map uses a solver of SLEPc, so SLEPc must be started */

/* Uniform in (-1, 1), from a number alone, so that any number of ranks sees the same particles. */
static PetscReal uniform(PetscInt64 number) {
  unsigned long long bits = ((unsigned long long)number + 1) * 0x9e3779b97f4a7c15ULL;

  bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9ULL;
  bits = (bits ^ (bits >> 27)) * 0x94d049bb133111ebULL;
  return (PetscReal)((bits ^ (bits >> 31)) >> 11) / 4503599627370496.0 - 1;
}

/* Particle i belongs to cloud i % 2; the clouds leave the origin along x, in opposite directions. */
static void move_particles(PetscInt first, PetscInt local, PetscReal distance, PetscReal x[]) {
  for (PetscInt i = 0; i < local; i++) {
    const PetscInt64 particle = (PetscInt64)first + i;

    for (int k = 0; k < 3; k++) x[3 * i + k] = uniform(3 * particle + k);
    x[3 * i] += particle % 2 ? distance : -distance;
  }
}

int main(int argc, char **argv) {
  Mat A;
  FlashringMap map;
  PetscInt particles = 400, steps = 6, local = PETSC_DECIDE, first = 0, pairs;
  PetscReal speed = 0.25, value, residual, *x;
  const char *status;

  PetscCall(SlepcInitialize(&argc, &argv, NULL, NULL));
  PetscCall(PetscOptionsGetInt(NULL, NULL, "-particles", &particles, NULL));
  PetscCall(PetscOptionsGetInt(NULL, NULL, "-steps", &steps, NULL));
  PetscCall(PetscOptionsGetReal(NULL, NULL, "-speed", &speed, NULL));
  PetscCall(PetscSplitOwnership(PETSC_COMM_WORLD, &local, &particles));
  PetscCallMPI(MPI_Exscan(&local, &first, 1, MPIU_INT, MPI_SUM, PETSC_COMM_WORLD));
  PetscCall(PetscMalloc1(3 * local, &x));

  move_particles(first, local, 0, x);
  PetscCall(MatCreateFlashring(PETSC_COMM_WORLD, local, 3, x, &A));
  PetscCall(MatFlashringSetOption(A, "form", "symmetric"));
  PetscCall(MatFlashringSetOption(A, "beta", "2")); /* the width stays the same while the clouds move */
  PetscCall(MatSetFromOptions(A));
  PetscCall(FlashringMapCreate(A, &map));
  PetscCall(FlashringMapSetPairs(map, 2));
  for (PetscInt step = 0; step < steps; step++) {
    if (step > 0) {
      move_particles(first, local, speed * (PetscReal)step, x);
      PetscCall(MatFlashringSetPoints(A, 3, x));
    }
    PetscCall(FlashringMapSolve(map));
    PetscCall(FlashringMapGetConverged(map, &pairs, &status));
    PetscCheck(pairs >= 2, PETSC_COMM_WORLD, PETSC_ERR_NOT_CONVERGED, "step %d: %s", (int)step, status);
    PetscCall(FlashringMapGetEigenvalue(map, 1, &value, &residual));
    PetscCall(PetscPrintf(PETSC_COMM_WORLD, "step %2d distance %.2f second eigenvalue %.8f\n", (int)step,
                          (double)(2 * speed * (PetscReal)step), (double)value));
  }
  PetscCall(FlashringMapDestroy(&map));
  PetscCall(MatDestroy(&A));
  PetscCall(PetscFree(x));
  PetscCall(SlepcFinalize());
  return 0;
}
