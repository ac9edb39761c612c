#include "tests/support/exported.h"

#include "stages/export/export.h"

#include <stdio.h>

void export_all(struct small_model *small)
{
    struct error err = {0};

    small_model_calibrate(small, false);
    for (size_t v = 0; v < small->settings.num_variants; v++) {
        json_t *provenance = json_object();
        small_model_prune(small, &small->variants[v]);
        assert_ok(export_variant(&small->stage, &small->variants[v], "0123456789abcdef", provenance, &err),
                  err);
        json_decref(provenance);
    }
}

struct checkpoint *open_export(const char *name)
{
    struct checkpoint *checkpoint;
    struct error err = {0};
    char folder[128];

    snprintf(folder, sizeof folder, "output-%s", name);
    assert_ok(checkpoint_open(&checkpoint, in_directory(folder), &err), err);
    return checkpoint;
}
