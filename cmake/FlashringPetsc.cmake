# PETSc and SLEPc by pkg-config: PETSC_DIR, PETSC_ARCH and SLEPC_DIR as -D or in the environment, otherwise what
# pkg-config finds (Debian, Spack, modules). Checked here: they belong together, real double scalars.
if(NOT FLASHRING_WITH_MPI)
  message(FATAL_ERROR "FLASHRING_WITH_PETSC needs FLASHRING_WITH_MPI")
endif()
foreach(package PETSC SLEPC)
  foreach(directory "${${package}_DIR}" "$ENV{${package}_DIR}")
    if(directory)
      list(APPEND CMAKE_PREFIX_PATH "${directory}" "${directory}/${PETSC_ARCH}" "${directory}/$ENV{PETSC_ARCH}")
    endif()
  endforeach()
endforeach()
set(PKG_CONFIG_USE_CMAKE_PREFIX_PATH ON)
pkg_check_modules(PETSC REQUIRED IMPORTED_TARGET PETSc>=3.18)
pkg_check_modules(SLEPC REQUIRED IMPORTED_TARGET SLEPc>=3.18)
# The HDF5 that PETSc is linked to: Debian's name first, then the plain one (Spack). Only its serial functions are used.
pkg_search_module(HDF5 REQUIRED IMPORTED_TARGET hdf5-openmpi hdf5)
find_package(fmt REQUIRED)
find_package(nlohmann_json REQUIRED)

string(REGEX MATCH "^[0-9]+\\.[0-9]+" petsc_minor "${PETSC_VERSION}")
string(REGEX MATCH "^[0-9]+\\.[0-9]+" slepc_minor "${SLEPC_VERSION}")
if(NOT petsc_minor VERSION_EQUAL slepc_minor)
  message(FATAL_ERROR "PETSc ${PETSC_VERSION} and SLEPc ${SLEPC_VERSION} do not belong together")
endif()

include(CheckCXXSourceCompiles)
set(CMAKE_REQUIRED_LIBRARIES PkgConfig::PETSC MPI::MPI_CXX)
check_cxx_source_compiles("#include <petscsys.h>
#if !defined(PETSC_USE_REAL_DOUBLE) || defined(PETSC_USE_COMPLEX)
#error scalars
#endif
int main() {}" FLASHRING_PETSC_IS_REAL_DOUBLE)
unset(CMAKE_REQUIRED_LIBRARIES)
if(NOT FLASHRING_PETSC_IS_REAL_DOUBLE)
  message(FATAL_ERROR "flashring needs a PETSc with real double scalars; ${PETSC_PREFIX} has others")
endif()
