#include "pipeline/report/data/times.h"

#include "io/file/limits.h"
#include "io/file/run_paths.h"

#include <stdio.h>
#include <string.h>

json_t *starts_to_json(const struct history *history)
{
    json_t *starts = json_array();
    for (size_t i = 0; i < history->num_starts; i++) {
        const struct history_start *start = &history->starts[i];
        json_t *row =
            json_pack("{s:f, s:I, s:s, s:s, s:s}", "time", start->time, "ranks", (json_int_t)start->ranks,
                      "command", start->command, "process", start->process, "version", start->version);
        if (start->end > 0) {
            json_object_set_new(row, "seconds", json_real(start->end - start->time));
            json_object_set_new(row, "exit_code", json_integer(start->exit_code));
        }
        if (start->slurm_job[0] != '\0')
            json_object_set_new(row, "slurm_job", json_string(start->slurm_job));
        if (start->message[0] != '\0')
            json_object_set_new(row, "message", json_string(start->message));
        json_array_append_new(starts, row);
    }
    return starts;
}

// The row of one rank of one program.
static json_t *rank_row(json_t *times, json_t *index, const char *process, size_t rank)
{
    char key[400];
    snprintf(key, sizeof key, "%zu %s", rank, process);
    json_t *row = json_object_get(index, key);
    if (row == NULL) {
        row = json_pack("{s:s, s:I, s:{}}", "process", process, "rank", (json_int_t)rank, "seconds");
        json_array_append_new(times, row);
        json_object_set(index, key, row);
    }
    return row;
}

static void add_seconds(json_t *seconds, const char *stage, double more)
{
    const double before = json_number_value(json_object_get(seconds, stage));
    json_object_set_new(seconds, stage, json_real(before + more));
}

// {TEAM: {process, first, ranks, seconds: {STAGE: seconds}}}: the units of each team of each program
// together.
static json_t *gather_teams(const struct history *history)
{
    json_t *teams = json_object();

    for (size_t i = 0; i < history->num_units; i++) {
        const struct history_unit *unit = &history->units[i];
        char key[400];
        snprintf(key, sizeof key, "%zu %zu %s", unit->first_rank, unit->team_ranks, unit->process);
        json_t *team = json_object_get(teams, key);
        if (team == NULL) {
            team = json_pack("{s:s, s:I, s:I, s:{}}", "process", unit->process, "first",
                             (json_int_t)unit->first_rank, "ranks", (json_int_t)unit->team_ranks, "seconds");
            json_object_set_new(teams, key, team);
        }
        add_seconds(json_object_get(team, "seconds"), unit->stage, unit->seconds);
    }
    return teams;
}

// A unit occupies all ranks of its team. A team that no world has would fill the memory.
json_t *times_to_json(const struct history *history)
{
    json_t *times = json_array(), *index = json_object(), *teams = gather_teams(history), *team, *seconds;
    const char *key, *stage;
    size_t room = LIMIT_REPORT_RANKS;

    json_object_foreach(teams, key, team)
    {
        const char *process = json_string_value(json_object_get(team, "process"));
        const size_t first = (size_t)json_integer_value(json_object_get(team, "first"));
        const size_t ranks = (size_t)json_integer_value(json_object_get(team, "ranks"));
        if (ranks > room)
            continue;
        room -= ranks;
        for (size_t r = 0; r < ranks; r++) {
            json_t *row = json_object_get(rank_row(times, index, process, first + r), "seconds");
            json_object_foreach(json_object_get(team, "seconds"), stage, seconds)
                add_seconds(row, stage, json_number_value(seconds));
        }
    }
    json_decref(teams);
    json_decref(index);
    return times;
}

// Whether a unit of the log is the variant's; attempts of a search are called VARIANT~1, VARIANT~2, ...
static bool is_of(const struct history_unit *unit, const char *variant)
{
    const size_t length = strcspn(unit->variant, "~");
    return strlen(variant) == length && strncmp(unit->variant, variant, length) == 0;
}

void variant_times_add(json_t *model, const struct history *history, const char *variant)
{
    json_t *seconds = json_object();
    double rank_seconds = 0, memory = 0;

    for (size_t i = 0; i < history->num_units; i++) {
        const struct history_unit *unit = &history->units[i];
        if (!is_of(unit, variant))
            continue;
        add_seconds(seconds, unit->stage, unit->seconds);
        rank_seconds += unit->seconds * (double)unit->team_ranks;
        memory = unit->memory > memory ? unit->memory : memory;
    }
    if (json_object_size(seconds) > 0) {
        json_object_set(model, "seconds", seconds);
        json_object_set_new(model, "rank_seconds", json_real(rank_seconds));
        if (memory > 0)
            json_object_set_new(model, "peak_memory", json_integer((json_int_t)memory));
    }
    json_decref(seconds);
}
