#include "pipeline/plan/print.h"

#include "io/file/json.h"
#include "io/file/json_memory.h"
#include "io/file/run_paths.h"
#include "kernels/amount.h"
#include "kernels/pruning/allocation/budget.h"
#include "pipeline/job/json.h"
#include "pipeline/plan/carried.h"
#include "pipeline/plan/estimate.h"
#include "pipeline/plan/warnings/job_warnings.h"
#include "pipeline/record/run_json/run_record.h"
#include "pipeline/text/duration.h"

#include <stdlib.h>
#include <string.h>

// Everything that both forms of the answer are made of.
struct summary {
    const struct plan *plan;
    const struct machine *machine;
    struct plan_cost cost;
    struct plan_estimate estimate;
    struct plan_estimate left; // of the units that are not done
    size_t units[STAGE_COUNT], done[STAGE_COUNT];
    size_t dense_units[STAGE_COUNT]; // of `units` those that are of no variant
    double work[STAGE_COUNT], work_left[STAGE_COUNT];
    double all_left; // of all stages
    struct warnings warnings;
};

static enum status summarise(struct summary *summary, const struct plan *plan, const struct machine *machine,
                             struct error *err)
{
    memset(summary, 0, sizeof *summary);
    summary->plan = plan;
    summary->machine = machine;
    // Where units are independent a team is one node: its ranks share the rows.
    FORWARD_IF_ERROR(plan_cost(&summary->cost, plan, machine->ranks_per_node, err));
    const struct ranks_there_are there = {.ranks = machine->nodes * machine->ranks_per_node,
                                          .ranks_per_node = machine->ranks_per_node};
    const uint64_t carried = carried_need(plan, &there);
    summary->cost.rank_bytes += carried;
    summary->cost.peak_bytes += carried;
    plan_estimate(&summary->estimate, plan, machine);
    return STATUS_OK;
}

static enum status count_units(struct summary *summary, struct error *err)
{
    struct run_record record = {0};
    struct plan left = *summary->plan; // the same with the units that are not done

    FORWARD_IF_ERROR(allocate(&left.units, left.num_units, sizeof *left.units, "the plan", err));
    left.num_units = 0;
    // Before the first start there is no record, and nothing is done.
    (void)run_record_read(&record, summary->plan->settings->run, NULL);
    for (size_t i = 0; i < summary->plan->num_units; i++) {
        const struct unit *unit = &summary->plan->units[i];
        summary->units[unit->stage]++;
        summary->dense_units[unit->stage] += unit->variant == NULL ? 1 : 0;
        summary->work[unit->stage] += unit->work;
        const double share = unit_share(unit, summary->plan->settings, &record);
        if (share >= 1) {
            summary->done[unit->stage]++;
        } else {
            left.units[left.num_units] = *unit;
            left.units[left.num_units++].kept = share;
            summary->work_left[unit->stage] += (1 - share) * unit->work;
            summary->all_left += (1 - share) * unit->work;
        }
    }
    run_record_free(&record);
    plan_estimate(&summary->left, &left, summary->machine);
    free(left.units);
    return STATUS_OK;
}

static void collect_warnings(struct summary *summary, const struct warnings *told)
{
    bool is_started = false;

    for (int s = 0; s < STAGE_COUNT; s++)
        is_started = is_started || summary->done[s] > 0;
    job_warnings(&summary->warnings, summary->plan, &summary->cost, summary->machine->ranks_per_node,
                 is_started);
    for (size_t i = 0; i < told->count; i++)
        warnings_add(&summary->warnings, "%s", told->lines[i]);
}

// Which part of the time is the largest.
static const char *limit_of(const struct estimate *estimate)
{
    enum part largest = PART_ARITHMETIC;
    for (int p = 1; p < PART_COUNT; p++)
        if (estimate->parts[p] > estimate->parts[largest])
            largest = (enum part)p;
    return part_name(largest);
}

// ---- for machines --------------------------------------------------------------------------------------

