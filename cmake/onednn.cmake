# oneDNN for products of bfloat16 by the processor's own instructions (`compute: bf16`), if it is there. Its package for CMake
# asks for OpenCL's headers, which nothing here needs: header and library are looked for by themselves.
# Gives bf16_source, and the target oneDNN::chosen, which is empty without it.
set(COPPICE_ONEDNN AUTO CACHE STRING "AUTO, ON or OFF: oneDNN for compute: bf16")
set_property(CACHE COPPICE_ONEDNN PROPERTY STRINGS AUTO ON OFF)

add_library(coppice_onednn INTERFACE)
add_library(oneDNN::chosen ALIAS coppice_onednn)
set(bf16_source kernels/bf16_unit_none.c)
if(COPPICE_ONEDNN)
  find_path(COPPICE_ONEDNN_DIR NAMES dnnl.h)
  find_library(COPPICE_ONEDNN_LIBRARY NAMES dnnl)
  if(COPPICE_ONEDNN_DIR AND COPPICE_ONEDNN_LIBRARY)
    set(bf16_source kernels/bf16_unit_onednn.c)
    target_include_directories(coppice_onednn SYSTEM INTERFACE ${COPPICE_ONEDNN_DIR})
    target_link_libraries(coppice_onednn INTERFACE ${COPPICE_ONEDNN_LIBRARY} ${CMAKE_DL_LIBS})
  elseif(NOT COPPICE_ONEDNN STREQUAL "AUTO")
    message(FATAL_ERROR "COPPICE_ONEDNN=${COPPICE_ONEDNN}: oneDNN was not found. On Debian: apt-get install libdnnl-dev; elsewhere load "
      "its module or set CMAKE_PREFIX_PATH.")
  endif()
endif()
