// Models as they are published: what config.json asks for, where the tensors are, and that the forward pass
// agrees with Hugging Face transformers.
#include "io/model/layer_map.h"
#include "io/model/open.h"
#include "tests/support/golden.h"
#include "tests/support/source_path.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

// Two float32 computations of the same model in different orders: transformers' own logits move by about 1e-6
// when its attention kernel is exchanged; 1e-4 is what the project promises.
static const double tolerance = 1e-4;

static void assert_golden(const char *directory, const char *golden)
{
    struct golden_result result;
    golden_compare(&result, directory, golden);
    print_message("%s: %zu tokens, relative logit error %.2g, log-likelihood error %.2g\n", directory,
                  result.tokens, result.logit_error, result.log_likelihood_error);
    assert_true(result.logit_error < tolerance);
    assert_true(result.log_likelihood_error < tolerance);
}

static void assert_model(const char *model, const char *golden)
{
    char *directory = source_path(model), *path = source_path(golden);
    assert_golden(directory, path);
    free(directory);
    free(path);
}

static void kjv_llama_matches_transformers(void **state)
{
    (void)state;
    const char *in_tree = "jobs/demo/kjv-llama-1m", *source = getenv("COPPICE_SOURCE");
    char path[4096];
    snprintf(path, sizeof path, "%s/%s/config.json", source != NULL ? source : ".", in_tree);
    assert_model(access(path, R_OK) == 0 ? in_tree : "../shared/models/kjv-llama-1m",
                 "tests/golden/kjv-llama-1m.json");
}

static void stories_matches_transformers(void **state)
{
    (void)state;
    assert_model("../shared/models/stories260K", "tests/golden/stories260K.json");
}

// ---- models made on the spot ---------------------------------------------------------------------------

struct fake_tensor {
    const char *name;
    size_t out, in; // in 0: a vector
};

enum { HIDDEN = 8, INTERMEDIATE = 12, KEY_VALUE = 4, VOCABULARY = 10 };

static const char valid_config[] =
    "\"model_type\": \"llama\", \"hidden_size\": 8, \"intermediate_size\": 12, \"num_hidden_layers\": 1, "
    "\"num_attention_heads\": 4, \"num_key_value_heads\": 2, \"vocab_size\": 10";

static const struct fake_tensor valid_tensors[] = {
    {"model.embed_tokens.weight", VOCABULARY, HIDDEN},
    {"model.norm.weight", HIDDEN, 0},
    {"lm_head.weight", VOCABULARY, HIDDEN},
    {"model.layers.0.input_layernorm.weight", HIDDEN, 0},
    {"model.layers.0.post_attention_layernorm.weight", HIDDEN, 0},
    {"model.layers.0.self_attn.q_proj.weight", HIDDEN, HIDDEN},
    {"model.layers.0.self_attn.k_proj.weight", KEY_VALUE, HIDDEN},
    {"model.layers.0.self_attn.v_proj.weight", KEY_VALUE, HIDDEN},
    {"model.layers.0.self_attn.o_proj.weight", HIDDEN, HIDDEN},
    {"model.layers.0.mlp.gate_proj.weight", INTERMEDIATE, HIDDEN},
    {"model.layers.0.mlp.up_proj.weight", INTERMEDIATE, HIDDEN},
    {"model.layers.0.mlp.down_proj.weight", HIDDEN, INTERMEDIATE},
};
enum { NUM_TENSORS = sizeof valid_tensors / sizeof valid_tensors[0] };

static char directory[64];

static int make_directory(void **state)
{
    (void)state;
    snprintf(directory, sizeof directory, "/tmp/coppice-model-XXXXXX");
    return mkdtemp(directory) != NULL ? 0 : -1;
}

static int remove_directory(void **state)
{
    char command[128];
    (void)state;
    snprintf(command, sizeof command, "rm -r '%s'", directory);
    return system(command);
}

static void write_file(const char *name, const void *data, size_t size, const char *mode)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, mode);
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static void write_config(const char *members)
{
    char text[2048];
    const int size = snprintf(text, sizeof text, "{%s}", members);
    write_file("config.json", text, (size_t)size, "wb");
}

