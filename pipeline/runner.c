#include "pipeline/runner.h"

#include "io/process_identity.h"
#include "io/run_directory.h"
#include "io/sealed_json.h"
#include "io/store.h"
#include "pipeline/allocation_json.h"
#include "pipeline/compensation_record.h"
#include "pipeline/job_json.h"
#include "pipeline/json_memory.h"
#include "pipeline/plan_record.h"
#include "pipeline/task_results.h"
#include "stages/allocation.h"
#include "stages/calibrate.h"
#include "stages/compensate.h"
#include "stages/export.h"
#include "stages/hessian.h"
#include "stages/sequences.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

static void remove_file(const char *path)
{
    (void)unlink(path); // a file too many is no harm
}

static void hidden_path(char *path, const struct runner *runner, const char *stream, size_t layer)
{
    run_layer_path(path, PATH_SIZE, runner->settings->run, "activations", stream, layer);
}

// Hidden states are kept for the last two layers, unless asked, or the variants read all of them. owner NULL:
// the dense stream.
static void trim_activations(const struct runner *runner, const struct variant *owner, size_t newest)
{
    const char *stream = owner != NULL ? owner->name : "dense";
    char path[PATH_SIZE];
    if (runner->settings->keep_activations || newest < 3 || runner->team->rank != 0 ||
        (owner == NULL && dense_stream_is_kept(runner->settings)))
        return;
    hidden_path(path, runner, stream, newest - 2);
    remove_file(path);
}

// A Hessian is the largest file of a run, and of no use once the masks are made from it.
static void trim_hessian(const struct runner *runner, const struct unit *unit)
{
    char path[PATH_SIZE];
    if (runner->settings->keep_activations || runner->team->rank != 0 ||
        !(method_needs(unit->variant->method) & NEEDS_HESSIAN) ||
        hessian_is_needed(runner->settings, unit->variant, (size_t)unit->layer))
        return;
    hessian_path(path, runner->settings, stream_name(runner->settings, unit->variant), (size_t)unit->layer);
    remove_file(path);
}

// Makes sure that what enters `layer` in the stream of `owner` (NULL: the dense one) is there, from the
// nearest layer below that is.
static enum status ensure_hidden_states(struct runner *runner, const struct variant *owner, size_t layer,
                                        struct error *err)
{
    const char *stream = owner != NULL ? owner->name : "dense";
    char path[PATH_SIZE];
    uint64_t from = layer;

    if (runner->team->rank == 0)
        for (; from > 0; from--) {
            hidden_path(path, runner, stream, from);
            if (store_exists(path))
                break;
        }
    FORWARD_IF_ERROR(team_broadcast(runner->team, &from, sizeof from, 0, err));
    for (size_t l = from; l < layer; l++) {
        FORWARD_IF_ERROR(propagate_layer(&runner->stage, &runner->weights, stream, l, owner, err));
        trim_activations(runner, owner, l + 1);
    }
    return STATUS_OK;
}

static enum status calibrate(struct runner *runner, const struct unit *unit, struct error *err)
{
    const size_t layer = (size_t)unit->layer;
    // The dense stream's statistics; with pruned propagation a variant's are followed by its own outputs.
    const bool dense = runner->settings->propagation == PROPAGATION_DENSE || unit->variant == NULL;
    const bool output = dense && layer + 1 < runner->model->config.num_hidden_layers;
    const char *stream = stream_name(runner->settings, unit->variant);

    // Rank 0 looks at the file system.
    uint8_t hessian = runner->team->rank == 0 && hessian_is_needed(runner->settings, unit->variant, layer);
    FORWARD_IF_ERROR(team_broadcast(runner->team, &hessian, 1, 0, err));
    FORWARD_IF_ERROR(ensure_hidden_states(runner, dense ? NULL : unit->variant, layer, err));
    FORWARD_IF_ERROR(
        calibrate_layer(&runner->stage, &runner->weights, stream, layer, hessian != 0, output, err));
    if (output)
        trim_activations(runner, NULL, layer + 1);
    return STATUS_OK;
}

static enum status compensate(struct runner *runner, const struct unit *unit, struct error *err)
{
    const struct variant *variant = unit->variant;
    const size_t layer = (size_t)unit->layer;

