// run_record.h - RUN/run.json: the job as frozen at the first start, fingerprints of its inputs, and the
// versions that made it.
//
// A later start must ask for the same: model, corpora, calibration, propagation and skipped linears may not
// change; variants may be added (a sweep is extended), an evaluation or an output may be added.
#pragma once
#include "io/model/model.h"
#include "pipeline/record/run_json/fingerprints.h"
#include "stages/settings.h"
#include "stages/team/team.h"
#include <jansson.h>

// What makes a damaged run.json good.
#define RUN_RECORD_ADVICE "remove it and start the same job again: it will be written anew"

struct run_record {
    json_t *json;            // what run.json holds or will hold
    char identity[17];       // hexadecimal hash of everything that results depend on, as run.json has it
    uint64_t made_from;      // the same as a number, for every file that is made
    bool has_unmarked_files; // begun by a version whose files do not say what they were made from
    bool is_first;           // there was no run.json
    bool is_changed;         // run.json is to be written
};

// Collective. Compares RUN/run.json with the job; writes nothing. Fingerprints: XXH3 of every file, tensors
// hashed by all ranks together, those that mode says; FINGERPRINT_NONE counts only where there is no
// run.json, and leaves a record that must not be committed. A contradiction is STATUS_USAGE and names the key
// or the file. Freed with run_record_free.
enum status run_record_open(struct run_record *record, const struct team *team, const struct model *model,
                            const struct settings *settings, enum fingerprint_mode mode, struct error *err);
// Collective. Commits run.json where it says something new: when all inputs were found to be good.
enum status run_record_commit(struct run_record *record, const struct team *team,
                              const struct settings *settings, struct error *err);
void run_record_free(struct run_record *record);

// Reads RUN/run.json, for commands that only look. Not collective. STATUS_USAGE when there is none.
enum status run_record_read(struct run_record *record, const char *run, struct error *err);

// The arithmetic (kernels/numerics.h) of the starts that computed something, the first start's first: [1, 3].
// New reference; NULL when memory ran out.
json_t *run_record_numerics(const struct run_record *record);
// This start computes, too. STATUS_MEMORY.
enum status run_record_add_numerics(struct run_record *record, struct error *err);
// notice[size]: a line for the user where the run has results of another arithmetic than this program's, else
// "".
void run_record_tell_numerics(char *notice, size_t size, const struct run_record *record);

// The identity of the export of one variant, by its name. identity: size 40.
void run_record_variant(char *identity, size_t size, const struct run_record *record, const char *variant);

// {"id": "Qwen/Qwen3-0.6B", "commit": ...} of a model that the job names by its id on the Hub, else NULL. It
// is the member "hub" of run.json and coppice.json. New reference.
json_t *hub_to_json(const struct settings *settings);

// The members of library_versions that later starts compare.
#define RECORD_BLAS "blas"
#define RECORD_BLAS_KERNEL "blas_kernel"
#define RECORD_NUMERICS "numerics"
#define RECORD_BF16 "bf16"
// {"coppice": ..., "mpi": ..., "hdf5": ..., "blas": "BLIS 0.9.0", "blas_kernel": "skx", "instructions":
// "AVX-512", "numerics": 3}: the versions that run now, the BLAS's kernels, which BLIS takes at this call if
// it has not yet, the widest instructions of this processor, and the arithmetic (kernels/numerics.h). Runs
// that were begun before there was a choice of BLAS have "blis" (a version) and "blis_kernel" instead. With
// COMPUTE_BF16 also "bf16", what computes it: "oneDNN 3.7.2, AMX".
json_t *library_versions(enum compute compute);
