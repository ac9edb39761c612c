// duration.h - lengths of time on the command line and on the screen.
#pragma once
#include <stdbool.h>
#include <stddef.h>

// Seconds ("90", "0.5"), with units ("90s", "30m", "4h", "1h30m", "2d"), or as Slurm writes them: MM:SS,
// HH:MM:SS, D-HH, D-HH:MM, D-HH:MM:SS. "UNLIMITED" gives 0. Blanks around it are skipped, because squeue
// pads. False when it is anything else, or negative.
bool duration_parse(const char *text, double *seconds);

// "HH:MM:SS", or "D-HH:MM:SS" from a day on; rounded to whole seconds. "--:--:--" for a negative or huge one.
// Returns text; size 24 is enough.
const char *duration_format(double seconds, char *text, size_t size);
