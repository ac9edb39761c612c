// machine.h - the machine that `coppice plan` plans for: how many nodes and ranks, and how fast each part is.
//
// In: options of the command line. Out: numbers that worker.h divides by.
#pragma once
#include "kernels/error.h"
#include <jansson.h>
#include <stdbool.h>

struct machine {
    bool measured;                         // the rates are to be measured here (measure.h)
    size_t nodes, ranks_per_node, threads; // threads of each rank: the cores of a node are the product
    // Of one core:
    double flops;      // floating-point operations a second in a layer's forward pass in float32
    double compute;    // how many times as many in the arithmetic that the job's `compute` asks for
    double score;      // weights a second from statistics to mask
    double compensate; // weights a second from mask to compensated weight
    // sparsegpt, weights a second through the blocks of columns in which they are chosen and corrected one
    // after the other: by a threshold of the block, and N of every M.
    double correct, correct_groups;
    double convert; // bytes a second of checkpoint expanded to float32
    double serial;  // the share of a forward pass that threads do not speed up, 0 to 1
    // Of one node:
    double memory;                // bytes a second to and from memory
    double network;               // bytes a second sent
    double node_read, node_write; // bytes a second to and from the file system
    // Of all:
    double total_read, total_write; // bytes a second that the file system serves in all
    double latency;                 // seconds for one message
    double commit;                  // seconds to commit one file: fsync, rename, fsync of the folder
    double dataset;                 // seconds for each dataset of a file: made, written, checked, read
};

// One node with `ranks` ranks of one thread. Rates of the arithmetic are those that tests/bench.sh measured
// on one core (slurm/SCALING.md); network and file system are a common cluster's.
void machine_default(struct machine *machine, size_t ranks);

// The ranks and threads that use a node's cores (ranks_per_node * threads stays) best for `sequences` on its
// number of nodes: a rank passes one sequence at a time, so there are no more ranks than sequences.
void machine_fit(struct machine *machine, size_t sequences);

// Changes rates: "flops=80G,network=25G,latency=2u". Keys are the fields' names above; numbers may end in u,
// m, k, M, G or T. The word "measured" sets the member of that name. STATUS_USAGE names what is not
// understood.
enum status machine_parse(struct machine *machine, const char *text, struct error *err);

// All fields by their names. The caller owns the object.
json_t *machine_to_json(const struct machine *machine);
