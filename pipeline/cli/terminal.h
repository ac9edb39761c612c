// terminal.h - whether a person watches a stream, and how wide their window is.
#pragma once
#include <stddef.h>
#include <stdio.h>

// Columns of the terminal that `out` ends on; 0: on none, or on one that cannot redraw a line. The streams of
// mpirun's ranks are pipes: what counts there is where mpirun itself writes, as far as it runs on this host
// and does not put anything before the lines.
size_t terminal_columns(FILE *out);
