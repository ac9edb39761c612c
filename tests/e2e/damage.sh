#!/usr/bin/env bash
# damage.sh - any changed byte and any truncation of any committed file is found by `verify` and named; `run` makes the
# unit again with the same bytes, or refuses with --strict. Files that were made from something else are refused.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need jq

job=$folder/job.yaml
small_job "$job" method=wanda pattern=2:4 sparsity= output=
runs ranks 2 run "$job" || exit 1
wanted=$(fingerprint)
cp -a "$folder/run" "$folder/good"

check "a sound run verifies" runs alone verify "$folder/run"
check "verify counts every file" same \
  "$(jq -c '[.files, .damaged]' <(alone verify --json "$folder/run"))" \
  "[$(find "$folder/run" -name '*.h5' -o -name '*.json' | wc -l),[]]"

# ---- every committed file, at sampled places --------------------------------------------------------------

# The first and last byte, the ends of the header, and places spread over the file.
places() {
  local size=$1 i
  printf '%s\n' 0 7 511 512 1000 $((size - 1)) $((size / 2))
  for i in 1 2 3; do echo $(((size * i * 2654435761 + 12345) % size)); done
}
# flip FILE PLACE: one bit.
flip() {
  local byte
  byte=$(od -A n -t u1 -j "$2" -N 1 "$1") || return 1
  printf "\\$(printf %o $((byte ^ 16)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}
# One damaged copy of the run per round, all of its files damaged in it, so that one `verify` looks at all.
all_found() {
  local round=$1 file size place expected
  rm -rf "$folder/run"
  cp -a "$folder/good" "$folder/run"
  while read -r file; do
    size=$(wc -c <"$file")
    place=$(places "$size" | sed -n "${round}p")
    [ "$place" -lt "$size" ] || place=$((size - 2))
    flip "$file" "$place" || return 1
  done < <(find "$folder/run" -name '*.h5' -o -name '*.json')
  expected=$(find "$folder/run" -name '*.h5' -o -name '*.json' | sort)
  alone verify --json "$folder/run" >"$folder/found" 2>"$folder/stderr"
  same "$?" 1 && same "$expected" "$(jq -r '.damaged[]' "$folder/found" | sort)"
}
for round in 1 2 3 4 5 6 7 8 9 10; do
  check "a flipped bit in every file, place $round" all_found $round
done
all_cut() {
  local cut=$1 file
  rm -rf "$folder/run"
  cp -a "$folder/good" "$folder/run"
  find "$folder/run" -name '*.h5' -o -name '*.json' | while read -r file; do truncate -s "$cut" "$file"; done
  alone verify --json "$folder/run" >"$folder/found" 2>"$folder/stderr"
  same "$?" 1 && same "$(find "$folder/run" -name '*.h5' -o -name '*.json' | sort)" "$(jq -r '.damaged[]' "$folder/found" | sort)"
}
check "every file cut by a byte" all_cut -1
check "every file longer by a byte" all_cut +1
check "every file empty" all_cut 0

# ---- repair -----------------------------------------------------------------------------------------------

variant=wanda-2of4-columns-rows
# repaired HOW FILE LATER...: FILE is damaged and the files LATER, which need it, are removed: `run` notices on use.
# A file that no missing unit needs is not looked at by `run`; `verify` names it.
repaired() {
  local how=$1 file=$folder/run/$2 later
  rm -rf "$folder/run"
  cp -a "$folder/good" "$folder/run"
  $how "$file" || return 1
  for later in "${@:3}"; do rm "$folder/run/$later" || return 1; done
  exits 1 alone run --strict "$job" && grep -qF "$2" "$folder/stderr" || { cat "$folder/stderr"; return 1; }
  runs ranks 2 run "$job" || return 1
  grep -qF "$2" "$folder/stderr" || { echo "not named:"; cat "$folder/stderr"; return 1; }
  same "$wanted" "$(fingerprint)" && no_leftovers
}
flip_middle() { flip "$1" $(($(wc -c <"$1") / 2)); }
cut_half() { truncate -s $(($(wc -c <"$1") / 2)) "$1"; }

check "flipped statistics are made again" repaired flip_middle "statistics/$variant/layer-002.h5" \
  "masks/$variant/layer-002.h5" "weights/$variant/layer-002.h5"
check "a cut mask is made again" repaired cut_half "masks/$variant/layer-003.h5" "weights/$variant/layer-003.h5"
check "flipped weights are made again" repaired flip_middle "weights/$variant/layer-001.h5" \
  "results/$variant/perplexity.json"
check "flipped hidden states are made again" repaired flip_middle "activations/$variant/layer-003.h5" \
  "statistics/$variant/layer-003.h5"
check "flipped token ids are drawn again" repaired flip_middle sequences.h5 "statistics/$variant/layer-000.h5"

# Nothing is missing, so that no unit reads the damaged file by itself.
found_again() {
  local file=$folder/run/$1
  rm -rf "$folder/run"
  cp -a "$folder/good" "$folder/run"
  flip_middle "$file" || return 1
  exits 1 alone verify "$folder/run" && exits 1 alone run --strict "$job" && runs alone run "$job" &&
    same "$wanted" "$(fingerprint)" && runs alone verify "$folder/run"
}
check "damaged weights that verify found in a complete run are made again" found_again "weights/$variant/layer-002.h5"
check "so is a damaged mask" found_again "masks/$variant/layer-000.h5"
check "so is a damaged result" found_again results/dense/perplexity.json
advice="run.json is damaged; remove it and start the same job again: it will be written anew"
check "a damaged run.json is named" eval '
  rm -rf "$folder/run"; cp -a "$folder/good" "$folder/run"; flip_middle "$folder/run/run.json"
  exits 1 alone run --progress none "$job" && one_line "$folder/run/run.json"'
check "a run.json behind a symbolic link is not read" eval '
  rm -rf "$folder/run"; cp -a "$folder/good" "$folder/run"; mv "$folder/run/run.json" "$folder/elsewhere"
  ln -s ../elsewhere "$folder/run/run.json"
  exits 1 alone run --progress none "$job" && one_line "$folder/run/run.json: a symbolic link, which is not followed here" &&
  exits 1 alone report "$folder/run" && rm "$folder/run/run.json" && mv "$folder/elsewhere" "$folder/run/run.json"'
check "by verify too, whose advice helps" eval '
  : >"$folder/run/run.json"; flip_middle "$folder/run/masks/$variant/layer-000.h5"
  exits 1 alone verify "$folder/run" && grep -q "^coppice: $folder/run/$advice" "$folder/stderr" &&
  rm "$folder/run/run.json" && runs alone run "$job" && same "$wanted" "$(fingerprint)" && runs alone verify "$folder/run"'
check "so does that for a damaged report" eval '
  runs alone report "$folder/run" && flip_middle "$folder/run/report.json" && exits 1 alone verify "$folder/run" &&
  grep -q "report.json is damaged; coppice report $folder/run writes it anew" "$folder/stderr" &&
  runs alone report "$folder/run" && runs alone verify "$folder/run"'

# ---- files of another run -----------------------------------------------------------------------------------

restore() { rm -rf "$folder/run"; cp -a "$folder/good" "$folder/run"; }
other=$folder/other.yaml
small_job "$other" method=wanda pattern=2:4 sparsity= output= seed=4
foreign_is_refused() { exits 2 alone run "$other" && grep -q "$folder/run/[^ ]*: was made from another" "$folder/stderr"; }
removed() {
  restore
  rm "$folder/run/run.json"
  foreign_is_refused && [ ! -e "$folder/run/run.json" ] &&
    runs alone run "$job" && same "$wanted" "$(fingerprint)" && runs alone verify "$folder/run"
}
check "run.json removed: another seed is refused, the same job goes on" removed
rm -rf "$folder/run"
check "a run with another seed" runs alone run "$other"
mv "$folder/run" "$folder/others"
replaced() {
  restore
  cp "$folder/others/run.json" "$folder/run/run.json"
  foreign_is_refused && exits 2 alone verify "$folder/run" && grep -q "was made from another" "$folder/stderr"
}
check "run.json of another run is refused, by verify too" replaced
one_of_another() {
  local file=$1
  restore
  cp "$folder/others/$file" "$folder/run/$file" || return 1
  exits 2 alone run "$job" && grep -qF "$folder/run/$file: was made from another" "$folder/stderr"
}
# moved FROM TO: a sound file of this run in the place of another of its kind.
moved() {
  restore
  cp "$folder/run/$1" "$folder/run/$2" && exits 2 alone run "$job" &&
    grep -q "^coppice: .*$folder/run/$2: is the file $1 of a run under another name" "$folder/stderr" &&
    exits 2 alone verify "$folder/run" && grep -q "under another name" "$folder/stderr" || return 1
  rm "$folder/run/$2" && runs alone run "$job" && same "$wanted" "$(fingerprint)"
}
check "a mask of another layer" moved "masks/$variant/layer-001.h5" "masks/$variant/layer-002.h5"
check "a result of another variant" moved results/dense/perplexity.json "results/$variant/perplexity.json"
all_named() {
  restore
  cp "$folder/run/masks/$variant/layer-001.h5" "$folder/run/masks/$variant/layer-002.h5"
  cp "$folder/run/masks/$variant/layer-001.h5" "$folder/run/masks/$variant/layer-000.h5"
  cp "$folder/run/weights/$variant/layer-001.h5" "$folder/run/weights/$variant/layer-000.h5"
  exits 2 ranks 2 verify "$folder/run/" && same 3 "$(grep -c 'of a run under another name' "$folder/stdout")" &&
    grep -q '^[0-9]* files, 0 damaged, 3 of another run or in the place of another$' "$folder/stdout" || return 1
  flip_middle "$folder/run/masks/$variant/layer-003.h5"
  exits 1 alone verify --json "$folder/run" && same '1 3' "$(jq -r '"\(.damaged | length) \(.misplaced | length)"' "$folder/stdout")"
}
check "verify names all that are out of place" all_named
for file in "activations/$variant/layer-002.h5" "results/$variant/perplexity.json"; do
  check "a file of another run: ${file%%/*}" one_of_another "$file"
done
# Run directories are links to another disk on many machines, and so are folders of them.
behind_a_link() {
  restore
  mv "$folder/run/masks" "$folder/far"
  ln -s "$folder/far" "$folder/run/masks"
  mv "$folder/run" "$folder/real"
  ln -s "$folder/real" "$folder/run"
  runs alone verify "$folder/run" && grep -qx "$1 files, 0 damaged" "$folder/stdout" || return 1
  printf damage | dd of="$folder/far/$variant/layer-001.h5" bs=1 seek=3000 conv=notrunc status=none
  exits 1 alone verify "$folder/run" && grep -qx "$1 files, 1 damaged" "$folder/stdout" || return 1
  cp "$folder/others/masks/$variant/layer-001.h5" "$folder/far/$variant/layer-001.h5"
  exits 2 alone run "$job" && grep -qF "$folder/run/masks/$variant/layer-001.h5: was made from another" "$folder/stderr"
}
restore
runs alone verify "$folder/run"
check "all of it is looked at behind links" behind_a_link "$(awk '/damaged$/ { print $1 }' "$folder/stdout")"
