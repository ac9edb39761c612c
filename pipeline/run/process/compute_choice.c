#include "pipeline/run/process/compute_choice.h"

#include "io/file/run_paths.h"
#include "io/file/sealed_json.h"
#include "kernels/bf16_gemm.h"
#include "kernels/bf16_unit.h"
#include "pipeline/record/run_json/run_record.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

enum status compute_check(const struct settings *settings, const char *job, struct error *err)
{
    struct error why = {0};
    const enum status status = compute_prepare(settings->compute, &why);

    return status == STATUS_OK
               ? STATUS_OK
               : error_set(err, status,
                           "%s: compute: bf16 cannot be had here: %s; bf16_emulated has the same effect on "
                           "results, and is no faster than float32",
                           job, why.message);
}

// What run.json says, "" where it says nothing.
static void recorded(char *name, size_t size, const char *run)
{
    char path[PATH_SIZE];
    json_t *json = NULL;

    run_file_path(path, run, RUN_RECORD);
    if (sealed_json_read(&json, path, NULL) != STATUS_OK)
        json = NULL; // whoever needs it says what is wrong with it
    const char *text = json_string_value(json_object_get(json_object_get(json, "versions"), RECORD_BF16));
    snprintf(name, size, "%s", text != NULL ? text : "");
    json_decref(json);
}

enum status compute_agree(char *notice, size_t size, const struct settings *settings,
                          const struct team *world, struct error *err)
{
    char own[BF16_UNIT_NAME_SIZE], first[BF16_UNIT_NAME_SIZE], began[BF16_UNIT_NAME_SIZE] = "";

    notice[0] = '\0';
    if (settings->compute != COMPUTE_BF16)
        return STATUS_OK;
    bf16_unit_name(own, sizeof own);
    memcpy(first, own, sizeof first);
    if (world->rank == 0)
        recorded(began, sizeof began, settings->run);
    FORWARD_IF_ERROR(team_broadcast(world, first, sizeof first, 0, err));
    if (team_any(world, strcmp(own, first) != 0))
        snprintf(notice, size,
                 "the ranks compute in bfloat16 by different means (the first one by %s): results may differ "
                 "in the last bits from those of another number of ranks",
                 first);
    else if (began[0] != '\0' && strcmp(began, own) != 0)
        snprintf(notice, size,
                 "the run began in bfloat16 by %s and goes on by %s: the last bits of its results may differ "
                 "from those of one of them",
                 began, own);
    return STATUS_OK;
}
