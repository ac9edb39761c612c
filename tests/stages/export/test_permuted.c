// A variant with prune.permute, exported: every family's folder computes the logits of the run, its pattern
// is in neighbours, and only what the order touches has moved.
// ranks: 1 3
#include "io/model/open.h"
#include "io/model/tensor_rows.h"
#include "stages/compensate/compensate.h"
#include "stages/export/export.h"
#include "stages/prune/prune.h"
#include "tests/support/exported.h"
#include "tests/support/golden.h"
#include "tests/support/source_path.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOKENS = 24 };

// A family's tiny checkpoint, a job on it and a stage over all ranks. Members point to one another.
struct job {
    struct settings settings;
    struct variant variant;
    struct model *model;
    struct team team;
    struct stage stage;
    struct layer_weights weights;
    char *directory;
};

static void job_open(struct job *job, const char *family)
{
    struct error err = {0};
    char relative[256], run[64], output[64];

    snprintf(relative, sizeof relative, "tests/golden/families/%s", family);
    snprintf(run, sizeof run, "run-%s", family);
    snprintf(output, sizeof output, "output-%s", family);
    memset(job, 0, sizeof *job);
    job->directory = source_path(relative);
    job->variant = (struct variant){.name = "ordered",
                                    .method = METHOD_MAGNITUDE,
                                    .parameters = importance_defaults(METHOD_MAGNITUDE),
                                    .is_pattern = true,
                                    .keep = 1,
                                    .of = 2,
                                    .permute = true,
                                    .clamp = {.low = 0.1, .high = 10, .epsilon = 1e-8}};
    job->settings = (struct settings){.model = job->directory,
                                      .run = strdup(in_directory(run)),
                                      .output = strdup(in_directory(output)),
                                      .sequences = 1,
                                      .length = 8,
                                      .propagation = PROPAGATION_DENSE,
                                      .keep_weights = true,
                                      .num_variants = 1,
                                      .variants = &job->variant};
    assert_ok(model_open(&job->model, job->directory, &err), err);
    assert_ok(team_create(&job->team, MPI_COMM_WORLD, 1, &err), err);
    job->stage = (struct stage){.team = &job->team, .model = job->model, .settings = &job->settings};
    assert_ok(layer_weights_create(&job->weights, &job->stage, &err), err);
}

static void job_close(struct job *job)
{
    layer_weights_free(&job->weights);
    team_free(&job->team);
    model_close(job->model);
    free(job->settings.run);
    free(job->settings.output);
    free(job->directory);
}

static void carry_out(struct job *job)
{
    const struct variant *variant = &job->variant;
    json_t *provenance = json_object();
    struct error err = {0};

    assert_ok(prune_check(job->model, &job->settings, &err), err);
    for (size_t layer = 0; layer < job->model->config.num_hidden_layers; layer++) {
        assert_ok(prune_layer(&job->stage, &job->weights, &variant, 1, layer, &err), err);
        assert_ok(compensate_layer(&job->stage, &job->weights, variant, layer, &err), err);
    }
    assert_ok(export_variant(&job->stage, variant, "0123456789abcdef", provenance, &err), err);
    json_decref(provenance);
}

static void fill_ids(int32_t *ids, const struct model *model)
{
    for (size_t t = 0; t < TOKENS; t++)
        ids[t] = (int32_t)(t * 11 % model->config.vocab_size);
}

// hidden[TOKENS, hidden_size] behind the layers of the run's variant (NULL: the dense model); the caller
// frees. Collective.
static float *hidden_of_run(struct job *job, const struct variant *variant)
{
    const struct decoder_config *config = &job->model->config.decoder;
    int32_t ids[TOKENS];
    float *hidden, *workspace;
    struct rotary_table rotary;
    struct error err = {0};

    fill_ids(ids, job->model);
    assert_ok(allocate_aligned(&hidden, TOKENS * config->hidden_size, sizeof *hidden, "a test", &err), err);
    assert_ok(allocate_aligned(&workspace, decoder_workspace_size(config, TOKENS), sizeof *workspace,
                               "a test", &err),
              err);
    assert_ok(model_rotary_table(&rotary, job->model, TOKENS, &err), err);
    model_embed(job->model, hidden, ids, TOKENS);
    for (size_t layer = 0; layer < job->model->config.num_hidden_layers; layer++) {
        assert_ok(layer_weights_load(&job->weights, &job->stage, layer, variant, &err), err);
        decoder_layer_forward(config, &job->weights.layer, &rotary, hidden, TOKENS, workspace, NULL);
    }
    rotary_table_free(&rotary);
    free(workspace);
    return hidden;
}

