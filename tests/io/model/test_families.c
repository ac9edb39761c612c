// Every model family against Hugging Face transformers: tiny random checkpoints that it wrote, and the logits
// that it computed from them in float32 (tests/golden/make_families.py).
#include "io/model/families/table.h"
#include "io/model/layer_map.h"
#include "io/model/open.h"
#include "io/model/outer_tensors.h"
#include "tests/support/golden.h"
#include "tests/support/source_path.h"
#include "tests/support/temporary_folder.h"

#include <dirent.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

// The precision that the project promises; transformers' own logits move by about 1e-6 when it computes in
// another order.
static const double tolerance = 1e-4;

static void assert_parity(const char *name, const char *file)
{
    struct golden_result result;
    char relative[256];
    snprintf(relative, sizeof relative, "tests/golden/families/%s", name);
    char *directory = source_path(relative);
    snprintf(relative, sizeof relative, "tests/golden/families/%s/%s", name, file);
    char *golden = source_path(relative);
    golden_compare(&result, directory, golden);
    print_message("%-20s relative logit error %.2g, log-likelihood error %.2g\n", name, result.logit_error,
                  result.log_likelihood_error);
    assert_true(result.logit_error < tolerance);
    assert_true(result.log_likelihood_error < tolerance);
    free(directory);
    free(golden);
}

static void parity(void **state)
{
    assert_parity(*state, "golden.json");
}

static void phi3_takes_other_factors_for_short_sequences(void **state)
{
    (void)state;
    assert_parity("phi3", "golden-short.json");
}

static void phimoe_scales_short_sequences_otherwise(void **state)
{
    (void)state;
    assert_parity("phimoe", "golden-short.json");
}

// ---- a committed model, changed
// ------------------------------------------------------------------------------------

// A folder like the family's, whose config.json has `value` (JSON) at `key`.
static char *changed_model(const char *name, const char *key, const char *value)
{
    char relative[256], path[4096];
    snprintf(relative, sizeof relative, "tests/golden/families/%s", name);
    char *source = source_path(relative), *folder = temporary_folder_create();
    DIR *entries = opendir(source);
    assert_non_null(entries);
    for (struct dirent *entry = readdir(entries); entry != NULL; entry = readdir(entries)) {
        if (strstr(entry->d_name, "safetensors") == NULL)
            continue;
        snprintf(path, sizeof path, "%s/%s", source, entry->d_name);
        assert_int_equal(symlink(path, path_in(folder, entry->d_name)), 0);
    }
    closedir(entries);
    snprintf(path, sizeof path, "%s/config.json", source);
    json_t *config = json_load_file(path, 0, NULL);
    assert_non_null(config);
    if (key != NULL)
        assert_int_equal(json_object_set_new(config, key, json_loads(value, JSON_DECODE_ANY, NULL)), 0);
    assert_int_equal(json_dump_file(config, path_in(folder, "config.json"), 0), 0);
    json_decref(config);
    free(source);
    return folder;
}

static void refused(const char *name, const char *key, const char *value, const char *part)
{
    char *folder = changed_model(name, key, value);
    struct model *model;
    struct error err = {0};
    if (model_open(&model, folder, &err) == STATUS_OK)
        fail_msg("%s with %s: %s was opened", name, key, value);
    assert_error(err, STATUS_INPUT, part);
    temporary_folder_remove(folder);
}

