// parsers.h - what the rows of targets.c are made of.
#pragma once
#include "tests/fuzz/target.h"

// model.c
bool fuzz_safetensors(const uint8_t *data, size_t size);        // a whole file
bool fuzz_safetensors_header(const uint8_t *data, size_t size); // its JSON, with the right length before it
bool fuzz_index(const uint8_t *data, size_t size);  // model.safetensors.index.json over two shards
bool fuzz_config(const uint8_t *data, size_t size); // config.json of a small LLaMA
bool fuzz_card(const uint8_t *data, size_t size);   // README.md
void make_safetensors(const struct seed_sink *sink);

// tokenizer.c
bool fuzz_tokenizer(const uint8_t *data, size_t size); // tokenizer.json, and some texts are encoded

// corpus.c
bool fuzz_corpus_txt(const uint8_t *data, size_t size);
bool fuzz_corpus_raw(const uint8_t *data, size_t size);
bool fuzz_corpus_jsonl(const uint8_t *data, size_t size);
bool fuzz_corpus_json(const uint8_t *data, size_t size);
bool fuzz_corpus_gzip(const uint8_t *data, size_t size);
bool fuzz_corpus_zstd(const uint8_t *data, size_t size);
bool fuzz_corpus_packed(const uint8_t *data, size_t size); // text, which is compressed first
void make_gzip(const struct seed_sink *sink);
void make_zstd(const struct seed_sink *sink);

// hdf5.c
bool fuzz_corpus_hdf5(const uint8_t *data, size_t size);
bool fuzz_store(const uint8_t *data, size_t size);
bool fuzz_store_contents(const uint8_t *data,
                         size_t size); // the part after the user block, with right hashes
void make_tokens(const struct seed_sink *sink);
void make_store(const struct seed_sink *sink);
void make_store_contents(const struct seed_sink *sink);

// tasks.c
bool fuzz_task(const uint8_t *data, size_t size);        // JSON, in all formats
bool fuzz_task_tables(const uint8_t *data, size_t size); // CSV, TSV, text, list of labels

// job.c
bool fuzz_job(const uint8_t *data, size_t size);

// run.c
bool fuzz_sealed(const uint8_t *data, size_t size); // a sealed JSON file
bool fuzz_log(const uint8_t *data, size_t size);    // log.jsonl
bool fuzz_lock(const uint8_t *data, size_t size);   // the lock of a run directory
// {"FILE": {...} or text}: files of a run directory. Objects are sealed, so that what is in them is read.
bool fuzz_run_directory(const uint8_t *data, size_t size);
