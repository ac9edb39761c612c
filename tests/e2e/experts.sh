#!/usr/bin/env bash
# experts.sh - experts to which the router gave no calibration tokens, or few, are named and pruned without them.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need jq
need h5dump
need_maker

# Two of five experts for each token; the last one is never chosen. 5 x 120 tokens: each of the others sees 128 or
# more (300 on average), enough for 32 channels, too few for the Hessian of 256.
"$maker" --layers 2 --hidden 32 --intermediate 256 --heads 2 --tied --experts 5 --dtype F32 "$folder/model"
idle=block_sparse_moe.experts.4
used=block_sparse_moe.experts.0
digest() { dataset "$@" | sha256sum; }
mask() { digest "$folder/run/masks/$1/layer-001.h5" "/$2/mask"; }

small_job "$folder/job.yaml" model="$folder/model" length=120 propagation=dense energy='[]' \
  method='[magnitude, wanda, ria, cvr, sparsegpt]' activation_exponent='' sparsity= pattern=2:4
check "the models are pruned" runs ranks 2 run --progress none "$folder/job.yaml"
check "one line for each layer names the idle expert" \
  same "$(grep -c "1 of 5 experts saw fewer than 128 tokens.*$idle: 0)" "$folder/stderr")" 2
check "and one those with too few for a Hessian" \
  same "$(grep -c "4 of 5 experts saw fewer tokens than twice their width.*$used: [0-9]" "$folder/stderr")" 2
check "the log names them too" jq -s -e '[.[] | select(.event == "notice")] | length == 4' "$folder/run/log.jsonl"

# Without statistics: by magnitude (wanda, sparsegpt), as with an activation exponent of 0 (ria, cvr).
for linear in w1 w2 w3; do
  for variant in wanda-2of4 sparsegpt-2of4; do
    check "$variant prunes $linear of the idle expert by magnitude" \
      same "$(mask $variant $idle.$linear)" "$(mask magnitude-2of4 $idle.$linear)"
  done
  check "$linear of a used one otherwise" not same "$(mask wanda-2of4 $used.$linear)" "$(mask magnitude-2of4 $used.$linear)"
done
check "sparsegpt leaves what it keeps of the idle expert as it was" \
  same "$(digest "$folder/run/weights/sparsegpt-2of4/layer-001.h5" /$idle.w1/weight)" \
  "$(digest "$folder/run/weights/magnitude-2of4/layer-001.h5" /$idle.w1/weight)"

# corrected LINEAR: how many of its weights are neither 0 nor the model's own.
corrected() {
  local header file=$folder/model/model.safetensors begin end
  header=$(od -A n -t u8 -N 8 "$file")
  read -r begin end < <(tail -c +9 "$file" | head -c $((header)) |
    jq -r --arg name "model.layers.1.$1.weight" '.[$name].data_offsets | "\(.[0]) \(.[1])"')
  dataset "$folder/run/weights/sparsegpt-2of4/layer-001.h5" "/$1/weight" >/dev/null
  paste <(od -A n -v -w4 -t x4 "$folder/bytes") \
    <(tail -c +$((9 + header + begin)) "$file" | head -c $((end - begin)) | od -A n -v -w4 -t x4) |
    awk '$1 != "00000000" && $1 != $2 { n++ } END { print n + 0 }'
}
check "sparsegpt corrects nothing where inputs are taken as independent" same "$(corrected $used.w2)" 0
check "but where there are tokens enough" [ "$(corrected $used.w1)" -gt 2000 ]

of() { jq -c ".linears[\"layers.1.$2\"] | [.tokens, .fallback]" "$folder/models/$1/coppice.json"; }
check "coppice.json says so of the idle expert" same "$(of wanda-2of4 $idle.w1)" '[0,"weights"]'
check "of one with too few for a Hessian" eval 'of sparsegpt-2of4 $used.w2 | grep "^\[[0-9][0-9]*,\"diagonal\"\]"'
check "of one with enough" eval 'of sparsegpt-2of4 $used.w1 | grep "^\[[0-9][0-9]*,\"none\"\]"'
check "nothing of a method without statistics" same "$(of magnitude-2of4 $idle.w1)" '[null,null]'
check "nor of a linear that is no expert's" same "$(of wanda-2of4 self_attn.q_proj)" '[null,null]'
check "a report is made" runs alone report "$folder/run"
check "and says so, too" jq -e --arg linear "$idle.w1" '[.linears[] | select(.linear == $linear and
  .variant == "wanda-2of4" and .tokens == 0 and .fallback == "weights")] | length == 2' "$folder/run/report.json"

mv "$folder/run" "$folder/first"
small_job "$folder/exponent.yaml" model="$folder/model" run="$folder/zero" output= length=120 propagation=dense \
  method='[ria, cvr]' activation_exponent='[0]' sparsity= pattern=2:4 energy='[]' perplexity=
check "the same without activations" runs alone run --progress none "$folder/exponent.yaml"
for method in ria cvr; do
  zero=$(cd "$folder/zero/masks" && echo $method*)
  given=$(cd "$folder/first/masks" && echo $method*)
  check "$method prunes the idle expert like $zero" same \
    "$(digest "$folder/first/masks/$given/layer-001.h5" /$idle.w2/mask)" \
    "$(digest "$folder/zero/masks/$zero/layer-001.h5" /$idle.w2/mask)"
done

small_job "$folder/job.yaml" model="$folder/model" length=120 method=sparsegpt sparsity=0.5 pattern= propagation=pruned \
  energy='[columns, rows]'
rm -rf "$folder/models"
check "unstructured, layer after layer, compensated" runs ranks 3 run --progress none "$folder/job.yaml"
check "linears that the job leaves dense are not named" eval '
  small_job "$folder/job.yaml" model="$folder/model" run="$folder/other" output= length=120 method=wanda pattern= \
    skip="[block_sparse_moe.experts.4.*]" perplexity= && runs alone run --progress none "$folder/job.yaml" &&
  [ ! -s "$folder/stderr" ]'

# More inputs than a file's structure is written for one by one (stages/layer/linear_groups.h): all is declared first.
"$maker" --layers 1 --hidden 16 --intermediate 8 --heads 2 --tied --experts 33 --dtype BF16 "$folder/many"
small_job "$folder/job.yaml" model="$folder/many" length=120 energy='[columns, rows]' method=wanda compensate=', guard: [true, false]' \
  sparsity=0.5 pattern= perplexity=
many() {
  rm -rf "$folder/run" "$folder/models" && runs ranks "$1" run --progress none "$folder/job.yaml" &&
    runs alone verify "$folder/run" && mv "$folder/run/weights" "$folder/weights-$1"
}
check "33 experts are compensated on one rank" many 1
check "and on two, by the same bytes" eval 'many 2 && diff -r "$folder/weights-1" "$folder/weights-2"'
# Without the guard every linear has its factors, with it those that it kept.
declared() { h5dump -n "$folder/weights-2/$1/layer-000.h5" | grep -c "/row_gamma"; }
kept=$(h5dump -A "$folder/weights-2/wanda-0.5-columns-rows/layer-000.h5" | grep -A 9 '"energy_kept"' | grep -c "(0): 1")
check "each with what was kept of it" same "$(declared wanda-0.5-columns-rows) $(declared wanda-0.5-columns-rows-unguarded)" "$kept 103"