static void what_a_family_cannot_do_is_refused_by_key(void **state)
{
    (void)state;
    refused("llama-own-head", "hidden_size", "33", "config.json: hidden_size: 33 is not a multiple of");
    refused("gemma2", "hidden_size", "33", "config.json: hidden_size: 33 is not a multiple of");
    refused("opt", "word_embed_proj_dim", "8", "config.json: word_embed_proj_dim");
    refused("opt", "layer_norm_elementwise_affine", "false", "config.json: layer_norm_elementwise_affine");
    refused("gemma3", "use_bidirectional_attention", "true", "config.json: use_bidirectional_attention");
    refused("gemma3", "model_type", "\"gemma3\"", "config.json: text_config: is missing");
    refused("gemma2", "layer_types", "[\"full_attention\"]", "config.json: layer_types: must be a list of 2");
    refused("gemma2", "layer_types", "[\"full_attention\", \"chunked_attention\"]", "element 1");
    refused("qwen3", "sliding_window", "null", "layer_types: element 0 is \"sliding_attention\", but");
    refused("mistral", "sliding_window", "-3", "config.json: sliding_window");
    refused("qwen2", "use_sliding_window", "\"yes\"", "config.json: use_sliding_window");
    refused("qwen2-moe", "num_experts_per_tok", "9", "num_experts_per_tok: 9 of only 4");
    refused("qwen2-moe", "mlp_only_layers", "1", "config.json: mlp_only_layers");
    refused("qwen2-moe", "mlp_only_layers", "[\"1\"]", "config.json: mlp_only_layers");
    refused("gpt-neox", "num_attention_heads", "3", "config.json: hidden_size: 16 is not a multiple");
    refused("gpt-neox", "rotary_pct", "2", "config.json: rotary_pct");
    refused("gemma2", "query_pre_attn_scalar", "0", "config.json: query_pre_attn_scalar");
    refused("gemma2", "num_hidden_layers", "1000000", "num_hidden_layers: must be at most 65536");
    refused("gemma4", "hidden_size_per_layer_input", "8", "model.embed_tokens_per_layer.weight");
    refused("gemma4-per-layer", "num_kv_shared_layers", "6",
            "num_kv_shared_layers: layer 1 has no layer of its kind");
    refused("gemma4", "num_kv_shared_layers", "1", "only in models with hidden_size_per_layer_input");
    refused("gemma4", "num_kv_shared_layers", "0.5", "num_kv_shared_layers: must be an integer from 0 to 3");
    refused("gemma4", "enable_moe_block", "true", "config.json: num_experts: is missing");
    refused("gemma4-experts", "top_k_experts", "6", "top_k_experts: 6 is more than num_experts 5");
    refused("gemma4-experts", "hidden_size_per_layer_input", "8", "together with enable_moe_block");
    refused("gemma4-per-layer", "vocab_size_per_layer_input", "95", "95 does not reach all tokens");
    refused("gemma4-per-layer", "use_double_wide_mlp", "false", "layers.3.mlp.gate_proj.weight");
    refused("llama4", "no_rope_layers", "[1, 1]", "no_rope_layers: must be a list of 4 integers");
    refused("llama4", "layer_types",
            "[\"full_attention\", \"full_attention\", \"full_attention\", \"sliding_attention\"]",
            "layer_types: element 3 must be");
    refused("llama4-no-norm", "layer_types", "[\"chunked_attention\", \"full_attention\"]",
            "but there is no attention_chunk_size");
    refused("llama4", "moe_layers", "[true]", "config.json: moe_layers");
    refused("llama4", "floor_scale", "0", "config.json: floor_scale");
    refused("gemma4", "use_bidirectional_attention", "\"all\"", "config.json: use_bidirectional_attention");
    refused("gemma4", "per_layer_config", "{\"0\": {\"head_dim\": 10}}",
            "the heads of layer 2 have another size");
    refused("gemma4", "per_layer_config", "{\"full_attention\": {\"head_dim\": 8}}", "per_layer_config");
    refused("gemma4", "rope_parameters",
            "{\"full_attention\": {\"rope_type\": \"default\", \"rope_theta\": 1e4}}",
            "rope_parameters.sliding_attention: is missing");
    refused("gemma3", "rope_parameters", "{\"full_attention\": {\"rope_type\": \"proportional\"}}",
            "have no \"proportional\" one");
    refused("qwen3-next", "layer_types", "[\"linear_attention\", \"sliding_attention\", \"full_attention\"]",
            "layer_types: element 1 must be");
    refused("qwen3-next", "linear_num_value_heads", "3", "linear_num_value_heads: 3 is not a multiple of");
}

