// An exported folder, tensor by tensor: pruned ones are the store's bytes with the mask's zeros, all others
// the source's bytes.
// ranks: 1 3
#include "io/file/commit.h"
#include "io/model/open.h"
#include "io/store/store.h"
#include "stages/compensate/compensate.h"
#include "stages/export/export.h"
#include "stages/export/exported_files.h"
#include "stages/export/partial.h"
#include "stages/export/side_files.h"
#include "tests/support/small_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const identity = "0123456789abcdef";

// "DIRECTORY/name"; the caller frees.
static char *path_below(const char *directory, const char *name)
{
    char *path = malloc(strlen(directory) + strlen(name) + 2);
    assert_non_null(path);
    sprintf(path, "%s/%s", directory, name);
    return path;
}

static void export(const struct small_model *small, const struct variant *variant)
{
    struct error err = {0};
    json_t *provenance = json_pack("{s:s}", "job", "the job");

    assert_non_null(provenance);
    assert_ok(export_variant(&small->stage, variant, identity, provenance, &err), err);
    json_decref(provenance);
}

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

// Opens a model, prunes it and exports it.
static const struct variant *export_shape(struct small_model *small, const struct small_model_shape *shape,
                                          struct skip *skip)
{
    small_model_open(small, shape);
    small->settings.skip = skip;
    small->settings.num_skip = skip != NULL;
    small->settings.keep_weights = true;
    const struct variant *variant = small_model_add(small, "half", METHOD_MAGNITUDE);
    small_model_prune(small, variant);
    export(small, variant);
    return variant;
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
    export(&small, variant);

    // Then each of the seven linears of both layers has one, and the folder opens as a model that says so
    assert_int_equal(check_tensors(&small, variant), 14);
    assert_ok(model_open(&exported, small.settings.output, &err), err);
    assert_true(exported->config.attention_bias && exported->config.mlp_bias);
    model_close(exported);
    small_model_close(&small);
}

// ---- the folder ------------------------------------------------------------------------------------------

static void put_file(const char *directory, const char *name, const char *text)
{
    if (mpi_rank() == 0)
        write_text(directory, name, text);
    MPI_Barrier(MPI_COMM_WORLD);
}

static bool is_in(const char *directory, const char *name)
{
    char *path = path_below(directory, name);
    const bool found = access(path, F_OK) == 0;
    free(path);
    return found;
}

static void side_files_are_copied_and_other_weights_are_not(void **state)
{
    static const char *const copied[] = {"config.json", "tokenizer.json", "tokenizer_config.json",
                                         "notes.md"};
    static const char *const left_out[] = {"pytorch_model.bin",
                                           "model.PTH",
                                           ".hidden",
                                           "old.safetensors",
                                           "model.onnx_data",
                                           "model.onnx_data_1",
                                           "consolidated.safetensors.index.json",
                                           "weights.npz",
                                           "model.ckpt",
                                           CHECKPOINT_INDEX}; // beside the one file that counts
    const struct small_model_shape shape = small_model_shape();
    struct small_model small;
    (void)state;

    small_model_open(&small, &shape);
    put_file(small.settings.model, "notes.md", "Made by hand.\n");
    for (size_t i = 0; i < sizeof left_out / sizeof *left_out; i++)
        put_file(small.settings.model, left_out[i], "the dense weights, in another format");
    small.settings.keep_weights = true;
    const struct variant *variant = small_model_add(&small, "half", METHOD_MAGNITUDE);
    small_model_prune(&small, variant);
    export(&small, variant);
    for (size_t i = 0; i < 4; i++) {
        char *from = path_below(small.settings.model, copied[i]);
        char *to = path_below(small.settings.output, copied[i]);
        assert_same_file(from, to);
        free(from);
        free(to);
    }
    for (size_t i = 0; i < sizeof left_out / sizeof *left_out; i++)
        assert_false(is_in(small.settings.output, left_out[i]));
    assert_int_equal(count_entries(small.settings.output), 7); // with weights, card and coppice.json
    assert_int_equal(entries_in_directory(), 3); // model, run, run-output: nothing hidden is left
    small_model_close(&small);
}

static void folders_of_a_model(const char *model)
{
    char *folders[] = {path_below(model, "additional_chat_templates"),
                       path_below(model, "additional_chat_templates/old"), path_below(model, "onnx")};

    for (size_t i = 0; i < 3; i++) {
        if (mpi_rank() == 0)
            assert_int_equal(mkdir(folders[i], 0777), 0);
        free(folders[i]);
    }
    put_file(model, "additional_chat_templates/tool_use.jinja", "{{ tools }}");
    put_file(model, "additional_chat_templates/.hidden", "no template");
    put_file(model, "onnx/config.json", "{}");
}

