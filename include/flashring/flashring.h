/* flashring for C, and for any language that calls C: kernel matrices as PETSc matrices, diffusion maps of moving
 * points.
 *
 * Every function returns a PetscErrorCode and is collective on the communicator of its object unless it says otherwise.
 * Arrays over points hold this rank's rows; coordinates are row-major, (local_rows, features). Arrays are copied: the
 * caller may change or free them after the call.
 *
 *   MatCreateFlashring(comm, local_rows, 3, coordinates, &A);
 *   MatFlashringSetOption(A, "form", "symmetric");
 *   MatSetFromOptions(A);                              -mat_flashring_beta 0.5 ...
 *   FlashringMapCreate(A, &map);
 *   for each time step:
 *     MatFlashringSetPoints(A, 3, coordinates);        moves the points, keeps memory and bandwidth
 *     FlashringMapSolve(map);
 *     FlashringMapGetRight(map, 1, psi);
 *   FlashringMapDestroy(&map); MatDestroy(&A);
 */
#ifndef FLASHRING_H
#define FLASHRING_H

#include <flashring/version.h>
#include <petscmat.h>

/* Name for MatSetType and -mat_type. */
#define MATFLASHRING "flashring"

/* Registers the matrix type; PETSc calls it when -dll_append loads libflashring.so, and MatCreateFlashring calls it
 * too. Programs that link the library and use MatSetType(A, MATFLASHRING) call it after PetscInitialize or
 * SlepcInitialize. Calling it again is harmless. Fails when the PETSc of this program is not the one the library was
 * built for (version, index size, scalar type). */
PETSC_EXTERN PetscErrorCode FlashringRegisterAll(void);

/* Version as text, such as "0.1.0"; FLASHRING_VERSION_* of the header tell what was compiled against. Not collective.
 */
PETSC_EXTERN const char *FlashringVersion(void);

/* ---- the matrix ---- */

/* A matrix of type flashring for the given points: coordinates (local_rows, features), finite, features >= 1, rows of
 * rank 0 first. local_rows may be 0 on some ranks. Options may be set until MatSetUp (or the first use) fixes them. */
PETSC_EXTERN PetscErrorCode MatCreateFlashring(MPI_Comm comm, PetscInt local_rows, PetscInt features,
                                               const PetscReal coordinates[], Mat *A);

/* One option as text, such as ("pair", "matern32:ell=1.5"), ("alpha", "1"), ("form", "symmetric"); names and values as
 * `flashring-diffmap -help` lists them. Before MatSetUp. */
PETSC_EXTERN PetscErrorCode MatFlashringSetOption(Mat A, const char name[], const char value[]);

/* Before MatSetUp: gives the points of a matrix whose type was set by name. Afterwards: moves them, same local_rows and
 * features; mean, densities and degrees are renewed at the next use, bandwidth and memory stay, and duplicates of A see
 * the new points too (solvers that keep what they derived from a duplicate must be told by MatAssemblyBegin and End).
 * Coordinates are given as they are: the option "features" (angles, periods, covariances) maps these and the first ones
 * alike. */
PETSC_EXTERN PetscErrorCode MatFlashringSetPoints(Mat A, PetscInt features, const PetscReal coordinates[]);

/* Lengths of the points, (local_rows), positive and finite: sigma of the pair function self_tuned, rho of
 * variable_bandwidth (docs/mathematics.md, "Lengths of points"). Before MatSetUp; afterwards they wait for the next
 * MatFlashringSetPoints, which keeps the former ones where none came. On every rank or on none. */
PETSC_EXTERN PetscErrorCode MatFlashringSetPointScales(Mat A, const PetscReal scales[]);

/* Covariances of the points, (local_rows, features, features), symmetric and positive definite, for the pair function
 * local_mahalanobis: row-major, of the features as it sees them, features at most 32. When, and on which ranks: as
 * MatFlashringSetPointScales. Source: docs/mathematics.md, "Covariances of points". */
PETSC_EXTERN PetscErrorCode MatFlashringSetPointCovariances(Mat A, PetscInt features, const PetscReal covariances[]);

/* Weights of the points (a measure), (local_rows), positive and finite; ones where never given. Any time. */
PETSC_EXTERN PetscErrorCode MatFlashringSetWeights(Mat A, const PetscReal weights[]);

/* Density that the stationary law of the diffusion is to have, at the points, (local_rows), positive and finite: alpha
 * has no effect then. Not with normalization bistochastic. Any time. */
PETSC_EXTERN PetscErrorCode MatFlashringSetTarget(Mat A, const PetscReal target[]);

/* Doob transform by h, (local_rows), positive and finite: A becomes that of P_ij h_j / (P h)_i, and the weight w is
 * multiplied by h. Any time after the points are given; a later one takes its place. Source: docs/mathematics.md, "Doob
 * transform". */
PETSC_EXTERN PetscErrorCode MatFlashringSetDoob(Mat A, const PetscReal h[]);
/* P killed outside a set, inside (local_rows), PETSC_TRUE within it: rows and columns outside are 0. FlashringMapSolve then
 * transforms A by the Perron vector of P on the set. It takes the place of a transform, and a transform that of it. */
