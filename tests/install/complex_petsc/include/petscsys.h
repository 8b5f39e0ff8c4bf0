/* All of a made-up PETSc with complex scalars: what flashring's configuration looks at. */
#define PETSC_VERSION_MAJOR 3
#define PETSC_VERSION_MINOR 18
#define PETSC_USE_REAL_DOUBLE 1
#define PETSC_USE_COMPLEX 1