// As tokenizer.save_pretrained writes them where there are several.
static void chat_templates_with_names_are_copied_and_other_folders_are_named(void **state)
{
    static const char name[] = "additional_chat_templates/tool_use.jinja";
    const struct small_model_shape shape = small_model_shape();
    char text[SIDE_FOLDERS_SIZE];
    struct small_model small;
    struct error err = {0};
    (void)state;

    small_model_open(&small, &shape);
    assert_string_equal(side_folders_left_out(text, small.model, small.settings.model), "");
    const uint64_t before = side_files_bytes(small.model, small.settings.model);
    MPI_Barrier(MPI_COMM_WORLD);
    folders_of_a_model(small.settings.model);
    assert_true(side_files_bytes(small.model, small.settings.model) > before);
    small.settings.keep_weights = true;
    const struct variant *variant = small_model_add(&small, "half", METHOD_MAGNITUDE);
    small_model_prune(&small, variant);
    export(&small, variant);
    char *from = path_below(small.settings.model, name), *to = path_below(small.settings.output, name);
    char *templates = path_below(small.settings.output, "additional_chat_templates");
    char *path = path_below(small.settings.output, "coppice.json");
    json_t *record = json_load_file(path, 0, NULL);
    const json_t *entry = json_object_get(json_object_get(record, "files"), name);

    assert_same_file(from, to);
    assert_int_equal(count_entries(templates), 1);
    assert_false(is_in(small.settings.output, "onnx"));
    assert_ok(exported_files_check(record, small.settings.output, &err), err);
    assert_ok(exported_file_check(small.settings.output, name, entry, true, &err), err);
    side_folders_left_out(text, small.model, small.settings.model);
    assert_non_null(strstr(text, "onnx/"));
    assert_non_null(strstr(text, "additional_chat_templates/old/"));
    MPI_Barrier(MPI_COMM_WORLD);
    if (mpi_rank() == 0) {
        assert_int_equal(truncate(to, 3), 0);
        assert_int_equal(exported_files_check(record, small.settings.output, &err), STATUS_DAMAGED);
        assert_non_null(strstr(err.message, "additional_chat_templates/tool_use.jinja: has 3 bytes"));
        partial_remove(small.settings.output);
        assert_int_equal(access(small.settings.output, F_OK), -1);
    }
    MPI_Barrier(MPI_COMM_WORLD);
    json_decref(record);
    free(from);
    free(to);
    free(templates);
    free(path);
    small_model_close(&small);
}

static void what_an_export_cannot_copy_is_refused_before(void **state)
{
    const struct small_model_shape shape = small_model_shape();
    struct small_model small;
    struct error err = {0};
    (void)state;

    small_model_open(&small, &shape);
    char *card = path_below(small.settings.model, "README.md"),
         *pipe = path_below(small.settings.model, "notes.md");
    char *folder = path_below(small.settings.model, "original");
    if (mpi_rank() == 0) {
        assert_int_equal(mkdir(folder, 0777), 0); // folders are left out
        assert_ok(side_files_check(small.model, small.settings.model, &err), err);
        assert_int_equal(mkdir(card, 0777), 0);
        assert_int_equal(side_files_check(small.model, small.settings.model, &err), STATUS_INPUT);
        assert_non_null(strstr(err.message, "README.md: not a regular file"));
        assert_int_equal(rmdir(card), 0);
        assert_int_equal(mkfifo(pipe, 0666), 0);
        assert_int_equal(side_files_check(small.model, small.settings.model, &err), STATUS_INPUT);
        assert_non_null(strstr(err.message, "notes.md: not a regular file"));
        assert_int_equal(unlink(pipe), 0);
    }
    free(card);
    free(pipe);
    free(folder);
    small_model_close(&small);
}

static char *text_of_file(const char *directory, const char *name)
{
    char *path = path_below(directory, name), *text = NULL;
    struct error err = {0};
    assert_ok(read_file(&text, NULL, path, &err), err);
    free(path);
    return text;
}

