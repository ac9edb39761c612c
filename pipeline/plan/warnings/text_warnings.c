#include "pipeline/plan/warnings/text_warnings.h"

#include "io/corpus/text_kind.h"
#include "io/file/text/file_set.h"
#include "kernels/amount.h"
#include "stages/layer/sequences.h"

#include <string.h>

void length_warnings(struct warnings *warnings, const struct model_config *config,
                     const struct settings *settings)
{
    const size_t positions = model_config_positions(config);
    const struct {
        const char *key;
        size_t length;
        bool is_used;
    } lengths[] = {{"calibration.length", settings->length, true},
                   {"evaluate.length", settings->evaluate_length,
                    settings->num_texts > 0 && settings->evaluate_length != settings->length}};

    for (size_t i = 0; i < sizeof lengths / sizeof *lengths && positions > 0; i++)
        if (lengths[i].is_used && lengths[i].length > positions)
            warnings_add(
                warnings,
                "%s: %zu tokens are more than the %zu that the model was made for (max_position_embeddings); "
                "what it does beyond them says little about it",
                lengths[i].key, lengths[i].length, positions);
}

// Of the first file that has something to tell.
static void look(struct warnings *warnings, const struct file_set *set)
{
    char notice[TEXT_NOTICE_SIZE];
    struct text_kind kind;

    for (size_t i = 0; i < set->count; i++) {
        if (text_kind_find(&kind, set->paths[i], NULL) != STATUS_OK)
            continue; // refused elsewhere
        text_kind_notice(notice, &kind, set->paths[i]);
        if (notice[0] != '\0') {
            warnings_add(warnings, "%s: %s", set->paths[i], notice);
            return;
        }
    }
}

void text_warnings(struct warnings *warnings, const struct settings *settings)
{
    struct file_set set = {0};
    char read[32];

    if (file_set_find(&set, settings->corpus, calibration_bytes(settings), NULL) != STATUS_OK) {
        // A run that has no sequences yet is refused.
        warnings_add(
            warnings,
            "calibration.corpus: %s is not there; the sequences that were drawn from it before are used",
            settings->corpus);
    } else if (!sequences_are_given(settings)) {
        look(warnings, &set);
        if (set.count < set.found)
            warnings_add(warnings,
                         "calibration.corpus: sequences are drawn from the first %zu of its %zu files, %s, "
                         "which is enough",
                         set.count, set.found, amount_format((double)set.total, "B", read, sizeof read));
    }
    file_set_free(&set);
    for (size_t i = 0; i < settings->num_texts; i++) {
        if (strcmp(settings->texts[i].data, settings->corpus) != 0 &&
            file_set_find(&set, settings->texts[i].data, UINT64_MAX, NULL) == STATUS_OK)
            look(warnings, &set);
        file_set_free(&set);
    }
}
