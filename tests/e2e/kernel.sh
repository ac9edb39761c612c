#!/usr/bin/env bash
# kernel.sh - which of BLIS's kernels a run computes with: chosen once, recorded, taken again, overruled by the user.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need jq
export XDG_CACHE_HOME=$folder/cache
unset COPPICE_KERNEL BLIS_ARCH_TYPE

job=$folder/job.yaml
small_job "$job" method=wanda pattern= energy='[]' sequences=3 output=
kernel() { jq -r .versions.blas_kernel "$folder/run/run.json"; }
said() { grep -qF -- "$1" "$folder/stderr" || { cat "$folder/stderr"; return 1; }; }

check "a run chooses" runs ranks 2 run -v "$job"
chosen=$(kernel)
check "among those that this processor has" grep -qxE 'skx|haswell|zen3|zen2|zen|excavator|generic|[a-z0-9]+' <<<"$chosen"
check "and says which" said "kernels $chosen"
check "what was measured is kept" exists "$folder/cache/coppice/kernel-*.json"
rm -r "$folder/run"
check "another start chooses alike" runs alone run "$job"
check "without measuring" same "$(kernel)" "$chosen"

rm -r "$folder/run" "$folder/cache"
check "without a place for output the program fails" exits 1 bash -c '"$0" run -q "$1" >&- 2>&-' "$COPPICE" "$job"
check "but chooses alike" same "$(kernel)" "$chosen"

rm -r "$folder/run"
check "the user overrules it" runs ranks 2 run --kernel generic "$job"
check "and run.json says so" same "$(kernel)" generic
if grep -qw avx2 /proc/cpuinfo; then
  check "portable kernels on a vector processor are never silent" said "careful: matrix products use BLIS's portable kernels"
fi
fingerprint >"$folder/undisturbed"
rm "$folder"/run/masks/wanda-0.5/layer-002.h5 "$folder"/run/weights/wanda-0.5/layer-00[23].h5 "$folder"/run/results/wanda-0.5/*
check "a later start takes what the run began with" runs ranks 3 run -v "$job"
check "and says so" said "kernels generic"
check "so that the bytes are the same" diff <(fingerprint) "$folder/undisturbed"

rm -r "$folder/run"
check "the environment overrules it" env COPPICE_KERNEL=generic bash -c '"$0" run "$1" 2>/dev/null >/dev/null' "$COPPICE" "$job"
check "as run.json says" same "$(kernel)" generic
export COPPICE_KERNEL=cray1
# A plan computes nothing, and takes no kernels.
check "an unknown name is refused" refused_by_run 2 "no kernels of BLIS are called 'cray1'" generic
