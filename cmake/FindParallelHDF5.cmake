# Finds the HDF5 that was built with parallel I/O for the MPI that find_package(MPI) found. Distributions have one HDF5 for
# each MPI, under names of their own; module systems and Spack have one, under its plain name. HDF5_ROOT or
# CMAKE_PREFIX_PATH, or PKG_CONFIG_PATH, says where it is. Gives the target HDF5::parallel.
include(CheckCSourceCompiles)
include(CMakePushCheckState)

# parallel_hdf5_compiles(VARIABLE targets...): whether these give a parallel HDF5 for this MPI, new enough.
function(parallel_hdf5_compiles variable)
  cmake_push_check_state(RESET)
  set(CMAKE_REQUIRED_LIBRARIES ${ARGN} MPI::MPI_C)
  check_c_source_compiles("
#include <hdf5.h>
#ifndef H5_HAVE_PARALLEL
#error \"an HDF5 without MPI\"
#endif
#if !H5_VERSION_GE(1, 10, 5)
#error \"H5Dget_num_chunks is not there yet\"
#endif
int main(void) { return H5Pset_fapl_mpio(H5P_DEFAULT, MPI_COMM_WORLD, MPI_INFO_NULL) < 0; }" ${variable})
  cmake_pop_check_state()
endfunction()

cmake_push_check_state(RESET)
set(CMAKE_REQUIRED_LIBRARIES MPI::MPI_C)
check_c_source_compiles("
#include <mpi.h>
#ifndef OPEN_MPI
#error \"another MPI\"
#endif
int main(void) { return 0; }" COPPICE_MPI_IS_OPEN_MPI)
cmake_pop_check_state()
if(COPPICE_MPI_IS_OPEN_MPI)
  set(hdf5_modules hdf5-openmpi hdf5)
else()
  set(hdf5_modules hdf5-mpich hdf5)
endif()

set(hdf5_targets "")
if(NOT HDF5_ROOT AND NOT DEFINED ENV{HDF5_ROOT})
  foreach(module IN LISTS hdf5_modules)
    string(MAKE_C_IDENTIFIER HDF5_PC_${module} prefix)
    pkg_check_modules(${prefix} QUIET IMPORTED_TARGET ${module})
    if(${prefix}_FOUND)
      parallel_hdf5_compiles(COPPICE_${prefix}_IS_PARALLEL PkgConfig::${prefix})
      if(COPPICE_${prefix}_IS_PARALLEL)
        set(hdf5_targets PkgConfig::${prefix})
        set(ParallelHDF5_VERSION ${${prefix}_VERSION})
        break()
      endif()
    endif()
  endforeach()
endif()
if(NOT hdf5_targets)
  set(HDF5_PREFER_PARALLEL TRUE)
  find_package(HDF5 QUIET COMPONENTS C)
  if(HDF5_FOUND AND TARGET hdf5::hdf5)
    parallel_hdf5_compiles(COPPICE_HDF5_IS_PARALLEL hdf5::hdf5)
    if(COPPICE_HDF5_IS_PARALLEL)
      set(hdf5_targets hdf5::hdf5)
      set(ParallelHDF5_VERSION ${HDF5_VERSION})
    endif()
  endif()
endif()

include(FindPackageHandleStandardArgs)
if(COPPICE_MPI_IS_OPEN_MPI)
  set(hdf5_package libhdf5-openmpi-dev)
else()
  set(hdf5_package libhdf5-mpich-dev)
endif()
find_package_handle_standard_args(ParallelHDF5 REQUIRED_VARS hdf5_targets VERSION_VAR ParallelHDF5_VERSION
  REASON_FAILURE_MESSAGE "no HDF5, 1.10.5 or later, with parallel I/O for this MPI (${MPI_C_COMPILER}): on Debian apt-get install \
${hdf5_package}, elsewhere set HDF5_ROOT")

if(ParallelHDF5_FOUND AND NOT TARGET HDF5::parallel)
  add_library(HDF5::parallel INTERFACE IMPORTED)
  target_link_libraries(HDF5::parallel INTERFACE ${hdf5_targets} MPI::MPI_C)
  # Later versions have their functions of the same names take other structures; 1.10's are in all of them.
  target_compile_definitions(HDF5::parallel INTERFACE H5_USE_110_API)
  get_target_property(hdf5_includes ${hdf5_targets} INTERFACE_INCLUDE_DIRECTORIES)
  if(hdf5_includes)
    set_target_properties(HDF5::parallel PROPERTIES INTERFACE_SYSTEM_INCLUDE_DIRECTORIES "${hdf5_includes}")
  endif()
endif()
