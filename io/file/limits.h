// limits.h - how much of an input is taken before it is refused, and why that much. Each is far above what
// anybody uses, and small enough that a hostile file costs seconds and not the machine.
#pragma once
#include <stddef.h>
#include <stdint.h>

// ---- whole files ------------------------------------------------------------------------------------------

// A job file. Its largest parts are lists of keys' values and ratios, of which there are at most
// LIMIT_JOB_ITEMS; 200 bytes for each is a generous line.
static const size_t LIMIT_JOB_BYTES = (size_t)1 << 20;
// Entries of one list or section of a job. Names are compared pair by pair; models have some hundred kinds of
// linears, which patterns with * and ? name.
enum { LIMIT_JOB_ITEMS = 4096 };
// Lists in lists of a job. Its keys need four levels. LibYAML's time grows with the square of the depth.
enum { LIMIT_JOB_DEPTH = 32 };

// A file of JSON that is read as a whole: config.json, the index of shards (170 bytes a tensor: DeepSeek-V3's
// 91 991 tensors take 9 MB). Parsed, JSON takes up to 30 times its size.
static const size_t LIMIT_JSON_BYTES = (size_t)64 << 20;
// Any other file that is read as a whole. The largest tokenizer.json in use has 35 MB (Gemma 3: 262 144
// tokens).
static const size_t LIMIT_FILE_BYTES = (size_t)512 << 20;

// ---- HDF5 -------------------------------------------------------------------------------------------------

// A chunk of a dataset, which HDF5 unpacks as a whole: h5py's own choice is at most 1 MiB.
static const uint64_t LIMIT_HDF5_CHUNK_BYTES = (uint64_t)256 << 20;

// ---- a run's log ------------------------------------------------------------------------------------------

// Rows of the table of ranks in a report: every rank that each start's teams had. A line of the log says how
// many; 4096 ranks that were started 16 times are so many.
enum { LIMIT_REPORT_RANKS = 1 << 16 };
