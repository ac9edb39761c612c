// An exported folder, tensor by tensor: pruned ones are the store's bytes with the mask's zeros, all others
// the source's bytes.
// ranks: 1 3
#include "io/file/commit.h"
#include "io/model/open.h"
#include "io/store/store.h"
#include "stages/compensate/compensate.h"
#include "stages/export/export.h"
#include "tests/support/exported.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// ---- tensors ---------------------------------------------------------------------------------------------

// "model.layers.1.mlp.up_proj.weight" gives 1 and "mlp.up_proj"; false when the tensor is no linear's `what`,
// which is "weight" or "bias".
static bool parse_linear(const char *tensor, size_t *layer, char linear[64], const char *what)
{
    const char *last = strrchr(tensor, '.');
    int start;

    if (strstr(tensor, "_proj.") == NULL || strcmp(last + 1, what) != 0 ||
        sscanf(tensor, "model.layers.%zu.%n", layer, &start) != 1)
        return false;
    snprintf(linear, 64, "%.*s", (int)(last - tensor) - start, tensor + start);
    return true;
}

// The bytes that the store has of "/LINEAR/what" in weights/VARIANT; the caller frees.
static void *stored_bytes(const struct small_model *small, const struct variant *variant, size_t layer,
                          const char *linear, const char *what, size_t size)
{
    const bool single = small->shape.checkpoint.dtype == DTYPE_F32;
    char *path = small_path(small, RUN_WEIGHTS, variant->name, layer);
    struct store_reader *reader;
    uint64_t dims[STORE_MAX_RANK];
    size_t rank;
    char name[100];
    void *bytes = malloc(size);
    struct error err = {0};

    assert_non_null(bytes);
    snprintf(name, sizeof name, "/%s/%s", linear, what);
    assert_ok(store_open(&reader, path, MPI_COMM_SELF, &err), err);
    assert_ok(store_dims(reader, name, &rank, dims, &err), err);
    assert_int_equal(dims[0] * (rank > 1 ? dims[1] : 1) * (single ? 4 : 2), size);
    assert_ok(store_read(reader, name, single ? STORE_F32 : STORE_U16, 0, dims[0], bytes, &err), err);
    store_close(reader);
    free(path);
    return bytes;
}

static void check_pruned(const struct small_model *small, const struct variant *variant,
                         const struct safetensors_tensor *found, size_t layer, const char *linear)
{
    const size_t size = (size_t)(found->end - found->begin), element = dtype_size(found->dtype);
    static const char zero[4];
    void *expected = stored_bytes(small, variant, layer, linear, "weight", size);
    uint8_t *mask = small_mask(small, variant, layer, linear);
    size_t pruned = 0;

    assert_memory_equal(found->data, expected, size);
    for (size_t k = 0; k < size / element; k++)
        if (mask[k] == 0) {
            assert_memory_equal((const char *)found->data + k * element, zero, element);
            pruned++;
        }
    assert_int_equal(pruned, size / element / 2); // half of every row; rows are of even length
    free(expected);
    free(mask);
}

// The tensors of source and export, in order. Tensors after the source's are added biases. Returns how many.
static size_t check_shard(const struct small_model *small, const struct variant *variant,
                          const struct safetensors_file *source, const struct safetensors_file *found)
{
    char linear[64];
    size_t layer;

    assert_true(found->count >= source->count);
    for (size_t i = 0; i < source->count; i++) {
        const struct safetensors_tensor *from = &source->tensors[i], *to = &found->tensors[i];
        assert_string_equal(to->name, from->name);
        assert_int_equal(to->begin, from->begin);
        assert_int_equal(to->end, from->end);
        assert_string_equal(to->dtype_name, from->dtype_name);
        if (parse_linear(from->name, &layer, linear, "weight") &&
            !linear_is_skipped(&small->settings, layer, linear))
            check_pruned(small, variant, to, layer, linear);
        else
            assert_memory_equal(to->data, from->data, from->end - from->begin);
    }
    for (size_t i = source->count; i < found->count; i++) {
        const struct safetensors_tensor *bias = &found->tensors[i];
        assert_true(parse_linear(bias->name, &layer, linear, "bias"));
        void *expected =
            stored_bytes(small, variant, layer, linear, "bias", (size_t)(bias->end - bias->begin));
        assert_memory_equal(bias->data, expected, bias->end - bias->begin);
        free(expected);
    }
    return found->count - source->count;
}

