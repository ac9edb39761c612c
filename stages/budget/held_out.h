// held_out.h - RUN/held-out.h5: sequences of the calibration's corpus that are not calibrated with, for the
// verdict on a budget (trials.h).
#pragma once
#include "io/file/run_paths.h"
#include "stages/evaluate/windows.h"

// Sequences, at most: a corpus that has fewer gives what it has.
enum { BUDGET_SEQUENCES = 32 };

// Drawn but not committed yet, as the calibration's are (stages/layer/sequences.h).
struct held_out_draft {
    bool needed;
    uint64_t count;
    int32_t *ids; // [count, length], on rank 0
};

// Draws sequences with another seed and leaves out those that have a run of tokens in common with a
// calibration sequence: no fit has seen what is left. Of a corpus of token ids: the sequences after those of
// the calibration. Not drawn where the job has no budget, or the file is there and `again` is false.
// STATUS_INPUT: nothing is left. Collective. Freed with held_out_draft_free.
enum status held_out_draw(struct held_out_draft *draft, const struct stage *stage, bool again,
                          struct error *err);
// Commits the file where it is needed. Collective.
enum status held_out_commit(struct held_out_draft *draft, const struct stage *stage, struct error *err);
void held_out_draft_free(struct held_out_draft *draft); // zeroed is fine

// All ranks get the sequences, as windows; freed with evaluation_windows_free. Collective.
enum status held_out_read(struct evaluation_windows *windows, const struct stage *stage, struct error *err);

// Which of candidates[count, length] have no run of 32 tokens, or of half of a shorter sequence, in common
// with any of seen[num_seen, length]: kept[count]. Not collective. Public for tests.
enum status held_out_keep(uint8_t *kept, const int32_t *candidates, size_t count, const int32_t *seen,
                          size_t num_seen, size_t length, struct error *err);
