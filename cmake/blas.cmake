# The BLAS of all matrix products, COPPICE_BLAS: BLIS by its own interface, or any library with CBLAS's. LAPACK comes with
# LAPACKE and calls whatever stands as BLAS: the chosen one, as the program is linked with it first.
# Gives the target BLAS::chosen.
include(CheckCSourceCompiles)
include(CheckCSourceRuns)
include(CMakePushCheckState)

set(COPPICE_BLAS BLIS CACHE STRING "BLIS, OpenBLAS, FlexiBLAS, MKL, or what BLA_VENDOR of CMake's FindBLAS takes")
set_property(CACHE COPPICE_BLAS PROPERTY STRINGS BLIS OpenBLAS FlexiBLAS MKL)

add_library(coppice_blas INTERFACE)
add_library(BLAS::chosen ALIAS coppice_blas)
if(COPPICE_BLAS STREQUAL "BLIS")
  find_package(BLIS REQUIRED)
  find_package(LAPACKE REQUIRED)
  target_link_libraries(coppice_blas INTERFACE BLIS::BLIS LAPACKE::LAPACKE)
  set(blas_source kernels/blas_blis.c)
  return()
endif()

set(blas_source kernels/blas_cblas.c)
set(BLA_VENDOR ${COPPICE_BLAS})
if(COPPICE_BLAS STREQUAL "MKL")
  set(BLA_VENDOR Intel10_64lp_seq)
endif()
set(BLA_SIZEOF_INTEGER 4)
# Another choice in the same build folder is looked for anew.
string(TOLOWER ${COPPICE_BLAS} blas_lower)
if(DEFINED COPPICE_BLAS_BEFORE AND NOT COPPICE_BLAS STREQUAL COPPICE_BLAS_BEFORE)
  foreach(variable BLAS_LIBRARIES BLAS_${blas_lower}_LIBRARY COPPICE_CBLAS_DIR COPPICE_CBLAS_COMPILES COPPICE_CBLAS_HAS_INT
      COPPICE_CBLAS_RUNS LAPACKE_IS_IN_BLAS)
    unset(${variable} CACHE)
  endforeach()
endif()
set(COPPICE_BLAS_BEFORE ${COPPICE_BLAS} CACHE INTERNAL "")
find_package(BLAS QUIET)
if(NOT BLAS_FOUND)
  message(FATAL_ERROR "COPPICE_BLAS=${COPPICE_BLAS}: no such BLAS with 32-bit integers was found. On Debian: apt-get install "
    "libopenblas-dev or libflexiblas-dev; elsewhere load its module or set CMAKE_PREFIX_PATH.")
endif()
find_path(COPPICE_CBLAS_DIR NAMES cblas.h mkl_cblas.h PATH_SUFFIXES ${blas_lower} ${blas_lower}-pthread ${blas_lower}-openmp
  ${blas_lower}-serial ${CMAKE_LIBRARY_ARCHITECTURE} mkl blis)
if(NOT COPPICE_CBLAS_DIR)
  message(FATAL_ERROR "COPPICE_BLAS=${COPPICE_BLAS}: ${BLAS_LIBRARIES} is there, cblas.h is not. Set COPPICE_CBLAS_DIR to its folder.")
endif()
set(cblas_header cblas.h)
if(NOT EXISTS ${COPPICE_CBLAS_DIR}/cblas.h)
  set(cblas_header mkl_cblas.h)
endif()
set(LAPACKE_BLAS ${BLAS_LIBRARIES} ${BLAS_LINKER_FLAGS})
find_package(LAPACKE REQUIRED)

cmake_push_check_state(RESET)
set(CMAKE_REQUIRED_LIBRARIES ${BLAS_LIBRARIES} ${BLAS_LINKER_FLAGS} m ${CMAKE_DL_LIBS})
set(CMAKE_REQUIRED_INCLUDES ${COPPICE_CBLAS_DIR})
check_c_source_compiles("
#include <${cblas_header}>
int main(void)
{
    float one = 1, sum = 0;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, 1, 1, 1, 1, &one, 1, &one, 1, 0, &sum, 1);
    return sum != 1;
}" COPPICE_CBLAS_COMPILES)
if(NOT COPPICE_CBLAS_COMPILES)
  message(FATAL_ERROR "COPPICE_BLAS=${COPPICE_BLAS}: ${BLAS_LIBRARIES} has no cblas_sgemm for ${COPPICE_CBLAS_DIR}/${cblas_header}. "
    "A library with CBLAS's interface and 32-bit integers is needed; see CMakeFiles/CMakeError.log or CMakeConfigureLog.yaml in the build folder.")
endif()
# Sizes of 64 bits: by the header's types, then by what the library reads. It sees 2 elements, or a negative number of them.
check_c_source_compiles("
#include <${cblas_header}>
int main(void)
{
    return _Generic(&cblas_ddot, double (*)(int, const double *, int, const double *, int): 0);
}" COPPICE_CBLAS_HAS_INT)
if(COPPICE_CBLAS_HAS_INT AND NOT CMAKE_CROSSCOMPILING)
  check_c_source_runs("
double ddot_(const int *, const double *, const int *, const double *, const int *);
int main(void)
{
    const int size[2] = {2, -1}, step[2] = {1, 0};
    const double a[2] = {1, 2}, b[2] = {3, 4};
    return ddot_(size, a, step, b, step) != 11;
}" COPPICE_CBLAS_RUNS)
endif()
cmake_pop_check_state()
if(NOT COPPICE_CBLAS_HAS_INT OR (NOT CMAKE_CROSSCOMPILING AND NOT COPPICE_CBLAS_RUNS))
  message(FATAL_ERROR "COPPICE_BLAS=${COPPICE_BLAS}: ${BLAS_LIBRARIES} takes sizes of 64 bits (ILP64), or does not run. The variant "
    "with 32-bit integers (LP64) is needed.")
endif()

target_include_directories(coppice_blas SYSTEM INTERFACE ${COPPICE_CBLAS_DIR})
target_compile_definitions(coppice_blas INTERFACE COPPICE_CBLAS_HEADER=<${cblas_header}> COPPICE_BLAS="${COPPICE_BLAS}")
target_link_libraries(coppice_blas INTERFACE ${BLAS_LIBRARIES} ${BLAS_LINKER_FLAGS} LAPACKE::LAPACKE ${CMAKE_DL_LIBS})
