-- Lmod module of flashring @PROJECT_VERSION@. Put share/flashring/modulefiles on MODULEPATH, then load flashring.
help([[
Kernel matrices of large point sets as PETSc matrices that are never stored; diffusion maps.

Built for @FLASHRING_PETSC_KIND@.
Programs:            flashring-diffmap -help, flashring-extend -help, flashring-metric -help, flashring-bench -help
CMake projects:      find_package(flashring)
Makefiles:           pkg-config --cflags --libs flashring
Any PETSc program:   -dll_append '${FLASHRING_ROOT}/@CMAKE_INSTALL_LIBDIR@/libflashring.so' -mat_type flashring
]])
whatis("Name: flashring")
whatis("Version: @PROJECT_VERSION@")
whatis("Category: library, eigenvalue problems")
whatis("Description: @PROJECT_DESCRIPTION@")

-- The tree this file was installed in: found from the place of the file, so the tree may be moved as a whole.
-- A site that keeps its module files elsewhere writes the path here: local root = "/opt/flashring/@PROJECT_VERSION@"
local root = myFileName():match("^(.*)/@CMAKE_INSTALL_DATADIR@/flashring/modulefiles/flashring/[^/]*$")
if not root then
  LmodError("flashring: this module file is not where it was installed; write the path of flashring into it")
end

family("flashring")
-- The MPI, PETSc and SLEPc that it was built with; a site puts its own names here, such as
-- depends_on("openmpi/4.1", "petsc/@FLASHRING_PETSC_MINOR@", "slepc/@FLASHRING_PETSC_MINOR@")

setenv("FLASHRING_ROOT", root)
prepend_path("PATH", pathJoin(root, "@CMAKE_INSTALL_BINDIR@"))
prepend_path("LD_LIBRARY_PATH", pathJoin(root, "@CMAKE_INSTALL_LIBDIR@"))
prepend_path("PKG_CONFIG_PATH", pathJoin(root, "@CMAKE_INSTALL_LIBDIR@/pkgconfig"))
prepend_path("CMAKE_PREFIX_PATH", root)