static double relative_difference(const float *a, const float *b, size_t n)
{
    double largest = 0, difference = 0;
    for (size_t k = 0; k < n; k++) {
        largest = fmax(largest, fabs((double)a[k]));
        difference = fmax(difference, fabs((double)a[k] - (double)b[k]));
    }
    return difference / largest;
}

// Of every `of` neighbours at most `keep` are not zero, in every linear that is pruned.
static void assert_neighbours(const struct job *job, const struct model *exported)
{
    struct error err = {0};
    for (size_t layer = 0; layer < exported->config.num_hidden_layers; layer++) {
        struct layer_map map;
        assert_ok(layer_map_create(&map, exported, layer, &err), err);
        for (size_t i = 0; i < map.num_tensors; i++) {
            const struct layer_tensor *tensor = &map.tensors[i];
            const size_t n = tensor->out * tensor->in, of = job->variant.of;
            if (!tensor_is_pruned(&job->settings, layer, tensor))
                continue;
            float *values = malloc(n * sizeof *values);
            assert_non_null(values);
            tensor_rows_f32(values, tensor, 0, tensor->out);
            for (size_t first = 0; first < n; first += of) {
                size_t kept = 0;
                for (size_t k = 0; k < of; k++)
                    kept += values[first + k] != 0;
                assert_true(kept <= job->variant.keep);
            }
            free(values);
        }
        layer_map_free(&map);
    }
}

static void assert_exported(struct job *job, const char *family)
{
    const size_t n = TOKENS * job->model->config.decoder.hidden_size;
    struct model *exported;
    int32_t ids[TOKENS];
    struct error err = {0};

    assert_ok(model_open(&exported, job->settings.output, &err), err);
    assert_neighbours(job, exported);
    fill_ids(ids, job->model);
    float *expected = hidden_of_run(job, &job->variant), *dense = hidden_of_run(job, NULL);
    float *found = hidden_after_layers(exported, ids, TOKENS);
    // Sums in another order, a few layers deep.
    const double difference = relative_difference(expected, found, n);
    if (mpi_rank() == 0)
        print_message("%-20s relative difference %.2g\n", family, difference);
    assert_true(difference < 1e-5);
    assert_true(relative_difference(dense, found, n) > 1e-3); // it is pruned
    free(expected);
    free(dense);
    free(found);
    model_close(exported);
}

static void check_family(const char *family)
{
    struct job job;
    job_open(&job, family);
    carry_out(&job);
    assert_exported(&job, family);
    job_close(&job);
}

static void every_family_computes_what_the_run_computes(void **state)
{
    static const char *const families[] = {
        "llama3",   "mistral",  "qwen2",    "qwen3",     "phi3",       "gemma2",  "gemma3",
        "gpt-neox", "opt",      "mixtral",  "qwen2-moe", "qwen3-moe",  "olmo",    "olmo2",
        "apertus",  "nanochat", "nemotron", "glm4",      "qwen3-next", "qwen3-5", "gemma4"};
    static const char *const with_experts[] = {"deepseek-v3", "glm4-moe", "qwen3-5-moe-fused"};
    static const char *const with_fused_linears[] = {"gpt2", "codegen", "falcon"};
    (void)state;
    mpi_test_limit(120);
    for (size_t i = 0; i < sizeof with_fused_linears / sizeof *with_fused_linears; i++)
        check_family(with_fused_linears[i]);
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        check_family(families[i]);
    for (size_t i = 0; i < sizeof with_experts / sizeof *with_experts; i++)
        check_family(with_experts[i]);
}