    if (variant_matches(variant))
        FORWARD_IF_ERROR(ensure_hidden_states(runner, NULL, layer, err));
    if (variant_measures(variant))
        FORWARD_IF_ERROR(ensure_hidden_states(runner, stream_owner(runner->settings, variant), layer, err));
    return compensate_layer(&runner->stage, &runner->weights, variant, layer, err);
}

// Rank 0, when the variant's last result is about to be written: weights that nobody asked to keep go, and
// what their files say of the compensation stays. A kill before the result is written leaves nothing behind;
// they are made again from the masks.
static enum status drop_weights(const struct runner *runner, const struct unit *unit, struct error *err)
{
    const struct settings *settings = runner->settings;
    const size_t layers = runner->model->config.num_hidden_layers;
    struct unit weights = {.stage = STAGE_COMPENSATE, .variant = unit->variant};
    char path[PATH_SIZE];

    if (unit->variant == NULL || settings->keep_weights || !weights_are_written(settings, unit->variant) ||
        !results_are_done(settings, unit->variant, unit))
        return STATUS_OK;
    FORWARD_IF_ERROR(compensation_record_write(settings, unit->variant, layers, err));
    for (size_t layer = 0; layer < layers; layer++) {
        weights.layer = (long)layer;
        unit_path(path, sizeof path, &weights, settings);
        remove_file(path);
    }
    *strrchr(path, '/') = '\0';
    (void)rmdir(path);
    return STATUS_OK;
}

static enum status evaluate_model(struct runner *runner, const struct unit *unit, struct error *err)
{
    struct perplexity result;
    char path[PATH_SIZE];
    enum status status = STATUS_OK;

    FORWARD_IF_ERROR(evaluate_perplexity(&result, &runner->stage, &runner->weights, &runner->evaluation,
                                         unit->variant, err));
    unit_path(path, sizeof path, unit, runner->settings);
    if (runner->team->rank == 0)
        status = drop_weights(runner, unit, err);
    if (runner->team->rank == 0 && status == STATUS_OK)
        status = perplexity_write(&result, path, runner->settings, unit->variant, err);
    FORWARD_IF_ERROR(team_agree(runner->team, status, err));
    progress_message(&runner->progress, "%s: perplexity %.4f (length %zu, %llu windows)",
                     unit->variant != NULL ? unit->variant->name : "dense", result.perplexity,
                     (size_t)result.length, (unsigned long long)result.windows);
    return STATUS_OK;
}

static enum status evaluate_on_task(struct runner *runner, const struct unit *unit, struct error *err)
{
    const char *name = runner->settings->tasks[unit->task].name;
    struct task_result result;
    char path[PATH_SIZE];
    enum status status = STATUS_OK;

    FORWARD_IF_ERROR(evaluate_task(&result, &runner->stage, &runner->weights, &runner->tasks, unit->task,
                                   unit->variant, err));
    unit_path(path, sizeof path, unit, runner->settings);
    if (runner->team->rank == 0)
        status = drop_weights(runner, unit, err);
    if (runner->team->rank == 0 && status == STATUS_OK)
        status = task_result_write(&result, path, runner->settings, unit->task, unit->variant, err);
    FORWARD_IF_ERROR(team_agree(runner->team, status, err));
    progress_message(&runner->progress, "%s: %s acc %.4f (%llu examples)",
                     unit->variant != NULL ? unit->variant->name : "dense", name, result.acc,
                     (unsigned long long)result.examples);
    return STATUS_OK;
}

static void add_perplexity(json_t *object, const char *key, const struct runner *runner,
                           const struct variant *variant)
{
    struct perplexity result;
    char path[PATH_SIZE];
    perplexity_path(path, sizeof path, runner->settings, variant);
    if (perplexity_read(&result, path, NULL) == STATUS_OK)
        json_object_set_new(object, key,
                            json_pack("{s:f, s:I, s:I}", "perplexity", result.perplexity, "length",
                                      (json_int_t)result.length, "windows", (json_int_t)result.windows));
}

static enum status export_model(struct runner *runner, const struct unit *unit, struct error *err)
{
    char identity[40];
    json_t *provenance = NULL;

