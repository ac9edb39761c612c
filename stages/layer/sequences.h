// sequences.h - RUN/sequences.h5: the calibration token ids, drawn once and stored, so that a run can be
// repeated without the corpus.
#pragma once
#include "io/corpus/sample.h"
#include "io/file/run_paths.h"
#include "io/store/store.h"
#include "stages/stage.h"

// Sequences that are drawn but not committed yet: nothing is written before the corpus is known to be good.
struct sequences_draft {
    bool needed;  // sequences.h5 is to be written
    int32_t *ids; // [sequences, length], on rank 0
    uint64_t corpus_hash;
    size_t packed;  // documents that were joined; 0: not packed
    size_t longest; // where they were because the job leaves it open: tokens of the longest; otherwise 0
    size_t tokens;  // that could be drawn, where they are fewer than were; otherwise 0
};

// Draws the sequences (rank 0 reads and tokenises the corpus), unless sequences.h5 exists and `again` is
// false. Freed with sequences_draft_free.
enum status sequences_draw(struct sequences_draft *draft, const struct stage *stage, bool again,
                           struct error *err);
// Commits sequences.h5 where it is needed.
enum status sequences_commit(struct sequences_draft *draft, const struct stage *stage, struct error *err);
void sequences_draft_free(struct sequences_draft *draft);

// A line for the user when documents were joined without being asked for, and one when the corpus has fewer
// tokens than were drawn; "" otherwise. On rank 0.
enum { SEQUENCES_NOTICES = 2, SEQUENCES_NOTICE_SIZE = 256 };
void sequences_notice(char lines[SEQUENCES_NOTICES][SEQUENCES_NOTICE_SIZE],
                      const struct sequences_draft *draft, const struct settings *settings);

// Opens sequences.h5 and checks its shape against the job. Dataset "/tokens", int32 [sequences, length].
enum status sequences_open(struct store_reader **reader, const struct stage *stage, struct error *err);

// The calibration's corpus, to draw from; not collective. Freed with calibration_text_free, also after an
// error.
struct calibration_text {
    struct tokenizer *tokenizer;
    struct corpus *corpus;
};
enum status calibration_text_load(struct calibration_text *text, const struct settings *settings,
                                  struct error *err);
// sample->ids[sequences, length]: as many as the settings ask for, or others; the caller frees.
enum status calibration_text_draw(struct sample *sample, const struct calibration_text *text,
                                  const struct settings *settings, size_t sequences, uint64_t seed,
                                  struct error *err);
void calibration_text_free(struct calibration_text *text);
// Of a corpus of token ids: ids[count, length], as many as the settings ask for and up to `more` of those
// that follow; the caller frees.
enum status calibration_tokens_load(int32_t **ids, size_t *count, const struct settings *settings,
                                    size_t more, struct error *err);

// Whether the calibration's corpus holds token ids (*.h5), so that it takes no tokenizer to read it.
bool sequences_are_given(const struct settings *settings);
// RUN/sequences.h5. Not collective.
void sequences_path(char path[PATH_SIZE], const struct settings *settings);
// Bytes on disk that are enough to draw from where the corpus is many files: 64 for each token, and 256 MiB
// at least. What is beyond is not read: hundreds of gigabytes would be, for a few sequences.
uint64_t calibration_bytes(const struct settings *settings);
