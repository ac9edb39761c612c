#include "pipeline/run/claim_wait.h"
#include "pipeline/text/say.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static bool speaks(const struct run_context *context)
{
    return context->options->verbosity > VERBOSITY_QUIET;
}

// Tries again until `--wait` is over: what a dead host holds is free after a minute.
static enum status take(struct claim **claim, const struct run_context *context, bool *stole,
                        struct error *err)
{
    const char *run = context->settings->run;
    const double until = stop_clock() + context->options->wait;
    const struct timespec pause = {0, 500000000};
    const bool whole = context->options->num_variants == 0;
    const char **names = NULL;
    bool told = false;
    enum status status =
        allocate(&names, context->settings->num_variants + 1, sizeof *names, "the locks", err);
    const size_t count = status == STATUS_OK ? plan_names(context->plan, names) : 0;

    while (status == STATUS_OK) {
        status = claim_take(claim, run, names, count, whole, stole, err);
        if (status == STATUS_OK || stop_clock() >= until)
            break;
        if (stop_level(context->stop) > 0) {
            status = error_set(err, STATUS_STOPPED, "told to stop while %s was in use", run);
            break;
        }
        if (!told && speaks(context))
            say(stderr, "waiting: %s", err->message);
        told = true;
        *err = (struct error){0};
        status = STATUS_OK;
        nanosleep(&pause, NULL);
    }
    free(names);
    return status;
}

enum status claim_wait(struct claim **claim, const struct run_context *context, struct error *err)
{
    bool stole = false;
    size_t removed = 0;

    FORWARD_IF_ERROR(take(claim, context, &stole, err));
    FORWARD_IF_ERROR(claim_clean(*claim, &removed, err));
    if (stole && speaks(context))
        say(stderr, "%s was left by a program that is gone; going on with it", context->settings->run);
    return STATUS_OK;
}
