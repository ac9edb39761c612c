// measure.h - rates of this machine, measured in a second or two: for `coppice plan --machine measured`.
#pragma once
#include "pipeline/plan/machine.h"
#include "pipeline/plan/plan.h"

// Sets of `machine` what one core and the file system of the run directory do here: flops and convert, by
// passing a sequence through the model's first layer; score and compensate, scaled as flops; commit, by
// committing a small file beside the run directory and removing it. What cannot be measured keeps its rate.
// Each is the best of several tries, so that other programs that are busy at the time count little.
enum status machine_measure(struct machine *machine, const struct plan *plan, struct error *err);
