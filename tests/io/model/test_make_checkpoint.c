// tests/tools/make_checkpoint.c: the checkpoints that other tests are made of are what they claim to be.
#include "io/file/commit.h"
#include "io/model/open.h"
#include "io/tokenizer/tokenizer.h"
#include "tests/support/temporary_folder.h"

#include <limits.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

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

// Runs the tool with these arguments and FOLDER/name; returns its exit code.
static int make(const char *folder, const char *name, const char *arguments)
{
    const char *tools = getenv("COPPICE_TOOLS");
    char command[2 * PATH_MAX + 500];

    if (tools == NULL) {
        print_message("skipped: COPPICE_TOOLS does not say where make_checkpoint is; run it through ctest\n");
        skip();
    }
    snprintf(command, sizeof command, "'%s/make_checkpoint' %s '%s' 2>/dev/null", tools, arguments,
             path_in(folder, name));
    const int status = system(command);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_a_checkpoint_is_a_model_with_the_asked_shape(void **state)
{
    struct error err = {0};
    struct model *model;
    const char *const shards[] = {"1", "2", "5", "20"};

    for (size_t i = 0; i < 4; i++) {
        char arguments[200];
        snprintf(arguments, sizeof arguments,
                 "--hidden 32 --intermediate 48 --layers 2 --heads 4 --kv-heads 2 --vocab 300 --shards %s",
                 shards[i]);
        assert_int_equal(make(*state, shards[i], arguments), 0);
        assert_ok(model_open(&model, path_in(*state, shards[i]), &err), err);
        assert_int_equal(model->config.num_hidden_layers, 2);
        assert_int_equal(model->config.vocab_size, 300);
        assert_false(model->config.tie_word_embeddings);
        assert_int_equal(model->checkpoint->num_shards, atoi(shards[i]));
        assert_true(model->checkpoint->has_index == (i > 0));
        const size_t layer = 32 * (32 + 16 + 16 + 32) + 3 * 32 * 48 + 2 * 32;
        assert_int_equal(checkpoint_bytes(model->checkpoint), 2 * (2 * 300 * 32 + 2 * layer + 32));
        model_close(model);
    }
}

static void test_a_tied_checkpoint_has_no_head(void **state)
{
    struct error err = {0};
    struct model *model;

    assert_int_equal(make(*state, "tied", "--tied --dtype F32"), 0);
    assert_ok(model_open(&model, path_in(*state, "tied"), &err), err);
    assert_true(model->config.tie_word_embeddings);
    assert_null(checkpoint_find(model->checkpoint, "lm_head.weight", NULL));
    assert_int_equal(model->embedding->dtype, DTYPE_F32);
    model_close(model);
}

static void test_weights_are_normal_with_one_over_the_input_size_as_variance(void **state)
{
    const char *const dtypes[] = {"F32", "F16", "BF16"};

    for (size_t d = 0; d < 3; d++) {
        struct error err = {0};
        struct checkpoint *checkpoint;
        char arguments[100];
        enum { OUT = 64, IN = 512, N = OUT * IN };
        static float w[N];

        snprintf(arguments, sizeof arguments, "--intermediate 512 --dtype %s", dtypes[d]);
        assert_int_equal(make(*state, dtypes[d], arguments), 0);
        assert_ok(checkpoint_open(&checkpoint, path_in(*state, dtypes[d]), &err), err);
        const struct safetensors_tensor *tensor =
            checkpoint_find(checkpoint, "model.layers.0.mlp.down_proj.weight", NULL);
        assert_non_null(tensor);
        assert_string_equal(tensor->dtype_name, dtypes[d]);
        dtype_to_f32(w, tensor->data, tensor->dtype, N);
        double mean = 0, square = 0, fourth = 0;
        for (size_t i = 0; i < N; i++) {
            const double x = w[i] * sqrt(IN);
            mean += x / N;
            square += x * x / N;
            fourth += x * x * x * x / N;
        }
        // Standard deviations of the three over 32768 numbers: 0.0055, 0.0078, 0.054; five of them.
        assert_true(fabs(mean) < 0.028 && fabs(square - 1) < 0.039 && fabs(fourth - 3) < 0.27);
        checkpoint_close(checkpoint);
    }
}

static void test_bytes_follow_from_the_arguments(void **state)
{
    const char *const names[] = {"model.safetensors", "config.json", "tokenizer.json"};
    struct error err = {0};

    assert_int_equal(make(*state, "a", "--seed 1"), 0);
    assert_int_equal(make(*state, "b", "--seed 1"), 0);
    assert_int_equal(make(*state, "c", "--seed 2"), 0);
    for (size_t i = 0; i < 3; i++) {
        char *bytes[3], path[100];
        size_t sizes[3];
        for (size_t folder = 0; folder < 3; folder++) {
            snprintf(path, sizeof path, "%c/%s", 'a' + (int)folder, names[i]);
            assert_ok(read_file(&bytes[folder], &sizes[folder], path_in(*state, path), &err), err);
        }
        assert_int_equal(sizes[0], sizes[1]);
        assert_memory_equal(bytes[0], bytes[1], sizes[0]);
        assert_true((memcmp(bytes[0], bytes[2], sizes[0]) != 0) == (i == 0));
        for (size_t folder = 0; folder < 3; folder++)
            free(bytes[folder]);
    }
}

static void test_the_tokenizer_has_every_byte_and_merges_common_pairs(void **state)
{
    struct error err = {0};
    struct tokenizer *tokenizer;
    int32_t *ids;
    size_t count;
    char all[256];

    assert_int_equal(make(*state, "model", "--vocab 1000"), 0);
    assert_ok(tokenizer_load(&tokenizer, path_in(*state, "model/tokenizer.json"), &err), err);
    assert_int_equal(tokenizer_vocabulary_size(tokenizer), 1000);
    size_t used = 0;
    for (int c = 0; c < 128; c++)
        all[used++] = (char)c;
    assert_ok(tokenizer_encode(tokenizer, all, used, true, &ids, &count, &err), err);
    assert_int_equal(ids[0], 0); // <s>
    for (size_t i = 0; i < count; i++)
        assert_in_range(ids[i], 0, 999);
    free(ids);
    assert_ok(tokenizer_encode(tokenizer, "tea", 3, false, &ids, &count, &err), err);
    assert_int_equal(count, 2); // "te" and "a" or "t" and "ea"
    free(ids);
    tokenizer_free(tokenizer);

    assert_int_equal(make(*state, "smallest", "--vocab 258"), 0);
    assert_ok(tokenizer_load(&tokenizer, path_in(*state, "smallest/tokenizer.json"), &err), err);
    assert_ok(tokenizer_encode(tokenizer, "tea", 3, false, &ids, &count, &err), err);
    assert_int_equal(count, 3);
    assert_int_equal(ids[0], 't' + 2);
    free(ids);
    tokenizer_free(tokenizer);
}

static void test_impossible_shapes_are_refused(void **state)
{
    assert_int_not_equal(make(*state, "x", "--vocab 257"), 0);
    assert_int_not_equal(make(*state, "x", "--hidden 65"), 0);
    assert_int_not_equal(make(*state, "x", "--heads 3"), 0);
    assert_int_not_equal(make(*state, "x", "--kv-heads 3"), 0);
    assert_int_not_equal(make(*state, "x", "--shards 100"), 0);
    assert_int_not_equal(make(*state, "x", "--layers -1"), 0);
    assert_int_not_equal(make(*state, "x", "--layers two"), 0);
    assert_int_not_equal(make(*state, "x", "--layers 0"), 0);
    assert_int_not_equal(make(*state, "x", "--dtype F64"), 0);
    assert_int_not_equal(make(*state, "x", "--no-such-option"), 0);
    assert_int_equal(count_entries(*state), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_checkpoint_is_a_model_with_the_asked_shape, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_tied_checkpoint_has_no_head, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_weights_are_normal_with_one_over_the_input_size_as_variance,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bytes_follow_from_the_arguments, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_tokenizer_has_every_byte_and_merges_common_pairs, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_impossible_shapes_are_refused, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
