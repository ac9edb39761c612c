#!/usr/bin/env bash
# hub.sh - a job names its model by an id of the Hub: found in the local cache, recorded with its commit, kept by a run
# when the branch moves on, and exported without links.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need jq
need_maker

export HF_HUB_CACHE=$folder/hub
repository=$folder/hub/models--Someone--Tiny-1
first=1111111111111111111111111111111111111111 second=2222222222222222222222222222222222222222
# snapshot COMMIT MAKER_OPTION...: a model whose files are links into blobs.
snapshot() {
  local commit=$1 file
  shift
  "$maker" --layers 2 --hidden 32 --intermediate 64 --heads 2 --tied --shards 2 "$@" "$folder/made"
  echo '{}' >"$folder/made/generation_config.json"
  mkdir -p "$repository/blobs" "$repository/refs" "$repository/snapshots/$commit"
  for file in "$folder"/made/*; do
    mv "$file" "$repository/blobs/$commit-${file##*/}"
    ln -s "../../blobs/$commit-${file##*/}" "$repository/snapshots/$commit/${file##*/}"
  done
}
id_job() { small_job "$folder/job.yaml" model="$1" pattern= method=magnitude sequences=2 length=16 evaluate_length=16; }

id_job Someone/Tiny-1
check "an id that is not in the cache" refused 2 "model: Someone/Tiny-1: there is no such folder" "hf download Someone/Tiny-1"
# named MODEL WORDS: refused by the job's line, or by --set.
named() { exits 2 alone plan --set model="$1" "$folder/job.yaml" && one_line model "${@:2}"; }
check "an address of the Hub is answered by the id" named https://huggingface.co/Someone/Tiny-1 "its id is Someone/Tiny-1"
check "so is an id with a slash behind it" named Someone/Tiny-1/ "its id is Someone/Tiny-1"
not_fetched() { named "$1" "$1: No such file" && not grep -q "hf download" "$folder/stderr"; }
check "a file that is not there is not fetched" not_fetched tiny-q4.gguf
snapshot $first
ln -s ../../blobs/not-fetched "$repository/snapshots/$first/README.md"
printf %s $first >"$repository/refs/main"
check "an id that is" runs ranks 2 run "$folder/job.yaml"
hub_of() { jq -r '.hub | "\(.id) \(.commit)"' "$1"; }
check "id and commit are on record" same "Someone/Tiny-1 $first" "$(hub_of "$folder/run/run.json")"
check "and in coppice.json" same "Someone/Tiny-1 $first" "$(hub_of "$folder/models/coppice.json")"
check "the export has no links" same "" "$(find "$folder/models" -type l)"
check "and every side file" cmp "$folder/models/generation_config.json" "$repository/snapshots/$first/generation_config.json"
check "the report names it" runs alone report "$folder/run"
check "with its commit" grep -q "Someone/Tiny-1</code> of the Hub, commit <code>$first" "$folder/run/report.html"

# The same bytes as from the folder itself.
check "a card that was not fetched is none of them" not test -e "$folder/models/README-source.md"
wanted=$(cd "$folder/models" && sha256sum ./*.safetensors)
rm -rf "$folder/run" "$folder/models"
id_job "$repository/snapshots/$first"
check "its folder" runs alone run "$folder/job.yaml"
check "gives the same model" same "$wanted" "$(cd "$folder/models" && sha256sum ./*.safetensors)"
check "which is nobody's id" same null "$(jq .hub "$folder/run/run.json")"
id_job Someone/Tiny-1
check "and goes on by the id" runs alone run "$folder/job.yaml"

mkdir -p "$folder/Someone/Tiny-1"
hidden="the folder of that name has no config.json, and it hides the model Someone/Tiny-1 of the Hugging Face cache"
check "a folder that is no model hides it, and is named" eval 'exits 2 alone plan "$folder/job.yaml" && one_line "job.yaml" ": model: " "$hidden"'
rm -r "$folder/Someone"

# The branch moves.
snapshot $second --seed 9
printf %s $second >"$repository/refs/main"
check "a run goes on with the commit that it was begun with" runs alone run "$folder/job.yaml"
check "and says so" grep -q "goes on with commit $first, which it was begun with; in the cache it is $second by now" "$folder/stderr"
check "on record as well" same "Someone/Tiny-1 $first" "$(hub_of "$folder/run/run.json")"
id_job "Someone/Tiny-1@main"
check "another revision of the id is another model" exits 2 alone run "$folder/job.yaml"
check "and says which file" one_line "run.json: model: the run was begun with " "safetensors"
id_job "Someone/Tiny-1@$first"
check "unless it is the same commit" runs alone run "$folder/job.yaml"
id_job Someone/Tiny-1
check "the id alone is the other one by now, says a plan as well" eval 'exits 2 alone run "$folder/job.yaml" && exits 2 alone plan "$folder/job.yaml"'
mv "$repository/snapshots/$first" "$folder/gone"
id_job "Someone/Tiny-1@$first"
check "a commit that is gone from the cache" exits 2 alone run "$folder/job.yaml"
check "and what fetches it" one_line "was begun with commit $first" "hf download Someone/Tiny-1 --revision $first"

rm "$repository/snapshots/$second/model-00002-of-00002.safetensors"
id_job Someone/Tiny-1@main
check "a download that is not complete" refused 3 "its download is not complete: model-00002-of-00002.safetensors is missing"

# A folder of that name comes first.
mkdir -p "$folder/Someone"
"$maker" --layers 2 --hidden 32 --intermediate 64 --heads 2 --tied "$folder/Someone/Tiny-1"
id_job Someone/Tiny-1
sed -i "s#jobs/#$COPPICE_SOURCE/jobs/#" "$folder/job.yaml"
rm -rf "$folder/run" "$folder/models"
in_folder() { (cd "$folder" && alone "$@"); }
check "a folder of that name" runs in_folder run "$folder/job.yaml"
check "is no id" same null "$(jq .hub "$folder/run/run.json")"
