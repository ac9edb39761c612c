#include "pipeline/status/text.h"

#include "io/file/run_paths.h"
#include "pipeline/job/variant.h"
#include "pipeline/record/results/budget_json.h"
#include "pipeline/text/duration.h"
#include "stages/stage.h"

#include <math.h>
#include <string.h>

static void print_tallies(const struct tally tallies[STAGE_COUNT], FILE *out)
{
    for (int s = 0; s < STAGE_COUNT; s++) {
        if (tallies[s].all == 0)
            continue;
        fprintf(out, "  %s %zu/%zu", stage_name((enum stage_kind)s), tallies[s].done, tallies[s].all);
        if (tallies[s].not_needed > 0)
            fprintf(out, " (%zu not needed)", tallies[s].not_needed);
    }
}

static void print_variants(const struct look *look, FILE *out)
{
    const struct settings *settings = look->view.settings;
    for (size_t v = 0; v < settings->num_variants + 1; v++) {
        const struct variant *variant = v == 0 ? NULL : &settings->variants[v - 1];
        struct tally tallies[STAGE_COUNT] = {{0}};
        char budget[160];
        look_tally(tallies, look, variant);
        fprintf(out, "%-*s", variants_column(settings), variant_name(variant));
        print_tallies(tallies, out);
        fprintf(out, "%s\n", look_is_asked(look, variant) ? "" : "  (of an earlier job)");
        if (budget_text(budget, sizeof budget, settings, variant)[0] != '\0')
            fprintf(out, "  %s\n", budget);
    }
}

static void print_begun(const struct look *look, const struct lock_holder *holder, FILE *out)
{
    char time[24];
    for (size_t i = 0; i < look->history.num_begun; i++) {
        const struct history_unit *event = &look->history.begun[i];
        if (!look_is_process(holder, event->process))
            continue;
        fprintf(out, "  team %zu on %s, %zu rank%s: %s", event->team, event->node, event->team_ranks,
                event->team_ranks == 1 ? "" : "s", event->stage);
        if (strcmp(event->variant, DENSE_NAME) != 0 || strcmp(event->stage, "evaluate") == 0 ||
            event->task[0] != '\0')
            fprintf(out, " %s", event->variant);
        if (event->task[0] != '\0')
            fprintf(out, " %s", event->task);
        if (event->layer >= 0)
            fprintf(out, " layer %ld", event->layer);
        fprintf(out, ", for %s\n", duration_format(look->now - event->time, time, sizeof time));
    }
}

static void print_holder(const struct look *look, const struct lock_holder *holder, FILE *out)
{
    const struct process_identity *who = &holder->identity;
    char time[24];

    fprintf(out, "process %ld on %s%s%s, user %s, since %s", who->pid, who->host,
            who->slurm_job[0] != '\0' ? ", Slurm job " : "", who->slurm_job, who->user, who->since);
    if (!holder->whole && holder->num_variants > 0) {
        fprintf(out, ", works on %s", holder->variants[0]);
        if (holder->num_variants > 1)
            fprintf(out, " and %zu more", holder->num_variants - 1);
    }
    if (holder->state == HOLDER_GONE)
        fprintf(out, ": is gone; start the job again to go on\n");
    else if (holder->state == HOLDER_SILENT)
        fprintf(out, ": not heard from for %s, perhaps gone\n",
                duration_format(holder->silence, time, sizeof time));
    else
        fprintf(out, "\n");
    if (holder->state == HOLDER_WORKS)
        print_begun(look, holder, out);
}

static void print_left(const struct look *look, FILE *out)
{
    const struct plan *plan = &look->view.plan;
    char time[24];

    fprintf(out, "%zu of %zu units done", look->num_done, plan->num_units);
    if (look->num_done == plan->num_units) {
        fprintf(out, ": complete\n");
        return;
    }
    // Not 100 before the end.
    fprintf(out, ", %.0f %%", floor(fmin(100 * look->fraction + 0.5, 99)));
    if (look->seconds_left >= 0)
        fprintf(out, "; about %s %s, at the measured rates of %zu rank%s",
                duration_format(look->seconds_left, time, sizeof time), look->works ? "left" : "to go",
                look->ranks, look->ranks == 1 ? "" : "s");
    fprintf(out, "%s\n", look->works ? "" : "; nothing works on it now");
}

void status_print_text(const struct look *look, FILE *out)
{
    print_left(look, out);
    for (size_t i = 0; i < look->holders.count; i++)
        print_holder(look, &look->holders.items[i], out);
    print_variants(look, out);
}
