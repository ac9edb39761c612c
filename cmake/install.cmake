# What `cmake --install` puts where. Everything is found from where it is: the tree can be moved, and DESTDIR works.
include(GNUInstallDirs)
# BLIS variants share one soname: keep the chosen one's folder in the installed program.
set_target_properties(coppice PROPERTIES INSTALL_RPATH_USE_LINK_PATH ON)
install(TARGETS coppice RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
# The scripts find the program, and one another, from where they are: the tree can be moved.
set(slurm_dir ${CMAKE_INSTALL_DATADIR}/coppice/slurm)
install(PROGRAMS slurm/submit.sh DESTINATION ${slurm_dir})
install(FILES slurm/run.sbatch slurm/stage.sbatch slurm/sweep.sbatch slurm/plan.sbatch slurm/supervise.sh slurm/json.awk
  slurm/settings.example slurm/README.md slurm/SCALING.md DESTINATION ${slurm_dir})
install(CODE "
  set(bin \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_BINDIR}\")
  file(RELATIVE_PATH script \"\${bin}\" \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${slurm_dir}/submit.sh\")
  file(CREATE_LINK \"\${script}\" \"\${bin}/coppice-submit\" SYMBOLIC)
  message(STATUS \"Installing: \${bin}/coppice-submit\")")
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
install(FILES README.md CHANGELOG.md CITATION.cff SECURITY.md LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY docs DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES jobs/example.yaml DESTINATION ${share_dir}/jobs)
install(DIRECTORY jobs/recipes jobs/demo DESTINATION ${share_dir}/jobs)
