/* Preloaded: makes a program's PETSc answer that it is version 3.99. */
#include <petscsys.h>

PetscErrorCode PetscGetVersionNumber(PetscInt *major, PetscInt *minor, PetscInt *subminor, PetscInt *release) {
  if (major) *major = 3;
  if (minor) *minor = 99;
  if (subminor) *subminor = 0;
  if (release) *release = 1;
  return 0;
}
