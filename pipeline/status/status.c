#include "pipeline/status/status.h"

#include "pipeline/plan/record.h"
#include "pipeline/record/history.h"
#include "pipeline/record/log.h"
#include "pipeline/status/holders.h"
#include "pipeline/status/rates.h"
#include "pipeline/text/duration.h"
#include "pipeline/text/json_memory.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

// How many units of a stage of a variant there are, and how many are done.
struct tally {
    size_t done, all;
};

// A run directory as it was seen at one moment. Text and JSON show the same.
struct look {
    const char *run;
    struct run_view view;
    struct history history;
    struct holders holders;
    struct rates rates;
    bool *done; // [plan.num_units]
    size_t num_done;
    double work_done, now;
    double fraction;     // of the time that all units take at the measured rates; of the work when nothing is
    size_t ranks;        // of the programs that work, or of the last one that did
    bool works;          // some program does
    double seconds_left; // negative: cannot be told
};

static const char *variant_name_of(const struct variant *variant)
{
    return variant != NULL ? variant->name : "dense";
}

// ---- looking --------------------------------------------------------------------------------------------

static bool is_process(const struct lock_holder *holder, const char *process)
{
    char name[LOG_PROCESS_SIZE];
    snprintf(name, sizeof name, "%s:%ld", holder->identity.host, holder->identity.pid);
    return strcmp(name, process) == 0;
}

// The newest start in the log of the program that holds a lock; NULL before it wrote its first line.
static const struct history_start *start_of(const struct history *history, const struct lock_holder *holder)
{
    for (size_t i = history->num_starts; i-- > 0;)
        if (is_process(holder, history->starts[i].process))
            return history->starts[i].end > 0 ? NULL : &history->starts[i];
    return NULL;
}

static void count_ranks(struct look *look)
{
    const struct history *history = &look->history;

    look->ranks = 0;
    for (size_t i = 0; i < look->holders.count; i++) {
        const struct lock_holder *holder = &look->holders.items[i];
        if (holder->state != HOLDER_WORKS)
            continue;
        const struct history_start *start = start_of(history, holder);
        look->works = true;
        look->ranks += start != NULL ? start->ranks : 0;
    }
    if (look->ranks == 0 && history->num_starts > 0)
        look->ranks = history->starts[history->num_starts - 1].ranks;
}

// Seconds of one rank that count as done of a unit in hand: those that have passed. Nobody knows how far it
// really is.
static double in_hand(const struct look *look, const struct history_unit *event, double seconds)
{
    static const double most = 0.95;
    const double spent = (look->now - event->time) * (double)event->team_ranks;
    return spent < 0 ? 0 : spent < most * seconds ? spent : most * seconds;
}

// The time left: seconds of one rank that the units to do would take, over all ranks.
static void estimate(struct look *look)
{
    const struct plan *plan = &look->view.plan;
    double seconds = 0, all = 0;

    look->fraction = plan->work > 0 ? look->work_done / plan->work : 0;
    look->seconds_left = look->num_done == plan->num_units ? 0 : -1;
    look->fraction = look->seconds_left == 0 ? 1 : look->fraction;
    if (look->seconds_left == 0 || look->rates.any <= 0 || look->ranks == 0)
        return;
    for (size_t i = 0; i < plan->num_units; i++) {
        const double takes = plan->units[i].work / rates_of(&look->rates, plan->units[i].stage);
        all += takes;
        seconds += look->done[i] ? 0 : takes;
    }
    for (size_t i = 0; i < look->history.num_begun && look->works; i++) {
        const struct history_unit *event = &look->history.begun[i];
        const struct unit *unit = rates_unit(plan, event);
        if (unit != NULL && !look->done[unit - plan->units])
            seconds -= in_hand(look, event, unit->work / rates_of(&look->rates, unit->stage));
    }
    look->seconds_left = seconds / (double)look->ranks;
    look->fraction = 1 - seconds / all;
}

static void look_free(struct look *look)
{
    free(look->done);
    holders_free(&look->holders);
    history_free(&look->history);
    run_view_close(&look->view);
}

