#!/usr/bin/env bash
# kernel.sh - which of BLIS's kernels a run computes with: chosen once, recorded, taken again, overruled by the user. And which
# arithmetic its linears are computed in.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need jq
export XDG_CACHE_HOME=$folder/cache
unset COPPICE_KERNEL BLIS_ARCH_TYPE

job=$folder/job.yaml
small_job "$job" method=wanda pattern= energy='[]' sequences=3 output=
worth() { jq -r .mean_nll "$folder/run/results/wanda-0.5/perplexity.json"; }
kernel() { jq -r .versions.blas_kernel "$folder/run/run.json"; }
said() { grep -qF -- "$1" "$folder/stderr" || { cat "$folder/stderr"; return 1; }; }

check "a run chooses" runs ranks 2 run -v "$job"
chosen=$(kernel)
check "among those that this processor has" grep -qxE 'skx|haswell|zen3|zen2|zen|excavator|generic|[a-z0-9]+' <<<"$chosen"
check "and says which" said "kernels $chosen"
check "what was measured is kept" exists "$folder/cache/coppice/kernel-*.json"
float32=$(worth)
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

# ---- compute --------------------------------------------------------------------------------------------

unset COPPICE_KERNEL
rm -rf "$folder/run"
check "linears in bfloat16, on 2 ranks" runs ranks 2 run -v --set compute=bf16_emulated "$job"
check "it says so" said "linears in bfloat16 by the BLAS, emulated"
check "run.json says so" same "$(jq -r .job.compute "$folder/run/run.json")" bf16_emulated
fingerprint >"$folder/undisturbed"
check "other results than in float32, and near them" awk -v a="$float32" -v b="$(worth)" \
  'BEGIN { d = a > b ? a - b : b - a; exit !(d > 1e-5 && d < 0.02) }'
check "the run does not go on in float32" exits 2 alone run "$job"
check "and says why" said 'compute: "bf16_emulated" before, nothing now'
rm -r "$folder/run"
check "linears in bfloat16, alone" runs alone run --set compute=bf16_emulated "$job"
check "give the same bytes" diff <(fingerprint) "$folder/undisturbed"

# oneDNN's word for a processor without these instructions, also where this one has them.
export ONEDNN_MAX_CPU_ISA=AVX2
echo "compute: bf16" >>"$job"
check "instructions that are not there are refused" refused 2 "compute: bf16 cannot be had here" bf16_emulated
