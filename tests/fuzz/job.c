// Job files.
#include "pipeline/job/job.h"

#include "pipeline/job/json.h"
#include "tests/fuzz/parsers.h"
#include "tests/fuzz/promise.h"

// What is accepted goes through the record of a run and back unchanged.
bool fuzz_job(const uint8_t *data, size_t size)
{
    struct settings *settings, *again = NULL;
    struct error err = {0};

    if (!OUTCOME(job_parse(&settings, (const char *)data, size, "job.yaml", &err), err, MAY(STATUS_USAGE)))
        return false;
    json_t *json = settings_to_json(settings);
    PROMISE(json != NULL);
    if (OUTCOME(settings_from_json(&again, json, "record", &err), err, 0)) {
        json_t *second = settings_to_json(again);
        PROMISE(json_equal(json, second));
        json_decref(second);
        settings_free(again);
    }
    json_decref(json);
    settings_free(settings);
    return true;
}