    run_record_variant(identity, sizeof identity, runner->record, unit->variant);
    if (runner->team->rank == 0) {
        json_t *job = settings_to_json(runner->settings), *results = json_object();
        json_object_del(job, "variants");
        add_perplexity(results, "dense", runner, NULL);
        add_perplexity(results, "pruned", runner, unit->variant);
        provenance = json_pack("{s:o, s:o, s:o, s:O?, s:o}", "versions", library_versions(), "job", job,
                               "variant", variant_to_json(unit->variant), "fingerprints",
                               json_object_get(runner->record->json, "fingerprints"), "perplexity", results);
        json_t *allocation = allocation_to_json(runner->settings, unit->variant, NULL);
        if (allocation != NULL)
            json_object_set_new(provenance, "allocation", allocation);
        if (runner->settings->num_tasks > 0)
            json_object_set_new(provenance, "tasks",
                                json_pack("{s:o, s:o}", "dense", tasks_to_json(runner->settings, NULL, NULL),
                                          "pruned", tasks_to_json(runner->settings, unit->variant, NULL)));
    }
    enum status status = team_agree(runner->team, json_memory_check("coppice.json", err), err);
    if (status == STATUS_OK)
        status = export_variant(&runner->stage, unit->variant, identity, provenance, err);
    json_decref(provenance);
    return status;
}

// sequences.h5 was found to be damaged.
static enum status redraw_sequences(const struct stage *stage, struct error *err)
{
    struct sequences_draft draft;
    FORWARD_IF_ERROR(sequences_draw(&draft, stage, true, err));
    enum status status = sequences_commit(&draft, stage, err);
    sequences_draft_free(&draft);
    return status;
}

// All units in hand.
static enum status score(struct runner *runner, struct error *err)
{
    const bool dense = runner->settings->propagation == PROPAGATION_DENSE;
    const size_t layer = (size_t)runner->units[0]->layer;
    const struct variant *variants[SCORE_BATCH];
    for (size_t k = 0; k < runner->num_units; k++) {
        variants[k] = runner->units[k]->variant;
        if (variant_chooses(variants[k]))
            FORWARD_IF_ERROR(ensure_hidden_states(runner, dense ? NULL : variants[k], layer, err));
    }
    FORWARD_IF_ERROR(score_layer(&runner->stage, &runner->weights, variants, runner->num_units, layer, err));
    trim_hessian(runner, runner->units[0]);
    return STATUS_OK;
}

static enum status carry_out(struct runner *runner, const struct unit *unit, struct error *err)
{
    const struct stage *stage = &runner->stage;
    switch (unit->stage) {
    case STAGE_SEQUENCES:
        return redraw_sequences(stage, err);
    case STAGE_CALIBRATE:
        return calibrate(runner, unit, err);
    case STAGE_SCORE:
        return score(runner, err);
    case STAGE_OUTLIERS:
        return outliers_layer(stage, &runner->weights, unit->variant, (size_t)unit->layer, err);
    case STAGE_COMPENSATE:
        return compensate(runner, unit, err);
    case STAGE_PROPAGATE:
        return ensure_hidden_states(runner, stream_owner(runner->settings, unit->variant),
                                    (size_t)unit->layer + 1, err);
    case STAGE_EVALUATE:
        return evaluate_model(runner, unit, err);
    case STAGE_TASKS:
        return evaluate_on_task(runner, unit, err);
    case STAGE_EXPORT:
        return export_model(runner, unit, err);
    }
    return STATUS_OK;
}

// Whether every committed file that the unit reads is there; else says what is missing.
static bool is_ready(struct runner *runner, const struct unit *unit)
{
    char path[PATH_SIZE];
    const size_t layers = runner->model->config.num_hidden_layers;
    for (size_t i = 0; unit_input(path, sizeof path, unit, runner->settings, layers, i); i++)
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
                    unit->stage == STAGE_TASKS ? runner->settings->tasks[unit->task].name : NULL);
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
    enum status status = carry_out(runner, unit, err);
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
    const size_t useful = plan_useful_ranks(runner->plan, phase, runner->stages, runner->evaluation.windows);
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

static enum status check_file(const char *path, struct error *err)
{
    const char *dot = strrchr(path, '.');
    return dot != NULL && strcmp(dot, ".json") == 0 ? sealed_json_read(NULL, path, err)
                                                    : store_verify(path, err);
}

// 1 when the file was there, did not match its checksum, and was removed. One that cannot be read now, for
// want of memory or by a failing disk, stays.
static size_t remove_if_damaged(const char *path)
{
    if (!store_exists(path) || check_file(path, NULL) != STATUS_DAMAGED)
        return 0;
    remove_file(path);
    return 1;
}

