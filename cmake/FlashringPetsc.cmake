# PETSc, SLEPc and what goes with them. Checked here: they belong together, real double scalars.
if(NOT FLASHRING_WITH_MPI)
  message(FATAL_ERROR "FLASHRING_WITH_PETSC needs FLASHRING_WITH_MPI")
endif()
include(FlashringFindPetsc)
flashring_find_petsc("")
# The HDF5 that PETSc is linked to: Debian's name first, then the plain one (Spack). Only its serial functions are used.
pkg_search_module(HDF5 REQUIRED IMPORTED_TARGET hdf5-openmpi hdf5)
# That of PETSc, for small dense problems.
find_package(LAPACK REQUIRED)
# Headers alone; not every package of it says so to CMake.
find_package(FastFloat CONFIG QUIET)
if(NOT TARGET FastFloat::fast_float)
  find_path(FAST_FLOAT_INCLUDE_DIR fast_float/fast_float.h REQUIRED)
  add_library(FastFloat::fast_float INTERFACE IMPORTED)
  target_include_directories(FastFloat::fast_float INTERFACE ${FAST_FLOAT_INCLUDE_DIR})
endif()
find_package(fmt REQUIRED)
find_package(nlohmann_json REQUIRED)

string(REGEX MATCH "^[0-9]+\\.[0-9]+" petsc_minor "${PETSC_VERSION}")
string(REGEX MATCH "^[0-9]+\\.[0-9]+" slepc_minor "${SLEPC_VERSION}")
if(NOT petsc_minor VERSION_EQUAL slepc_minor)
  message(FATAL_ERROR "PETSc ${PETSC_VERSION} and SLEPc ${SLEPC_VERSION} do not belong together")
endif()

# What the library is built for; whoever links it or loads it must have the same.
if(NOT FLASHRING_PETSC_KIND OR NOT FLASHRING_PETSC_KIND_OF STREQUAL PETSC_PREFIX)
  flashring_petsc_kind(kind PkgConfig::PETSC MPI::MPI_CXX cpp)
  set(FLASHRING_PETSC_KIND "${kind}" CACHE INTERNAL "version, indices and scalars of PETSc")
  set(FLASHRING_PETSC_KIND_OF "${PETSC_PREFIX}" CACHE INTERNAL "the PETSc that was looked at")
endif()
message(STATUS "${FLASHRING_PETSC_KIND} (${PETSC_PREFIX})")
if(NOT FLASHRING_PETSC_KIND MATCHES "real double scalars")
  message(FATAL_ERROR "flashring needs a PETSc with real double scalars; ${PETSC_PREFIX} is ${FLASHRING_PETSC_KIND}")
endif()
