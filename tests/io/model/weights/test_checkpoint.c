// checkpoint.h: a model folder of one file or of shards, and what is wrong with a broken one.
#include "io/model/open.h"
#include "io/model/weights/checkpoint.h"
#include "tests/support/temporary_folder.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <cmocka.h>

static int set_up(void **state)
{
    *state = temporary_folder_create();
    return 0;
}

static int tear_down(void **state)
{
    temporary_folder_remove(*state);
    return 0;
}

// A safetensors file with one-byte tensors of these names; the byte is `value`.
static void write_shard(const char *folder, const char *file_name, unsigned char value, size_t count,
                        const char *const *names)
{
    char bytes[4096];
    size_t used = 8;

    bytes[used++] = '{';
    for (size_t i = 0; i < count; i++)
        used += (size_t)sprintf(bytes + used,
                                "%s\"%s\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[%zu,%zu]}",
                                i > 0 ? "," : "", names[i], i, i + 1);
    bytes[used++] = '}';
    for (size_t i = 0; i < 8; i++)
        bytes[i] = (char)((used - 8) >> (8 * i));
    for (size_t i = 0; i < count; i++)
        bytes[used++] = (char)value;
    write_file(folder, file_name, bytes, used);
}
#define SHARD(folder, file_name, value, ...)                                                      \
    write_shard(folder, file_name, value, sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *), \
                (const char *const[]){__VA_ARGS__})

static void write_index(const char *folder, const char *weight_map)
{
    char text[4096];
    snprintf(text, sizeof text, "{\"metadata\":{\"total_size\":4},\"weight_map\":%s}", weight_map);
    write_text(folder, "model.safetensors.index.json", text);
}

static void assert_refused(const char *folder, const char *complaint)
{
    struct error err = {0};
    struct checkpoint *checkpoint;

    assert_int_equal(checkpoint_open(&checkpoint, folder, &err), STATUS_INPUT);
    assert_null(checkpoint);
    assert_error(err, STATUS_INPUT, folder);
    assert_error(err, STATUS_INPUT, complaint);
}

static void test_a_single_file_is_one_shard(void **state)
{
    struct error err = {0};
    struct checkpoint *checkpoint;
    size_t shard = 9;

    SHARD(*state, "model.safetensors", 7, "a", "b", "c");
    assert_ok(checkpoint_open(&checkpoint, *state, &err), err);
    assert_int_equal(checkpoint->num_shards, 1);
    assert_string_equal(checkpoint->shard_names[0], "model.safetensors");
    assert_false(checkpoint->has_index);
    assert_int_equal(checkpoint_bytes(checkpoint), 3);
    assert_string_equal(checkpoint_find(checkpoint, "b", &shard)->name, "b");
    assert_int_equal(shard, 0);
    assert_null(checkpoint_find(checkpoint, "d", NULL));
    checkpoint_close(checkpoint);
    checkpoint_close(NULL);
}

static void test_shards_are_sorted_and_every_tensor_is_found_in_its_own(void **state)
{
    struct error err = {0};
    struct checkpoint *checkpoint;
    size_t shard;

    SHARD(*state, "model-2.safetensors", 2, "a", "z");
    SHARD(*state, "model-1.safetensors", 1, "m", "unlisted");
    write_index(
        *state,
        "{\"z\":\"model-2.safetensors\",\"a\":\"model-2.safetensors\",\"m\":\"model-1.safetensors\"}");
    assert_ok(checkpoint_open(&checkpoint, *state, &err), err);
    assert_int_equal(checkpoint->num_shards, 2);
    assert_string_equal(checkpoint->shard_names[0], "model-1.safetensors");
    assert_string_equal(checkpoint->shard_names[1], "model-2.safetensors");
    assert_true(checkpoint->has_index);
    assert_int_equal(checkpoint_bytes(checkpoint), 4);
    const struct {
        const char *name;
        size_t shard;
    } expected[] = {{"a", 1}, {"m", 0}, {"unlisted", 0}, {"z", 1}};
    for (size_t i = 0; i < 4; i++) {
        const struct safetensors_tensor *tensor = checkpoint_find(checkpoint, expected[i].name, &shard);
        assert_non_null(tensor);
        assert_int_equal(shard, expected[i].shard);
        assert_int_equal(*(const unsigned char *)tensor->data, shard + 1);
    }
    checkpoint_close(checkpoint);
}