static void the_card_is_the_exports_own(void **state)
{
    static const char source[] =
        "---\nlicense: [apache-2.0, null]\nlanguage:\n- en\n- \"no\"\nbase_model: Someone/Else\n"
        "tags: [llama, pruned]\nmodel-index:\n- name: theirs\n---\n# Their card\n";
    static const char expected[] =
        "---\n"
        "license: [\"apache-2.0\"]\n"
        "language: [\"en\", \"no\"]\n"
        "library_name: transformers\n"
        "pipeline_tag: text-generation\n"
        "base_model: \"Org/Tiny-1\"\n"
        "tags: [\"llama\", \"pruned\", \"sparse\", \"coppice\"]\n"
        "---\n\n"
        "# Org/Tiny-1, pruned: half\n\n"
        "Org/Tiny-1 (commit `abc`), pruned after training, without gradients: 50 % sparsity.\n\n"
        "## What was pruned\n\n"
        "3360 of the 6720 weights of 14 linears are zero (50.00 %). Embeddings, norms and the output layer "
        "are those "
        "of the source, and so are the linears that fit `head`. `coppice.json` has the numbers of every "
        "linear.\n\n"
        "| setting | |\n|---|---|\n| `method` | `magnitude` |\n| `sparsity` | `0.5` |\n"
        "| calibration | 4 sequences of 8 tokens, seed 7, from c4\\_1  .jsonl |\n"
        "| hidden states | of the dense model |\n\n"
        "## What was measured\n\n"
        "| | source | this model |\n|---|---|---|\n"
        "| perplexity on wiki.raw, 3 windows of 9 tokens | 2.0000 | 2.5000 |\n"
        "| accuracy on rte, per cent ± standard error | 75.00 ± 5.00 | 50.00 ± 6.00 |\n\n"
        "## How to load it\n";
    const struct small_model_shape shape = small_model_shape();
    struct skip skip[] = {{(char *)"head", 0}};
    struct text_settings text = {.data = (char *)"/data/wiki.raw"};
    struct small_model small;
    struct error err = {0};
    (void)state;

    // Given a source with a card, and results
    small_model_open(&small, &shape);
    put_file(small.settings.model, "README.md", source);
    small.settings.keep_weights = true;
    small.settings.hub_id = (char *)"Org/Tiny-1";
    small.settings.hub_commit = (char *)"abc";
    small.settings.skip = skip;
    small.settings.num_skip = 1;
    small.settings.corpus = (char *)"/data/c4_1\x7f\xc2\x85.jsonl";
    small.settings.texts = &text;
    small.settings.num_texts = 1;
    small.settings.sequences = 4;
    small.settings.length = 8;
    small.settings.seed = 7;
    struct variant *variant = small_model_add(&small, "half", METHOD_MAGNITUDE);
    small_model_prune(&small, variant);
    json_t *provenance = json_pack(
        "{s:{s:s, s:s, s:f, s:[]}, s:{s:{s:f}, s:{s:f, s:i, s:i}}, s:{s:{s:{s:f, s:f}}, s:{s:{s:f, s:f}}}}",
        "variant", "name", "half", "method", "magnitude", "sparsity", 0.5, "energy", "perplexity", "dense",
        "perplexity", 2.0, "pruned", "perplexity", 2.5, "length", 9, "windows", 3, "tasks", "dense", "rte",
        "acc", 0.75, "acc_stderr", 0.05, "pruned", "rte", "acc", 0.5, "acc_stderr", 0.06);
    assert_non_null(provenance);
    assert_ok(export_variant(&small.stage, variant, identity, provenance, &err), err);
    json_decref(provenance);

    // Then the export has its own card, with what holds of the source, and the source's under another name
    char *card = text_of_file(small.settings.output, "README.md");
    char *theirs = text_of_file(small.settings.output, "README-source.md");
    assert_non_null(strstr(card, "\nAs the source's: apache-2.0. "));
    card[strlen(expected) < strlen(card) ? strlen(expected) : strlen(card)] = '\0';
    assert_string_equal(card, expected);
    assert_string_equal(theirs, source);
    free(card);
    free(theirs);
    small.settings.skip = NULL;
    small.settings.num_skip = 0;
    small.settings.hub_id = small.settings.hub_commit = small.settings.corpus = NULL;
    small.settings.texts = NULL;
    small.settings.num_texts = 0;
    small_model_close(&small);
}

static void the_card_says_why_fewer_are_zero(void **state)
{
    const struct small_model_shape shape = small_model_shape();
    struct small_model small;
    struct error err = {0};
    (void)state;

    // Rows of 20 and 36 weights lose 6 and 11 of them
    small_model_open(&small, &shape);
    small.settings.keep_weights = true;
    struct variant *variant = small_model_add(&small, "third", METHOD_MAGNITUDE);
    variant->sparsity = 0.33;
    small_model_prune(&small, variant);
    json_t *provenance = json_object();
    assert_ok(export_variant(&small.stage, variant, identity, provenance, &err), err);
    json_decref(provenance);
    char *card = text_of_file(small.settings.output, "README.md");
    assert_non_null(strstr(card, "(30.12 %: numbers of weights to prune are rounded down)"));
    free(card);
    small_model_close(&small);
}