// What is not pruned follows the order all the same.
static void linears_that_stay_dense_move_with_the_others(void **state)
{
    struct skip skip[] = {{(char *)"mlp.gate_proj", 0}, {(char *)"self_attn.v_proj", 0}};
    struct job job;
    (void)state;

    job_open(&job, "qwen2"); // which has a bias at v_proj
    job.settings.skip = skip;
    job.settings.num_skip = 2;
    carry_out(&job);
    assert_exported(&job, "qwen2, skipped");
    job_close(&job);

    skip[0].pattern = (char *)"mlp.down_proj";
    skip[1].pattern = (char *)"layers.1.*";
    job_open(&job, "opt"); // biases everywhere
    job.settings.skip = skip;
    job.settings.num_skip = 2;
    carry_out(&job);
    assert_exported(&job, "opt, skipped");
    job_close(&job);
}

// ---- added biases, and the record ------------------------------------------------------------------------

static void biases_that_are_added_and_shards_move_too(void **state)
{
    struct small_model_shape shape = small_model_shape();
    struct small_model small;
    struct model *exported;
    struct error err = {0};
    json_t *provenance = json_object();
    (void)state;

    // Given a model without biases in several shards, and a variant that sets them
    shape.checkpoint.hidden = 32;
    shape.checkpoint.heads = 4;
    shape.checkpoint.kv_heads = 2;
    shape.checkpoint.intermediate = 40;
    shape.checkpoint.shards = 5;
    small_model_open(&small, &shape);
    struct variant *variant = small_model_add(&small, "ordered", METHOD_WANDA);
    variant->is_pattern = variant->permute = variant->bias = true;
    variant->keep = 2;
    variant->of = 4;
    assert_ok(compensate_check(small.model, &small.settings, &err), err);
    layer_weights_free(&small.weights); // layers have become larger
    assert_ok(layer_weights_create(&small.weights, &small.stage, &err), err);
    small_model_calibrate(&small, false);
    small_model_prune(&small, variant);
    assert_ok(export_variant(&small.stage, variant, "0123456789abcdef", provenance, &err), err);
    json_decref(provenance);

    // Then the exported model computes what the run's does
    struct job job = {
        .settings = small.settings, .variant = *variant, .model = small.model, .team = small.team};
    job.stage = small.stage;
    assert_ok(layer_weights_create(&job.weights, &job.stage, &err), err);
    assert_ok(model_open(&exported, small.settings.output, &err), err);
    float *expected = hidden_of_run(&job, variant);
    int32_t ids[TOKENS];
    fill_ids(ids, small.model);
    float *found = hidden_after_layers(exported, ids, TOKENS);
    assert_true(relative_difference(expected, found, TOKENS * 32) < 1e-5);
    assert_neighbours(&job, exported);
    free(expected);
    free(found);
    model_close(exported);
    layer_weights_free(&job.weights);

    // and coppice.json names the order
    char *path = path_below(small.settings.output, "coppice.json");
    json_t *json = json_load_file(path, 0, NULL);
    const json_t *orders = json_object_get(json, "permutation"), *down = json_array_get(orders, 3);
    assert_int_equal(json_array_size(orders), 4);
    assert_string_equal(json_string_value(json_object_get(down, "columns")), "layers.1.mlp.down_proj");
    const json_t *rows = json_object_get(down, "rows");
    assert_int_equal(json_array_size(rows), 2);
    assert_string_equal(json_string_value(json_array_get(rows, 0)), "layers.1.mlp.gate_proj");
    assert_string_equal(json_string_value(json_array_get(rows, 1)), "layers.1.mlp.up_proj");
    const double gain = json_number_value(json_object_get(down, "gain"));
    assert_true(gain > 0 && gain == json_number_value(json_object_get(down, "kept_after")) /
                                            json_number_value(json_object_get(down, "kept_before")) -
                                        1);
    json_decref(json);
    free(path);
    small_model_close(&small);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        mpi_unit_test(every_family_computes_what_the_run_computes),
        mpi_unit_test(linears_that_stay_dense_move_with_the_others),
        mpi_unit_test(biases_that_are_added_and_shards_move_too),
    };
    return mpi_test_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
