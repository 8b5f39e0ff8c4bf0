# CUDA for the backends of GPUs; NCCL for the transport that moves their memory.
set(FLASHRING_LEAST_CUDA 12.8)  # knows 10.0 and 12.0, for which kernels are compiled as well

# Stops for a compiler of that version. CMake's own test of an older one ends in a page of words about architectures.
function(flashring_check_cuda version compiler)
  if(version VERSION_LESS FLASHRING_LEAST_CUDA)
    message(FATAL_ERROR "FLASHRING_WITH_CUDA: CUDA ${version} (${compiler}) is older than ${FLASHRING_LEAST_CUDA}; give "
                        "a newer nvcc by CMAKE_CUDA_COMPILER")
  endif()
endfunction()

if(FLASHRING_WITH_CUDA)
  set(nvcc ${CMAKE_CUDA_COMPILER} $ENV{CUDACXX} nvcc)  # where CMake looks, in its order
  list(GET nvcc 0 nvcc)
  execute_process(COMMAND ${nvcc} --version OUTPUT_VARIABLE nvcc_words RESULT_VARIABLE nvcc_result ERROR_QUIET)
  if(nvcc_result EQUAL 0 AND nvcc_words MATCHES "release ([0-9.]+)")
    flashring_check_cuda(${CMAKE_MATCH_1} ${nvcc})
  endif()
  if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
    # A100; H100 and H200; all others translate what was made for the first
    set(CMAKE_CUDA_ARCHITECTURES 80 90a-real)
  endif()
  enable_language(CUDA)
  flashring_check_cuda(${CMAKE_CUDA_COMPILER_VERSION} ${CMAKE_CUDA_COMPILER})
  find_package(CUDAToolkit REQUIRED)
  message(STATUS "CUDA ${CMAKE_CUDA_COMPILER_VERSION} (${CMAKE_CUDA_COMPILER}) for ${CMAKE_CUDA_ARCHITECTURES}")
endif()

if(FLASHRING_WITH_NCCL)
  find_package(CUDAToolkit REQUIRED)  # nccl.h includes headers of CUDA
  find_path(NCCL_INCLUDE_DIR nccl.h HINTS ${CUDAToolkit_INCLUDE_DIRS} PATHS ENV NCCL_ROOT PATH_SUFFIXES include)
  find_library(NCCL_LIBRARY nccl HINTS ${CUDAToolkit_LIBRARY_DIR} "${CUDAToolkit_LIBRARY_ROOT}/lib" PATHS ENV NCCL_ROOT
               PATH_SUFFIXES lib lib64)
  if(NOT NCCL_INCLUDE_DIR OR NOT NCCL_LIBRARY)
    message(FATAL_ERROR "FLASHRING_WITH_NCCL: nccl.h or libnccl not found; give NCCL_INCLUDE_DIR and NCCL_LIBRARY")
  endif()
  file(STRINGS ${NCCL_INCLUDE_DIR}/nccl.h nccl_lines REGEX "^#define NCCL_(MAJOR|MINOR|PATCH) +[0-9]+")
  string(REGEX REPLACE "[^0-9;]" "" NCCL_VERSION "${nccl_lines}")
  string(REPLACE ";" "." NCCL_VERSION "${NCCL_VERSION}")
  if(NCCL_VERSION VERSION_LESS 2.19)
    message(FATAL_ERROR "FLASHRING_WITH_NCCL: NCCL ${NCCL_VERSION} in ${NCCL_INCLUDE_DIR} is older than 2.19")
  endif()
  include(CheckCXXSourceCompiles)
  set(CMAKE_REQUIRED_INCLUDES ${NCCL_INCLUDE_DIR})
  set(CMAKE_REQUIRED_LIBRARIES ${NCCL_LIBRARY} CUDA::cudart_static)  # as the product links, which needs no other
  # What the transport will call: a communicator that does not block, and sends and receives.
  check_cxx_source_compiles("#include <nccl.h>
int main() {
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  ncclUniqueId id = {};
  ncclComm_t communicator = nullptr;
  config.blocking = 0;
  return ncclCommInitRankConfig(&communicator, 1, id, 0, &config) + ncclGroupEnd()
    + ncclSend(nullptr, 0, ncclInt8, 0, communicator, nullptr)
    + ncclRecv(nullptr, 0, ncclInt8, 0, communicator, nullptr);
}" FLASHRING_NCCL_LINKS)
  unset(CMAKE_REQUIRED_INCLUDES)
  unset(CMAKE_REQUIRED_LIBRARIES)
  if(NOT FLASHRING_NCCL_LINKS)
    message(FATAL_ERROR "FLASHRING_WITH_NCCL: a program with ncclCommInitRankConfig and ncclSend does not link")
  endif()
  message(STATUS "NCCL ${NCCL_VERSION} (${NCCL_LIBRARY})")
endif()
