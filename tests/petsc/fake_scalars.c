/* Preloaded: makes a program's PETSc answer that its scalars are complex. */
#include <petscsys.h>

PetscErrorCode PetscDataTypeFromString(const char *name, PetscDataType *type, PetscBool *found) {
  (void)name;
  *type = PETSC_COMPLEX;
  *found = PETSC_TRUE;
  return 0;
}