// A safetensors file of zeros.
static void write_tensors(const struct fake_tensor *tensors, size_t count, const char *dtype, size_t width)
{
    char header[8192];
    size_t used = 0, end = 0;
    for (size_t i = 0; i < count; i++) {
        const size_t in = tensors[i].in, bytes = tensors[i].out * (in != 0 ? in : 1) * width;
        char shape[64];
        snprintf(shape, sizeof shape, in != 0 ? "%zu,%zu" : "%zu", tensors[i].out, in);
        used += (size_t)snprintf(header + used, sizeof header - used,
                                 "%c\"%s\":{\"dtype\":\"%s\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}",
                                 i == 0 ? '{' : ',', tensors[i].name, dtype, shape, end, end + bytes);
        end += bytes;
    }
    used += (size_t)snprintf(header + used, sizeof header - used, "}");
    unsigned char length[8];
    for (int i = 0; i < 8; i++)
        length[i] = (unsigned char)((uint64_t)used >> (8 * i));
    void *zeros = calloc(end, 1);
    assert_non_null(zeros);
    write_file("model.safetensors", length, sizeof length, "wb");
    write_file("model.safetensors", header, used, "ab");
    write_file("model.safetensors", zeros, end, "ab");
    free(zeros);
}

static struct model *open_valid(const char *config)
{
    struct model *model;
    struct error err = {0};
    write_config(config);
    write_tensors(valid_tensors, NUM_TENSORS, "F32", 4);
    if (model_open(&model, directory, &err) != STATUS_OK)
        fail_msg("%s", err.message);
    return model;
}

// The model is refused as bad input, in one line that contains `first` and `second`.
static void assert_refused(const char *first, const char *second)
{
    struct model *model;
    struct error err = {0};
    assert_int_equal(model_open(&model, directory, &err), STATUS_INPUT);
    assert_null(model);
    if (strstr(err.message, first) == NULL || strstr(err.message, second) == NULL ||
        strchr(err.message, '\n') != NULL)
        fail_msg("expected '%s' and '%s' in: %s", first, second, err.message);
}

static void refuses_config(const char *extra, const char *key, const char *reason)
{
    char config[1024];
    snprintf(config, sizeof config, "%s, %s", valid_config, extra);
    write_config(config);
    write_tensors(valid_tensors, NUM_TENSORS, "F32", 4);
    assert_refused(key, reason);
}

static void absent_members_take_hugging_face_defaults(void **state)
{
    (void)state;
    struct model *model =
        open_valid("\"model_type\": \"llama\", \"hidden_size\": 8, \"intermediate_size\": 12, "
                   "\"num_hidden_layers\": 1, \"num_attention_heads\": 4, \"vocab_size\": 10, "
                   "\"num_key_value_heads\": 2, \"head_dim\": null, \"dtype\": \"float16\"");
    const struct decoder_config *decoder = &model->config.decoder;
    assert_int_equal(decoder->head_dim, 2);
    assert_int_equal(decoder->rotary_dim, 2);
    assert_int_equal(decoder->activation, ACTIVATION_SILU);
    assert_true(decoder->norm_epsilon == 1e-6F);
    assert_true(model->config.rope.theta == 10000.0);
    assert_int_equal(model->config.rope.type, ROPE_DEFAULT);
    assert_false(model->config.tie_word_embeddings);
    assert_false(model->config.attention_bias);
    assert_false(model->config.mlp_bias);
    model_close(model);
}

static void rope_is_read_in_its_old_and_new_form(void **state)
{
    (void)state;
    char config[1024];
    snprintf(config, sizeof config, "%s, \"rope_theta\": 500000.0", valid_config);
    struct model *model = open_valid(config);
    assert_true(model->config.rope.theta == 500000.0);
    model_close(model);

    snprintf(config, sizeof config,
             "%s, \"rope_parameters\": {\"rope_type\": \"default\", \"rope_theta\": 250000}", valid_config);
    model = open_valid(config);
    assert_true(model->config.rope.theta == 250000.0);
    model_close(model);

    snprintf(config, sizeof config,
             "%s, \"rope_theta\": 5000, \"rope_scaling\": {\"type\": \"linear\", \"factor\": 2}",
             valid_config);
    model = open_valid(config);
    assert_true(model->config.rope.theta == 5000.0);
    assert_int_equal(model->config.rope.type, ROPE_LINEAR);
    assert_true(model->config.rope.factor == 2.0);
    model_close(model);
}

