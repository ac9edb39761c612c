#include "tests/support/exported.h"

#include "stages/export/export.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void export_all(struct small_model *small)
{
    struct error err = {0};

    small_model_calibrate(small, false);
    for (size_t v = 0; v < small->settings.num_variants; v++) {
        json_t *provenance = json_object();
        small_model_prune(small, &small->variants[v]);
        assert_ok(export_variant(&small->stage, &small->variants[v], EXPORT_IDENTITY, provenance, &err), err);
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

void export_pruned(const struct small_model *small, const struct variant *variant)
{
    struct error err = {0};
    json_t *provenance = json_pack("{s:s}", "job", "the job");

    assert_non_null(provenance);
    assert_ok(export_variant(&small->stage, variant, EXPORT_IDENTITY, provenance, &err), err);
    json_decref(provenance);
}

const struct variant *export_shape(struct small_model *small, const struct small_model_shape *shape,
                                   struct skip *skip)
{
    small_model_open(small, shape);
    small->settings.skip = skip;
    small->settings.num_skip = skip != NULL;
    small->settings.keep_weights = true;
    const struct variant *variant = small_model_add(small, "half", METHOD_MAGNITUDE);
    small_model_prune(small, variant);
    export_pruned(small, variant);
    return variant;
}

char *path_below(const char *directory, const char *name)
{
    char *path = malloc(strlen(directory) + strlen(name) + 2);
    assert_non_null(path);
    sprintf(path, "%s/%s", directory, name);
    return path;
}
