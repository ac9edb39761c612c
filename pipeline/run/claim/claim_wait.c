#include "pipeline/run/claim/claim_wait.h"

#include "io/file/run_paths.h"
#include "pipeline/plan/shared.h"
#include "pipeline/text/say.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static bool speaks(const struct run_context *context)
{
    return context->options->verbosity > VERBOSITY_QUIET;
}

// What is to be claimed, of the plan's units.
struct wanted {
    uint8_t *units;     // [num_units]: the chosen ones, and what they need of what all variants share
    const char **names; // [count] of their variants
    size_t count;
    bool shares; // they need some
};

static enum status wanted_create(struct wanted *wanted, const struct run_context *context, struct error *err)
{
    *wanted = (struct wanted){0};
    FORWARD_IF_ERROR(allocate(&wanted->names, context->settings->num_variants + 1, sizeof *wanted->names,
                              "the locks", err));
    return allocate(&wanted->units, context->plan->num_units, 1, "the locks", err);
}

static void wanted_free(struct wanted *wanted)
{
    free(wanted->names);
    free(wanted->units);
}

// Another program may have made meanwhile what is shared.
static void look(struct wanted *wanted, const uint8_t *chosen, const struct run_context *context)
{
    memcpy(wanted->units, chosen, context->plan->num_units);
    wanted->shares = shared_add(wanted->units, context->plan, context->stages) > 0;
    wanted->count = plan_names(context->plan, wanted->units, wanted->names);
}

// Whether it is only what all variants share that another program has in hand. That one waits for without
// --wait: who makes it is not asked for the same, and goes on to variants of its own.
static bool is_being_made(const struct wanted *wanted, const struct claim_outcome *outcome)
{
    return wanted->shares && outcome->in_use != NULL && strcmp(outcome->in_use, DENSE_NAME) == 0;
}

// Tries again until `--wait` is over: what a dead host holds is free after a minute.
static enum status take(struct claim **claim, struct wanted *wanted, const uint8_t *chosen,
                        const struct run_context *context, struct claim_outcome *outcome, struct error *err)
{
    const char *run = context->settings->run;
    const double until = stop_clock() + context->options->wait;
    const struct timespec pause = {0, 500000000};
    const bool whole = context->options->num_variants == 0;
    bool told = false;

    for (;;) {
        look(wanted, chosen, context);
        const enum status status = claim_take(claim, run, wanted->names, wanted->count, whole, outcome, err);
        const bool is_shared = status != STATUS_OK && is_being_made(wanted, outcome);
        if (status == STATUS_OK || (!is_shared && stop_clock() >= until))
            return status;
        if (stop_level(context->stop) > 0)
            return error_set(err, STATUS_STOPPED, "told to stop while %s was in use", run);
        if (!told && speaks(context))
            say(stderr, "waiting%s: %s", is_shared ? " for what all variants share" : "", err->message);
        told = true;
        *err = (struct error){0};
        nanosleep(&pause, NULL);
    }
}

enum status claim_wait(struct claim **claim, uint8_t *chosen, const struct run_context *context,
                       struct error *err)
{
    struct claim_outcome outcome = {0};
    struct wanted wanted;
    size_t removed = 0;
    enum status status = wanted_create(&wanted, context, err);

    GOTO_IF_ERROR(status, done);
    GOTO_IF_ERROR(take(claim, &wanted, chosen, context, &outcome, err), done);
    memcpy(chosen, wanted.units, context->plan->num_units);
    GOTO_IF_ERROR(claim_clean(*claim, &removed, err), done);
    if (outcome.stole && speaks(context))
        say(stderr, "%s was left by a program that is gone; going on with it", context->settings->run);
done:
    wanted_free(&wanted);
    return status;
}