PETSC_EXTERN PetscErrorCode MatFlashringKillOutside(Mat A, const PetscBool inside[]);

typedef enum {
  FLASHRING_DENSITY, /* D = K m, m the weights */
  FLASHRING_WEIGHT,  /* w = D^-alpha; with a target mu, D^-1 mu^(1/2); or the bistochastic scaling */
  FLASHRING_DEGREE,  /* d = w o K (w o m) */
  FLASHRING_MEASURE  /* m */
} FlashringVector;

/* A vector of the operator into out (local_rows). The first call after points or weights changed costs two passes, about
 * 18 for normalization bistochastic. */
PETSC_EXTERN PetscErrorCode MatFlashringGetVector(Mat A, FlashringVector which, PetscReal out[]);

/* Carre du champ of functions f_0, f_1, ... over the points, under the Markov operator P of A, whatever its form:
 *   Gamma(f_k, f_l)_i = 1/2 sum_j P_ij (f_k(j) - f_k(i)) (f_l(j) - f_l(i))
 * f (functions, local_rows): f_k begins at f + k * local_rows; finite. gamma (functions (functions + 1) / 2,
 * local_rows): Gamma(f_k, f_l), k <= l, begins at gamma + (l (l + 1) / 2 + k) * local_rows. One pass for up to 64 on CPUs,
 * and two more the first time. Source: docs/mathematics.md, "Carre du champ". */
PETSC_EXTERN PetscErrorCode MatFlashringCarreDuChamp(Mat A, PetscInt functions, const PetscReal f[], PetscReal gamma[]);

/* Products so far: calls, sweeps over all pairs, and columns times sweeps. Any pointer may be NULL. Not collective. */
PETSC_EXTERN PetscErrorCode MatFlashringGetCounters(Mat A, PetscInt64 *calls, PetscInt64 *passes,
                                                    PetscInt64 *column_passes);

/* ---- the diffusion map ---- */

typedef struct FlashringMap_ *FlashringMap;

/* The map of the points of A, whose form must be symmetric. Takes a reference to A. Its solver is one of SLEPc: the
 * program must have called SlepcInitialize (instead of PetscInitialize, or after it). Ten pairs (or
 * as many as there are points), relative tolerance 1e-8 (1e-6 in fp32, 1e-4 in reduced) unless set; the options of SLEPc's EPS,
 * -[prefix]eps_..., are read at each solution. */
PETSC_EXTERN PetscErrorCode FlashringMapCreate(Mat A, FlashringMap *map);
PETSC_EXTERN PetscErrorCode FlashringMapDestroy(FlashringMap *map);
PETSC_EXTERN PetscErrorCode FlashringMapSetPairs(FlashringMap map, PetscInt pairs);
PETSC_EXTERN PetscErrorCode FlashringMapSetTolerance(FlashringMap map, PetscReal tolerance);
PETSC_EXTERN PetscErrorCode FlashringMapSetOptionsPrefix(FlashringMap map, const char prefix[]);

/* Solves for the points as they are now. Fewer pairs than asked for may converge: that is not an error. */
PETSC_EXTERN PetscErrorCode FlashringMapSolve(FlashringMap map);

/* What the last solution gave; the constant pair (value 1) is pair 0. Not collective. `status` lives until the next
 * solution. */
PETSC_EXTERN PetscErrorCode FlashringMapGetConverged(FlashringMap map, PetscInt *pairs, const char **status);
/* value of pair k, and its residual |P psi - value psi|_pi / |psi|_pi measured in double precision; NULL is allowed. */
PETSC_EXTERN PetscErrorCode FlashringMapGetEigenvalue(FlashringMap map, PetscInt k, PetscReal *value,
                                                      PetscReal *residual);
/* Right vector psi_k (orthonormal under the stationary law) and left vector pi o psi_k, (local_rows). */
PETSC_EXTERN PetscErrorCode FlashringMapGetRight(FlashringMap map, PetscInt k, PetscReal out[]);
PETSC_EXTERN PetscErrorCode FlashringMapGetLeft(FlashringMap map, PetscInt k, PetscReal out[]);
/* Stationary law pi, (local_rows), sums to 1 over all ranks. */
PETSC_EXTERN PetscErrorCode FlashringMapGetStationaryLaw(FlashringMap map, PetscReal out[]);

/* Lengths of new points, (new_rows), positive and finite, for the next FlashringMapExtend of a map by self_tuned or
 * variable_bandwidth: made as those of A's points were. */
PETSC_EXTERN PetscErrorCode FlashringMapSetNewPointScales(FlashringMap map, PetscInt new_rows, const PetscReal scales[]);

/* The same for a map by local_mahalanobis: covariances of new points, (new_rows, features, features). */
PETSC_EXTERN PetscErrorCode FlashringMapSetNewPointCovariances(FlashringMap map, PetscInt new_rows, PetscInt features,
                                                               const PetscReal covariances[]);

