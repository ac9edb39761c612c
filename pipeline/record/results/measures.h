// measures.h - what a result was measured with, as run.json has it: the contents of the text or task, the
// tokenizer where it counts by itself, the length of windows, the task's settings. Models and calibration
// are in `made_from`. A result carries the hash of it, so that one which another job left in a run directory
// without run.json is seen.
#pragma once
#include "stages/settings.h"
#include <jansson.h>

// Of the text of that name; NULL: the one that has none. record: run.json. 0 when it has no such text, or no
// hash of it.
uint64_t measure_of_text(const json_t *record, const char *name);
uint64_t measure_of_task(const json_t *record, const char *name);
// Puts them into the settings, for all texts and tasks.
void measures_set(struct settings *settings, const json_t *record);
