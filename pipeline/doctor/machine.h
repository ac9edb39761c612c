// machine.h - the nodes under the ranks: processors, products, memory, limits, the scheduler.
#pragma once
#include "kernels/error.h"
#include "pipeline/doctor/findings.h"
#include "stages/team/team.h"

// Collective over the world. findings are rank 0's, and are filled there alone. threads: of each rank, 0 when
// the environment decides.
enum status machine_look(struct findings *findings, int threads, const struct team *world, struct error *err);
