#include "pipeline/run/runner.h"

#include "io/file/process_identity.h"
#include "io/file/run_paths.h"
#include "io/store/store.h"
#include "pipeline/run/repair.h"
#include "pipeline/run/states.h"
#include "pipeline/run/unit_work.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REPAIRS = 16 };

// With no --max-time, how long the unit in hand may still take after the first signal.
static const double default_grace = 20;

static bool should_stop(void *context, double fraction)
{
    const struct runner *runner = context;
    const int level = stop_level(runner->stop);
    if (alarm_heard(&runner->alarm))
        return true;
    if (level != 1)
        return level > 1;
    // Told once: finish the unit when that is soon done, drop it otherwise.
    const double elapsed = stop_clock() - runner->unit_started;
    const double grace = runner->options->max_time > 0 ? runner->options->margin / 2 : default_grace;
    return fraction <= 0 ? elapsed > grace : elapsed / fraction * (1 - fraction) > grace;
}

static void advance(void *context, double work)
{
    struct runner *runner = context;
    // Only the first team is heard; the others are taken to be as fast.
    progress_advance(&runner->progress, work * runner->team->count);
}

static void notice(void *context, const char *text)
{
    struct runner *runner = context;
    progress_message(&runner->progress, "%s", text);
    (void)log_event(runner->log, NULL, "notice", "{s:s}", "message", text);
}

// Whether every committed file that the unit reads is there; else says what is missing.
static bool is_ready(struct runner *runner, const struct unit *unit)
{
    char path[PATH_SIZE];
    const size_t layers = runner->model->config.num_hidden_layers;
    for (size_t i = 0; unit_input(path, unit, runner->settings, layers, i); i++)
        if (!store_exists(path)) {
            snprintf(runner->waiting, sizeof runner->waiting, "%s waits for %.400s", stage_name(unit->stage),
                     path);
            return false;
        }
    return true;
}

enum verdict { UNIT_TODO = 0, UNIT_DONE = 1, UNIT_WAITS = 2 };

// Rank 0 looks at the file system; all ranks act on what it saw.
static enum status judge(struct runner *runner, const struct unit *unit, enum verdict *verdict,
                         struct error *err)
{
    uint8_t seen = UNIT_TODO;
    if (runner->team->rank == 0) {
        if (unit_is_done(unit, runner->settings, runner->record))
            seen = UNIT_DONE;
        else if (!is_ready(runner, unit))
            seen = UNIT_WAITS;
    }
    FORWARD_IF_ERROR(team_broadcast(runner->team, &seen, 1, 0, err));
    *verdict = (enum verdict)seen;
    return STATUS_OK;
}

// event "begin", or "unit" when it is done.
static void log_unit(struct runner *runner, const struct unit *unit, const char *event, double seconds)
{
    const struct team *team = runner->team;
    struct process_identity self;

    if (runner->log == NULL)
        return;
    process_identity_self(&self);
    // The log is a witness, not a ledger: a run does not end because a line could not be written.
    (void)log_event(runner->log, NULL, event, "{s:s, s:s?, s:I, s:f, s:i, s:i, s:i, s:s, s:s*}", "stage",
                    stage_name(unit->stage), "variant", unit->variant != NULL ? unit->variant->name : NULL,
                    "layer", (json_int_t)unit->layer, "seconds", seconds, "team", team->index, "first_rank",
                    team->world_rank, "team_ranks", team->size, "node", self.host, "task",
                    unit_task_name(unit, runner->settings));
}

// The units in hand. The time of several is shared out among them.
static enum status run_units(struct runner *runner, struct error *err)
{
    const struct unit *unit = runner->units[0];
    double work = 0;

