// compute_choice.h - the arithmetic that a job asks for with `compute`: whether it can be had here, and what
// carries it out.
#pragma once
#include "stages/settings.h"
#include "stages/team/team.h"

// Of this process alone. STATUS_USAGE where the processor or the program cannot; `job` is for the message.
enum status compute_check(const struct settings *settings, const char *job, struct error *err);

// Collective over the world, after compute_check. notice[size]: a line for the user where ranks take
// different instructions, or others than run.json says that the run began with, which may change last bits;
// else "".
enum status compute_agree(char *notice, size_t size, const struct settings *settings,
                          const struct team *world, struct error *err);
