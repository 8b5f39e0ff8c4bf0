# How PETSc and SLEPc are found and what kind they are: for our own build and, installed, for those who use flashring.

# Makes PkgConfig::${prefix}PETSC and PkgConfig::${prefix}SLEPC. PETSC_DIR, PETSC_ARCH and SLEPC_DIR as -D or in the
# environment, otherwise what pkg-config finds (Debian, Spack, modules).
function(flashring_find_petsc prefix)
  # A value given with -D counts more than one of the environment.
  foreach(package PETSC SLEPC)
    foreach(directory "$ENV{${package}_DIR}" "${${package}_DIR}")
      if(directory)
        list(PREPEND CMAKE_PREFIX_PATH "${directory}/${PETSC_ARCH}" "${directory}/$ENV{PETSC_ARCH}" "${directory}")
      endif()
    endforeach()
  endforeach()
  set(PKG_CONFIG_USE_CMAKE_PREFIX_PATH ON)
  pkg_check_modules(${prefix}PETSC REQUIRED IMPORTED_TARGET PETSc>=3.18)
  pkg_check_modules(${prefix}SLEPC REQUIRED IMPORTED_TARGET SLEPc>=3.18)
endfunction()

# What a PETSc is, as its headers say it, such as "PETSc 3.18, 32-bit indices, real double scalars". Read from an object
# file that is compiled and never run, so that it works when cross-compiling too.
function(flashring_petsc_kind variable petsc_target mpi_target extension)
  set(folder "${CMAKE_CURRENT_BINARY_DIR}/CMakeFiles/flashring_petsc")
  file(WRITE "${folder}/kind.${extension}" [=[
#include <petscsys.h>
#define TEXT(x) #x
#define VALUE(x) TEXT(x)
#if defined(PETSC_USE_64BIT_INDICES)
#define INDICES "64-bit"
#else
#define INDICES "32-bit"
#endif
#if defined(PETSC_USE_COMPLEX)
#define FIELD "complex"
#else
#define FIELD "real"
#endif
#if defined(PETSC_USE_REAL_DOUBLE)
#define PRECISION "double"
#elif defined(PETSC_USE_REAL_SINGLE)
#define PRECISION "single"
#else
#define PRECISION "other than double"
#endif
const char petsc_kind[] = "petsc_kind{PETSc " VALUE(PETSC_VERSION_MAJOR) "." VALUE(PETSC_VERSION_MINOR)
  ", " INDICES " indices, " FIELD " " PRECISION " scalars}";
const char *petsc_kind_text(void);
const char *petsc_kind_text(void) { return petsc_kind; }
]=])
  set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
  try_compile(compiled "${folder}" SOURCES "${folder}/kind.${extension}" LINK_LIBRARIES ${petsc_target} ${mpi_target}
              OUTPUT_VARIABLE output COPY_FILE "${folder}/kind.a")
  if(NOT compiled)
    message(FATAL_ERROR "a program that includes petscsys.h does not compile:\n${output}")
  endif()
  file(STRINGS "${folder}/kind.a" line REGEX "petsc_kind{" LIMIT_COUNT 1)
  string(REGEX REPLACE ".*petsc_kind{([^}]*)}.*" "\\1" kind "${line}")
  set(${variable} "${kind}" PARENT_SCOPE)
endfunction()
