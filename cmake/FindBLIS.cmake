# Finds BLIS (https://github.com/flame/blis), which ships neither a pkg-config file nor a CMake package.
# Debian installs its three threading variants into folders of their own; BLIS_VARIANT chooses one.
# Gives the target BLIS::BLIS.
set(BLIS_VARIANT "pthread" CACHE STRING "Threading of BLIS: openmp, pthread or serial")
set_property(CACHE BLIS_VARIANT PROPERTY STRINGS openmp pthread serial)

# CMake does not always know the multiarch folder (clang); without it another variant's header would be taken.
set(blis_folders blis-${BLIS_VARIANT} ${CMAKE_LIBRARY_ARCHITECTURE}/blis-${BLIS_VARIANT}
  ${CMAKE_SYSTEM_PROCESSOR}-linux-gnu/blis-${BLIS_VARIANT})
find_path(BLIS_INCLUDE_DIR blis.h
  PATH_SUFFIXES ${blis_folders} blis)
find_library(BLIS_LIBRARY NAMES blis PATH_SUFFIXES ${blis_folders})

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(BLIS REQUIRED_VARS BLIS_LIBRARY BLIS_INCLUDE_DIR
  REASON_FAILURE_MESSAGE "on Debian: apt-get install libblis-pthread-dev, elsewhere set CMAKE_PREFIX_PATH")
mark_as_advanced(BLIS_INCLUDE_DIR BLIS_LIBRARY)

if(BLIS_FOUND AND NOT TARGET BLIS::BLIS)
  add_library(BLIS::BLIS UNKNOWN IMPORTED)
  set_target_properties(BLIS::BLIS PROPERTIES
    IMPORTED_LOCATION "${BLIS_LIBRARY}"
    INTERFACE_INCLUDE_DIRECTORIES "${BLIS_INCLUDE_DIR}"
    INTERFACE_SYSTEM_INCLUDE_DIRECTORIES "${BLIS_INCLUDE_DIR}")
endif()
