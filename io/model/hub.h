// hub.h - models by the names that they have on the Hugging Face Hub, in the cache of this machine. Nothing
// is fetched.
//
// The cache is that of `huggingface_hub`: HF_HUB_CACHE, or HUGGINGFACE_HUB_CACHE, or HF_HOME/hub, or
// XDG_CACHE_HOME/huggingface/hub, or ~/.cache/huggingface/hub. In it
//   models--Qwen--Qwen3-0.6B/refs/REVISION       a commit
//   models--Qwen--Qwen3-0.6B/snapshots/COMMIT/   the model, whose files may be links into ../../blobs
#pragma once
#include "io/file/run_paths.h"
#include "kernels/error.h"
#include <stdbool.h>

struct hub_model {
    char commit[128];
    char path[PATH_SIZE]; // the folder of the snapshot
    char notice[1024];    // what a person should hear of, one line; empty: nothing
};

// Whether text can be an id: "Qwen/Qwen3-0.6B" or "gpt2", and perhaps "@revision": a branch, a tag or a
// commit. A name that ends as files of weights do is none.
bool hub_is_id(const char *text);

// id <- the one of the model in whose repository of a cache the path lies,
// "/cache/models--Qwen--Qwen3-0.6B/...". False, and id means nothing: in none.
bool hub_id_of_path(char *id, size_t size, const char *path);

// id <- the one that an address on the Hub means, "https://huggingface.co/Qwen/Qwen3-0.6B/tree/main" or
// "hf://Qwen/Qwen3-0.6B", or an id with a slash behind it. False, and id means nothing: text is none of
// these.
bool hub_id_of_address(char *id, size_t size, const char *text);

// Finds the snapshot of an id. commit: the one to take, whatever the revision is by now; NULL: that of the
// revision, "main" without one. What is not in the cache is STATUS_USAGE with the command that fetches it; a
// download of which files are missing is STATUS_INPUT. Files that are still under way beside a model that is
// complete are a notice.
enum status hub_find(struct hub_model *model, const char *text, const char *commit, struct error *err);
