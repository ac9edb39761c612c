# require_pkg(PREFIX module "Human name" debian-package): an imported target PkgConfig::PREFIX, or an error
# that says what to install.
find_package(PkgConfig QUIET)
if(NOT PkgConfig_FOUND)
  message(FATAL_ERROR "pkg-config was not found. On Debian: apt-get install pkg-config")
endif()

function(require_pkg prefix module human package)
  pkg_check_modules(${prefix} QUIET IMPORTED_TARGET ${module})
  if(NOT ${prefix}_FOUND)
    message(FATAL_ERROR "${human} (pkg-config module '${module}') was not found. "
      "On Debian: apt-get install ${package}; elsewhere point PKG_CONFIG_PATH to its .pc file.")
  endif()
  # Headers of other projects are not held to our warnings.
  get_target_property(dirs PkgConfig::${prefix} INTERFACE_INCLUDE_DIRECTORIES)
  if(dirs)
    set_target_properties(PkgConfig::${prefix} PROPERTIES INTERFACE_SYSTEM_INCLUDE_DIRECTORIES "${dirs}")
  endif()
endfunction()
