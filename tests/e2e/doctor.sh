#!/usr/bin/env bash
# doctor.sh - what `coppice doctor` finds where all is well, and where it is not. The dense perplexity that it compares
# with was also computed by transformers 5.24 from the same files: 178.670783; wanda's model 183.265349, and the
# solution's, by AVX2 kernels, 175.738796.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need jq
mkdir "$folder/here" "$folder/closed" "$folder/it's \"odd\" \$here"
good="weights and perplexities are the known ones"

empty() { [ -z "$(ls -A "$folder/here")" ] || { ls -AR "$folder/here"; return 1; }; }
finds() { grep -qF -- "$1" "$folder/stdout" || { cat "$folder/stdout" "$folder/stderr"; return 1; }; }
verdict() { jq -r --arg text "$1" '.findings[] | select(.text | contains($text)) | .verdict' "$folder/stdout"; }

mkdir "$folder/work" # where somebody works: a run and a model of theirs are none of the doctor's business
mkdir "$folder/work/run" "$folder/work/model" && echo '{}' >"$folder/work/run/run.json"
check "all is well where other runs are" bash -c 'cd "$1" && "$0" doctor' "$COPPICE" "$folder/work"
check "and in a folder with an odd name" runs alone doctor "$folder/it's \"odd\" \$here"
check "all is well alone, in the current folder" bash -c 'cd "$1" && "$0" doctor' "$COPPICE" "$folder/here"
# Nothing needs locks of files, whatever the system says of them.
no_locks=()
! can_interpose || no_locks=(env LD_PRELOAD="$interpose" FAULT_LOCKS=37)
check "and on three ranks, elsewhere, where no file can be locked" \
  runs watched mpirun -n 3 "${no_locks[@]}" "$COPPICE" doctor "$folder/here"
check "the tiny model came out as known" finds "$good"
check "the ranks are counted" finds "3 on 1 node"
check "nothing is left" empty

# The widest and the portable ones: those between are the widest ones' kin.
fitting=$("$COPPICE" doctor --kernel none "$folder/here" 2>&1 | sed -n 's/.*can run //p' | tr -d ,)
for kernel in ${fitting%% *} ${fitting##* }; do
  check "the same by kernels $kernel" runs alone doctor --kernel "$kernel" --json "$folder/here"
  check "as JSON says" same "$(jq .ok "$folder/stdout") $(verdict "$good")" "true good"
done

check "a folder that is not there" exits 1 alone doctor "$folder/nowhere"
check "is named" finds "wrong: $folder/nowhere: no folder can be made there: No such file or directory"
check "and counted in the last line" grep -qx "coppice: 1 thing of the above does not work" "$folder/stderr"
check "two folders are one too many" exits 2 alone doctor "$folder/here" "$folder/closed"

# A disk that does not sync: every rank of a run would stop there.
need_tool interpose.so
export FAULT_CALL=fsync:3+:5
check "a file system that fails" exits 1 env LD_PRELOAD="$tool" "$COPPICE" doctor "$folder/here"
check "is what is wrong" finds "Input/output error"
check "and nothing is left there either" empty
