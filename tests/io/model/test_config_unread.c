// Keys of config.json that nothing reads: published checkpoints have none that matters, and what may matter
// is refused by name.
#include "io/model/config.h"
#include "io/model/config_unread.h"
#include "tests/support/source_path.h"
#include "tests/support/temporary_folder.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static json_t *published(void)
{
    char *path = source_path("tests/golden/published_configs.json");
    json_t *json = json_load_file(path, 0, NULL);
    assert_non_null(json);
    free(path);
    return json;
}

static enum status read_config(const json_t *json, const struct ignored_keys *ignored, struct error *err)
{
    char *folder = temporary_folder_create();
    struct model_config config;
    const struct family *family;

    assert_int_equal(json_dump_file(json, path_in(folder, "config.json"), 0), 0);
    const enum status status = model_config_read(&config, &family, folder, ignored, err);
    model_config_free(&config);
    temporary_folder_remove(folder);
    return status;
}

static void published_configs_are_read(void **state)
{
    json_t *all = published(), *one;
    const char *name;
    size_t refused = 0;
    (void)state;

    json_object_foreach(all, name, one)
    {
        struct error err = {0};
        if (read_config(one, NULL, &err) != STATUS_OK) {
            print_error("%s: %s\n", name, err.message);
            refused++;
        }
    }
    print_message("%zu configs\n", json_object_size(all));
    assert_true(json_object_size(all) >= 29);
    json_decref(all);
    assert_int_equal(refused, 0);
}

// Reads a Llama with `value` (JSON) at `key` of the object at `place` (NULL: the root).
static enum status read_with(const char *place, const char *key, const char *value,
                             const struct ignored_keys *ignored, struct error *err)
{
    json_t *all = published(), *config = json_object_get(all, "Llama 3.1, 8b");
    json_t *object = place != NULL ? json_object_get(config, place) : config;

    assert_non_null(object);
    json_t *added = json_loads(value, JSON_DECODE_ANY, NULL);
    assert_non_null(added);
    assert_int_equal(json_object_set_new(object, key, added), 0);
    *err = (struct error){0};
    const enum status status = read_config(config, ignored, err);
    json_decref(all);
    return status;
}

static void a_key_that_may_be_arithmetic_is_refused_by_name(void **state)
{
    static const char *const values[] = {"2", "-0.5", "true", "[1]", "{\"a\": 0}", "\"swiglu_oai\"", "[0]"};
    struct error err;
    (void)state;

    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        if (read_with(NULL, "residual_multiplier", values[i], NULL, &err) == STATUS_OK)
            fail_msg("residual_multiplier: %s was accepted", values[i]);
        assert_error(err, STATUS_INPUT, "config.json: residual_multiplier: is not known");
        assert_error(err, STATUS_INPUT, "--ignore-config-key residual_multiplier");
    }
    assert_int_equal(read_with("rope_scaling", "shift", "3", NULL, &err), STATUS_INPUT);
    assert_error(err, STATUS_INPUT, "config.json: rope_scaling.shift: is not known");
    assert_int_equal(read_with(NULL, "", "3", NULL, &err), STATUS_INPUT);
    assert_error(err, STATUS_INPUT, "config.json: \"\": is an empty key");
    assert_int_equal(read_with("rope_scaling", "", "3", NULL, &err), STATUS_INPUT);
    assert_error(err, STATUS_INPUT, "config.json: rope_scaling.\"\": is an empty key");
}

// With such a key ignored it would be another model: that is nothing to be chosen.
static void a_key_of_another_kind_of_model_is_refused_without_a_way_round(void **state)
{
    static const char *const keys[][2] = {
        {"add_cross_attention", "true"},       {"is_encoder_decoder", "true"},
        {"cross_attention_hidden_size", "64"}, {"use_bidirectional_attention", "true"},
        {"vision_config", "{\"depth\": 2}"},   {"index_topk", "64"},
        {"pruned_heads", "{\"0\": [1]}"}};
    struct error err;
    (void)state;

    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        assert_int_equal(read_with(NULL, keys[i][0], keys[i][1], NULL, &err), STATUS_INPUT);
        assert_error(err, STATUS_INPUT, keys[i][0]);
        assert_error(err, STATUS_INPUT, ", which coppice does not compute in this family");
        assert_null(strstr(err.message, "ignore"));
    }
}

static void a_key_that_says_off_is_accepted(void **state)
{
    static const char *const values[] = {"0", "0.0", "false", "null", "\"\"", "[]", "{}"};
    struct error err;
    (void)state;

    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        assert_ok(read_with(NULL, "residual_multiplier", values[i], NULL, &err), err);
}

static void what_is_not_about_the_forward_pass_is_accepted(void **state)
{
    static const char *const keys[] = {"some_dropout", "extra_token_id", "unsloth_anything",
                                       "_model_name_or_path", "output_router_logits"};
    struct error err;
    (void)state;

    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        assert_ok(read_with(NULL, keys[i], "7", NULL, &err), err);
}

