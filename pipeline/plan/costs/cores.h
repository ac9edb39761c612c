// cores.h - the cores of this machine that this process may use, and other processes that keep them busy.
//
// A core alone is faster than one whose neighbours work: they share its clock, its caches and its memory.
// What is to tell of ranks side by side is measured beside such neighbours.
#pragma once
#include "kernels/error.h"
#include <stddef.h>
#include <sys/types.h>

// At least 1.
size_t allowed_cores(void);

struct neighbours {
    pid_t *processes; // [count]
    size_t count;
};

// Starts `count` processes, each of which calls step(context) again and again, until neighbours_stop or until
// this process ends. They have memory of their own, but for what is mapped as shared.
enum status neighbours_start(struct neighbours *neighbours, size_t count, void (*step)(void *context),
                             void *context, struct error *err);
// Ends them, and waits for them. All zero is fine, and what neighbours_start left when it failed.
void neighbours_stop(struct neighbours *neighbours);