    runner->unit_started = stop_clock();
    if (team_any(runner->team, stop_level(runner->stop) > 0 || alarm_heard(&runner->alarm)))
        RETURN_ERROR(err, STATUS_STOPPED, "told to stop");
    progress_unit(&runner->progress, stage_name(unit->stage),
                  unit->variant != NULL ? unit->variant->name : NULL,
                  unit->layer >= 0 ? (size_t)unit->layer : 0,
                  unit->layer >= 0 ? runner->model->config.num_hidden_layers : 0);
    const double before = runner->progress.done;
    for (size_t k = 0; k < runner->num_units; k++) {
        work += runner->units[k]->work;
        log_unit(runner, runner->units[k], "begin", 0);
    }
    enum status status = unit_carry_out(runner, unit, err);
    if (status == STATUS_OK) {
        // Costs were estimates: the units count for what they were planned at.
        progress_advance(&runner->progress, before + work * runner->team->count - runner->progress.done);
        const double seconds = (stop_clock() - runner->unit_started) / (double)runner->num_units;
        for (size_t k = 0; k < runner->num_units; k++)
            log_unit(runner, runner->units[k], "unit", seconds);
        runner->units_done += runner->num_units;
    }
    return status;
}

static bool is_mine(const struct runner *runner, const struct unit *unit, size_t phase)
{
    return unit->phase == phase && (int)(unit->chain % (size_t)runner->team->count) == runner->team->index &&
           (runner->stages & 1U << unit->stage) != 0;
}

// Takes the i-th unit in hand, and with a mask those of its layer behind it that are to be cut from the same
// scores; these are marked as taken.
static enum status take_units(struct runner *runner, size_t phase, size_t i, bool *taken, struct error *err)
{
    const struct unit *units = runner->plan->units;

    runner->units[0] = &units[i];
    runner->num_units = 1;
    for (size_t k = i + 1;
         units[i].stage == STAGE_SCORE && k < runner->plan->num_units && runner->num_units < SCORE_BATCH;
         k++) {
        enum verdict verdict;
        if (!is_mine(runner, &units[k], phase) || units[k].stage != STAGE_SCORE || taken[k] ||
            units[k].chain != units[i].chain || units[k].layer != units[i].layer ||
            !variants_share_scores(units[k].variant, units[i].variant))
            continue;
        FORWARD_IF_ERROR(judge(runner, &units[k], &verdict, err));
        if (verdict == UNIT_TODO) {
            taken[k] = true;
            runner->units[runner->num_units++] = &units[k];
        }
    }
    return STATUS_OK;
}

static enum status run_chains(struct runner *runner, size_t phase, struct error *err)
{
    size_t blocked = SIZE_MAX; // a chain that cannot go on
    bool *taken = NULL;
    enum status status =
        allocate(&taken, runner->plan->num_units, sizeof *taken, "what is done already", err);

    GOTO_IF_ERROR(team_agree(runner->team, status, err), done);
    for (size_t i = 0; i < runner->plan->num_units; i++) {
        const struct unit *unit = &runner->plan->units[i];
        enum verdict verdict;
        if (!is_mine(runner, unit, phase) || unit->chain == blocked || taken[i])
            continue;
        GOTO_IF_ERROR(judge(runner, unit, &verdict, err), done);
        if (verdict == UNIT_DONE) {
            runner->units_found++;
            progress_skip(&runner->progress, unit->work);
        } else if (verdict == UNIT_WAITS) {
            blocked = unit->chain;
        } else {
            GOTO_IF_ERROR(take_units(runner, phase, i, taken, err), done);
            GOTO_IF_ERROR(run_units(runner, err), done);
        }
    }
done:
    free(taken);
    return status;
}

// Layers in float32 that the teams of a node may hold beside one another, when --teams says nothing.
static const uint64_t node_memory = (uint64_t)256 << 20;

// Without --teams each node is a team, which loads a layer once. Where layers are small, a node has as many
// as fit: ranks of different teams need not wait for each other.
static size_t teams_of_node(const struct runner *runner)
{
    const size_t ranks = (size_t)runner->world->node_size;
    size_t floats = 0;
    if (layer_weights_size(&floats, runner->model, NULL) != STATUS_OK || floats == 0)
        return 1;
    const uint64_t fit = node_memory / (floats * sizeof(float));
    return fit < 1 ? 1 : fit < ranks ? (size_t)fit : ranks;
}

