// measure.h - rates of this machine, measured in a second or two: for `coppice plan --machine measured`.
#pragma once
#include "pipeline/plan/costs/machine.h"
#include "pipeline/plan/plan.h"

// Sets of `machine` what one core and the file system of the run directory do here: flops and convert, by
// passing a sequence through the model's first layer, while other processes do the same on as many of this
// machine's cores as the ranks of a node keep busy; score, compensate and the like, scaled as flops; commit,
// by committing a small file beside the run directory and removing it. What cannot be measured keeps its
// rate. Each is the middle of several tries in processor time, so that other programs that want the core
// count little.
enum status machine_measure(struct machine *machine, const struct plan *plan, struct error *err);
