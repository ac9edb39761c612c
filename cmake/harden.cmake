# What makes a mistake in memory hard to use: the program reads files of strangers. Its cost is within the noise
# (SECURITY.md).
include(CheckCCompilerFlag)

option(COPPICE_HARDEN "Stack protector, checked copies and control-flow marks in builds with optimisation" ON)

# Tables of addresses are written once, at the start, and then read-only.
add_link_options("LINKER:-z,relro,-z,now,-z,noexecstack")

function(harden target)
  if(NOT COPPICE_HARDEN OR COPPICE_SANITIZE OR CMAKE_BUILD_TYPE STREQUAL "Debug")
    return() # the sanitizers see more, and without optimisation copies are not checked
  endif()
  set(level 2)
  if(CMAKE_C_COMPILER_ID STREQUAL "GNU" AND CMAKE_C_COMPILER_VERSION VERSION_GREATER_EQUAL 12)
    set(level 3)
  endif()
  # Position-independent: nothing is where it was the last time. Shared libraries are so anyway.
  set(type $<TARGET_PROPERTY:TYPE>)
  set(is_program $<STREQUAL:${type},EXECUTABLE>)
  target_compile_options(${target} INTERFACE $<$<OR:${is_program},$<STREQUAL:${type},STATIC_LIBRARY>>:-fPIE>
    -fstack-protector-strong -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=${level})
  target_link_options(${target} INTERFACE $<${is_program}:-pie>)
  check_c_compiler_flag(-fcf-protection=full has_cf_protection)
  if(has_cf_protection)
    target_compile_options(${target} INTERFACE -fcf-protection=full)
  endif()
endfunction()
