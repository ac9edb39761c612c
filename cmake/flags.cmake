# How all C here is compiled. Gives the target coppice_flags, and the tree's root in source_folder.
cmake_path(GET CMAKE_CURRENT_LIST_DIR PARENT_PATH source_folder)
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)

add_library(coppice_flags INTERFACE)
target_compile_options(coppice_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes
  -ffp-contract=off       # one rounding per operation on every machine: results are compared byte for byte
  -fno-math-errno)
target_compile_definitions(coppice_flags INTERFACE _GNU_SOURCE)
target_include_directories(coppice_flags INTERFACE "${source_folder}" "${CMAKE_BINARY_DIR}")
include(${CMAKE_CURRENT_LIST_DIR}/harden.cmake)
harden(coppice_flags)
if(COPPICE_SANITIZE)
  target_compile_options(coppice_flags INTERFACE
    -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(coppice_flags INTERFACE -fsanitize=address,undefined)
  target_compile_definitions(coppice_flags INTERFACE COPPICE_SANITIZE)
endif()
if(COPPICE_WERROR)
  target_compile_options(coppice_flags INTERFACE -Werror)
endif()
if(COPPICE_FUZZ)
  target_compile_options(coppice_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