// Returns how many biases were added, in all shards.
static size_t check_tensors(const struct small_model *small, const struct variant *variant)
{
    const struct checkpoint *checkpoint = small->model->checkpoint;
    size_t added = 0;

    for (size_t i = 0; i < checkpoint->num_shards; i++) {
        char *path = path_below(small->settings.output, checkpoint->shard_names[i]);
        struct safetensors_file *found;
        struct error err = {0};
        assert_ok(safetensors_open(&found, path, &err), err);
        const size_t biases = check_shard(small, variant, checkpoint->shards[i], found);
        if (biases == 0) { // then the header is the source's
            assert_int_equal(found->header_bytes, checkpoint->shards[i]->header_bytes);
            assert_memory_equal(found->mapping, checkpoint->shards[i]->mapping, found->header_bytes);
        }
        added += biases;
        safetensors_close(found);
        free(path);
    }
    return added;
}

static void every_tensor_of_one_file_is_where_it_belongs(void **state)
{
    const struct small_model_shape shape = small_model_shape();
    struct skip skip[] = {{(char *)"layers.1.mlp.gate_proj", 0}};
    struct small_model small;
    (void)state;

    const struct variant *variant = export_shape(&small, &shape, skip);
    assert_int_equal(check_tensors(&small, variant), 0);
    small_model_close(&small);
}

static void shards_keep_their_tensors(void **state)
{
    struct small_model_shape shape = small_model_shape();
    struct small_model small;
    (void)state;

    shape.checkpoint.shards = 7; // a layer lies in several
    shape.checkpoint.dtype = DTYPE_F32;
    const struct variant *variant = export_shape(&small, &shape, NULL);
    assert_int_equal(small.model->checkpoint->num_shards, 7);
    assert_int_equal(check_tensors(&small, variant), 0);
    small_model_close(&small);
}

static void a_tied_embedding_stays(void **state)
{
    struct small_model_shape shape = small_model_shape();
    struct small_model small;
    (void)state;

    shape.checkpoint.tied = true;
    shape.checkpoint.dtype = DTYPE_F16;
    const struct variant *variant = export_shape(&small, &shape, NULL);
    assert_int_equal(check_tensors(&small, variant), 0);
    small_model_close(&small);
}

static void new_biases_come_after_the_tensors_that_were_there(void **state)
{
    struct small_model_shape shape = small_model_shape();
    struct small_model small;
    struct model *exported;
    struct error err = {0};
    (void)state;

    // Given a LLaMA without biases, and a variant that matches mean outputs by them
    shape.checkpoint.shards = 3;
    small_model_open(&small, &shape);
    struct variant *variant = small_model_add(&small, "half", METHOD_MAGNITUDE);
    variant->bias = true;
    assert_ok(compensate_check(small.model, &small.settings, &err), err);
    layer_weights_free(&small.weights); // layers have become larger
    assert_ok(layer_weights_create(&small.weights, &small.stage, &err), err);
    small_model_calibrate(&small, false);
    small_model_prune(&small, variant);
    export_pruned(&small, variant);

    // Then each of the seven linears of both layers has one, and the folder opens as a model that says so
    assert_int_equal(check_tensors(&small, variant), 14);
    assert_ok(model_open(&exported, small.settings.output, &err), err);
    assert_true(exported->config.attention_bias && exported->config.mlp_bias);
    model_close(exported);
    small_model_close(&small);
}

static void of_several_variants_each_has_a_folder(void **state)
{
    const struct small_model_shape shape = small_model_shape();
    struct small_model small;
    char path[PATH_SIZE], expected[PATH_SIZE + 8];
    (void)state;

    small_model_open(&small, &shape);
    const struct variant *half = small_model_add(&small, "half", METHOD_MAGNITUDE);
    export_path(path, sizeof path, &small.settings, half);
    assert_string_equal(path, small.settings.output);
    small_model_add(&small, "other", METHOD_MAGNITUDE);
    export_path(path, sizeof path, &small.settings, half);
    snprintf(expected, sizeof expected, "%s/half", small.settings.output);
    assert_string_equal(path, expected);
    small_model_close(&small);
}

static const char *const partial_name = ".run-output.partial-0123456789abcdef";

// Moves one shard of a finished export into the hidden folder of an export that was killed, and removes the
// rest.
static void leave_one_shard(const struct small_model *small, const char *shard)
{
    const char *partial = in_directory(partial_name);
    if (mpi_rank() == 0) {
        char *from = path_below(small->settings.output, shard), *to = path_below(partial, shard);
        assert_int_equal(mkdir(partial, 0777), 0);
        assert_int_equal(rename(from, to), 0);
        assert_int_equal(rename(small->settings.output, in_directory("earlier")), 0);
        free(from);
        free(to);
    }
    MPI_Barrier(MPI_COMM_WORLD);
}

static ino_t inode_of(const char *path)
{
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    return info.st_ino;
}

