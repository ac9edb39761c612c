#include "pipeline/doctor/tiny_model.h"

#include "io/corpus/generator.h"
#include "io/file/commit.h"
#include "io/file/run_paths.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HIDDEN = 64, INTERMEDIATE = 160, LAYERS = 2, HEADS = 4, KV_HEADS = 2, TEXT_BYTES = 4096 };

// Every printable character but the blank is a token, and the only kind: byte-level BPE has them stand for
// themselves.
static const char first_letter = '!';
enum { VOCABULARY = '~' - '!' + 1 };

// ---- weights ---------------------------------------------------------------------------------------------

struct tensor {
    const char *name;     // of a layer: after "model.layers.L."
    size_t rows, columns; // a norm has no columns
};

static const struct tensor of_layer[] = {
    {"input_layernorm", HIDDEN, 0},
    {"self_attn.q_proj", HIDDEN, HIDDEN},
    {"self_attn.k_proj", HIDDEN / HEADS *KV_HEADS, HIDDEN},
    {"self_attn.v_proj", HIDDEN / HEADS *KV_HEADS, HIDDEN},
    {"self_attn.o_proj", HIDDEN, HIDDEN},
    {"post_attention_layernorm", HIDDEN, 0},
    {"mlp.gate_proj", INTERMEDIATE, HIDDEN},
    {"mlp.up_proj", INTERMEDIATE, HIDDEN},
    {"mlp.down_proj", HIDDEN, INTERMEDIATE},
};
static const struct tensor of_model[] = {
    {"model.embed_tokens", VOCABULARY, HIDDEN},
    {"model.norm", HIDDEN, 0},
    {"lm_head", VOCABULARY, HIDDEN},
};
enum {
    PER_LAYER = sizeof of_layer / sizeof of_layer[0],
    OF_MODEL = sizeof of_model / sizeof of_model[0],
    TENSORS = PER_LAYER * LAYERS + OF_MODEL
};

static size_t elements(const struct tensor *tensor)
{
    return tensor->rows * (tensor->columns > 0 ? tensor->columns : 1);
}

static const struct tensor *tensor_at(size_t index, char name[80])
{
    const size_t layer = index / PER_LAYER;
    const struct tensor *tensor =
        layer < LAYERS ? &of_layer[index % PER_LAYER] : &of_model[index - (size_t)PER_LAYER * LAYERS];

    if (layer < LAYERS)
        snprintf(name, 80, "model.layers.%zu.%s.weight", layer, tensor->name);
    else
        snprintf(name, 80, "%s.weight", tensor->name);
    return tensor;
}

static json_t *make_header(size_t *bytes)
{
    json_t *header = json_pack("{s:{s:s}}", "__metadata__", "format", "pt");
    char name[80];

    *bytes = 0;
    for (size_t i = 0; i < TENSORS; i++) {
        const struct tensor *tensor = tensor_at(i, name);
        const size_t end = *bytes + 2 * elements(tensor);
        json_t *shape = json_pack("[I]", (json_int_t)tensor->rows);
        if (tensor->columns > 0)
            json_array_append_new(shape, json_integer((json_int_t)tensor->columns));
        if (json_object_set_new(header, name,
                                json_pack("{s:s, s:o, s:[I, I]}", "dtype", "BF16", "shape", shape,
                                          "data_offsets", (json_int_t)*bytes, (json_int_t)end)) != 0) {
            json_decref(header);
            return NULL;
        }
        *bytes = end;
    }
    return header;
}

// A whole number from -127 to 127 over 512: bfloat16 has it exactly, which keeps its upper half.
static uint16_t draw_weight(struct generator *generator)
{
    const float value = (float)((int)generator_below(generator, 255) - 127) / 512;
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return (uint16_t)(bits >> 16);
}

static void fill_weights(uint8_t *bytes)
{
    struct generator generator;
    char name[80];

    generator_seed(&generator, 1);
    for (size_t i = 0; i < TENSORS; i++) {
        const struct tensor *tensor = tensor_at(i, name);
        for (size_t k = 0; k < elements(tensor); k++) {
            const uint16_t one = 0x3f80;
            const uint16_t value = tensor->columns > 0 ? draw_weight(&generator) : one;
            *bytes++ = (uint8_t)(value & 0xff);
            *bytes++ = (uint8_t)(value >> 8);
        }
    }
}

