# test_name(OUT SOURCE): io/store/test_damage.c is the test io.store.damage.
function(test_name out source)
  string(REGEX REPLACE "/" "." name ${source})
  string(REGEX REPLACE "test_([^.]*)\\.c$" "\\1" name ${name})
  set(${out} ${name} PARENT_SCOPE)
endfunction()

# test_program(NAME SOURCE): the program of a test, with the calls that it replaces.
function(test_program name source)
  set(target test_${name})
  add_executable(${target} ${source})
  set_target_properties(${target} PROPERTIES OUTPUT_NAME ${name})
  add_custom_target(${name} DEPENDS ${target}) # to build one test by the name that ctest has for it
  # Calls to be failed on demand are listed in the test's first lines: "// wrap: write fsync"
  file(STRINGS ${source} wrap_line REGEX "^// wrap: " LIMIT_COUNT 1)
  if(wrap_line)
    string(REPLACE "// wrap: " "" wrap_line "${wrap_line}")
    separate_arguments(wrapped UNIX_COMMAND "${wrap_line}")
    foreach(call IN LISTS wrapped)
      target_link_options(${target} PRIVATE "-Wl,--wrap=${call}")
    endforeach()
  endif()
endfunction()