static void a_killed_export_goes_on_with_the_next_shard(void **state)
{
    struct small_model_shape shape = small_model_shape();
    struct small_model small;
    (void)state;

    // Given the hidden folder of an export that committed its second shard
    shape.checkpoint.shards = 3;
    const struct variant *variant = export_shape(&small, &shape, NULL);
    const char *second = small.model->checkpoint->shard_names[1];
    leave_one_shard(&small, second);
    char *kept = path_below(in_directory(partial_name), second);
    const ino_t inode = inode_of(kept);
    MPI_Barrier(MPI_COMM_WORLD);

    export_pruned(&small, variant);

    // Then that shard was not written again
    char *path = path_below(small.settings.output, second);
    assert_int_equal(inode_of(path), inode);
    assert_int_equal(check_tensors(&small, variant), 0);
    free(path);
    free(kept);
    small_model_close(&small);
}

// ---- reading back ----------------------------------------------------------------------------------------

// The export fails with these words and leaves nothing.
static void assert_not_exported(const struct small_model *small, const struct variant *variant,
                                const char *tensor, const char *reason)
{
    struct error err = {0};
    json_t *provenance = json_pack("{s:s}", "job", "the job");

    assert_int_equal(export_variant(&small->stage, variant, EXPORT_IDENTITY, provenance, &err),
                     STATUS_FAILED);
    assert_error(err, STATUS_FAILED, tensor);
    assert_error(err, STATUS_FAILED, reason);
    MPI_Barrier(MPI_COMM_WORLD);
    assert_int_not_equal(access(in_directory(partial_name), F_OK), 0);
    assert_int_not_equal(access(small->settings.output, F_OK), 0);
    json_decref(provenance);
}

// Flips the lowest bit of the middle byte of a tensor in a shard that an earlier export committed.
static void damage(const struct small_model *small, const char *tensor)
{
    size_t shard;
    const struct checkpoint *checkpoint = small->model->checkpoint;
    const struct safetensors_tensor *found = checkpoint_find(checkpoint, tensor, &shard);
    assert_non_null(found);
    leave_one_shard(small, checkpoint->shard_names[shard]);
    if (mpi_rank() == 0) {
        char *path = path_below(in_directory(partial_name), checkpoint->shard_names[shard]);
        const long place = (long)(checkpoint->shards[shard]->header_bytes + (found->begin + found->end) / 2);
        FILE *file = fopen(path, "r+b");
        assert_non_null(file);
        assert_int_equal(fseek(file, place, SEEK_SET), 0);
        const int byte = fgetc(file);
        assert_int_equal(fseek(file, place, SEEK_SET), 0);
        assert_true(fputc(byte ^ 1, file) >= 0);
        assert_int_equal(fclose(file), 0);
        free(path);
    }
    MPI_Barrier(MPI_COMM_WORLD);
}

static void a_pruned_tensor_with_other_bytes_than_the_stores_is_not_exported(void **state)
{
    struct small_model_shape shape = small_model_shape();
    struct small_model small;
    (void)state;

    shape.checkpoint.shards = 3;
    const struct variant *variant = export_shape(&small, &shape, NULL);
    damage(&small, "model.layers.1.mlp.down_proj.weight");
    assert_not_exported(&small, variant, "model.layers.1.mlp.down_proj.weight", "not the pruned ones");
    export_pruned(&small, variant); // the next start makes all of it again
    assert_int_equal(check_tensors(&small, variant), 0);
    small_model_close(&small);
}

static void another_tensor_with_other_bytes_than_the_sources_is_not_exported(void **state)
{
    const struct small_model_shape shape = small_model_shape();
    struct small_model small;
    (void)state;

    const struct variant *variant = export_shape(&small, &shape, NULL);
    damage(&small, "lm_head.weight");
    assert_not_exported(&small, variant, "lm_head.weight", "not those written");
    small_model_close(&small);
}

static void a_linear_that_is_skipped_is_compared_with_the_source(void **state)
{
    const struct small_model_shape shape = small_model_shape();
    struct skip skip[] = {{(char *)"mlp.up_proj", 0}};
    struct small_model small;
    (void)state;

    const struct variant *variant = export_shape(&small, &shape, skip);
    damage(&small, "model.layers.0.mlp.up_proj.weight");
    assert_not_exported(&small, variant, "model.layers.0.mlp.up_proj.weight", "not those written");
    small_model_close(&small);
}

static void weights_where_the_mask_prunes_are_not_exported(void **state)
{
    const struct small_model_shape shape = small_model_shape();
    struct small_model small;
    (void)state;

    // Given weights that half of a mask made, and a mask that prunes three quarters, which an attempt's name
    // lets stand in its place
    small_model_open(&small, &shape);
    small.settings.keep_weights = true;
    struct variant *half = small_model_add(&small, "half", METHOD_MAGNITUDE);
    struct variant *more = small_model_add(&small, "half~1", METHOD_MAGNITUDE);
    more->sparsity = 0.75;
    small_model_prune(&small, half);
    small_model_prune(&small, more);
    char *mask = small_path(&small, RUN_MASKS, "half", 1),
         *other = small_path(&small, RUN_MASKS, "half~1", 1);
    MPI_Barrier(MPI_COMM_WORLD);
    if (mpi_rank() == 0)
        assert_int_equal(rename(other, mask), 0);
    MPI_Barrier(MPI_COMM_WORLD);
    small.settings.num_variants = 1; // for the name of the output

    assert_not_exported(&small, half, "model.layers.1.self_attn.q_proj.weight",
                        "that the mask prunes is not zero");
    free(mask);
    free(other);
    small_model_close(&small);
}

