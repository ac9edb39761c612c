# Finds LAPACKE, the C interface to LAPACK, whose pkg-config file asks for one of a BLAS that is not always there. It is a
# library of its own, or part of a BLAS: of the one in LAPACKE_BLAS, if that is set, or of OpenBLAS.
# LAPACK comes along, and calls whatever stands as BLAS: the one that the program is linked with first.
# Gives the target LAPACKE::LAPACKE.
include(CheckCSourceCompiles)
include(CMakePushCheckState)

find_path(LAPACKE_INCLUDE_DIR NAMES lapacke.h mkl_lapacke.h PATH_SUFFIXES lapacke openblas flexiblas mkl)
if(LAPACKE_BLAS)
  cmake_push_check_state(RESET)
  set(CMAKE_REQUIRED_LIBRARIES ${LAPACKE_BLAS} m ${CMAKE_DL_LIBS})
  check_c_source_compiles("
int LAPACKE_dpotrf_work(int, char, int, double *, int);
int main(void) { double one = 1; return LAPACKE_dpotrf_work(102, 'L', 1, &one, 1); }" LAPACKE_IS_IN_BLAS)
  cmake_pop_check_state()
endif()
if(LAPACKE_IS_IN_BLAS)
  set(LAPACKE_LIBRARIES ${LAPACKE_BLAS})
else()
  find_library(LAPACKE_LIBRARY NAMES lapacke openblas)
  set(LAPACKE_LIBRARIES ${LAPACKE_LIBRARY})
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(LAPACKE REQUIRED_VARS LAPACKE_LIBRARIES LAPACKE_INCLUDE_DIR
  REASON_FAILURE_MESSAGE "on Debian: apt-get install liblapacke-dev, elsewhere set CMAKE_PREFIX_PATH")
mark_as_advanced(LAPACKE_INCLUDE_DIR LAPACKE_LIBRARY)

if(LAPACKE_FOUND AND NOT TARGET LAPACKE::LAPACKE)
  set(lapacke_includes ${LAPACKE_INCLUDE_DIR})
  if(NOT EXISTS ${LAPACKE_INCLUDE_DIR}/lapacke.h) # MKL's has another name
    file(WRITE ${CMAKE_BINARY_DIR}/lapacke/lapacke.h "#include <mkl_lapacke.h>\n")
    list(PREPEND lapacke_includes ${CMAKE_BINARY_DIR}/lapacke)
  endif()
  add_library(LAPACKE::LAPACKE INTERFACE IMPORTED)
  set_target_properties(LAPACKE::LAPACKE PROPERTIES
    INTERFACE_LINK_LIBRARIES "${LAPACKE_LIBRARIES}"
    INTERFACE_INCLUDE_DIRECTORIES "${lapacke_includes}"
    INTERFACE_SYSTEM_INCLUDE_DIRECTORIES "${lapacke_includes}")
endif()
