// finished.h - whether a start that met no error has left everything that it was asked for.
#pragma once
#include "pipeline/run/work/context.h"

// Collective over the world; rank 0 looks. STATUS_FAILED when run.json is gone, because the run directory was
// removed or moved away meanwhile, or when a unit of `run`, which carries out all stages, is not done; the
// message names the file. Other commands may leave units that wait for another command's files.
enum status finished_check(const struct run_context *context, struct error *err);