// Removes what does not match its checksum among the files that the failed units read, so that it is made
// again.
static enum status remove_damaged(struct runner *runner, struct error *err)
{
    const struct settings *settings = runner->settings;
    const size_t layers = runner->model->config.num_hidden_layers;
    char path[PATH_SIZE];
    size_t removed = 0;

    for (size_t k = 0; k < runner->num_units; k++) {
        const struct unit *unit = runner->units[k];
        for (size_t i = 0; unit_input(path, sizeof path, unit, settings, layers, i); i++)
            removed += remove_if_damaged(path);
        for (size_t i = 0; i < layers; i++) {
            hidden_path(path, runner, hidden_stream(settings, unit->variant), i);
            removed += remove_if_damaged(path);
            hidden_path(path, runner, "dense", i);
            removed += remove_if_damaged(path);
        }
    }
    if (removed == 0)
        return STATUS_DAMAGED; // nothing to mend: the error stands
    progress_message(&runner->progress, "%s; made again", err->message);
    (void)log_event(runner->log, NULL, "damaged", "{s:s}", "message", err->message);
    return STATUS_OK;
}

// What an earlier start committed is read once and compared with its checksums, every rank a share of the
// files: a damaged one is made again, or refused with --strict.
static enum status check_found(struct runner *runner, struct error *err)
{
    const struct plan *plan = runner->plan;
    const int rank = runner->world->rank, size = runner->world->size;
    char path[PATH_SIZE];
    uint64_t *damaged = NULL;
    enum status status = allocate(&damaged, plan->num_units, sizeof *damaged, "a look at what is done", err);

    GOTO_IF_ERROR(team_agree(runner->world, status, err), done);
    for (size_t i = (size_t)rank; i < plan->num_units && stop_level(runner->stop) == 0 && status == STATUS_OK;
         i += (size_t)size) {
        const struct unit *unit = &plan->units[i];
        if (!(runner->stages & 1U << unit->stage) || unit->stage == STAGE_EXPORT)
            continue;
        unit_path(path, sizeof path, unit, runner->settings);
        if (store_exists(path))
            status = check_file(path, err);
        damaged[i] = status == STATUS_DAMAGED;
        if (damaged[i])
            status = STATUS_OK;
    }
    GOTO_IF_ERROR(team_agree(runner->world, status, err), done);
    GOTO_IF_ERROR(team_sum_u64(runner->world, damaged, plan->num_units, err), done);
    for (size_t i = 0; i < plan->num_units && status == STATUS_OK; i++) {
        if (damaged[i] == 0)
            continue;
        unit_path(path, sizeof path, &plan->units[i], runner->settings);
        if (runner->options->strict) {
            status = error_set(err, STATUS_DAMAGED, "%s is damaged; without --strict it would be made again",
                               path);
        } else if (rank == 0) {
            remove_file(path);
            progress_message(&runner->progress, "%s is damaged; it is made again", path);
            (void)log_event(runner->log, NULL, "damaged", "{s:s}", "file", path);
        }
    }
    team_barrier(runner->world);
done:
    free(damaged);
    return status;
}

static enum status run_phases(struct runner *runner, struct error *err)
{
    for (size_t phase = 0; phase < runner->plan->num_phases; phase++)
        FORWARD_IF_ERROR(run_phase(runner, phase, err));
    return STATUS_OK;
}

// Whether there is something to evaluate, as rank 0 sees it.
static bool evaluates(const struct runner *runner)
{
    bool any = false;
    for (size_t i = 0; i < runner->plan->num_units && runner->world->rank == 0 && !any; i++) {
        const struct unit *unit = &runner->plan->units[i];
        any = unit->stage == STAGE_EVALUATE &&
              (runner->record->is_first || (runner->stages & 1U << STAGE_EVALUATE &&
                                            !unit_is_done(unit, runner->settings, runner->record)));
    }
    return team_any(runner->world, any);
}

// Reads the tasks that some model is still to be measured on; at the first start all, so that a bad file is
// refused before any work.
static enum status prepare_tasks(struct runner *runner, const struct stage *stage, struct error *err)
{
    const struct settings *settings = runner->settings;
    bool *wanted = NULL, any = false;
    enum status status = allocate(&wanted, settings->num_tasks, sizeof *wanted, "the tasks", err);