static void impossible_ropes_are_refused_by_key(void **state)
{
    (void)state;
    refused("phi3", "rope_parameters", "{\"rope_type\": \"linear\", \"factor\": 2}",
            "phi3 has only \"longrope\"");
    refused("phi3", "rope_parameters",
            "{\"rope_type\": \"longrope\", \"partial_rotary_factor\": 0.75, \"short_factor\": [1, 2]}",
            "rope_parameters.short_factor: must be a list of 3 numbers");
    refused("phi3", "rope_parameters",
            "{\"rope_type\": \"longrope\", \"partial_rotary_factor\": 0.75, \"short_factor\": [1, 2, 0]}",
            "rope_parameters.short_factor: element 2");
    refused("phi3", "rope_parameters",
            "{\"rope_type\": \"longrope\", \"partial_rotary_factor\": 0.75, \"short_factor\": [1, 2, 3]}",
            "rope_parameters.long_factor: is missing");
    refused("llama3", "rope_parameters", "{\"rope_type\": \"llama3\", \"factor\": 8}",
            "rope_parameters.low_freq_factor: is missing");
    refused("gemma3", "rope_parameters", "{\"full_attention\": {\"rope_type\": \"linear\"}}",
            "rope_parameters.full_attention.factor: is missing");
}

static void a_config_that_contradicts_the_tensors_names_the_first(void **state)
{
    (void)state;
    refused("mixtral", "num_local_experts", "3",
            "'model.layers.0.block_sparse_moe.gate.weight' must have the shape [3,");
    refused("qwen3-moe", "decoder_sparse_step", "1", "'model.layers.0.mlp.gate.weight' is missing");
    refused("qwen2-moe", "shared_expert_intermediate_size", "5",
            "'model.layers.0.mlp.shared_expert.gate_proj.weight'");
    refused("phi3", "intermediate_size", "25",
            "'model.layers.0.mlp.gate_up_proj.weight' must have the shape [50, 16]");
}

// ---- what stages see
// -----------------------------------------------------------------------------------------------

static struct model *open_family(const char *name)
{
    char relative[256];
    struct model *model;
    struct error err = {0};
    snprintf(relative, sizeof relative, "tests/golden/families/%s", name);
    char *directory = source_path(relative);
    assert_ok(model_open(&model, directory, &err), err);
    free(directory);
    return model;
}

static void experts_are_linears_with_sources_of_their_own(void **state)
{
    static const struct {
        const char *linear;
        size_t source, out, in;
    } expected[] = {{"self_attn.q_proj", 0, 16, 16},
                    {"self_attn.k_proj", 0, 8, 16},
                    {"self_attn.v_proj", 0, 8, 16},
                    {"self_attn.o_proj", 1, 16, 16},
                    {"mlp.shared_expert.gate_proj", 2, 12, 16},
                    {"mlp.shared_expert.up_proj", 2, 12, 16},
                    {"mlp.shared_expert.down_proj", 3, 16, 12},
                    {"mlp.experts.0.gate_proj", 4, 8, 16},
                    {"mlp.experts.0.up_proj", 4, 8, 16},
                    {"mlp.experts.0.down_proj", 5, 16, 8},
                    {"mlp.experts.1.gate_proj", 6, 8, 16}};
    (void)state;
    struct model *model = open_family("qwen2-moe");
    struct layer_map map;
    struct error err = {0};
    size_t next = 0;
    assert_ok(layer_map_create(&map, model, 0, &err), err);
    for (size_t i = 0; i < map.num_tensors && next < sizeof expected / sizeof expected[0]; i++) {
        if (map.tensors[i].linear[0] ==
            '\0') // norms, biases, the router and the shared expert's gate are not pruned
            continue;
        assert_string_equal(map.tensors[i].linear, expected[next].linear);
        assert_int_equal(map.tensors[i].source, expected[next].source);
        assert_int_equal(map.tensors[i].out, expected[next].out);
        assert_int_equal(map.tensors[i].in, expected[next].in);
        next++;
    }
    assert_int_equal(map.num_sources, 4 + 2 * 4);
    const size_t channels[12] = {16, 16, 16, 12, 16, 8, 16, 8, 16, 8, 16, 8};
    for (size_t s = 0; s < 12; s++)
        assert_int_equal(map.source_channels[s], channels[s]);
    layer_map_free(&map);

    assert_ok(layer_map_create(&map, model, 1, &err), err); // in mlp_only_layers
    assert_int_equal(map.num_sources, 4);
    layer_map_free(&map);
    model_close(model);
}

