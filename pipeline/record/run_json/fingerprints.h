// fingerprints.h - stamps of a job's input files for run.json: {"file", "bytes", "modified", "xxh3"}. For
// run_record.c.
//
// Each function is collective and appends to rank 0's list. `old` is the list of run.json, NULL when there is
// none.
#pragma once
#include "io/model/model.h"
#include "stages/settings.h"
#include "stages/team/team.h"
#include <jansson.h>

// Which files are read for their hashes.
enum fingerprint_mode {
    FINGERPRINT_ALL,
    FINGERPRINT_CHANGED, // not those whose size and time of change are as recorded
    FINGERPRINT_NONE     // they are only looked up: stamps without "xxh3", for a look before the first start
};

// config.json, tokenizer.json, then the shards. Where calibration starts from token ids, masks and weights do
// not depend on the tokenizer, and there need not be one.
enum status fingerprint_model(json_t *list, const struct team *team, const struct model *model,
                              const struct settings *settings, const json_t *old, enum fingerprint_mode mode,
                              struct error *err);
// old: the corpus's own stamp. A corpus that is gone is no obstacle when the sequences drawn from it are
// stored: the record is believed where it names a file of the same name, unless everything is to be read
// again (FINGERPRINT_ALL).
enum status fingerprint_corpus(json_t *list, const struct team *team, const struct settings *settings,
                               const json_t *old, enum fingerprint_mode mode, struct error *err);
// The text without a name that perplexity is measured on (text_label), and, where calibration starts from
// token ids, the tokenizer, which then matters here alone.
enum status fingerprint_evaluation(json_t *list, const struct team *team, const struct settings *settings,
                                   const json_t *old, enum fingerprint_mode mode, struct error *err);
// The texts that have names, and the tokenizer in the same case. Each stamp names its text.
enum status fingerprint_texts(json_t *list, const struct team *team, const struct settings *settings,
                              const json_t *old, enum fingerprint_mode mode, struct error *err);
// The tasks' files (io/tasks/files.h), and the tokenizer where calibration starts from token
// ids. Each stamp names its task.
enum status fingerprint_tasks(json_t *list, const struct team *team, const struct settings *settings,
                              const json_t *old, enum fingerprint_mode mode, struct error *err);