static void test_the_single_file_counts_when_an_index_is_there_too(void **state)
{
    struct error err = {0};
    struct checkpoint *checkpoint;

    SHARD(*state, "model.safetensors", 7, "a");
    write_index(*state, "{\"a\":\"absent.safetensors\"}");
    assert_ok(checkpoint_open(&checkpoint, *state, &err), err);
    assert_false(checkpoint->has_index);
    checkpoint_close(checkpoint);
}

static void test_shard_names_that_leave_the_folder_are_refused(void **state)
{
    static const char *const names[] = {
        "../model.safetensors", "/etc/passwd", "sub/model.safetensors", "..", ".", ""};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char weight_map[200];
        snprintf(weight_map, sizeof weight_map, "{\"a\":\"%s\"}", names[i]);
        write_index(*state, weight_map);
        assert_refused(*state, "not a file name in this folder");
        assert_refused(*state, "'a'");
    }
}

static void test_shard_names_of_other_files_are_refused(void **state)
{
    static const char *const names[] = {"config.json", "tokenizer.json", "coppice.json",
                                        "model.safetensors.index.json", ".weights"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char weight_map[200];
        snprintf(weight_map, sizeof weight_map, "{\"a\":\"%s\"}", names[i]);
        write_index(*state, weight_map);
        assert_refused(*state, "a name that no shard may have");
        assert_refused(*state, names[i]);
    }
}

static void test_shards_may_have_any_other_name(void **state)
{
    struct error err = {0};
    struct checkpoint *checkpoint;

    SHARD(*state, "weights.st", 7, "a");
    SHARD(*state, "LICENSE", 8, "b");
    write_index(*state, "{\"a\":\"weights.st\",\"b\":\"LICENSE\"}");
    assert_ok(checkpoint_open(&checkpoint, *state, &err), err);
    assert_int_equal(checkpoint->num_shards, 2);
    checkpoint_close(checkpoint);
}

static void test_broken_indices_are_refused(void **state)
{
    write_text(*state, "model.safetensors.index.json", "{\"weight_map\":");
    assert_refused(*state, "model.safetensors.index.json: not valid JSON");
    write_text(*state, "model.safetensors.index.json", "[]");
    assert_refused(*state, "'weight_map' is missing");
    write_text(*state, "model.safetensors.index.json", "{\"weight_map\":[]}");
    assert_refused(*state, "'weight_map' is missing or not an object");
    write_index(*state, "{}");
    assert_refused(*state, "'weight_map' is empty");
    write_index(*state, "{\"a\":3}");
    assert_refused(*state, "the shard of tensor 'a' is not a string");
    write_index(*state, "{\"a\":\"x\",\"a\":\"x\"}");
    assert_refused(*state, "a key stands twice");
}

static void test_a_missing_shard_is_named(void **state)
{
    SHARD(*state, "model-1.safetensors", 1, "a");
    write_index(*state, "{\"a\":\"model-1.safetensors\",\"b\":\"model-2.safetensors\"}");
    assert_refused(*state, "the shard model-2.safetensors is listed but not there");
}

static void test_a_broken_shard_is_named(void **state)
{
    write_text(*state, "model-1.safetensors", "x");
    write_index(*state, "{\"a\":\"model-1.safetensors\"}");
    assert_refused(*state, "model-1.safetensors: shorter than the 8 bytes");
}

// Opens a and b, which are in model-1 and model-2, by an index that says otherwise of `count` tensors.
static void open_misplaced(const char *folder, const char *weight_map, size_t count, const char *first)
{
    struct error err = {0};
    struct checkpoint *checkpoint;
    size_t shard = 9;

    write_index(folder, weight_map);
    assert_ok(checkpoint_open(&checkpoint, folder, &err), err);
    assert_int_equal(checkpoint->num_misplaced, count);
    assert_string_equal(checkpoint->first_misplaced, first);
    assert_non_null(checkpoint_find(checkpoint, "a", &shard));
    assert_int_equal(shard, 0);
    assert_non_null(checkpoint_find(checkpoint, "b", &shard));
    assert_int_equal(shard, 1);
    assert_null(checkpoint_find(checkpoint, "c", &shard));
    checkpoint_close(checkpoint);
}

