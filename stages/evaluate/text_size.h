// text_size.h - how many tokens the texts of an evaluation have, before they are read: for plans, progress
// and time left.
#pragma once
#include "io/model/model.h"
#include "stages/settings.h"

// Sets the tokens of each text and of each task. A text's first MiB and a task's first
// examples are tokenised, and count for the rest of the file; a text that is smaller is counted exactly.
// STATUS_INPUT for what the evaluation would refuse as well: no tokenizer, a text that cannot be read or is
// less than one window. What could not be measured stays 0. Not collective.
enum status texts_measure(struct settings *settings, const struct model *model, struct error *err);
// to's texts and tasks have the sizes of the same ones in `from`.
void texts_take_over(struct settings *to, const struct settings *from);