static json_t *estimate_to_json(const struct estimate *estimate)
{
    json_t *parts = json_object();
    for (int p = 0; p < PART_COUNT; p++)
        json_object_set_new(parts, part_name((enum part)p), json_real(estimate->parts[p]));
    return json_pack("{s:f, s:o, s:s, s:f, s:f, s:f, s:f}", "seconds", estimate->seconds, "parts", parts,
                     "limit", limit_of(estimate), "bytes_read", estimate->read, "bytes_written",
                     estimate->written, "bytes_sent", estimate->sent, "messages", estimate->messages);
}

static json_t *variants_to_json(const struct settings *settings)
{
    json_t *variants = json_array();
    json_array_append_new(variants, json_pack("{s:s}", "name", DENSE_NAME));
    for (size_t v = 0; v < settings->num_variants; v++)
        json_array_append_new(variants, variant_to_json(&settings->variants[v]));
    return variants;
}

static json_t *stages_to_json(const struct summary *summary)
{
    json_t *stages = json_object();
    for (int s = 0; s < STAGE_COUNT; s++) {
        if (summary->units[s] == 0)
            continue;
        json_t *stage =
            json_pack("{s:I, s:I, s:f, s:I, s:{s:f, s:f}}", "units", (json_int_t)summary->units[s], "done",
                      (json_int_t)summary->done[s], "work", summary->work[s], "useful_nodes",
                      (json_int_t)summary->estimate.useful_nodes[s], "left", "work", summary->work_left[s],
                      "seconds", summary->left.stages[s].seconds);
        json_t *estimate = estimate_to_json(&summary->estimate.stages[s]);
        json_object_update(stage, estimate);
        json_decref(estimate);
        json_object_set_new(stages, stage_name((enum stage_kind)s), stage);
    }
    return stages;
}

// The commands that carry the stages out, in the order in which they wait for one another.
static json_t *commands_to_json(const struct summary *summary)
{
    const char *names[STAGE_COUNT];
    const size_t count = stage_commands(names);
    json_t *commands = json_array();

    for (size_t c = 0; c < count; c++) {
        const unsigned carried_out = stages_of_command(names[c]);
        json_t *stages = json_array();
        size_t units = 0, dense_units = 0, useful_nodes = 1;
        double seconds = 0;
        for (int s = 0; s < STAGE_COUNT; s++) {
            if (!(carried_out & 1U << s) || summary->units[s] == 0)
                continue;
            const size_t useful = summary->estimate.useful_nodes[s];
            json_array_append_new(stages, json_string(stage_name((enum stage_kind)s)));
            units += summary->units[s];
            dense_units += summary->dense_units[s];
            useful_nodes = useful > useful_nodes ? useful : useful_nodes;
            seconds += summary->estimate.stages[s].seconds;
        }
        if (units > 0)
            json_array_append_new(commands, json_pack("{s:s, s:o, s:I, s:I, s:f, s:I}", "name", names[c],
                                                      "stages", stages, "units", (json_int_t)units,
                                                      "dense_units", (json_int_t)dense_units, "seconds",
                                                      seconds, "useful_nodes", (json_int_t)useful_nodes));
        else
            json_decref(stages);
    }
    return commands;
}