static void test_the_shards_count_and_not_what_the_index_says_of_tensors(void **state)
{
    SHARD(*state, "model-1.safetensors", 1, "a");
    SHARD(*state, "model-2.safetensors", 2, "b");
    open_misplaced(
        *state, "{\"a\":\"model-1.safetensors\",\"b\":\"model-2.safetensors\",\"c\":\"model-1.safetensors\"}",
        1, "c");
    open_misplaced(*state, "{\"b\":\"model-1.safetensors\",\"c\":\"model-2.safetensors\"}", 2, "b");
    open_misplaced(*state, "{\"b\":\"model-1.safetensors\",\"a\":\"model-2.safetensors\"}", 2, "a");
}

static void test_a_tensor_in_two_shards_is_named(void **state)
{
    SHARD(*state, "model-1.safetensors", 1, "a", "x");
    SHARD(*state, "model-2.safetensors", 2, "b", "x");
    write_index(*state, "{\"a\":\"model-1.safetensors\",\"b\":\"model-2.safetensors\"}");
    assert_refused(*state,
                   "tensor 'x' is in two shards, model-1.safetensors and model-2.safetensors, and only "
                   "one of them would be pruned");
}

static void test_other_formats_are_told_apart_from_nothing(void **state)
{
    assert_refused(*state, "holds neither model.safetensors nor model.safetensors.index.json");
    write_text(*state, "pytorch_model.bin", "PK");
    assert_refused(
        *state,
        "/pytorch_model.bin: weights of PyTorch; a model is a folder of safetensors, which this makes");
    assert_refused(path_in(*state, "absent"), "no such model folder");
    assert_refused(path_in(*state, "pytorch_model.bin"), "not a folder");
}

// The line with which a folder is refused, which begins with its name.
static void assert_folder_refused(const char *path, const char *const words[], size_t count)
{
    struct error err = {0};
    struct model *model;

    assert_int_equal(model_open(&model, path, &err), STATUS_INPUT);
    assert_error(err, STATUS_INPUT, path);
    assert_null(strchr(err.message, '\n'));
    for (size_t i = 0; i < count; i++)
        assert_error(err, STATUS_INPUT, words[i]);
}
#define FOLDER_REFUSED(path, ...)                                   \
    assert_folder_refused(path, (const char *const[]){__VA_ARGS__}, \
                          sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *))

static void test_an_adapter_is_answered_by_the_command_that_merges_it(void **state)
{
    write_text(*state, "adapter_config.json", "{\"base_model_name_or_path\": \"meta-llama/Llama-2-7b-hf\"}");
    FOLDER_REFUSED(*state, "/adapter_config.json: an adapter of PEFT for meta-llama/Llama-2-7b-hf; ",
                   "merge_and_unload().save_pretrained('FOLDER')", "tokenizer is the base model's");
    write_text(*state, "config.json", "{}");
    write_text(*state, "model.safetensors", "x");
    FOLDER_REFUSED(*state, "beside a model to which transformers applies it", "remove the file");
    write_text(*state, "adapter_config.json", "[");
    FOLDER_REFUSED(*state, "/adapter_config.json: an adapter of PEFT, beside");
}

static void test_the_own_format_of_mistral_is_told_apart(void **state)
{
    write_text(*state, "consolidated.safetensors", "x");
    write_text(*state, "params.json", "{}");
    FOLDER_REFUSED(*state, "holds consolidated.safetensors", "Mistral's own format", "model*.safetensors");
}

static void test_a_repository_of_the_cache_is_answered_by_its_id(void **state)
{
    const char *folder = path_in(*state, "models--Qwen--Qwen3-0.6B");
    char copy[PATH_MAX], snapshots[PATH_MAX + 16];

    snprintf(copy, sizeof copy, "%s", folder);
    assert_int_equal(mkdir(copy, 0777), 0);
    snprintf(snapshots, sizeof snapshots, "%s/snapshots", copy);
    assert_int_equal(mkdir(snapshots, 0777), 0);
    FOLDER_REFUSED(copy, "name the model by its id, Qwen/Qwen3-0.6B, or by a folder in ");
    // Nor is it one of the folders in there, of which a file is missing.
    snprintf(snapshots, sizeof snapshots, "%s/snapshots/1", copy);
    assert_int_equal(mkdir(snapshots, 0777), 0);
    FOLDER_REFUSED(snapshots, "/snapshots/1/config.json: ");
    // Another folder with snapshots of something is none.
    snprintf(snapshots, sizeof snapshots, "%s/snapshots", (const char *)*state);
    assert_int_equal(mkdir(snapshots, 0777), 0);
    FOLDER_REFUSED(*state, "config.json");
}