// Teams where a phase has several chains. More than one on a node only where all get about as many.
static int teams_for(const struct runner *runner, size_t phase)
{
    const size_t chains = plan_chains(runner->plan, phase), size = (size_t)runner->world->size;
    const size_t nodes = size / (size_t)runner->world->node_size;
    size_t teams = runner->options->teams > 0 ? (size_t)runner->options->teams : nodes;

    for (size_t more = runner->options->teams > 0 ? 1 : teams_of_node(runner); more > 1; more--) {
        const size_t rounds = (chains + nodes * more - 1) / (nodes * more);
        if (10 * chains >= 9 * rounds * nodes * more) {
            teams = nodes * more;
            break;
        }
    }
    if (teams > size)
        teams = size;
    if (teams > chains)
        teams = chains;
    return teams > 0 ? (int)teams : 1;
}

// Splits the world: as rank 0 counts nodes, which may be unequal. Teams take no more ranks than there is work
// for; a rank too many would only read layers and wait.
static enum status create_teams(struct team *team, const struct runner *runner, size_t phase,
                                struct error *err)
{
    const size_t size = (size_t)runner->world->size;
    const size_t useful = plan_useful_ranks(runner->plan, phase, runner->stages, runner->evaluation.count);
    int teams = teams_for(runner, phase);

    FORWARD_IF_ERROR(team_broadcast(runner->world, &teams, sizeof teams, 0, err));
    const bool few = useful < size / (size_t)teams;
    return team_create_within(team, runner->world->comm, teams, few ? (int)useful * teams : (int)size, err);
}

// Every team writes down its own units. Not collective; a log that cannot be opened stops nobody.
static void open_team_log(struct runner *runner, const struct team *team)
{
    if (team->rank != 0 || team->world_rank == 0 || team_is_idle(team) || runner->log != NULL)
        return;
    if (log_open(&runner->log, runner->settings->run, runner->world->size, NULL) == STATUS_OK)
        log_set_process(runner->log, runner->process);
}

static enum status run_phase(struct runner *runner, size_t phase, struct error *err)
{
    struct team team;
    enum status status = STATUS_OK;

    FORWARD_IF_ERROR(create_teams(&team, runner, phase, err));
    runner->team = &team;
    runner->stage =
        (struct stage){&team, runner->model, runner->settings, {runner, should_stop, advance, notice}};
    open_team_log(runner, &team);
    if (!team_is_idle(&team))
        status = layer_weights_create(&runner->weights, &runner->stage, err);
    if (!team_is_idle(&team) && status == STATUS_OK)
        status = run_chains(runner, phase, err);
    if (status != STATUS_OK && team.count > 1 && team.rank == 0)
        alarm_raise(&runner->alarm);
    layer_weights_free(&runner->weights, &runner->stage);
    if (team.world_rank != 0) {
        log_close(runner->log);
        runner->log = NULL;
    }
    team_free(&team);
    runner->team = runner->world;
    status = team_agree(runner->world, status, err);
    alarm_settle(&runner->alarm);
    return status;
}

static enum status run_phases(struct runner *runner, struct error *err)
{
    for (size_t phase = 0; phase < runner->plan->num_phases; phase++)
        FORWARD_IF_ERROR(run_phase(runner, phase, err));
    return STATUS_OK;
}

enum status runner_run(struct runner *runner, struct error *err)
{
    enum status status = STATUS_OK;

    runner->team = runner->world;
    if (!runner->options->no_check)
        GOTO_IF_ERROR(repair_found(runner, err), done);
    GOTO_IF_ERROR(alarm_create(&runner->alarm, runner->world, err), done);
    for (int repair = 0;; repair++) {
        status = run_phases(runner, err);
        if (status != STATUS_DAMAGED || runner->options->strict || repair == REPAIRS)
            break;
        // Each team leader looks at what its own unit read.
        bool mended = runner->num_units > 0 && repair_inputs(runner, err) == STATUS_OK;
        if (!team_any(runner->world, mended))
            break;
        *err = (struct error){0};
    }
    if (status == STATUS_OK)
        states_drop_dense(runner);
done:
    alarm_free(&runner->alarm);
    evaluation_windows_free(&runner->evaluation);
    task_set_free(&runner->tasks);
    return status;
}