    GOTO_IF_ERROR(team_agree(runner->world, status, err), done);
    for (size_t i = 0; i < runner->plan->num_units && runner->world->rank == 0; i++) {
        const struct unit *unit = &runner->plan->units[i];
        if (unit->stage == STAGE_TASKS && !wanted[unit->task])
            wanted[unit->task] = runner->record->is_first || (runner->stages & 1U << STAGE_TASKS &&
                                                              !unit_is_done(unit, settings, runner->record));
    }
    GOTO_IF_ERROR(team_broadcast(runner->world, wanted, settings->num_tasks * sizeof *wanted, 0, err), done);
    for (size_t i = 0; i < settings->num_tasks; i++)
        any = any || wanted[i];
    if (any)
        status = task_set_create(&runner->tasks, stage, wanted, err);
done:
    free(wanted);
    return status;
}

enum status runner_prepare(struct runner *runner, struct error *err)
{
    const struct stage stage = {runner->world, runner->model, runner->settings, {NULL, NULL, NULL, NULL}};
    struct sequences_draft draft = {0};
    enum status status = STATUS_OK;

    GOTO_IF_ERROR(check_outer_tensors(&stage, err), done);
    if (runner->stages & 1U << STAGE_SEQUENCES)
        GOTO_IF_ERROR(sequences_draw(&draft, &stage, runner->record->is_first, err), done);
    if (evaluates(runner))
        GOTO_IF_ERROR(evaluation_create(&runner->evaluation, &stage, err), done);
    if (runner->settings->num_tasks > 0)
        GOTO_IF_ERROR(prepare_tasks(runner, &stage, err), done);
    GOTO_IF_ERROR(run_record_commit(runner->record, runner->world, runner->settings, err), done);
    if (runner->world->rank == 0)
        status = plan_record_write(runner->record, runner->model, runner->settings, err);
    GOTO_IF_ERROR(team_agree(runner->world, status, err), done);
    status = sequences_commit(&draft, &stage, err);
done:
    sequences_draft_free(&draft);
    return status;
}

// Whether a variant has still to be scored or compensated with hidden states of the layer.
static bool still_reads_states(const struct settings *settings, const struct variant *variant, size_t layer)
{
    char path[PATH_SIZE];
    if (!variant_reads_states(variant) || weights_are_done(settings, variant, layer))
        return false;
    run_layer_path(path, sizeof path, settings->run, "masks", variant->name, layer);
    return variant_measures(variant) || !store_exists(path);
}

// The dense stream that was kept for several variants, when all of them are done.
static void drop_dense_stream(const struct runner *runner)
{
    const struct settings *settings = runner->settings;
    const size_t layers = runner->model->config.num_hidden_layers;
    char path[PATH_SIZE];

    if (runner->world->rank != 0 || settings->keep_activations || !dense_stream_is_kept(settings))
        return;
    for (size_t v = 0; v < settings->num_variants; v++)
        for (size_t layer = 0; layer < layers; layer++)
            if (still_reads_states(settings, &settings->variants[v], layer))
                return;
    for (size_t layer = 1; layer + 2 < layers; layer++) {
        hidden_path(path, runner, "dense", layer);
        remove_file(path);
    }
}

enum status runner_run(struct runner *runner, struct error *err)
{
    enum status status = STATUS_OK;

    runner->team = runner->world;
    if (!runner->options->no_check)
        GOTO_IF_ERROR(check_found(runner, err), done);
    GOTO_IF_ERROR(alarm_create(&runner->alarm, runner->world, err), done);
    for (int repair = 0;; repair++) {
        status = run_phases(runner, err);
        if (status != STATUS_DAMAGED || runner->options->strict || repair == REPAIRS)
            break;
        // Each team leader looks at what its own unit read.
        bool mended = runner->num_units > 0 && remove_damaged(runner, err) == STATUS_OK;
        if (!team_any(runner->world, mended))
            break;
        *err = (struct error){0};
    }
    if (status == STATUS_OK)
        drop_dense_stream(runner);
done:
    alarm_free(&runner->alarm);
    evaluation_free(&runner->evaluation);
    task_set_free(&runner->tasks);
    return status;
}
