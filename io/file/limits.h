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

// A file of JSON that is read as a whole: config.json, the index of shards (some 100 bytes a tensor; models
// with hundreds of experts have some 100 000). Parsed, JSON takes up to 30 times its size.
static const size_t LIMIT_JSON_BYTES = (size_t)64 << 20;
// Any other file that is read as a whole: results, records, labels.
static const size_t LIMIT_FILE_BYTES = (size_t)512 << 20;

// ---- texts and tokenizers ---------------------------------------------------------------------------------

// A text that unpacks to more than this many times its size, beyond the first bytes, is none that anybody
// wrote: it would fill the memory. Prose packs to a third of its size.
static const uint64_t LIMIT_EXPANSION = 200, LIMIT_FREE_EXPANSION_BYTES = (uint64_t)64 << 20;

// tokenizer.json. Gemma 3's, with 262 144 tokens one of the largest in use, has 33 MB. Reading takes some two
// seconds and 200 MB for a million tokens; there is room for six millions.
static const size_t LIMIT_TOKENIZER_BYTES = (size_t)128 << 20;
// What normalising and cutting may make of a text, as a multiple of its bytes, beyond the first. A byte
// becomes two by byte-level alphabets; NFKD makes 33 bytes of the three of U+FDFA.
static const size_t LIMIT_GROWTH = 64, LIMIT_FREE_GROWTH_BYTES = (size_t)1 << 20;
// How often a regular expression may go back while it looks for one match: so often, and so often for each
// byte of the text, which one match may be as long as. (a*)*b doubles it with every a.
static const uint32_t LIMIT_MATCH_STEPS = 1 << 20, LIMIT_MATCH_STEPS_PER_BYTE = 16;
// Processor time of cutting a text with one regular expression, in seconds and seconds for each byte: some
// twenty times what common ones take. a*b looks from every a of a text without b to the text's end.
static const double LIMIT_MATCH_SECONDS = 0.5, LIMIT_MATCH_SECONDS_PER_BYTE = 1e-6;
// Special tokens that a template puts around a text, and how often it has the text: one to four, and once.
enum { LIMIT_TEMPLATE_IDS = 1024, LIMIT_TEMPLATE_TEXTS = 8 };

// ---- HDF5 -------------------------------------------------------------------------------------------------

// A chunk of a dataset, which HDF5 unpacks as a whole: h5py's own choice is at most 1 MiB.
static const uint64_t LIMIT_HDF5_CHUNK_BYTES = (uint64_t)256 << 20;

// ---- a run's log ------------------------------------------------------------------------------------------

// Rows of the table of ranks in a report: every rank that each start's teams had. A line of the log says how
// many; 4096 ranks that were started 16 times are so many.
enum { LIMIT_REPORT_RANKS = 1 << 16 };