static void fused_linears_are_pruned_as_the_one_that_they_are(void **state)
{
    static const char *const expected[] = {"self_attn.qkv_proj", "self_attn.o_proj", "mlp.gate_up_proj",
                                           "mlp.down_proj"};
    (void)state;
    struct model *model = open_family("phi3");
    struct layer_map map;
    struct error err = {0};
    size_t next = 0;
    assert_ok(layer_map_create(&map, model, 0, &err), err);
    for (size_t i = 0; i < map.num_tensors; i++) {
        if (map.tensors[i].linear[0] == '\0')
            continue;
        assert_true(next < 4);
        assert_string_equal(map.tensors[i].linear, expected[next]);
        assert_int_equal(map.tensors[i].source, next);
        next++;
    }
    layer_map_free(&map);
    model_close(model);
}

static void learned_positions_limit_the_length(void **state)
{
    (void)state;
    struct model *model = open_family("opt");
    struct rotary_table table;
    struct error err = {0};
    assert_ok(model_rotary_table(&table, model, 256, &err), err);
    rotary_table_free(&table);
    assert_int_equal(model_rotary_table(&table, model, 257, &err), STATUS_INPUT);
    assert_error(err, STATUS_INPUT, "257 tokens do not fit: the model has 256 learned positions");
    model_close(model);
}

// Replaces the folder's model.safetensors by the same with another name for each tensor that begins with
// `from` (with its leading quote): `to`, not longer, in its place.
static void rename_tensors(const char *family, const char *folder, const char *from, const char *to)
{
    static char bytes[1 << 16];
    const size_t removed = strlen(from), added = strlen(to);
    char relative[256];
    uint64_t length;

    snprintf(relative, sizeof relative, "tests/golden/families/%s/model.safetensors", family);
    char *source = source_path(relative);
    FILE *file = fopen(source, "rb");
    assert_non_null(file);
    const size_t size = fread(bytes, 1, sizeof bytes, file);
    assert_true(size > 0 && size < sizeof bytes);
    fclose(file);
    memcpy(&length, bytes, sizeof length);
    for (char *name = bytes + 8; name + removed < bytes + 8 + length; name++) {
        if (memcmp(name, from, removed) != 0)
            continue;
        char *quote = strchr(name + removed, '"');
        assert_non_null(quote);
        memcpy(name, to, added);
        memmove(name + added, name + removed, (size_t)(quote + 1 - name) - removed);
        memset(quote + 1 - (removed - added), ' ', removed - added);
    }
    assert_int_equal(unlink(path_in(folder, "model.safetensors")), 0);
    write_file(folder, "model.safetensors", bytes, size);
    free(source);
}

static void assert_same_model(const char *family, char *folder)
{
    struct golden_result result;
    char relative[256];
    snprintf(relative, sizeof relative, "tests/golden/families/%s/golden.json", family);
    char *golden = source_path(relative);
    golden_compare(&result, folder, golden);
    assert_true(result.logit_error < tolerance);
    free(golden);
    temporary_folder_remove(folder);
}