static enum status look_at(struct look *look, const char *run, struct error *err)
{
    struct timespec now;
    const struct plan *plan = &look->view.plan;

    memset(look, 0, sizeof *look);
    look->run = run;
    FORWARD_IF_ERROR(run_view_open(&look->view, run, err));
    FORWARD_IF_ERROR(holders_read(&look->holders, run, err));
    FORWARD_IF_ERROR(history_read(&look->history, run, err));
    FORWARD_IF_ERROR(allocate(&look->done, plan->num_units + 1, sizeof *look->done, "the status", err));
    clock_gettime(CLOCK_REALTIME, &now);
    look->now = (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
    for (size_t i = 0; i < plan->num_units; i++) {
        look->done[i] = unit_is_done(&plan->units[i], look->view.settings, &look->view.record);
        look->num_done += look->done[i];
        look->work_done += look->done[i] ? plan->units[i].work : 0;
    }
    rates_measure(&look->rates, &look->history, plan);
    count_ranks(look);
    estimate(look);
    return STATUS_OK;
}

static void tally_variant(struct tally tallies[STAGE_COUNT], const struct look *look,
                          const struct variant *variant)
{
    const struct plan *plan = &look->view.plan;
    for (size_t i = 0; i < plan->num_units; i++) {
        if (plan->units[i].variant != variant)
            continue;
        tallies[plan->units[i].stage].all++;
        tallies[plan->units[i].stage].done += look->done[i];
    }
}

// ---- as JSON --------------------------------------------------------------------------------------------

static json_t *variants_to_json(const struct look *look)
{
    const struct settings *settings = look->view.settings;
    json_t *variants = json_array();

    for (size_t v = 0; v < settings->num_variants + 1; v++) {
        const struct variant *variant = v == 0 ? NULL : &settings->variants[v - 1];
        struct tally tallies[STAGE_COUNT] = {{0, 0}};
        json_t *stages = json_object();
        tally_variant(tallies, look, variant);
        for (int s = 0; s < STAGE_COUNT; s++)
            if (tallies[s].all > 0)
                json_object_set_new(stages, stage_name((enum stage_kind)s),
                                    json_pack("{s:I, s:I}", "done", (json_int_t)tallies[s].done, "all",
                                              (json_int_t)tallies[s].all));
        json_array_append_new(variants,
                              json_pack("{s:s, s:o}", "name", variant_name_of(variant), "stages", stages));
    }
    return variants;
}

static json_t *units_to_json(const struct look *look, const struct lock_holder *holder)
{
    json_t *units = json_array();
    for (size_t i = 0; i < look->history.num_begun; i++) {
        const struct history_unit *event = &look->history.begun[i];
        if (!is_process(holder, event->process))
            continue;
        json_t *unit =
            json_pack("{s:s, s:s, s:f, s:I, s:I, s:s}", "stage", event->stage, "variant", event->variant,
                      "seconds", look->now - event->time, "team", (json_int_t)event->team, "team_ranks",
                      (json_int_t)event->team_ranks, "node", event->node);
        if (event->layer >= 0)
            json_object_set_new(unit, "layer", json_integer(event->layer));
        if (event->task[0] != '\0')
            json_object_set_new(unit, "task", json_string(event->task));
        json_array_append_new(units, unit);
    }
    return units;
}

static json_t *holders_to_json(const struct look *look)
{
    json_t *programs = json_array();
    for (size_t i = 0; i < look->holders.count; i++) {
        const struct lock_holder *holder = &look->holders.items[i];
        const struct history_start *start = start_of(&look->history, holder);
        json_t *variants = json_array();
        for (size_t v = 0; v < holder->num_variants; v++)
            json_array_append_new(variants, json_string(holder->variants[v]));
        json_t *program =
            json_pack("{s:s, s:I, s:s, s:s, s:s, s:f, s:o, s:o}", "host", holder->identity.host, "pid",
                      (json_int_t)holder->identity.pid, "user", holder->identity.user, "since",
                      holder->identity.since, "state", holder_state_name(holder->state), "heartbeat_age",
                      holder->silence, "variants", variants, "units", units_to_json(look, holder));
        if (holder->identity.slurm_job[0] != '\0')
            json_object_set_new(program, "slurm_job", json_string(holder->identity.slurm_job));
        if (start != NULL)
            json_object_set_new(program, "ranks", json_integer((json_int_t)start->ranks));
        json_array_append_new(programs, program);
    }
    return programs;
}

static enum status print_json(const struct look *look, FILE *out, struct error *err)
{
    const struct plan *plan = &look->view.plan;
    json_t *rates = json_object();

