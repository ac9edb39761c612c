#!/usr/bin/env bash
# install.sh - `cmake --install` into a folder of its own: the installed program runs there without the build.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
build=$(dirname "$COPPICE")
[ -f "$build/cmake_install.cmake" ] || skip_test "$build is not a build folder"

check "cmake --install" cmake --install "$build" --prefix "$folder/prefix"
installed=$(find "$folder/prefix" -type f -perm -u+x -name coppice)
check "one program" same "$(wc -l <<<"$installed")" 1
check "all its libraries are found" eval '! ldd "$installed" | grep -q "not found"'
# Which BLIS is part of the program's identity: the installed one must not fall back to another variant of it.
blis_of() { ldd "$1" | awk '/libblis/ { print $3 }' | xargs realpath; }
check "the same BLIS as in the build" same "$(blis_of "$installed")" "$(blis_of "$COPPICE")"
check "it says its version" eval '"$installed" --version | grep -q "^coppice [0-9]"'

# What shells complete, as bash does it at a press of TAB.
share=$folder/prefix/share
complete_line() {
  bash -c '. "$1" && shift && COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) && _coppice 2>/dev/null; echo "${COMPREPLY[@]}"' \
    bash "$share/bash-completion/completions/coppice" coppice "$@"
}
commands=$("$installed" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p' | xargs)
check "coppice TAB: the commands" same "$(complete_line "")" "$commands"
check "coppice run --k TAB" same "$(complete_line run --k)" --kernel=
check "coppice run --set prune.me TAB" same "$(complete_line run --set prune.me)" "prune.method= prune.measured_sequences="
check "coppice run --set=prune.meth TAB" same "$(complete_line run --set = prune.meth)" "prune.method="
check "coppice run --kernel=ze TAB" same "$(complete_line run --kernel = ze)" "zen3 zen2 zen"
check "coppice status --k TAB: an option of other commands" same "$(complete_line status --k)" ""
check "coppice help prune.me TAB" same "$(complete_line help prune.me)" "prune.method prune.measured_sequences"
check "coppice plan jobs/ex TAB" same "$(complete_line plan jobs/ex)" jobs/example.yaml
check "bash has completion for coppice" same "$(bash -c ". '$share/bash-completion/completions/coppice'; complete -p coppice")" \
  "complete -F _coppice coppice"
check "so have zsh and fish" eval 'grep -q "^#compdef coppice" "$share/zsh/site-functions/_coppice" &&
  grep -q "^complete -c coppice .* -a verify" "$share/fish/vendor_completions.d/coppice.fish"'
check "a man page with every command and key" eval 'for word in $commands prune.method evaluate.tasks; do
  grep -qF "$word" "$share/man/man1/coppice.1" || exit 1; done'
if command -v groff >/dev/null; then
  check "which roff reads without a warning" same "$(groff -ww -man -Tutf8 "$share/man/man1/coppice.1" 2>&1 >/dev/null)" ""
fi

# Links of the pages lead to what is installed, wherever that is moved.
dead_links() {
  local page link
  (cd "$1" && find . -name '*.md' | while read -r page; do
    awk '/^```/ { fence = !fence } !fence' "$page" | grep -oE '\]\([^) ]+\)' | sed 's/^](//; s/[#)].*//' |
      while read -r link; do
        [[ -z $link || $link == *://* || -e ${page%/*}/$link ]] || echo "$page: $link"
      done
  done)
}
check "pages are installed" test -e "$share/doc/coppice/docs/keys.md"
check "no link in them is dead" same "$(dead_links "$folder/prefix")" ""

# A package has the same tree.
files_below() { (cd "$1" && find . ! -type d | sort); }
# By another generator's name cpack does not have everything built first: it is.
packs() { (cd "$build" && exits 0 cpack -G "$1" -B "$folder/pack" -D CPACK_CMAKE_GENERATOR=Ninja); }
unpacked() { [ -e "$1" ] && same "$(files_below "$1")" "$(files_below "$folder/prefix")"; }
mkdir "$folder/unpacked"
if command -v dpkg-shlibdeps >/dev/null; then
  check "cpack makes a Debian package" packs DEB
  dpkg-deb -x "$folder"/pack/coppice_*.deb "$folder/unpacked"
  check "of all that is installed" unpacked "$folder/unpacked/usr"
  check "which asks for its libraries" eval 'dpkg-deb -f "$folder"/pack/coppice_*.deb Depends | grep -q "libhdf5.*libjansson"'
else
  check "cpack makes a tarball" packs TGZ
  tar -xzf "$folder"/pack/coppice-*.tar.gz -C "$folder/unpacked" --strip-components=1
  check "of all that is installed" unpacked "$folder/unpacked"
fi

# The scripts for Slurm come along, find one another and the program from any folder, and need the source tree for nothing.
mv "$folder/prefix" "$folder/moved"
installed=$folder/moved/${installed#"$folder/prefix/"}
small_job "$folder/job.yaml" propagation=dense model="$COPPICE_SOURCE/jobs/demo/kjv-llama-1m"
elsewhere() {
  (cd / && exits 0 env PATH=/usr/bin:/bin HOME="$folder" "$folder/moved/bin/coppice-submit" "$folder/job.yaml" --chain --dry-run) &&
    grep -q "^export COPPICE=$installed$" "$folder/stdout" || { cat "$folder/stdout"; return 1; }
  ! grep -q "$COPPICE_SOURCE/slurm" "$folder/stdout" &&
    for file in $(grep -o "$folder/moved/[^ ]*sbatch" "$folder/stdout" | sort -u) "$folder/moved/share/coppice/slurm"/{supervise.sh,settings.example,README.md}; do
      [ -r "$file" ] || { echo "no $file"; return 1; }
    done
}
check "jobs are submitted from anywhere" elsewhere

COPPICE=$installed
export FOLDER=$folder/demo
check "the demonstration comes along" runs alone plan "$folder/moved/share/coppice/jobs/demo/demo.yaml"
small_job "$folder/job.yaml" method=wanda pattern= output=
check "it runs a job on two ranks" runs ranks 2 run "$folder/job.yaml"
check "and prints its table" grep -q '^wanda-0.5' "$folder/stdout"