static void a_checkpoint_without_the_prefix_is_the_same_model(void **state)
{
    (void)state;
    char *folder = changed_model("qwen2", NULL, NULL);
    rename_tensors("qwen2", folder, "\"model.", "\"");
    assert_same_model("qwen2", folder);
}

// As transformers 5 saves the text model that it opened from a checkpoint of text and images.
static void a_text_model_may_keep_the_names_of_its_wrapper(void **state)
{
    char *folder = changed_model("qwen3-5-vl", NULL, NULL);
    json_t *config = json_load_file(path_in(folder, "config.json"), 0, NULL);
    (void)state;

    assert_int_equal(
        json_dump_file(json_object_get(config, "text_config"), path_in(folder, "config.json"), 0), 0);
    json_decref(config);
    assert_same_model("qwen3-5-vl", folder);
}

static void any_name_may_lack_the_prefix(void **state)
{
    static const char *const parts[] = {"layers.1.self_attn", "layers.", "embed_tokens", "norm."};
    (void)state;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        char *folder = changed_model("qwen2", NULL, NULL), with[64], without[64];
        snprintf(with, sizeof with, "\"model.%s", parts[i]);
        snprintf(without, sizeof without, "\"%s", parts[i]);
        rename_tensors("qwen2", folder, with, without);
        assert_same_model("qwen2", folder);
    }
}

static void a_tied_model_that_stores_its_head_alone_is_the_same(void **state)
{
    (void)state;
    char *folder = changed_model("qwen2", NULL, NULL);
    rename_tensors("qwen2", folder, "\"model.embed_tokens.weight", "\"lm_head.weight");
    assert_same_model("qwen2", folder);
}

static void all_tensors_outside_the_layers_are_listed(void **state)
{
    static const char *const names[] = {
        "transformer.word_embeddings.weight", "transformer.word_embeddings_layernorm.weight",
        "transformer.word_embeddings_layernorm.bias", "transformer.ln_f.weight", "transformer.ln_f.bias"};
    const struct safetensors_tensor *found[OUTER_TENSORS];
    char *path = source_path("tests/golden/families/bloom");
    struct model *model;
    struct error err = {0};
    (void)state;

    assert_ok(model_open(&model, path, &err), err);
    assert_int_equal(outer_tensors(found, model), 5);
    for (size_t i = 0; i < 5; i++)
        assert_string_equal(found[i]->name, names[i]);
    model_close(model);
    free(path);
}

static void assert_warning(const char *family, const char *key, const char *value, const char *part)
{
    char *folder = changed_model(family, key, value), lines[MODEL_WARNINGS][MODEL_WARNING_SIZE];
    struct model *model;
    struct error err = {0};
    assert_ok(model_open(&model, folder, &err), err);
    assert_int_equal(model_warnings(lines, model), part != NULL);
    if (part != NULL)
        assert_non_null(strstr(lines[0], part));
    model_close(model);
    temporary_folder_remove(folder);
}

static void a_head_that_config_json_denies_is_told(void **state)
{
    (void)state;
    assert_warning("llama-own-head", NULL, NULL,
                   "config.json: tie_word_embeddings is true, but 'lm_head.weight' differs");
    assert_warning("llama-own-head", "tie_word_embeddings", "false", NULL);
    assert_warning("qwen2", NULL, NULL, NULL);
}

static void tensors_that_are_not_used_are_told(void **state)
{
    (void)state;
    assert_warning("llava", NULL, NULL,
                   "27 tensors outside of the language model are carried over as they are: "
                   "'multi_modal_projector.linear_1.bias' and others");
    assert_warning("gemma3-vl", NULL, NULL, "'multi_modal_projector.mm_input_projection_weight' and others");
    assert_warning("llama3", "num_hidden_layers", "2", "'model.layers.2.input_layernorm.weight' and others");
    assert_warning("gpt-neox", NULL, NULL, NULL);
    assert_warning("mixtral", NULL, NULL, NULL);
}