static json_t *summary_to_json(const struct summary *summary)
{
    const struct plan_cost *cost = &summary->cost;
    const struct settings *settings = summary->plan->settings;
    json_t *object = json_pack(
        "{s:s, s:s?, s:s, s:o, s:o, s:o, s:I, s:f, s:I}", "run", settings->run, "output", settings->output,
        "propagation", settings->propagation == PROPAGATION_DENSE ? "dense" : "pruned", "variants",
        variants_to_json(settings), "machine", machine_to_json(summary->machine), "stages",
        stages_to_json(summary), "ranks",
        (json_int_t)(summary->machine->nodes * summary->machine->ranks_per_node), "work", cost->work,
        "useful_nodes", (json_int_t)summary->estimate.useful_nodes_all);
    json_t *estimate = estimate_to_json(&summary->estimate.all);
    json_object_update(object, estimate);
    json_decref(estimate);
    json_object_set_new(
        object, "left",
        json_pack("{s:f, s:f}", "work", summary->all_left, "seconds", summary->left.all.seconds));
    json_object_set_new(object, "best",
                        json_pack("{s:I, s:I}", "ranks_per_node",
                                  (json_int_t)summary->estimate.best.ranks_per_node, "threads",
                                  (json_int_t)summary->estimate.best.threads));
    json_object_set_new(object, "memory",
                        json_pack("{s:I, s:I, s:I, s:I, s:I}", "rank", (json_int_t)cost->rank_bytes,
                                  "node_shared", (json_int_t)cost->node_bytes, "peak_resident",
                                  (json_int_t)cost->peak_bytes, "text", (json_int_t)cost->text_bytes, "node",
                                  (json_int_t)plan_cost_node(cost, summary->machine->ranks_per_node)));
    json_object_set_new(
        object, "disk",
        json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "hessians", (json_int_t)cost->hessians_bytes,
                  "statistics", (json_int_t)cost->statistics_bytes, "activations",
                  (json_int_t)cost->activations_bytes, "masks", (json_int_t)cost->masks_bytes, "weights",
                  (json_int_t)cost->weights_bytes, "output", (json_int_t)cost->output_bytes));
    json_object_set_new(object, "commands", commands_to_json(summary));
    json_t *warnings = json_array();
    for (size_t i = 0; i < summary->warnings.count; i++)
        json_array_append_new(warnings, json_string(summary->warnings.lines[i]));
    json_object_set_new(object, "warnings", warnings);
    return object;
}

// ---- for people ----------------------------------------------------------------------------------------

static const char *work_name(enum stage_kind stage)
{
    return stage_row(stage)->shared_by == SHARED_BY_BYTES ? "B" : "flop";
}

static void print_units(const struct summary *summary, FILE *out)
{
    char text[32], left[32];
    fprintf(out, "\n%-14s %8s %8s %14s %14s\n", "stage", "units", "done", "work", "of it left");
    for (int s = 0; s < STAGE_COUNT; s++)
        if (summary->units[s] > 0)
            fprintf(out, "%-14s %8zu %8zu %14s %14s\n", stage_name((enum stage_kind)s), summary->units[s],
                    summary->done[s],
                    amount_format(summary->work[s], work_name((enum stage_kind)s), text, sizeof text),
                    amount_format(summary->work_left[s], work_name((enum stage_kind)s), left, sizeof left));
}

// Of a run that has begun.
static void print_left(const struct summary *summary, FILE *out)
{
    char time[24], work[32];
    size_t units = 0, done = 0;
    for (int s = 0; s < STAGE_COUNT; s++) {
        units += summary->units[s];
        done += summary->done[s];
    }
    if (done > 0)
        fprintf(out, "%-14s %12s  for %zu of %zu units, %s\n", "of it left",
                duration_format(summary->left.all.seconds, time, sizeof time), units - done, units,
                amount_format(summary->all_left, "flop", work, sizeof work));
}

static void print_row(const char *name, const struct estimate *estimate, size_t useful_nodes, FILE *out)
{
    char time[24], read[32], written[32], sent[32];
    fprintf(out, "%-14s %12s  %-10s %10s %10s %10s %13zu\n", name,
            duration_format(estimate->seconds, time, sizeof time), limit_of(estimate),
            amount_format(estimate->read, "B", read, sizeof read),
            amount_format(estimate->written, "B", written, sizeof written),
            amount_format(estimate->sent, "B", sent, sizeof sent), useful_nodes);
}

static void print_times(const struct summary *summary, FILE *out)
{
    const struct plan_estimate *estimate = &summary->estimate;
    char rate[32];

    fprintf(out,
            "\nestimate for nodes: %zu, ranks on each: %zu, threads of each: %zu, at %s of a core (%s)\n",
            summary->machine->nodes, summary->machine->ranks_per_node, summary->machine->threads,
            amount_format(summary->machine->flops, "flop/s", rate, sizeof rate),
            summary->machine->measured ? "measured here" : "built in: --machine measured measures it here");
    if (estimate->best.threads != summary->machine->threads)
        fprintf(out, "better for this job: ranks on each node: %zu, threads of each: %zu\n",
                estimate->best.ranks_per_node, estimate->best.threads);
    fprintf(out, "%-14s %12s  %-10s %10s %10s %10s %13s\n", "stage", "time", "most of it", "read", "written",
            "sent", "useful nodes");
    for (int s = 0; s < STAGE_COUNT; s++)
        if (summary->units[s] > 0 && estimate->stages[s].seconds > 0)
            print_row(stage_name((enum stage_kind)s), &estimate->stages[s], estimate->useful_nodes[s], out);
    print_row("all", &estimate->all, estimate->useful_nodes_all, out);
    print_left(summary, out);
}

