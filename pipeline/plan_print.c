#include "pipeline/plan_print.h"

#include "pipeline/run_record.h"

#include <stdlib.h>

// "1.5 GB": powers of 1000, as disks and schedulers count.
static const char *amount(double value, const char *unit, char *text, size_t size)
{
    static const char *const prefixes[] = {"", "k", "M", "G", "T", "P", "E"};
    size_t p = 0;
    while (value >= 1000 && p + 1 < sizeof prefixes / sizeof *prefixes) {
        value /= 1000;
        p++;
    }
    snprintf(text, size, p > 0 && value < 100 ? "%.1f %s%s" : "%.0f %s%s", value, prefixes[p], unit);
    return text;
}

static void print_units(const struct plan *plan, const struct run_record *record, FILE *out)
{
    char text[32];
    fprintf(out, "\n%-14s %8s %8s %14s\n", "stage", "units", "done", "work");
    for (int s = 0; s < STAGE_COUNT; s++) {
        size_t all = 0, done = 0;
        double work = 0;
        for (size_t i = 0; i < plan->num_units; i++)
            if (plan->units[i].stage == (enum stage_kind)s) {
                all++;
                work += plan->units[i].work;
                done += unit_is_done(&plan->units[i], plan->settings, record) ? 1 : 0;
            }
        if (all > 0)
            fprintf(out, "%-14s %8zu %8zu %14s\n", stage_name((enum stage_kind)s), all, done,
                    amount(work, s == STAGE_EXPORT ? "B" : "flop", text, sizeof text));
    }
}

static void print_costs(const struct plan *plan, const struct plan_cost *cost, size_t ranks, FILE *out)
{
    const struct {
        const char *name;
        uint64_t bytes;
    } disk[] = {{"statistics", cost->statistics_bytes},
                {"activations", cost->activations_bytes},
                {"masks", cost->masks_bytes},
                {"weights", cost->weights_bytes},
                {"output", cost->output_bytes}};
    char text[32];

    fprintf(out, "\nmemory, on %zu ranks of one node\n", ranks);
    fprintf(out, "  %-28s %12s\n", "private to each rank",
            amount((double)cost->rank_bytes, "B", text, sizeof text));
    fprintf(out, "  %-28s %12s\n", "shared by a node's ranks",
            amount((double)cost->node_bytes, "B", text, sizeof text));
    fprintf(out, "  %-28s %12s\n", "resident size of a rank",
            amount((double)cost->peak_bytes, "B", text, sizeof text));
    fprintf(out, "\ndisk\n");
    for (size_t i = 0; i < sizeof disk / sizeof *disk; i++)
        fprintf(out, "  %-28s %12s\n", disk[i].name, amount((double)disk[i].bytes, "B", text, sizeof text));
    fprintf(out, "\nwork %s, %zu layers, %zu sequences of %zu tokens\n",
            amount(cost->work, "flop", text, sizeof text), plan->model->config.num_hidden_layers,
            plan->settings->sequences, plan->settings->length);
}

enum status plan_print(const struct plan *plan, size_t ranks, bool json, FILE *out, struct error *err)
{
    struct run_record record = {0};
    struct plan_cost cost;

    FORWARD_IF_ERROR(plan_cost(&cost, plan, ranks, err));
    if (out == NULL)
        return STATUS_OK;
    // Before the first start there is no record, and nothing is done.
    (void)run_record_read(&record, plan->settings->run, NULL);
    if (json) {
        json_t *object = plan_to_json(plan, &cost, ranks, &record);
        char *text = json_dumps(object, JSON_INDENT(2));
        json_decref(object);
        run_record_free(&record);
        RETURN_ERROR_IF(text == NULL, err, STATUS_MEMORY, "out of memory for the plan");
        fprintf(out, "%s\n", text);
        free(text);
        return STATUS_OK;
    }
    fprintf(out, "variants\n  dense\n");
    for (size_t v = 0; v < plan->settings->num_variants; v++)
        fprintf(out, "  %s\n", plan->settings->variants[v].name);
    print_units(plan, &record, out);
    print_costs(plan, &cost, ranks, out);
    run_record_free(&record);
    return STATUS_OK;
}
