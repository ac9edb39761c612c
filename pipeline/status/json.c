#include "pipeline/status/json.h"

#include "io/file/json.h"
#include "io/file/json_memory.h"
#include "pipeline/record/results/budget_json.h"
#include "stages/stage.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

// "not_needed" is only there where it is not 0.
static json_t *tally_to_json(const struct tally *tally)
{
    json_t *json = json_pack("{s:I, s:I}", "done", (json_int_t)tally->done, "all", (json_int_t)tally->all);
    if (tally->not_needed > 0)
        json_object_set_new(json, "not_needed", json_integer((json_int_t)tally->not_needed));
    return json;
}

static json_t *variants_to_json(const struct look *look)
{
    const struct settings *settings = look->view.settings;
    json_t *variants = json_array();

    for (size_t v = 0; v < settings->num_variants + 1; v++) {
        const struct variant *variant = v == 0 ? NULL : &settings->variants[v - 1];
        struct tally tallies[STAGE_COUNT] = {{0}};
        json_t *stages = json_object();
        look_tally(tallies, look, variant);
        for (int s = 0; s < STAGE_COUNT; s++)
            if (tallies[s].all > 0)
                json_object_set_new(stages, stage_name((enum stage_kind)s), tally_to_json(&tallies[s]));
        json_t *row = json_pack("{s:s, s:b, s:o}", "name", variant_name(variant), "asked",
                                look_is_asked(look, variant), "stages", stages);
        json_t *budget = budget_to_json(settings, variant);
        if (budget != NULL)
            json_object_set_new(row, "budget", budget);
        json_array_append_new(variants, row);
    }
    return variants;
}

static json_t *units_to_json(const struct look *look, const struct lock_holder *holder)
{
    json_t *units = json_array();
    for (size_t i = 0; i < look->history.num_begun; i++) {
        const struct history_unit *event = &look->history.begun[i];
        if (!look_is_process(holder, event->process))
            continue;
        json_t *unit =
            json_pack("{s:s, s:s, s:f, s:I, s:I, s:s}", "stage", event->stage, "variant", event->variant,
                      "seconds", look->now - event->time, "team", (json_int_t)event->team, "team_ranks",
                      (json_int_t)event->team_ranks, "node", event->node);
        if (event->layer >= 0)
            json_object_set_new(unit, "layer", json_integer(event->layer));
        if (event->task[0] != '\0')
            json_object_set_new(unit, strcmp(event->stage, stage_name(STAGE_EVALUATE)) == 0 ? "text" : "task",
                                json_string(event->task));
        json_array_append_new(units, unit);
    }
    return units;
}

static json_t *holders_to_json(const struct look *look)
{
    json_t *programs = json_array();
    for (size_t i = 0; i < look->holders.count; i++) {
        const struct lock_holder *holder = &look->holders.items[i];
        const struct history_start *start = look_start_of(&look->history, holder);
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

enum status status_print_json(const struct look *look, FILE *out, struct error *err)
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
    char *text = json_text(result, JSON_INDENT(2));
    json_decref(result);
    const enum status status = json_memory_check("the status", err);
    if (status == STATUS_OK)
        fprintf(out, "%s\n", text);
    free(text);
    return status;
}