    for (int s = 0; s < STAGE_COUNT; s++)
        if (look->rates.of_stage[s] > 0)
            json_object_set_new(rates, stage_name((enum stage_kind)s), json_real(look->rates.of_stage[s]));
    json_t *result =
        json_pack("{s:s, s:I, s:I, s:b, s:f, s:f, s:f, s:b, s:o, s:I, s:o, s:o, s:o}", "run", look->run,
                  "done", (json_int_t)look->num_done, "all", (json_int_t)plan->num_units, "complete",
                  look->num_done == plan->num_units, "fraction", look->fraction, "work_done", look->work_done,
                  "work", plan->work, "running", look->works, "seconds_left",
                  look->seconds_left < 0 ? json_null() : json_real(look->seconds_left), "ranks",
                  (json_int_t)look->ranks, "rates_per_rank", rates, "programs", holders_to_json(look),
                  "variants", variants_to_json(look));
    char *text = json_dumps(result, JSON_INDENT(2));
    json_decref(result);
    const enum status status = json_memory_check("the status", err);
    if (status == STATUS_OK)
        fprintf(out, "%s\n", text);
    free(text);
    return status;
}

// ---- for people -----------------------------------------------------------------------------------------

static void print_variants(const struct look *look, FILE *out)
{
    const struct settings *settings = look->view.settings;
    for (size_t v = 0; v < settings->num_variants + 1; v++) {
        const struct variant *variant = v == 0 ? NULL : &settings->variants[v - 1];
        struct tally tallies[STAGE_COUNT] = {{0, 0}};
        tally_variant(tallies, look, variant);
        fprintf(out, "%-36s", variant_name_of(variant));
        for (int s = 0; s < STAGE_COUNT; s++)
            if (tallies[s].all > 0)
                fprintf(out, "  %s %zu/%zu", stage_name((enum stage_kind)s), tallies[s].done, tallies[s].all);
        fprintf(out, "\n");
    }
}

static void print_begun(const struct look *look, const struct lock_holder *holder, FILE *out)
{
    char time[24];
    for (size_t i = 0; i < look->history.num_begun; i++) {
        const struct history_unit *event = &look->history.begun[i];
        if (!is_process(holder, event->process))
            continue;
        fprintf(out, "  team %zu on %s, %zu rank%s: %s", event->team, event->node, event->team_ranks,
                event->team_ranks == 1 ? "" : "s", event->stage);
        if (strcmp(event->variant, "dense") != 0 || strcmp(event->stage, "evaluate") == 0 ||
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
    fprintf(out, ", %.0f %%", 100 * look->fraction);
    if (look->seconds_left >= 0)
        fprintf(out, "; about %s %s, at the measured rates of %zu rank%s",
                duration_format(look->seconds_left, time, sizeof time), look->works ? "left" : "to go",
                look->ranks, look->ranks == 1 ? "" : "s");
    fprintf(out, "%s\n", look->works ? "" : "; nothing works on it now");
}

enum status status_print(const char *run, bool json, FILE *out, struct error *err)
{
    struct look look;
    enum status status = look_at(&look, run, err);

    if (status == STATUS_OK && json) {
        status = print_json(&look, out, err);
    } else if (status == STATUS_OK) {
        print_variants(&look, out);
        for (size_t i = 0; i < look.holders.count; i++)
            print_holder(&look, &look.holders.items[i], out);
        print_left(&look, out);
    }
    look_free(&look);
    return status;
}
