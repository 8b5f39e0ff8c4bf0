// What PETSc calls when it opens libflashring.so: the types are registered once per PetscInitialize, and only with the
// PETSc that the library was built for.
#include <petscsys.h>
#include <slepceps.h>

#include <cstdint>
#include <cstdio>
#include <exception>
#include <string>
#include <utility>

#include "flashring/block_krylov_schur.h"
#include "petsc/mat_context.hpp"
#include "solve/block_krylov_schur.hpp"

namespace flashring {
namespace {

bool registered = false;
PetscLogEvent passes = 0;
PetscLogEvent pairs = 0;
std::exception_ptr last_error;

PetscErrorCode finalize_package() {
  registered = false;
  return PETSC_SUCCESS;
}

/// "PETSc 3.18, 32-bit indices, real double scalars"
std::string describe_petsc(std::int64_t major, std::int64_t minor, std::size_t index_bytes, PetscDataType scalars) {
  const char *kind = scalars == PETSC_DOUBLE    ? "real double"
                     : scalars == PETSC_FLOAT   ? "real single"
                     : scalars == PETSC_COMPLEX ? "complex"
                                                : "other than real double";
  return detail::concatenate("PETSc ", major, ".", minor, ", ", 8 * index_bytes, "-bit indices, ", kind, " scalars");
}

/// The PETSc of this process, asked without trust in our own headers: answers go where every size of PetscInt and
/// PetscBool fits.
std::string petsc_of_process() {
  std::int64_t major = 0;
  std::int64_t minor = 0;
  std::size_t index_bytes = 0;
  PetscDataType scalars = PETSC_DATATYPE_UNKNOWN;
  std::int64_t found = 0;
  PetscDataTypeGetSize(PETSC_INT, &index_bytes);
  PetscGetVersionNumber(reinterpret_cast<PetscInt *>(&major), reinterpret_cast<PetscInt *>(&minor), nullptr, nullptr);
  PetscDataTypeFromString("scalar", &scalars, reinterpret_cast<PetscBool *>(&found));
  return describe_petsc(major, minor, index_bytes, scalars);
}

/// The PETSc of the process must be the one of our headers: operation numbers and sizes differ between them. Returns
/// what is wrong, empty when nothing is.
std::string petsc_mismatch() {
  const std::string built_for =
      describe_petsc(PETSC_VERSION_MAJOR, PETSC_VERSION_MINOR, sizeof(PetscInt), PETSC_SCALAR);
  const std::string here = petsc_of_process();
  if (here != built_for) return detail::concatenate("built for ", built_for, "; this program runs ", here);
  // Perhaps not the caller's PETSc but another, loaded because this library asks for it.
  if (PETSC_COMM_WORLD == MPI_COMM_NULL)
    return detail::concatenate("built for ", built_for,
                               "; this program runs another PETSc library, or has not called PetscInitialize");
  return {};
}

/// A plugin that does not fit registers nothing and says so once. An error here would end PetscInitialize half-way,
/// with a page of traces from every program that has the plugin in its PETSC_OPTIONS, needed or not.
void refuse(const std::string &mismatch) {
  int rank = 0;
  if (PETSC_COMM_WORLD != MPI_COMM_NULL) MPI_Comm_rank(PETSC_COMM_WORLD, &rank);
  if (rank == 0)
    std::fprintf(PETSC_STDERR != nullptr ? PETSC_STDERR : stderr, "libflashring is not loaded: %s\n", mismatch.c_str());
}

}  // namespace

void remember_error(std::exception_ptr error) { last_error = std::move(error); }

PetscLogEvent pass_event() { return passes; }

PetscLogEvent pairs_event() { return pairs; }

void check_petsc(PetscErrorCode code, const char *what) {
  if (code == PETSC_SUCCESS) return;
  if (last_error != nullptr) std::rethrow_exception(std::exchange(last_error, nullptr));
  const char *text = nullptr;
  char *specific = nullptr;
  PetscErrorMessage(code, &text, &specific);
  throw Error(detail::concatenate(what, ": ", text == nullptr ? "PETSc error" : text,
                                  specific != nullptr && *specific != '\0' ? std::string(": ") + specific : ""));
}

}  // namespace flashring

PetscErrorCode FlashringRegisterAll(void) {
  PetscClassId id = 0;
  PetscFunctionBegin;
  if (flashring::registered) PetscFunctionReturn(PETSC_SUCCESS);
  const std::string mismatch = flashring::petsc_mismatch();
  PetscCheck(mismatch.empty(), PETSC_COMM_SELF, PETSC_ERR_LIB, "libflashring does not fit: %s", mismatch.c_str());
  PetscCall(MatRegister(MATFLASHRING, MatCreate_Flashring));
  PetscCall(EPSRegister(EPSBLOCKKRYLOVSCHUR, EPSCreate_BlockKrylovSchur));
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
  const std::string mismatch = flashring::petsc_mismatch();
  if (!mismatch.empty()) {
    flashring::refuse(mismatch);
    PetscFunctionReturn(PETSC_SUCCESS);
  }
  PetscCall(FlashringRegisterAll());
  PetscFunctionReturn(PETSC_SUCCESS);
}
