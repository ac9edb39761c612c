// report.h - `coppice report RUN`: the results of a run as RUN/report.html, RUN/results.csv and
// RUN/report.json. No MPI, no model; works while the run goes on, with what is there.
#pragma once
#include "kernels/error.h"
#include <stdbool.h>
#include <stdio.h>

// Gathers, draws and writes all three files; says on `out` where they are (json: prints the report itself,
// pipeline/report/data/gather.h). html not NULL: writes the page there, and nothing into the run directory;
// a file that is no such page is left alone (page/save.h). Damaged files are skipped and named in the report
// under "missing".
enum status report_run(const char *run, bool json, const char *html, FILE *out, struct error *err);
