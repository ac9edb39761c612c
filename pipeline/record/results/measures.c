#include "pipeline/record/results/measures.h"

#include "pipeline/record/run_json/task_record.h"
#include "stages/stage.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

// Of an identity, which it frees. One without contents has no hash: they were not read.
static uint64_t hash_of(json_t *identity)
{
    const json_t *contents = json_object_get(identity, "contents");
    char *dump = json_array_size(contents) > 0 ? json_dumps(identity, JSON_SORT_KEYS | JSON_COMPACT) : NULL;
    const uint64_t hash = dump != NULL ? XXH3_64bits(dump, strlen(dump)) : 0;

    free(dump);
    json_decref(identity);
    return hash;
}

uint64_t measure_of_text(const json_t *record, const char *name)
{
    return hash_of(text_record_identity(record, name));
}

uint64_t measure_of_task(const json_t *record, const char *name)
{
    return hash_of(task_record_identity(record, name));
}

void measures_set(struct settings *settings, const json_t *record)
{
    for (size_t i = 0; i < settings->num_texts; i++)
        settings->texts[i].measured_with = measure_of_text(record, text_label(settings, i));
    for (size_t i = 0; i < settings->num_tasks; i++)
        settings->tasks[i].measured_with = measure_of_task(record, settings->tasks[i].name);
}