static void an_ignored_key_is_ignored(void **state)
{
    static const char *const names[] = {"residual_multiplier", "rope_scaling.shift", "shift"};
    struct error err;
    (void)state;

    assert_ok(read_with(NULL, names[0], "2", &(struct ignored_keys){names, 1}, &err), err);
    assert_ok(read_with("rope_scaling", "shift", "2", &(struct ignored_keys){names + 1, 1}, &err), err);
    assert_ok(read_with("rope_scaling", "shift", "2", &(struct ignored_keys){names + 2, 1}, &err), err);
}

static void a_key_cannot_be_ignored_that_is_followed_or_not_there(void **state)
{
    static const char *const names[] = {"rms_norm_eps", "residual_multiplier"};
    struct error err;
    (void)state;

    assert_int_equal(read_with(NULL, "a", "0", &(struct ignored_keys){names, 1}, &err), STATUS_INPUT);
    assert_error(err, STATUS_INPUT, "config.json: rms_norm_eps: is a key that coppice knows");
    assert_int_equal(read_with(NULL, "a", "0", &(struct ignored_keys){names + 1, 1}, &err), STATUS_INPUT);
    assert_error(err, STATUS_INPUT, "config.json: residual_multiplier: is to be ignored, but");
}

static void what_the_reference_cannot_open_is_refused(void **state)
{
    static const struct {
        const char *key, *value, *what;
    } wrong[] = {{"use_cache", "\"true\"", "use_cache: must be true or false"},
                 {"use_cache", "null", "use_cache: must be true or false"},
                 {"bos_token_id", "[1]", "bos_token_id: must be an integer or null"},
                 {"pad_token_id", "[1]", "pad_token_id: must be an integer or null"},
                 {"pad_token_id", "128256", "pad_token_id: 128256 is not one of 128256 tokens"},
                 {"pad_token_id", "-128257", "pad_token_id: -128257 is not one of 128256 tokens"},
                 {"eos_token_id", "[true]", "eos_token_id: must be a list of integers"},
                 {"dtype", "\"auto\"", "dtype: 'auto' is not a number format"},
                 {"id2label", "[]", "id2label: must be an object or null"},
                 {"eos_token_id", "\"2\"", "eos_token_id: must be an integer, a list or null"},
                 {"initializer_range", "\"0.02\"", "initializer_range: must be a number with a point"},
                 {"initializer_range", "1", "initializer_range: must be a number with a point"},
                 {"dtype", "[]", "dtype: must be a string, an object or null"},
                 {"dtype", "{\"\": \"quux\"}", "dtype: 'quux' is not a number format"},
                 {"dtype", "{\"\": null}", "dtype: its entry \"\" must be a string"},
                 {"torch_dtype", "{\"\": 3}", "torch_dtype: its entry \"\" must be a string"},
                 {"torch_dtype", "\"torch.float16\"", "torch_dtype: 'torch.float16' is not a number format"},
                 {"dtype", "\"\"", "dtype: '' is not a number format"}},
      right[] = {{"use_cache", "false", ""},
                 {"pad_token_id", "-1", ""},
                 {"pad_token_id", "128255", ""},
                 {"pad_token_id", "-128256", ""},
                 {"bos_token_id", "999999", ""},
                 {"id2label", "{\"0\": \"a\"}", ""},
                 {"eos_token_id", "[1, 2]", ""},
                 {"initializer_range", "1.0", ""},
                 {"dtype", "{\"\": \"bfloat16\", \"vision_config\": \"float32\"}", ""},
                 {"dtype", "{}", ""},
                 {"dtype", "\"float8_e4m3fn\"", ""}};
    struct error err;
    (void)state;

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(read_with(NULL, wrong[i].key, wrong[i].value, NULL, &err), STATUS_INPUT);
        assert_error(err, STATUS_INPUT, wrong[i].what);
    }
    for (size_t i = 0; i < sizeof right / sizeof *right; i++)
        assert_ok(read_with(NULL, right[i].key, right[i].value, NULL, &err), err);
}

static void attention_to_later_tokens_is_refused(void **state)
{
    struct error err;
    (void)state;

    assert_int_equal(read_with(NULL, "is_causal", "false", NULL, &err), STATUS_INPUT);
    assert_error(err, STATUS_INPUT, "config.json: is_causal: only causal");
    assert_ok(read_with(NULL, "is_causal", "true", NULL, &err), err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_configs_are_read),
        cmocka_unit_test(a_key_that_may_be_arithmetic_is_refused_by_name),
        cmocka_unit_test(a_key_that_says_off_is_accepted),
        cmocka_unit_test(a_key_of_another_kind_of_model_is_refused_without_a_way_round),
        cmocka_unit_test(what_is_not_about_the_forward_pass_is_accepted),
        cmocka_unit_test(an_ignored_key_is_ignored),
        cmocka_unit_test(a_key_cannot_be_ignored_that_is_followed_or_not_there),
        cmocka_unit_test(what_the_reference_cannot_open_is_refused),
        cmocka_unit_test(attention_to_later_tokens_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