/* The metric of the map's coordinates y_k = value_k psi_k, k = 1 ... c = pairs - 1, at every point, for the gaussian:
 * eigenvalues (local_rows, c) of the dual metric h_kl = 4 beta Gamma(y_k, y_l), largest first; metric (local_rows, c, c),
 * the inverse of h on its `rank` largest eigenvalues, 1 <= rank <= c; dimension (local_rows), the participation ratio of
 * the eigenvalues. All row-major; NULL is allowed for each. Fails when A's points have moved since FlashringMapSolve. One
 * pass for up to 64 coordinates on CPUs. Source: docs/mathematics.md, "Carre du champ". */
PETSC_EXTERN PetscErrorCode FlashringMapGetMetric(FlashringMap map, PetscInt rank, PetscReal eigenvalues[],
                                                  PetscReal metric[], PetscReal dimension[]);

/* The right vectors at points that are not those of A, new_rows of this rank (0 or more): coordinates (new_rows,
 * features) as those of A were given. right (pairs, new_rows): psi_k begins at right + k * new_rows, psi_0 = 1.
 * log_density (new_rows): ln of the density of A's points there. far (new_rows): PETSC_TRUE where no point of A counts,
 * so that the values are those of the nearest one over the eigenvalue. NULL is allowed for both. Fails when A's points
 * have moved since FlashringMapSolve, and where an eigenvalue is so small that its vector would be noise: ask for fewer
 * pairs. Memory for all new points at a time. Source: docs/mathematics.md, "Extension". */
PETSC_EXTERN PetscErrorCode FlashringMapExtend(FlashringMap map, PetscInt new_rows, const PetscReal coordinates[],
                                               PetscReal right[], PetscReal log_density[], PetscBool far[]);

/* ---- nearest neighbours ---- */

/* The k nearest other points of every point, exact, 1 <= k <= 64, k below the number of points: a point is no neighbour
 * of itself, a duplicate is one at distance 0. coordinates (local_rows, features), finite; local_rows may be 0. In
 * double precision on the fastest backend. distances (local_rows, k), Euclidean, nearest first; indices (local_rows, k):
 * rows over all ranks, counted from 0 with those of rank 0 first, at equal distance the lower one. Either may be NULL.
 * Cost: one pass over all pairs; memory for the points once more and 4k numbers for each. Source:
 * docs/mathematics.md, "Nearest neighbours". */
PETSC_EXTERN PetscErrorCode FlashringNearestNeighbours(MPI_Comm comm, PetscInt local_rows, PetscInt features,
                                                       const PetscReal coordinates[], PetscInt k,
                                                       PetscReal distances[], PetscInt64 indices[]);

/* The same for query_rows queries of this rank (0 or more), queries (query_rows, features): their k nearest among the
 * points, k at most the number of points. distances, indices (query_rows, k). */
PETSC_EXTERN PetscErrorCode FlashringNearestPoints(MPI_Comm comm, PetscInt query_rows, const PetscReal queries[],
                                                   PetscInt local_rows, PetscInt features,
                                                   const PetscReal coordinates[], PetscInt k, PetscReal distances[],
                                                   PetscInt64 indices[]);

/* ---- bandwidth ---- */

/* The bandwidth of -mat_flashring_beta slope: beta > 0 (1/length^2) where the slope -d ln S / d ln beta of the sum S of
 * exp(-beta |x_i - x_j|^2) over all pairs is largest; dimension: twice that slope, an estimate of the dimension of the
 * set that the points lie on; at_edge: PETSC_TRUE where the largest of the candidates is the first or the last one, so
 * that beta is its own and dimension means nothing. NULL is allowed for each. coordinates (local_rows, features), finite;
 * local_rows may be 0. Fails where all points coincide. Cost: one pass over half the pairs with 5 candidates; memory for
 * the points once more and 10 numbers for each. Source: docs/mathematics.md, "Bandwidth by the slope". */
PETSC_EXTERN PetscErrorCode FlashringSlopeBandwidth(MPI_Comm comm, PetscInt local_rows, PetscInt features,
                                                    const PetscReal coordinates[], PetscReal *beta,
                                                    PetscReal *dimension, PetscBool *at_edge);

/* ---- committors ---- */

/* Chance q to meet set B before set A, (local_rows), and mean steps t until B, (local_rows) or NULL, of the walk P of A's points,
 * whose form must be symmetric. in_a, in_b (local_rows): PETSC_TRUE for the points of each set; no point in both, no set
 * empty. tolerance: relative residual in double precision, in (0, 1). Where it is not reached, converged is PETSC_FALSE and q
 * and t are as good as they became; residual, the larger one, and converged may be NULL, the latter where not reaching it
 * shall be an error. rate: passages from A to B per step at equilibrium, or NULL. Source: docs/mathematics.md, "Committor". */
PETSC_EXTERN PetscErrorCode MatFlashringCommittor(Mat A, const PetscBool in_a[], const PetscBool in_b[],
                                                  PetscReal tolerance, PetscReal q[], PetscReal t[], PetscReal *rate,
                                                  PetscReal *residual, PetscBool *converged);

#endif