static enum status write_weights(const char *path, struct error *err)
{
    size_t bytes;
    json_t *header = make_header(&bytes);
    char *text = header != NULL ? json_dumps(header, JSON_COMPACT) : NULL;
    uint8_t *file = NULL;
    enum status status;

    json_decref(header);
    RETURN_ERROR_IF(text == NULL, err, STATUS_MEMORY, "out of memory for %s", path);
    const size_t length = (strlen(text) + 7) / 8 * 8; // the data start aligned
    GOTO_IF_ERROR(allocate(&file, 8 + length + bytes, 1, path, err), done);
    for (size_t i = 0; i < 8; i++)
        file[i] = (uint8_t)((uint64_t)length >> 8 * i & 0xff);
    memset(file + 8, ' ', length);
    memcpy(file + 8, text, strlen(text));
    fill_weights(file + 8 + length);
    status = commit_bytes(path, file, 8 + length + bytes, err);
done:
    free(file);
    free(text);
    return status;
}

// ---- the other files -------------------------------------------------------------------------------------

static enum status write_json(const char *path, json_t *json, struct error *err)
{
    char *text = json != NULL ? json_dumps(json, JSON_INDENT(2)) : NULL;

    json_decref(json);
    RETURN_ERROR_IF(text == NULL, err, STATUS_MEMORY, "out of memory for %s", path);
    const enum status status = commit_bytes(path, text, strlen(text), err);
    free(text);
    return status;
}

static json_t *make_config(void)
{
    return json_pack("{s:[s], s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:f, s:f, s:s, s:b, s:s}",
                     "architectures", "LlamaForCausalLM", "model_type", "llama", "hidden_size", HIDDEN,
                     "intermediate_size", INTERMEDIATE, "num_hidden_layers", LAYERS, "num_attention_heads",
                     HEADS, "num_key_value_heads", KV_HEADS, "vocab_size", VOCABULARY,
                     "max_position_embeddings", 512, "rms_norm_eps", 1e-5, "rope_theta", 10000.0,
                     "hidden_act", "silu", "tie_word_embeddings", 0, "torch_dtype", "bfloat16");
}

static json_t *make_tokenizer(void)
{
    json_t *vocabulary = json_object();
    char letter[2] = "";

    for (size_t i = 0; i < VOCABULARY; i++) {
        letter[0] = (char)(first_letter + (char)i);
        json_object_set_new(vocabulary, letter, json_integer((json_int_t)i));
    }
    return json_pack("{s:s, s:[], s:n, s:{s:s, s:b, s:b, s:b}, s:n, s:n, s:{s:s, s:o, s:[]}}", "version",
                     "1.0", "added_tokens", "normalizer", "pre_tokenizer", "type", "ByteLevel",
                     "add_prefix_space", 0, "trim_offsets", 1, "use_regex", 0, "post_processor", "decoder",
                     "model", "type", "BPE", "vocab", vocabulary, "merges");
}

static enum status write_text(const char *path, uint64_t seed, struct error *err)
{
    struct generator generator;
    char text[TEXT_BYTES];
    size_t last = 0;

    // A letter often follows the one before: channels then differ in what goes through them.
    generator_seed(&generator, seed);
    for (size_t i = 0; i < sizeof text; i++) {
        last = generator_below(&generator, 2) == 0 ? generator_below(&generator, VOCABULARY)
                                                   : (5 * last + 3) % VOCABULARY;
        text[i] = (char)(first_letter + (char)last);
    }
    return commit_bytes(path, text, sizeof text, err);
}

enum status tiny_model_write(const char *folder, struct error *err)
{
    char path[PATH_SIZE];

    path_format(path, sizeof path, "%s/model", folder);
    FORWARD_IF_ERROR(make_directories(path, err));
    path_format(path, sizeof path, "%s/model/config.json", folder);
    FORWARD_IF_ERROR(write_json(path, make_config(), err));
    path_format(path, sizeof path, "%s/model/tokenizer.json", folder);
    FORWARD_IF_ERROR(write_json(path, make_tokenizer(), err));
    path_format(path, sizeof path, "%s/model/model.safetensors", folder);
    FORWARD_IF_ERROR(write_weights(path, err));
    path_format(path, sizeof path, "%s/calibration.txt", folder);
    FORWARD_IF_ERROR(write_text(path, 2, err));
    path_format(path, sizeof path, "%s/test.txt", folder);
    return write_text(path, 3, err);
}