static void a_model_that_was_saved_without_a_head_says_so(void **state)
{
    static const char classifier[] = "[\"Qwen2ForSequenceClassification\"]";
    char *folder = changed_model("qwen2", "architectures", classifier);
    json_t *config = json_load_file(path_in(folder, "config.json"), 0, NULL);
    struct model *model;
    struct error err = {0};
    (void)state;

    assert_warning("qwen2", "architectures", classifier,
                   "a Qwen2ForSequenceClassification has no head of a language model: it is calibrated and "
                   "measured with its embedding as the head");
    assert_warning("llama-own-head", "architectures", "[\"LlamaForCausalLM\", \"LlamaModel\"]",
                   "tie_word_embeddings"); // the first counts
    json_object_set_new(config, "tie_word_embeddings", json_false());
    assert_int_equal(json_dump_file(config, path_in(folder, "config.json"), 0), 0);
    assert_int_equal(model_open(&model, folder, &err), STATUS_INPUT);
    assert_error(err, STATUS_INPUT, "'lm_head.weight' is missing: this is a Qwen2ForSequenceClassification");
    json_decref(config);
    temporary_folder_remove(folder);
}

// lm-evaluation-harness adds them where model_type contains "gemma".
static void tasks_have_special_tokens_in_the_families_from_gemma_alone(void **state)
{
    static const char *const with[] = {"gemma", "gemma2", "gemma3_text", "vaultgemma"};
    static const char *const without[] = {"llama", "mistral", "qwen2",    "qwen3",     "phi3",
                                          "opt",   "mixtral", "gpt_neox", "qwen2_moe", "qwen3_moe"};
    (void)state;
    for (size_t i = 0; i < sizeof with / sizeof *with; i++)
        assert_true(family_find(with[i])->special_tokens_in_tasks);
    for (size_t i = 0; i < sizeof without / sizeof *without; i++)
        assert_false(family_find(without[i])->special_tokens_in_tasks);
}

