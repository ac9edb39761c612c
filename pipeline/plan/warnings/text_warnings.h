// text_warnings.h - warns of texts that are not what their names say, and of sequences that the model was not
// made for.
#pragma once
#include "io/model/model_config.h"
#include "pipeline/plan/warnings/warnings.h"
#include "stages/settings.h"

// A line for each of calibration.length and evaluate.length that is beyond the model's positions.
void length_warnings(struct warnings *warnings, const struct model_config *config,
                     const struct settings *settings);
// A line for each text (of several files the first one that has something to tell) whose content is read
// otherwise than its name says, or not byte for byte; and where of the corpus's files only the first are
// read. A corpus that is gone is passed over.
void text_warnings(struct warnings *warnings, const struct settings *settings);
