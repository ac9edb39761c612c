#include "tests/support/planned_job.h"

#include "io/model/open.h"
#include "pipeline/job/job.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

void planned_job_create(struct planned_job *job, const char *text)
{
    static const char start[] =
        "model: @/jobs/demo/kjv-llama-1m\nrun: /nonexistent/run\n"
        "calibration: {corpus: @/jobs/demo/train.jsonl, sequences: 32, length: 256}\n";
    const char *source = getenv("COPPICE_SOURCE"), *const parts[] = {start, text};
    char whole[16384] = "";
    size_t used = 0;
    struct error err = {0};

    assert_non_null(source);
    for (size_t p = 0; p < 2; p++)
        for (const char *c = parts[p]; *c != '\0'; c++) {
            used += (size_t)snprintf(whole + used, sizeof whole - used, *c == '@' ? "%s" : "%.1s",
                                     *c == '@' ? source : c);
            assert_true(used < sizeof whole);
        }
    memset(job, 0, sizeof *job);
    if (job_parse(&job->settings, whole, used, "job.yaml", &err) != STATUS_OK ||
        model_open(&job->model, job->settings->model, &err) != STATUS_OK ||
        plan_create(&job->plan, job->model, job->settings, &err) != STATUS_OK)
        fail_msg("%s", err.message);
}

void planned_job_free(struct planned_job *job)
{
    plan_free(&job->plan);
    model_close(job->model);
    settings_free(job->settings);
}
