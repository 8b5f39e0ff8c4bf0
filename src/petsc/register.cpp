// What PETSc calls when it opens libflashring.so: the types are registered once per PetscInitialize.
#include <petscsys.h>
#include <slepcsys.h>

#include "petsc/mat_context.hpp"

namespace flashring {
namespace {

bool registered = false;
PetscLogEvent passes = 0;
PetscLogEvent pairs = 0;
std::string last_error;

PetscErrorCode finalize_package() {
  registered = false;
  return PETSC_SUCCESS;
}

/// The PETSc of the process must be the one of our headers: operation numbers and sizes differ between them.
PetscErrorCode check_petsc_version() {
  PetscInt major = 0;
  PetscInt minor = 0;
  size_t index_size = 0;
  size_t scalar_size = 0;
  PetscFunctionBegin;
  PetscCall(PetscGetVersionNumber(&major, &minor, nullptr, nullptr));
  PetscCheck(major == PETSC_VERSION_MAJOR && minor == PETSC_VERSION_MINOR, PETSC_COMM_SELF, PETSC_ERR_LIB,
             "libflashring was built for PETSc %d.%d, this program runs %d.%d; rebuild one of them",
             PETSC_VERSION_MAJOR, PETSC_VERSION_MINOR, (int)major, (int)minor);
  PetscCall(PetscDataTypeGetSize(PETSC_INT, &index_size));
  PetscCall(PetscDataTypeGetSize(PETSC_SCALAR, &scalar_size));
  PetscCheck(index_size == sizeof(PetscInt) && scalar_size == sizeof(PetscScalar), PETSC_COMM_SELF, PETSC_ERR_LIB,
             "libflashring was built for a PETSc with %d-byte indices and %d-byte scalars, this one has %d and %d",
             (int)sizeof(PetscInt), (int)sizeof(PetscScalar), (int)index_size, (int)scalar_size);
  PetscFunctionReturn(PETSC_SUCCESS);
}

}  // namespace

void remember_error(const std::string &message) { last_error = message; }

PetscLogEvent pass_event() { return passes; }

PetscLogEvent pairs_event() { return pairs; }

void check_petsc(PetscErrorCode code, const char *what) {
  if (code == PETSC_SUCCESS) return;
  std::string message = std::move(last_error);
  last_error.clear();
  if (message.empty()) {
    const char *text = nullptr;
    char *specific = nullptr;
    PetscErrorMessage(code, &text, &specific);
    message = detail::concatenate(what, ": ", text == nullptr ? "PETSc error" : text,
                                  specific != nullptr && *specific != '\0' ? std::string(": ") + specific : "");
  }
  throw Error(message);
}

}  // namespace flashring

PetscErrorCode FlashringRegisterAll(void) {
  PetscClassId id = 0;
  PetscFunctionBegin;
  if (flashring::registered) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(flashring::check_petsc_version());
  PetscCall(MatRegister(MATFLASHRING, MatCreate_Flashring));
  PetscCall(PetscClassIdRegister("Kernel operator", &id));
  PetscCall(PetscLogEventRegister("FlashringPass", id, &flashring::passes));
  PetscCall(PetscLogEventRegister("FlashringPairs", id, &flashring::pairs));
  PetscCall(PetscRegisterFinalize(flashring::finalize_package));
  flashring::registered = true;
  PetscFunctionReturn(PETSC_SUCCESS);
}

PETSC_EXTERN PetscErrorCode PetscDLLibraryRegister_flashring(void);
PetscErrorCode PetscDLLibraryRegister_flashring(void) {
  PetscFunctionBegin;
  PetscCall(FlashringRegisterAll());
  PetscFunctionReturn(PETSC_SUCCESS);
}
