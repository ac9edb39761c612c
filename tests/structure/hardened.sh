#!/usr/bin/env bash
# hardened.sh PROGRAM 0|1 - whether the built program is what cmake/harden.cmake asks for, by its ELF headers and symbols.
# 0: not built with COPPICE_HARDEN, only what the linker does is looked at.
program=$1 hardened=$2 failures=0
command -v readelf >/dev/null || { echo "1..0 # SKIP no readelf"; exit 77; }
headers=$(readelf -lWd "$program") symbols=$(readelf --dyn-syms -W "$program")
case $symbols in *__asan_*) echo "1..0 # SKIP the sanitizers' build"; exit 77 ;; esac

# has TEXT PATTERN NAME
has() {
  if grep -Eq -- "$2" <<<"$1"; then echo "ok - $3"; else echo "not ok - $3"; failures=$((failures + 1)); fi
}
has "$headers" '^ *GNU_RELRO ' "relocations are read-only after the start"
has "$headers" '\(FLAGS_1\).*NOW|\(BIND_NOW\)|\(FLAGS\).*BIND_NOW' "all symbols are bound at the start"
has "$headers" '^ *GNU_STACK .* RW +0x' "the stack is no code"
if [ "$hardened" = 1 ]; then
  has "$headers" 'Elf file type is DYN .*|Flags:.*PIE' "it is position-independent"
  has "$headers" '\(FLAGS_1\).*PIE' "it is a position-independent program"
  has "$symbols" ' __stack_chk_fail' "functions have stack protectors"
  has "$symbols" ' __(memcpy|snprintf|vsnprintf|read|pread|pread64|fprintf)_chk' "copies are checked"
  case $(uname -m) in
    x86_64) has "$(objdump -d --section=.text "$program" | grep -c endbr64)" '^[0-9]{4,}$' "functions are marked as targets of calls" ;;
  esac
fi
exit $((failures > 0))