static void wrong_config_is_refused_by_key(void **state)
{
    (void)state;
    refuses_config("\"hidden_act\": \"prelu\"", "config.json: hidden_act", "silu");
    refuses_config("\"quantization_config\": {}", "config.json: quantization_config", "not supported");
    refuses_config("\"rope_theta\": \"big\"", "config.json: rope_theta", "number");
    refuses_config("\"rms_norm_eps\": -1.0", "config.json: rms_norm_eps", "number");
    refuses_config("\"rms_norm_eps\": 1", "config.json: rms_norm_eps", "as 1.0");
    refuses_config("\"tie_word_embeddings\": 1", "config.json: tie_word_embeddings", "true or false");
    refuses_config("\"head_dim\": 3", "config.json: head_dim", "odd");
    refuses_config("\"head_dim\": 0", "config.json: head_dim", "integer");
    refuses_config("\"max_position_embeddings\": 1.5", "config.json: max_position_embeddings", "integer");
    refuses_config("\"rope_scaling\": 3", "config.json: rope_scaling", "object");
    refuses_config("\"rope_scaling\": {\"type\": \"odd\"}", "rope_scaling.rope_type", "odd");
    refuses_config("\"rope_scaling\": {\"type\": \"linear\"}", "rope_scaling.factor", "missing");
}

static void impossible_sizes_are_refused(void **state)
{
    (void)state;
    write_tensors(valid_tensors, NUM_TENSORS, "F32", 4);
    write_config("\"model_type\": \"llama\", \"hidden_size\": 8");
    assert_refused("config.json: num_hidden_layers", "missing");
    write_config(
        "\"model_type\": \"llama\", \"hidden_size\": 8, \"intermediate_size\": 12, \"num_hidden_layers\": 1, "
        "\"num_attention_heads\": 3, \"vocab_size\": 10");
    assert_refused("config.json: hidden_size", "multiple");
    write_config(
        "\"model_type\": \"llama\", \"hidden_size\": 8, \"intermediate_size\": 12, \"num_hidden_layers\": 1, "
        "\"num_attention_heads\": 4, \"num_key_value_heads\": 3, \"vocab_size\": 10");
    assert_refused("config.json: num_attention_heads", "num_key_value_heads");
    write_config(
        "\"model_type\": \"llama\", \"hidden_size\": -8, \"num_hidden_layers\": 1, \"vocab_size\": 10");
    assert_refused("config.json: hidden_size", "integer from 1");
}

static void unknown_families_are_refused_with_the_list_of_known_ones(void **state)
{
    (void)state;
    write_tensors(valid_tensors, NUM_TENSORS, "F32", 4);
    write_config("\"model_type\": \"t5\"");
    assert_refused("'t5' is not supported", "llama");
    write_config("\"model_type\": \"mine\", \"auto_map\": {\"AutoModel\": \"mine.Model\"}");
    assert_refused("auto_map", "llama");
    write_config("\"hidden_size\": 8");
    assert_refused("model_type: is missing", "llama");
    write_file("config.json", "[1]", 3, "wb");
    assert_refused("config.json", "object");
    write_file("config.json", "{", 1, "wb");
    assert_refused("config.json", "JSON");
}

static void each_missing_or_misshapen_tensor_is_named(void **state)
{
    (void)state;
    write_config(valid_config);
    for (size_t i = 0; i < NUM_TENSORS; i++) {
        struct fake_tensor tensors[NUM_TENSORS];
        memcpy(tensors, valid_tensors, sizeof tensors);
        tensors[i].name = "something.else";
        write_tensors(tensors, NUM_TENSORS, "F32", 4);
        assert_refused(valid_tensors[i].name, "missing");
        memcpy(tensors, valid_tensors, sizeof tensors);
        tensors[i].out++;
        write_tensors(tensors, NUM_TENSORS, "F32", 4);
        assert_refused("model.safetensors", valid_tensors[i].name);
    }
    write_tensors(valid_tensors, NUM_TENSORS, "I32", 4);
    assert_refused("I32", "F32, F16 and BF16");
}

