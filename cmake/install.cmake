# What `cmake --install` puts where. Everything is found from where it is: the tree can be moved, and DESTDIR works.
include(GNUInstallDirs)

# install_link(TARGET LINK): a symbolic link by a relative path; both are in the prefix.
function(install_link target link)
  install(CODE "
    get_filename_component(prefix \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}\" ABSOLUTE)
    get_filename_component(folder \"\${prefix}/${link}\" DIRECTORY)
    file(RELATIVE_PATH target \"\${folder}\" \"\${prefix}/${target}\")
    file(MAKE_DIRECTORY \"\${folder}\")
    file(CREATE_LINK \"\${target}\" \"\${prefix}/${link}\" SYMBOLIC)
    message(STATUS \"Installing: \${prefix}/${link}\")")
endfunction()

# BLIS variants share one soname: keep the chosen one's folder in the installed program.
set_target_properties(coppice PROPERTIES INSTALL_RPATH_USE_LINK_PATH ON)
install(TARGETS coppice RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
# The scripts find the program, and one another, from where they are: the tree can be moved.
set(slurm_dir ${CMAKE_INSTALL_DATADIR}/coppice/slurm)
install(PROGRAMS slurm/submit.sh DESTINATION ${slurm_dir})
install(FILES slurm/run.sbatch slurm/stage.sbatch slurm/sweep.sbatch slurm/plan.sbatch slurm/supervise.sh slurm/json.awk
  slurm/settings.example slurm/README.md slurm/SCALING.md DESTINATION ${slurm_dir})
install_link(${slurm_dir}/submit.sh ${CMAKE_INSTALL_BINDIR}/coppice-submit)
# The man page and completion for shells come from the program's own tables.
set(documents ${CMAKE_BINARY_DIR}/documents)
file(MAKE_DIRECTORY ${documents})
add_custom_command(TARGET coppice POST_BUILD
  COMMAND ${CMAKE_COMMAND} -E env ASAN_OPTIONS=detect_leaks=0 $<TARGET_FILE:coppice> help man > coppice.1
  COMMAND ${CMAKE_COMMAND} -E env ASAN_OPTIONS=detect_leaks=0 $<TARGET_FILE:coppice> help bash > coppice
  COMMAND ${CMAKE_COMMAND} -E env ASAN_OPTIONS=detect_leaks=0 $<TARGET_FILE:coppice> help zsh > _coppice
  COMMAND ${CMAKE_COMMAND} -E env ASAN_OPTIONS=detect_leaks=0 $<TARGET_FILE:coppice> help fish > coppice.fish
  WORKING_DIRECTORY ${documents} VERBATIM)
install(FILES ${documents}/coppice.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${documents}/coppice DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
install(FILES ${documents}/_coppice DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
install(FILES ${documents}/coppice.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
# What a user reads, and starts from.
set(share_dir ${CMAKE_INSTALL_DATADIR}/coppice)
# Pages keep their places to one another, as they link; what they link to comes along.
foreach(page README.md CHANGELOG.md CITATION.cff SECURITY.md LICENSE ARCHITECTURE.md CONTRIBUTING.md io/model/FAMILIES.md
    io/store/FORMAT.md io/tasks/format.h kernels/METHOD.md kernels/README.md stages/README.md packaging/README.md)
  get_filename_component(folder ${page} DIRECTORY)
  install(FILES ${page} DESTINATION ${CMAKE_INSTALL_DOCDIR}/${folder})
endforeach()
install(DIRECTORY docs DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES jobs/example.yaml DESTINATION ${share_dir}/jobs)
install(DIRECTORY jobs/recipes jobs/demo DESTINATION ${share_dir}/jobs)
install_link(${share_dir}/jobs ${CMAKE_INSTALL_DOCDIR}/jobs)
install_link(${slurm_dir} ${CMAKE_INSTALL_DOCDIR}/slurm)
