// capacity.h - compares what this machine has with what a plan needs, before the job runs into it.
//
// In: folders, and the cost of a plan. Out: lines that warn.
#pragma once
#include "pipeline/plan/cost.h"

// Bytes; UINT64_MAX where there is no limit, or none that is known.
struct capacity {
    uint64_t memory;        // of this machine, or of the control group that this process is in
    uint64_t address_space; // what a process may still use as memory (ulimit -v, less what is only mapped)
    uint64_t run_free;      // on the file system of the run directory, or what this user's quota leaves there
    uint64_t output_free;   // on that of the output
    bool output_shares_the_run; // they are the same
};

// The machine that this runs on. output NULL: no export. Folders that are not there yet: the nearest that is.
void capacity_measure(struct capacity *capacity, const char *run, const char *output);

enum { CAPACITY_WARNINGS = 4, CAPACITY_WARNING_SIZE = 200 };
// A line for each thing that there is too little of; returns how many. cost: of plan_cost for this many ranks
// on a node. is_started: some of it is on disk already, so disks are not looked at.
size_t capacity_warn(char warnings[CAPACITY_WARNINGS][CAPACITY_WARNING_SIZE], const struct capacity *capacity,
                     const struct plan_cost *cost, size_t ranks_per_node, bool is_started);
