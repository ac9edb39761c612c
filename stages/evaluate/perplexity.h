// perplexity.h - measured perplexity of the dense model and of every variant.
#pragma once
#include "io/file/run_paths.h"
#include "stages/evaluate/windows.h"
#include "stages/layer/layer_weights.h"

struct perplexity {
    double perplexity; // exp(mean over windows of the mean cross-entropy over length - 1 targets)
    double mean_nll;   // its logarithm
    uint64_t tokens, windows, length;
};

// Perplexity: kernels/METHOD.md §13. variant NULL: the dense model. Windows are split over the team.
enum status evaluate_perplexity(struct perplexity *result, const struct stage *stage,
                                struct layer_weights *weights, const struct evaluation_windows *windows,
                                const struct variant *variant, struct error *err);

// Of settings->texts[text], where there is one: RUN/results/VARIANT/perplexity.json (VARIANT "dense" for
// NULL), or texts/NAME.json where text_label gives it a name. Not collective.
void perplexity_path(char path[PATH_SIZE], const struct settings *settings, size_t text,
                     const struct variant *variant);
// window_nll: [result->windows] mean cross-entropies, put on record as "window_nll"; NULL: not.
enum status perplexity_write(const struct perplexity *result, const double *window_nll, const char *path,
                             const struct settings *settings, size_t text, const struct variant *variant,
                             struct error *err);
enum status perplexity_read(struct perplexity *result, const char *path, struct error *err);

// Windows that a rank keeps in memory at a time. Not collective.
size_t perplexity_windows_in_memory(const struct model *model, size_t windows, size_t length, size_t ranks);
