// What this library was built with and what it runs on, for -version and for reports of errors.
#include <hdf5.h>
#include <mpi.h>
#include <petscsys.h>
#include <slepcsys.h>

#include "flashring/check.hpp"
#include "flashring/devices.hpp"
#include "flashring/petsc_mat.hpp"
#include "flashring/tile.hpp"
#include "flashring/transport.hpp"
#include "flashring/version.hpp"

namespace flashring {
namespace {

/// The libraries of this process, which may be later than those of the build by a patch.
std::string petsc_line() {
  PetscInt petsc[3] = {0, 0, 0};
  PetscInt slepc[3] = {0, 0, 0};
  check_petsc(PetscGetVersionNumber(&petsc[0], &petsc[1], &petsc[2], nullptr), "version of PETSc");
  check_petsc(SlepcGetVersionNumber(&slepc[0], &slepc[1], &slepc[2], nullptr), "version of SLEPc");
  return detail::concatenate("PETSc ", petsc[0], ".", petsc[1], ".", petsc[2], ", SLEPc ", slepc[0], ".", slepc[1], ".",
                             slepc[2], ", ", 8 * sizeof(PetscInt), "-bit indices, real double scalars");
}

/// The first line of what MPI says of itself; MPICH goes on for a page.
std::string mpi_line() {
  char text[MPI_MAX_LIBRARY_VERSION_STRING] = "";
  int length = 0;
  MPI_Get_library_version(text, &length);
  const std::string all = text;
  return all.substr(0, all.find('\n'));
}

std::string hdf5_line() {
  unsigned major = 0;
  unsigned minor = 0;
  unsigned patch = 0;
  H5get_libversion(&major, &minor, &patch);
  return detail::concatenate("HDF5 ", major, ".", minor, ".", patch);
}

/// Beside each backend what it would take here; a name with a ceiling already says it.
std::string backends_line() {
  std::string line = "backends:";
  for (const std::string &name : backend_names()) {
    line += " " + name;
    if (name.find(':') == std::string::npos) line.append(" (").append(find_backend(name).target).append(")");
  }
  return line;
}

std::string transports_line() {
  std::string line = "transports:";
  for (const std::string_view name : transport_names()) line.append(" ").append(name);
  return line;
}

}  // namespace

std::string build_description() {
  std::string text;
  for (const std::string &line :
       {version_line(), petsc_line(), mpi_line(), hdf5_line(),
        std::string("compiler ") + FLASHRING_COMPILER + ", build type " + FLASHRING_BUILD_TYPE, backends_line(),
        transports_line(), device_text()})
    text += line + "\n";
  return text;
}

}  // namespace flashring