static void a_layer_map_lists_tensors_sources_and_offsets(void **state)
{
    (void)state;
    struct model *model = open_valid(valid_config);
    struct layer_map map;
    struct error err;
    assert_int_equal(layer_map_create(&map, model, 0, &err), STATUS_OK);

    static const struct {
        const char *linear;
        size_t source, out, in;
    } expected[] = {{"", 0, HIDDEN, 1},
                    {"self_attn.q_proj", 0, HIDDEN, HIDDEN},
                    {"self_attn.k_proj", 0, KEY_VALUE, HIDDEN},
                    {"self_attn.v_proj", 0, KEY_VALUE, HIDDEN},
                    {"self_attn.o_proj", 1, HIDDEN, HIDDEN},
                    {"", 0, HIDDEN, 1},
                    {"mlp.gate_proj", 2, INTERMEDIATE, HIDDEN},
                    {"mlp.up_proj", 2, INTERMEDIATE, HIDDEN},
                    {"mlp.down_proj", 3, HIDDEN, INTERMEDIATE}};
    size_t end = 0;
    assert_int_equal(map.num_tensors, sizeof expected / sizeof expected[0]);
    for (size_t i = 0; i < map.num_tensors; i++) {
        assert_string_equal(map.tensors[i].linear, expected[i].linear);
        assert_int_equal(map.tensors[i].out, expected[i].out);
        assert_int_equal(map.tensors[i].in, expected[i].in);
        if (map.tensors[i].linear[0] != '\0')
            assert_int_equal(map.tensors[i].source, expected[i].source);
        assert_int_equal(map.tensors[i].offset % 16, 0);
        assert_true(map.tensors[i].offset >= end);
        end = map.tensors[i].offset + expected[i].out * expected[i].in;
    }
    assert_true(map.block_size >= end);
    assert_int_equal(map.num_sources, 4);
    const size_t channels[] = {HIDDEN, HIDDEN, HIDDEN, INTERMEDIATE};
    for (size_t s = 0; s < 4; s++)
        assert_int_equal(map.source_channels[s], channels[s]);
    layer_map_free(&map);
    model_close(model);
}

// Linears and the head are computed as the job says, but for those that say where a token goes.
static void routers_stay_in_float32(void **state)
{
    (void)state;
    char *folder = source_path("tests/golden/families/qwen2-moe");
    struct model *model;
    struct layer_map map;
    struct decoder_layer layer;
    struct lm_head head;
    struct error err = {0};
    assert_int_equal(model_open(&model, folder, &err), STATUS_OK);
    assert_int_equal(model->compute, COMPUTE_FLOAT32);
    model->compute = COMPUTE_BF16_EMULATED;
    assert_int_equal(layer_map_create(&map, model, 0, &err), STATUS_OK);
    float *block = calloc(map.block_size, sizeof *block);
    assert_non_null(block);
    layer_map_bind(&layer, &map, model, block);
    model_lm_head(&head, model);
    const enum compute rounded[] = {layer.q.compute, layer.o.compute, layer.expert_gate.compute,
                                    layer.expert_down.compute, head.compute};
    for (size_t i = 0; i < sizeof rounded / sizeof *rounded; i++)
        assert_int_equal(rounded[i], COMPUTE_BF16_EMULATED);
    assert_true(layer.router.weight != NULL && layer.shared_expert_gate.weight != NULL);
    assert_int_equal(layer.router.compute, COMPUTE_FLOAT32);
    assert_int_equal(layer.shared_expert_gate.compute, COMPUTE_FLOAT32);
    free(block);
    layer_map_free(&map);
    model_close(model);
    free(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kjv_llama_matches_transformers),
        cmocka_unit_test(stories_matches_transformers),
        cmocka_unit_test(absent_members_take_hugging_face_defaults),
        cmocka_unit_test(rope_is_read_in_its_old_and_new_form),
        cmocka_unit_test(wrong_config_is_refused_by_key),
        cmocka_unit_test(impossible_sizes_are_refused),
        cmocka_unit_test(unknown_families_are_refused_with_the_list_of_known_ones),
        cmocka_unit_test(each_missing_or_misshapen_tensor_is_named),
        cmocka_unit_test(a_layer_map_lists_tensors_sources_and_offsets),
        cmocka_unit_test(routers_stay_in_float32),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