#define FAMILY(text)                                                                    \
    {                                                                                   \
        .name = "parity of " text, .test_func = parity, .initial_state = (void *)(text) \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        FAMILY("llama3"),
        FAMILY("llama-linear"),
        FAMILY("llama-dynamic"),
        FAMILY("llama-yarn"),
        FAMILY("mistral"),
        FAMILY("qwen2"),
        FAMILY("qwen3"),
        FAMILY("phi3"),
        cmocka_unit_test(phi3_takes_other_factors_for_short_sequences),
        FAMILY("gemma2"),
        FAMILY("gemma3"),
        FAMILY("gemma3-old"),
        FAMILY("gpt-neox"),
        FAMILY("gpt-neox-sequential"),
        FAMILY("opt"),
        FAMILY("opt-norm-after"),
        FAMILY("mixtral"),
        FAMILY("qwen2-moe"),
        FAMILY("qwen3-moe"),
        FAMILY("ministral"),
        FAMILY("ministral3"),
        FAMILY("smollm3"),
        FAMILY("olmo"),
        FAMILY("olmo2"),
        FAMILY("olmo3"),
        FAMILY("exaone4"),
        FAMILY("seed-oss"),
        FAMILY("cwm"),
        FAMILY("iquestcoder"),
        FAMILY("internlm3"),
        FAMILY("exaone"),
        FAMILY("arcee"),
        FAMILY("nemotron"),
        FAMILY("jais2"),
        FAMILY("apertus"),
        FAMILY("nanochat"),
        FAMILY("hunyuan"),
        FAMILY("glm"),
        FAMILY("glm4"),
        FAMILY("ernie4-5"),
        FAMILY("helium"),
        FAMILY("gemma"),
        FAMILY("vaultgemma"),
        FAMILY("llama-own-head"),
        FAMILY("gpt2"),
        FAMILY("gpt2-unscaled"),
        FAMILY("gpt-bigcode"),
        FAMILY("gpt-bigcode-multi-head"),
        FAMILY("gptj"),
        FAMILY("codegen"),
        FAMILY("bloom"),
        FAMILY("bloom-power"),
        FAMILY("falcon"),
        FAMILY("falcon-one-norm"),
        FAMILY("falcon-multi-query"),
        FAMILY("falcon-alibi"),
        FAMILY("mpt"),
        FAMILY("granite"),
        FAMILY("cohere"),
        FAMILY("cohere2"),
        FAMILY("phi"),
        FAMILY("starcoder2"),
        FAMILY("starcoder2-no-bias"),
        FAMILY("stablelm"),
        FAMILY("stablelm-sequential"),
        FAMILY("gemma3-vl"),
        FAMILY("qwen2-vl"),
        FAMILY("qwen2.5-vl"),
        FAMILY("qwen3-vl"),
        FAMILY("qwen3-vl-moe"),
        FAMILY("qwen3-5-vl"),
        FAMILY("llava"),
        FAMILY("llava-newer-names"),
        FAMILY("mistral3"),
        FAMILY("mistral3-ministral3"),
        FAMILY("internvl"),
        FAMILY("smolvlm"),
        FAMILY("qwen3-next"),
        FAMILY("qwen3-5"),
        FAMILY("qwen3-5-moe"),
        FAMILY("deepseek-v2"),
        FAMILY("deepseek-v2-lite"),
        FAMILY("deepseek-v3"),
        FAMILY("deepseek-v3-plain"),
        FAMILY("glm4-moe"),
        FAMILY("glm4-moe-plain"),
        FAMILY("dots1"),
        FAMILY("glm4-moe-lite"),
        FAMILY("olmoe"),
        FAMILY("olmoe-fused"),
        FAMILY("flex-olmo"),
        FAMILY("minimax-m2"),
        FAMILY("granitemoe"),
        FAMILY("granitemoeshared"),
        FAMILY("gpt-oss"),
        FAMILY("hunyuan-moe"),
        FAMILY("phimoe"),
        cmocka_unit_test(phimoe_scales_short_sequences_otherwise),
        FAMILY("ernie4-5-moe"),
        FAMILY("ernie4-5-moe-unshared"),
        FAMILY("qwen3-5-moe-fused"),
        FAMILY("gemma4"),
        FAMILY("gemma4-published"),
        FAMILY("gemma4-per-layer"),
        FAMILY("gemma4-experts"),
        FAMILY("gemma4-vl"),
        FAMILY("llama4"),
        FAMILY("llama4-no-norm"),
        FAMILY("llama4-vl"),
        FAMILY("aya-vision"),
        FAMILY("glm4v"),
        FAMILY("glm4v-moe"),
        FAMILY("glm46v"),
        FAMILY("video-llava"),
        FAMILY("deepseek-vl"),
        FAMILY("ovis2"),
        cmocka_unit_test(what_a_family_cannot_do_is_refused_by_key),
        cmocka_unit_test(impossible_ropes_are_refused_by_key),
        cmocka_unit_test(a_config_that_contradicts_the_tensors_names_the_first),
        cmocka_unit_test(experts_are_linears_with_sources_of_their_own),
        cmocka_unit_test(fused_linears_are_pruned_as_the_one_that_they_are),
        cmocka_unit_test(learned_positions_limit_the_length),
        cmocka_unit_test(a_checkpoint_without_the_prefix_is_the_same_model),
        cmocka_unit_test(all_tensors_outside_the_layers_are_listed),
        cmocka_unit_test(a_text_model_may_keep_the_names_of_its_wrapper),
        cmocka_unit_test(any_name_may_lack_the_prefix),
        cmocka_unit_test(a_tied_model_that_stores_its_head_alone_is_the_same),
        cmocka_unit_test(a_head_that_config_json_denies_is_told),
        cmocka_unit_test(tensors_that_are_not_used_are_told),
        cmocka_unit_test(a_model_that_was_saved_without_a_head_says_so),
        cmocka_unit_test(tasks_have_special_tokens_in_the_families_from_gemma_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
