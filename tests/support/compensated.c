#include "tests/support/compensated.h"

#include "stages/compensate/compensate.h"
#include "stages/layer/calibrate.h"
#include "stages/prune/prune.h"
#include "tests/support/naive.h"
#include "tests/support/naive_layer.h"

#include <stdio.h>
#include <stdlib.h>

void prune_one(struct small_model *small, const struct variant *variant, size_t layer)
{
    struct error err = {0};
    assert_ok(prune_layer(&small->stage, &small->weights, &variant, 1, layer, &err), err);
}

void compensate_one(struct small_model *small, const struct variant *variant, size_t layer)
{
    struct error err = {0};
    assert_ok(compensate_layer(&small->stage, &small->weights, variant, layer, &err), err);
}

void finish_first_layer(struct small_model *small, const struct variant *variant)
{
    struct error err = {0};
    prune_one(small, variant, 0);
    compensate_one(small, variant, 0);
    if (variant_matches(variant))
        assert_ok(propagate_layer(&small->stage, &small->weights, variant->name, 0, variant, &err), err);
}

struct store_reader *open_layer_file(const struct small_model *small, const struct variant *variant,
                                     enum run_folder kind, size_t layer)
{
    struct store_reader *reader;
    struct error err = {0};
    char *path = small_path(small, kind, variant->name, layer);

    assert_ok(store_open(&reader, path, MPI_COMM_SELF, &err), err);
    free(path);
    return reader;
}

bool weights_file_has(const struct small_model *small, const struct variant *variant, size_t layer,
                      const char *linear, const char *what)
{
    struct store_reader *reader = open_layer_file(small, variant, RUN_WEIGHTS, layer);
    struct error err = {0};
    char name[160];
    bool is_there;

    snprintf(name, sizeof name, "/%s/%s", linear, what);
    assert_ok(store_find(reader, name, &is_there, &err), err);
    store_close(reader);
    return is_there;
}

double *weights_file_vector(const struct small_model *small, const struct variant *variant, size_t layer,
                            const char *linear, const char *what, size_t length)
{
    struct store_reader *reader = open_layer_file(small, variant, RUN_WEIGHTS, layer);
    struct error err = {0};
    double *values = new_doubles(length);
    char name[160];

    snprintf(name, sizeof name, "/%s/%s", linear, what);
    assert_ok(store_read(reader, name, STORE_F64, 0, length, values, &err), err);
    store_close(reader);
    return values;
}

double weights_file_number(const struct small_model *small, const struct variant *variant, size_t layer,
                           const char *linear, const char *attribute)
{
    struct store_reader *reader = open_layer_file(small, variant, RUN_WEIGHTS, layer);
    struct error err = {0};
    char group[128];
    double number;

    snprintf(group, sizeof group, "/%s", linear);
    assert_ok(store_read_attribute_f64(reader, group, attribute, &number, &err), err);
    store_close(reader);
    return number;
}

uint64_t weights_file_count(const struct small_model *small, const struct variant *variant, size_t layer,
                            const char *linear, const char *attribute)
{
    struct store_reader *reader = open_layer_file(small, variant, RUN_WEIGHTS, layer);
    struct error err = {0};
    char group[128];
    uint64_t count;

    snprintf(group, sizeof group, "/%s", linear);
    assert_ok(store_read_attribute_u64(reader, group, attribute, &count, &err), err);
    store_close(reader);
    return count;
}

void assert_vector(const double *found, const double *expected, size_t length, double relative)
{
    for (size_t k = 0; k < length; k++)
        assert_close(found[k], expected[k], relative * fabs(expected[k]));
}