static void test_what_is_not_there_is_a_file_or_a_folder(void **state)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/q4.gguf", (const char *)*state);
    FOLDER_REFUSED(path, "q4.gguf: no such file");
    snprintf(path, sizeof path, "%s/llama", (const char *)*state);
    FOLDER_REFUSED(path, "llama: no such model folder");
}

// A folder with GGUF files alone has no config.json: the one who opens the model is told before that.
static void test_a_folder_of_gguf_is_answered_by_the_command_that_converts_it(void **state)
{
    struct model *model;
    struct error err = {0};
    char words[PATH_MAX];

    write_text(*state, "b.gguf", "GGUF");
    write_text(*state, "a.gguf", "GGUF");
    snprintf(words, sizeof words, "[C.from_pretrained('%s', gguf_file='a.gguf').save_pretrained('FOLDER')",
             (const char *)*state);
    assert_int_equal(model_open(&model, *state, &err), STATUS_INPUT);
    assert_non_null(strstr(err.message, words));
    // Beside safetensors they do not matter.
    write_text(*state, "model.safetensors", "x");
    assert_int_equal(model_open(&model, *state, &err), STATUS_INPUT);
    assert_non_null(strstr(err.message, "config.json"));
}

// Looking up each of many tensors costs less than opening their file did: 5 ms against 50. With a linear
// search it would be 2e8 comparisons, about a second.
static void test_many_tensors_are_found_quickly(void **state)
{
    enum { MANY = 20000 };
    struct error err = {0};
    struct checkpoint *checkpoint;
    const size_t size = (size_t)MANY * 100;
    char *bytes = calloc(size, 1), name[64];
    size_t used = 8;

    assert_non_null(bytes);
    for (int i = 0; i < MANY; i++)
        used += (size_t)sprintf(bytes + used,
                                "%c\"t.%d\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[%d,%d]}",
                                i > 0 ? ',' : '{', i, i, i + 1);
    bytes[used++] = '}';
    for (size_t i = 0; i < 8; i++)
        bytes[i] = (char)((used - 8) >> (8 * i));
    assert_in_range(used + MANY, 0, size);
    write_file(*state, "model.safetensors", bytes, used + MANY);
    const clock_t start = clock();
    assert_ok(checkpoint_open(&checkpoint, *state, &err), err);
    const clock_t opened = clock();
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "t.%d", i);
        const struct safetensors_tensor *tensor = checkpoint_find(checkpoint, name, NULL);
        if (tensor == NULL || tensor->begin != (uint64_t)i)
            fail_msg("%s", name);
    }
    if (clock() - opened > opened - start)
        fail_msg("look-ups took %g s, opening %g s", (double)(clock() - opened) / CLOCKS_PER_SEC,
                 (double)(opened - start) / CLOCKS_PER_SEC);
    checkpoint_close(checkpoint);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_single_file_is_one_shard, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_shards_are_sorted_and_every_tensor_is_found_in_its_own, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_the_single_file_counts_when_an_index_is_there_too, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_shard_names_that_leave_the_folder_are_refused, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_shard_names_of_other_files_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_shards_may_have_any_other_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_broken_indices_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_missing_shard_is_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_broken_shard_is_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_shards_count_and_not_what_the_index_says_of_tensors, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_tensor_in_two_shards_is_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_many_tensors_are_found_quickly, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_an_adapter_is_answered_by_the_command_that_merges_it, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_the_own_format_of_mistral_is_told_apart, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_repository_of_the_cache_is_answered_by_its_id, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_not_there_is_a_file_or_a_folder, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_other_formats_are_told_apart_from_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_folder_of_gguf_is_answered_by_the_command_that_converts_it,
                                        set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
