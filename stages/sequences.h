// sequences.h - RUN/sequences.h5: the calibration token ids, drawn once and stored, so that a run can be
// repeated without the corpus.
#pragma once
#include "io/store.h"
#include "stages/stage.h"

// Draws the sequences (rank 0 reads and tokenises the corpus) and commits sequences.h5; does nothing when it
// is there.
enum status sequences_draw(const struct stage *stage, struct error *err);

// Opens sequences.h5 and checks its shape against the job. Dataset "/tokens", int32 [sequences, length].
enum status sequences_open(struct store_reader **reader, const struct stage *stage, struct error *err);

// RUN/sequences.h5. Not collective.
void sequences_path(char *path, size_t size, const struct settings *settings);