static void print_costs(const struct summary *summary, FILE *out)
{
    const struct plan_cost *cost = &summary->cost;
    const struct {
        const char *name;
        uint64_t bytes;
    } disk[] = {{"statistics", cost->statistics_bytes},   {"hessians", cost->hessians_bytes},
                {"activations", cost->activations_bytes}, {"masks", cost->masks_bytes},
                {"weights", cost->weights_bytes},         {"output", cost->output_bytes}};
    const size_t ranks = summary->machine->ranks_per_node;
    char text[32];

    fprintf(out, "\nmemory, on %zu rank%s of one node\n", ranks, ranks == 1 ? "" : "s");
    fprintf(out, "  %-28s %12s\n", "private to each rank",
            amount_format((double)cost->rank_bytes, "B", text, sizeof text));
    fprintf(out, "  %-28s %12s\n", "shared by a node's ranks",
            amount_format((double)cost->node_bytes, "B", text, sizeof text));
    fprintf(out, "  %-28s %12s\n", "longest text, at the start",
            amount_format((double)cost->text_bytes, "B", text, sizeof text));
    fprintf(out, "  %-28s %12s\n", "of the node",
            amount_format((double)plan_cost_node(cost, ranks), "B", text, sizeof text));
    fprintf(out, "  %-28s %12s\n", "resident size of a rank",
            amount_format((double)cost->peak_bytes, "B", text, sizeof text));
    fprintf(out, "\ndisk\n");
    for (size_t i = 0; i < sizeof disk / sizeof *disk; i++)
        fprintf(out, "  %-28s %12s\n", disk[i].name,
                amount_format((double)disk[i].bytes, "B", text, sizeof text));
    fprintf(out, "\nwork %s, %zu layers, %zu sequences of %zu tokens\n",
            amount_format(cost->work, "flop", text, sizeof text),
            summary->plan->model->config.num_hidden_layers, summary->plan->settings->sequences,
            summary->plan->settings->length);
}

static void print_warnings(const struct summary *summary, FILE *out)
{
    for (size_t i = 0; i < summary->warnings.count; i++)
        fprintf(out, "%scareful: %s\n", i == 0 ? "\n" : "", summary->warnings.lines[i]);
}

static void print_variant(const struct variant *variant, FILE *out)
{
    if (variant_is_searched(variant))
        fprintf(out, "  %s (up to %d attempts; work and times are of all)\n", variant->name, BUDGET_ATTEMPTS);
    else
        fprintf(out, "  %s\n", variant->name);
}

enum status plan_print(const struct plan *plan, const struct machine *machine, const struct warnings *told,
                       bool json, FILE *out, struct error *err)
{
    struct summary summary;

    FORWARD_IF_ERROR(summarise(&summary, plan, machine, err));
    if (out == NULL)
        return STATUS_OK;
    FORWARD_IF_ERROR(count_units(&summary, err));
    collect_warnings(&summary, told);
    const enum status cut = warnings_check(&summary.warnings, err);
    if (cut != STATUS_OK) {
        warnings_free(&summary.warnings);
        return cut;
    }
    if (json) {
        json_t *object = summary_to_json(&summary);
        char *text = json_text(object, JSON_INDENT(2));
        json_decref(object);
        warnings_free(&summary.warnings);
        const enum status status = json_memory_check("the plan", err);
        if (status == STATUS_OK)
            fprintf(out, "%s\n", text);
        free(text);
        return status;
    }
    fprintf(out, "variants\n  dense\n");
    for (size_t v = 0; v < plan->settings->num_variants; v++)
        print_variant(&plan->settings->variants[v], out);
    print_units(&summary, out);
    print_times(&summary, out);
    print_costs(&summary, out);
    print_warnings(&summary, out);
    warnings_free(&summary.warnings);
    return STATUS_OK;
}
