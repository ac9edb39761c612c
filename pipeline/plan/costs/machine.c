#include "pipeline/plan/costs/machine.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static const struct rate {
    const char *name;
    size_t offset;
    double value; // the default
} rates[] = {
    // Measured by tests/bench.sh on one core (slurm/SCALING.md says which).
    {"flops", offsetof(struct machine, flops), 90e9},
    {"compute", offsetof(struct machine, compute), 1},
    {"score", offsetof(struct machine, score), 0.5e9},
    {"compensate", offsetof(struct machine, compensate), 0.29e9},
    {"correct", offsetof(struct machine, correct), 80e6},
    {"correct_groups", offsetof(struct machine, correct_groups), 15e6},
    {"convert", offsetof(struct machine, convert), 6e9},
    // Measured by tests/bench.sh threads, and a little for the hand-over (slurm/SCALING.md).
    {"serial", offsetof(struct machine, serial), 0.001},
    // Assumed: two sockets, 100 Gb/s of network, a file system of 100 GB/s.
    {"memory", offsetof(struct machine, memory), 400e9},
    {"network", offsetof(struct machine, network), 12.5e9},
    {"node_read", offsetof(struct machine, node_read), 5e9},
    {"node_write", offsetof(struct machine, node_write), 3e9},
    {"total_read", offsetof(struct machine, total_read), 100e9},
    {"total_write", offsetof(struct machine, total_write), 50e9},
    {"latency", offsetof(struct machine, latency), 3e-6},
    {"commit", offsetof(struct machine, commit), 0.05},
    // Measured by tests/experts_at_size.sh: 15 thousand datasets, one rank.
    {"dataset", offsetof(struct machine, dataset), 0.4e-3},
};
enum { NUM_RATES = sizeof rates / sizeof *rates };

static double *field(struct machine *machine, const struct rate *rate)
{
    return (double *)(void *)((char *)machine + rate->offset);
}

void machine_default(struct machine *machine, size_t ranks)
{
    *machine = (struct machine){.nodes = 1, .ranks_per_node = ranks, .threads = 1};
    for (size_t i = 0; i < NUM_RATES; i++)
        *field(machine, &rates[i]) = rates[i].value;
}

void machine_fit(struct machine *machine, size_t sequences)
{
    enum { MOST_CORES = 1 << 20 }; // no node has more
    const size_t cores = machine->ranks_per_node * machine->threads;
    size_t threads = 1;
    if (cores > MOST_CORES)
        return;
    for (size_t more = 2; more <= cores && machine->nodes * (cores / threads) > sequences; more++)
        if (cores % more == 0)
            threads = more;
    machine->threads = threads;
    machine->ranks_per_node = cores / threads;
}

// "80G" of `size` characters to a number above 0.
static bool parse_rate(double *value, const char *text, size_t size)
{
    static const char prefixes[] = "umkMGT";
    static const double factors[] = {1e-6, 1e-3, 1e3, 1e6, 1e9, 1e12};
    char number[32], *end;

    if (size == 0 || size >= sizeof number)
        return false;
    memcpy(number, text, size);
    number[size] = '\0';
    errno = 0;
    *value = strtod(number, &end);
    if (end == number || errno != 0)
        return false;
    const char *prefix = *end != '\0' ? strchr(prefixes, *end) : NULL;
    if (prefix != NULL) {
        *value *= factors[prefix - prefixes];
        end++;
    }
    return *end == '\0' && isfinite(*value) && *value > 0;
}

enum status machine_parse(struct machine *machine, const char *text, struct error *err)
{
    while (*text != '\0') {
        const size_t length = strcspn(text, ","), name = strcspn(text, "=,");
        const struct rate *found = NULL;
        if (length == strlen("measured") && strncmp(text, "measured", length) == 0) {
            machine->measured = true;
            text += length + (text[length] == ',' ? 1 : 0);
            continue;
        }
        for (size_t i = 0; i < NUM_RATES && found == NULL; i++)
            if (strlen(rates[i].name) == name && strncmp(rates[i].name, text, name) == 0)
                found = &rates[i];
        RETURN_ERROR_IF(found == NULL, err, STATUS_USAGE, "--machine: there is no rate '%.*s'", (int)name,
                        text);
        RETURN_ERROR_IF(name == length ||
                            !parse_rate(field(machine, found), text + name + 1, length - name - 1),
                        err, STATUS_USAGE, "--machine: %s must be a number such as 80G, got '%.*s'",
                        found->name, (int)length, text);
        text += length;
        text += *text == ',' ? 1 : 0;
    }
    return STATUS_OK;
}

json_t *machine_to_json(const struct machine *machine)
{
    struct machine copy = *machine;
    json_t *object = json_pack("{s:I, s:I, s:I}", "nodes", (json_int_t)machine->nodes, "ranks_per_node",
                               (json_int_t)machine->ranks_per_node, "threads", (json_int_t)machine->threads);
    for (size_t i = 0; i < NUM_RATES; i++)
        json_object_set_new(object, rates[i].name, json_real(*field(&copy, &rates[i])));
    return object;
}