// ---- shards of any name ----------------------------------------------------------------------------------

// Renames the shards of the model's folder, and lists them under their new names in the index.
static void rename_shards(const struct small_model *small, const char *const *names)
{
    const struct checkpoint *checkpoint = small->model->checkpoint;
    json_t *weight_map = json_object();

    for (size_t i = 0; i < checkpoint->num_shards; i++) {
        char *from = path_below(small->settings.model, checkpoint->shard_names[i]);
        char *to = path_below(small->settings.model, names[i]);
        for (size_t j = 0; j < checkpoint->shards[i]->count; j++)
            json_object_set_new(weight_map, checkpoint->shards[i]->tensors[j].name, json_string(names[i]));
        assert_int_equal(rename(from, to), 0);
        free(from);
        free(to);
    }
    json_t *index = json_pack("{s:o}", "weight_map", weight_map);
    char *path = path_below(small->settings.model, "model.safetensors.index.json");
    assert_int_equal(json_dump_file(index, path, 0), 0);
    free(path);
    json_decref(index);
}

static void shards_are_pruned_whatever_their_names_are(void **state)
{
    static const char *const names[] = {"weights", "weights.st", "LICENSE"};
    struct small_model_shape shape = small_model_shape();
    struct small_model small;
    struct error err = {0};
    (void)state;

    shape.checkpoint.shards = 3;
    small_model_open(&small, &shape);
    if (mpi_rank() == 0)
        rename_shards(&small, names);
    MPI_Barrier(MPI_COMM_WORLD);
    layer_weights_free(&small.weights);
    model_close(small.model);
    assert_ok(model_open(&small.model, small.settings.model, &err), err);
    small.stage.model = small.model;
    assert_ok(layer_weights_create(&small.weights, &small.stage, &err), err);
    small.settings.keep_weights = true;
    const struct variant *variant = small_model_add(&small, "half", METHOD_MAGNITUDE);
    small_model_prune(&small, variant);

    export_pruned(&small, variant);

    assert_int_equal(small.model->checkpoint->num_shards, 3);
    assert_int_equal(check_tensors(&small, variant), 0);
    small_model_close(&small);
}

static void a_folder_is_the_same_bytes_from_one_rank_and_from_all(void **state)
{
    struct small_model_shape shape = small_model_shape();
    struct small_model small, alone;
    (void)state;

    shape.checkpoint.shards = 2;
    small_model_open(&small, &shape);
    small.settings.keep_weights = true;
    const struct variant *variant = small_model_add(&small, "half", METHOD_MAGNITUDE);
    small_model_open_alone(&alone, &small);
    small_model_prune(&small, variant);
    small_model_prune(&alone, &alone.variants[0]);
    export_pruned(&small, variant);
    export_pruned(&alone, &alone.variants[0]);
    for (size_t i = 0; i < 3; i++) {
        const char *name = i < 2 ? small.model->checkpoint->shard_names[i] : "coppice.json";
        char *path = path_below(small.settings.output, name),
             *other = path_below(alone.settings.output, name);
        assert_same_file(path, other);
        free(path);
        free(other);
    }
    small_model_close(&alone);
    small_model_close(&small);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        mpi_unit_test(every_tensor_of_one_file_is_where_it_belongs),
        mpi_unit_test(shards_keep_their_tensors),
        mpi_unit_test(a_tied_embedding_stays),
        mpi_unit_test(new_biases_come_after_the_tensors_that_were_there),
        mpi_unit_test(of_several_variants_each_has_a_folder),
        mpi_unit_test(a_killed_export_goes_on_with_the_next_shard),
        mpi_unit_test(a_pruned_tensor_with_other_bytes_than_the_stores_is_not_exported),
        mpi_unit_test(another_tensor_with_other_bytes_than_the_sources_is_not_exported),
        mpi_unit_test(a_linear_that_is_skipped_is_compared_with_the_source),
        mpi_unit_test(weights_where_the_mask_prunes_are_not_exported),
        mpi_unit_test(shards_are_pruned_whatever_their_names_are),
        mpi_unit_test(a_folder_is_the_same_bytes_from_one_rank_and_from_all),
    };
    return mpi_test_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
