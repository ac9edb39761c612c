#include "tests/fuzz/target.h"

#include "tests/fuzz/parsers.h"

#include <string.h>

const struct fuzz_target FUZZ_TARGETS[] = {
    // name, reads, seeds, dictionary, made seeds, every
    {"safetensors", fuzz_safetensors, NULL, "safetensors", make_safetensors, 0},
    {"safetensors_header", fuzz_safetensors_header, "safetensors_header", "safetensors", NULL, 0},
    {"index", fuzz_index, "index", "safetensors", NULL, 0},
    {"config", fuzz_config, "config", "config", NULL, 0},
    {"card", fuzz_card, "card", "yaml", NULL, 0},
    {"tokenizer", fuzz_tokenizer, "tokenizer", "tokenizer", NULL, 0},
    {"job", fuzz_job, "job", "job", NULL, 0},
    {"corpus_txt", fuzz_corpus_txt, "text", "json", NULL, 0},
    {"corpus_raw", fuzz_corpus_raw, "text", "json", NULL, 0},
    {"corpus_jsonl", fuzz_corpus_jsonl, "jsonl", "json", NULL, 0},
    {"corpus_json", fuzz_corpus_json, "json", "json", NULL, 0},
    {"corpus_gzip", fuzz_corpus_gzip, NULL, NULL, make_gzip, 0},
    {"corpus_zstd", fuzz_corpus_zstd, NULL, NULL, make_zstd, 0},
    {"corpus_packed", fuzz_corpus_packed, "jsonl", "json", NULL, 0},
    {"corpus_hdf5", fuzz_corpus_hdf5, NULL, NULL, make_tokens, 4},
    {"task", fuzz_task, "task", "task", NULL, 0},
    {"task_tables", fuzz_task_tables, "task_tables", "task", NULL, 0},
    {"store", fuzz_store, NULL, NULL, make_store, 0},
    {"store_contents", fuzz_store_contents, NULL, NULL, make_store_contents, 20},
    {"sealed", fuzz_sealed, "sealed", "run", NULL, 0},
    {"log", fuzz_log, "log", "run", NULL, 0},
    {"lock", fuzz_lock, "lock", NULL, NULL, 0},
    {"run_directory", fuzz_run_directory, "run_directory", "run", NULL, 12},
};
const size_t NUM_FUZZ_TARGETS = sizeof FUZZ_TARGETS / sizeof *FUZZ_TARGETS;

const struct fuzz_target *fuzz_target_find(const char *name)
{
    for (size_t i = 0; i < NUM_FUZZ_TARGETS; i++)
        if (strcmp(FUZZ_TARGETS[i].name, name) == 0)
            return &FUZZ_TARGETS[i];
    return NULL;
}
