# What `cmake --install` puts where. The tree may be moved as a whole afterwards.
include(CMakePackageConfigHelpers)
set(data_folder ${CMAKE_INSTALL_DATADIR}/flashring)
set(config_folder ${CMAKE_INSTALL_LIBDIR}/cmake/flashring)

# What depends on the machine is left to flashringConfig.cmake: the exported target names no file but the library.
install(TARGETS flashring EXPORT flashringTargets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT flashringTargets NAMESPACE flashring:: DESTINATION ${config_folder})

install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/flashring DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
        FILES_MATCHING PATTERN "*.h" PATTERN "*.hpp")
set(generated ${PROJECT_BINARY_DIR}/generated/flashring)
install(FILES ${generated}/version.h ${generated}/pair_list.inc ${generated}/row_list.inc
              ${generated}/device_row_list.inc
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/flashring)

install(DIRECTORY ${PROJECT_SOURCE_DIR}/configs DESTINATION ${data_folder})
install(FILES ${PROJECT_SOURCE_DIR}/README.md ${PROJECT_SOURCE_DIR}/CHANGELOG.md ${PROJECT_SOURCE_DIR}/SUPPORT.md
              ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR}/docs)
install(FILES ${PROJECT_SOURCE_DIR}/tests/install/time_loop.c ${PROJECT_SOURCE_DIR}/tests/install/use_operator.cpp
              ${PROJECT_SOURCE_DIR}/tests/install/make_project/Makefile
        DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples)
install(PROGRAMS ${PROJECT_SOURCE_DIR}/cluster/bind.sh ${PROJECT_SOURCE_DIR}/cluster/bench
                 ${PROJECT_SOURCE_DIR}/cluster/bench_plot ${PROJECT_SOURCE_DIR}/cluster/bench_compare.py
                 ${PROJECT_SOURCE_DIR}/cluster/bench_attention.py ${PROJECT_SOURCE_DIR}/cluster/bench_eigen.py
        DESTINATION ${data_folder}/cluster)
install(FILES ${PROJECT_SOURCE_DIR}/cluster/flashring.sbatch DESTINATION ${data_folder}/cluster)

# Users must have the PETSc that the library was built for.
string(REGEX MATCH "^([0-9]+)\\.([0-9]+)" FLASHRING_PETSC_MINOR "${PETSC_VERSION}")
math(EXPR FLASHRING_PETSC_NEXT_MINOR "${CMAKE_MATCH_2} + 1")
set(FLASHRING_PETSC_NEXT_MINOR "${CMAKE_MATCH_1}.${FLASHRING_PETSC_NEXT_MINOR}")
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/flashringConfig.cmake.in flashringConfig.cmake
                              INSTALL_DESTINATION ${config_folder} NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(flashringConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/flashringConfig.cmake ${PROJECT_BINARY_DIR}/flashringConfigVersion.cmake
              ${CMAKE_CURRENT_LIST_DIR}/FlashringFindPetsc.cmake
        DESTINATION ${config_folder})

file(RELATIVE_PATH FLASHRING_PC_TO_PREFIX ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
configure_file(${CMAKE_CURRENT_LIST_DIR}/flashring.pc.in flashring.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/flashring.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

# The module file finds its tree from its own place, unless a site copies it elsewhere and fills in `root` by hand.
file(RELATIVE_PATH FLASHRING_MODULE_TO_PREFIX /${data_folder}/modulefiles/flashring /)
configure_file(${PROJECT_SOURCE_DIR}/cluster/flashring.lua modulefiles/flashring.lua @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/modulefiles/flashring.lua DESTINATION ${data_folder}/modulefiles/flashring
        RENAME ${PROJECT_VERSION}.lua)
