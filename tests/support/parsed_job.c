#include "tests/support/parsed_job.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct settings *parsed_job(const char *text)
{
    struct settings *settings = NULL;
    struct error err = {0};

    if (job_parse(&settings, text, strlen(text), "job.yaml", &err) != STATUS_OK)
        fail_msg("refused: %s\n%s", err.message, text);
    return settings;
}