static void coppice_json_says_whose_it_is_and_what_is_kept(void **state)
{
    const struct small_model_shape shape = small_model_shape();
    struct skip skip[] = {{(char *)"mlp.up_proj", 0}};
    struct small_model small;
    json_error_t where;
    struct error err = {0};
    (void)state;

    export_shape(&small, &shape, skip);
    char *path = path_below(small.settings.output, "coppice.json");
    json_t *json = json_load_file(path, 0, &where);
    assert_non_null(json);
    assert_string_equal(json_string_value(json_object_get(json, "identity")), identity);
    assert_string_equal(json_string_value(json_object_get(json, "job")), "the job");
    const json_t *linears = json_object_get(json, "linears");
    assert_int_equal(json_object_size(linears), 12); // two layers of seven, but the one that is skipped
    const json_t *down = json_object_get(linears, "layers.1.mlp.down_proj");
    assert_int_equal(json_integer_value(json_object_get(down, "total")), 20 * 36);
    assert_int_equal(json_integer_value(json_object_get(down, "kept")), 20 * 36 / 2);
    assert_true(json_real_value(json_object_get(down, "sparsity")) == 0.5);
    json_decref(json);
    free(path);

    assert_int_equal(export_state_of(small.settings.output, identity, &err), EXPORT_DONE);
    assert_int_equal(export_state_of(small.settings.output, "another", &err), EXPORT_FOREIGN);
    assert_int_equal(export_state_of(small.settings.model, identity, &err), EXPORT_FOREIGN);
    assert_int_equal(export_state_of(in_directory("nowhere"), identity, &err), EXPORT_ABSENT);
    small_model_close(&small);
}

static void a_file_that_is_gone_short_or_changed_is_seen(void **state)
{
    const struct small_model_shape shape = small_model_shape();
    struct small_model small;
    struct error err = {0};
    (void)state;

    export_shape(&small, &shape, NULL);
    const char *output = small.settings.output;
    char *path = path_below(output, "coppice.json"), *card = path_below(output, "README.md"),
         *config = path_below(output, "config.json");
    json_t *record = json_load_file(path, 0, NULL);
    const json_t *entry = json_object_get(json_object_get(record, "files"), "config.json");

    assert_ok(exported_files_check(record, output, &err), err);
    assert_ok(exported_file_check(output, "config.json", entry, true, &err), err);
    team_barrier(&small.team);
    if (small.team.rank == 0) {
        assert_int_equal(unlink(card), 0); // is the user's
        assert_ok(exported_files_check(record, output, &err), err);
        FILE *file = fopen(config, "r+");
        assert_non_null(file);
        fputc('[', file);
        fclose(file);
        assert_ok(exported_files_check(record, output, &err), err); // has its size
        assert_int_equal(exported_file_check(output, "config.json", entry, true, &err), STATUS_DAMAGED);
        assert_non_null(strstr(err.message, "config.json: does not match its checksum"));
        assert_int_equal(truncate(config, 3), 0);
        assert_int_equal(exported_files_check(record, output, &err), STATUS_DAMAGED);
        assert_non_null(strstr(err.message, "config.json: has 3 bytes, and was exported with "));
        assert_non_null(strstr(err.message, "; remove "));
        assert_int_equal(unlink(config), 0);
        assert_int_equal(exported_files_check(record, output, &err), STATUS_DAMAGED);
        assert_non_null(strstr(err.message, "config.json: is gone; remove "));
        json_object_del(record, "files"); // as an earlier version wrote it
        assert_ok(exported_files_check(record, output, &err), err);
    }
    team_barrier(&small.team);
    json_decref(record);
    free(path);
    free(card);
    free(config);
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

    export(&small, variant);

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

    assert_int_equal(export_variant(&small->stage, variant, identity, provenance, &err), STATUS_FAILED);
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
    export(&small, variant); // the next start makes all of it again
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

    export(&small, variant);

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
    export(&small, variant);
    export(&alone, &alone.variants[0]);
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
        mpi_unit_test(side_files_are_copied_and_other_weights_are_not),
        mpi_unit_test(chat_templates_with_names_are_copied_and_other_folders_are_named),
        mpi_unit_test(what_an_export_cannot_copy_is_refused_before),
        mpi_unit_test(the_card_says_why_fewer_are_zero),
        mpi_unit_test(the_card_is_the_exports_own),
        mpi_unit_test(coppice_json_says_whose_it_is_and_what_is_kept),
        mpi_unit_test(a_file_that_is_gone_short_or_changed_is_seen),
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
