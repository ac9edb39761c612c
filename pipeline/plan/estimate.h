// estimate.h - how long a plan takes on a machine, and what moves: an analytic model of what the stages do.
// slurm/SCALING.md explains the terms and applies it to models of 7 B to 405 B parameters.
//
// The parts of a unit's time add up, because the stages do one thing after the other. Bytes read are those
// that the program asks for: the file system's caches may have them.
#pragma once
#include "pipeline/plan/machine.h"
#include "pipeline/plan/plan.h"

enum part {
    PART_ARITHMETIC, // matrix products, and scoring and compensating
    PART_READING,    // the checkpoint, hidden states, masks
    PART_WRITING,    // hidden states, masks, weights, models
    PART_NETWORK,    // channel sums between ranks
    PART_WAITING,    // commits and the latency of messages
};
enum { PART_COUNT = 5 };
const char *part_name(enum part part);

struct estimate {
    double seconds, parts[PART_COUNT]; // of the slowest team; parts add up to seconds
    double read, written;              // bytes, of all ranks
    double sent, messages;             // bytes and messages between ranks
};

struct plan_estimate {
    struct estimate stages[STAGE_COUNT], all;
    struct machine best; // the same cores, with the number of ranks and threads that suits the job best
    // The most nodes that are worth having: each doubling up to here takes a fourth of the time away, or
    // more.
    size_t useful_nodes[STAGE_COUNT], useful_nodes_all;
};

enum status plan_estimate(struct plan_estimate *estimate, const struct plan *plan,
                          const struct machine *machine, struct error *err);
