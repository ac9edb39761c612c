#include "tests/support/random_checkpoint.h"

#include "io/corpus/generator.h"
#include "kernels/dtype.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { QUANTILES = 1 << 16, BUFFER_ELEMENTS = 1 << 18 };

static void fail(const char *path, const char *reason)
{
    fprintf(stderr, "%s: %s\n", path, reason);
    exit(1);
}

static FILE *create(const char *folder, const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    if (file == NULL)
        fail(path, strerror(errno));
    return file;
}

static void finish(FILE *file, const char *name)
{
    if (ferror(file) != 0 || fclose(file) != 0)
        fail(name, "writing failed; is the disk full?");
}

// ---- tensors ---------------------------------------------------------------------------------------------

enum kind { WEIGHT, NORM, ROUTER };

struct tensor {
    char name[128];
    enum kind kind;
    size_t out, in; // a norm is [out]
};

static size_t tensor_bytes(const struct tensor *tensor, const struct random_checkpoint *shape)
{
    return tensor->out * (tensor->kind != NORM ? tensor->in : 1) * dtype_size(shape->dtype);
}

static size_t most_tensors(const struct random_checkpoint *shape)
{
    return (shape->experts > 0 ? 7 + 3 * shape->experts : 9) * shape->layers + 3;
}

static void add_tensor(struct tensor *tensors, size_t *count, size_t layer, const char *name, enum kind kind,
                       size_t out, size_t in)
{
    struct tensor *tensor = &tensors[(*count)++];
    *tensor = (struct tensor){.kind = kind, .out = out, .in = in};
    snprintf(tensor->name, sizeof tensor->name, "model.layers.%zu.%s.weight", layer, name);
}

static void list_experts(struct tensor *tensors, size_t *count, size_t layer,
                         const struct random_checkpoint *shape)
{
    char name[80];

    add_tensor(tensors, count, layer, "block_sparse_moe.gate", ROUTER, shape->experts, shape->hidden);
    for (size_t expert = 0; expert < shape->experts; expert++)
        for (size_t i = 1; i <= 3; i++) {
            snprintf(name, sizeof name, "block_sparse_moe.experts.%zu.w%zu", expert, i);
            add_tensor(tensors, count, layer, name, WEIGHT, i == 2 ? shape->hidden : shape->intermediate,
                       i == 2 ? shape->intermediate : shape->hidden);
        }
}

static size_t list_tensors(struct tensor *tensors, const struct random_checkpoint *shape)
{
    const size_t hidden = shape->hidden, head = hidden / shape->heads;
    const struct {
        const char *name;
        enum kind kind;
        size_t out, in;
    } members[] = {
        {"input_layernorm", NORM, hidden, 1},
        {"self_attn.q_proj", WEIGHT, hidden, hidden},
        {"self_attn.k_proj", WEIGHT, shape->kv_heads * head, hidden},
        {"self_attn.v_proj", WEIGHT, shape->kv_heads * head, hidden},
        {"self_attn.o_proj", WEIGHT, hidden, hidden},
        {"post_attention_layernorm", NORM, hidden, 1},
        {"mlp.gate_proj", WEIGHT, shape->intermediate, hidden},
        {"mlp.up_proj", WEIGHT, shape->intermediate, hidden},
        {"mlp.down_proj", WEIGHT, hidden, shape->intermediate},
    };
    const size_t num_members = shape->experts > 0 ? 6 : sizeof members / sizeof members[0];
    size_t count = 0;

    tensors[count++] = (struct tensor){"model.embed_tokens.weight", WEIGHT, shape->vocab, hidden};
    for (size_t layer = 0; layer < shape->layers; layer++) {
        for (size_t i = 0; i < num_members; i++)
            add_tensor(tensors, &count, layer, members[i].name, members[i].kind, members[i].out,
                       members[i].in);
        if (shape->experts > 0)
            list_experts(tensors, &count, layer, shape);
    }
    tensors[count++] = (struct tensor){"model.norm.weight", NORM, hidden, 1};
    if (!shape->tied)
        tensors[count++] = (struct tensor){"lm_head.weight", WEIGHT, shape->vocab, hidden};
    return count;
}

// ---- random weights --------------------------------------------------------------------------------------

// Fills quantiles[i] with the normal quantile of (i + 1/2) / QUANTILES: Newton's method on erfc, from the
// middle out.
static void fill_quantiles(double *quantiles)
{
    const double density = 0.39894228040143267794; // 1 / sqrt(2 pi)
    double x = 0;

    for (size_t i = QUANTILES / 2; i < QUANTILES; i++) {
        const double upper = (double)(QUANTILES - i) - 0.5; // probability above, times QUANTILES
        for (int step = 0; step < 8; step++)
            x += (0.5 * erfc(x * M_SQRT1_2) - upper / QUANTILES) / (density * exp(-0.5 * x * x));
        quantiles[i] = x;
        quantiles[QUANTILES - 1 - i] = -x;
    }
}

static void write_values(FILE *file, const struct tensor *tensor, const struct random_checkpoint *shape,
                         struct generator *generator, const double *quantiles, void *table, void *buffer)
{
    static double scaled[QUANTILES];
    const size_t element = dtype_size(shape->dtype);
    const double scale = tensor->kind == NORM ? 0.01 : 1 / sqrt((double)tensor->in);
    const double middle = tensor->kind == NORM ? 1 : 0;

    for (size_t i = 0; i < QUANTILES; i++) {
        const bool is_zero =
            tensor->kind == WEIGHT && fabs(2 * ((double)i + 0.5) / QUANTILES - 1) < shape->zeros;
        scaled[i] = is_zero ? 0 : middle + scale * quantiles[i];
    }
    dtype_from_f64(table, scaled, shape->dtype, QUANTILES);
    for (size_t left = tensor_bytes(tensor, shape) / element; left > 0;) {
        const size_t n = left < BUFFER_ELEMENTS ? left : BUFFER_ELEMENTS;
        for (size_t i = 0; i < n; i += 4) { // the buffer has room for three more
            const uint64_t bits = generator_next(generator);
            for (size_t k = 0; k < 4; k++) {
                const size_t index = (size_t)(bits >> 16 * k & 0xffff);
                if (element == 2)
                    ((uint16_t *)buffer)[i + k] = ((const uint16_t *)table)[index];
                else
                    ((uint32_t *)buffer)[i + k] = ((const uint32_t *)table)[index];
            }
        }
        fwrite(buffer, element, n, file);
        left -= n;
    }
}

// ---- files -----------------------------------------------------------------------------------------------

static void shard_name(char name[64], size_t shard, const struct random_checkpoint *shape)
{
    if (shape->shards == 1)
        snprintf(name, 64, "model.safetensors");
    else
        snprintf(name, 64, "model-%05zu-of-%05zu.safetensors", shard + 1, shape->shards);
}

static void write_header(FILE *file, const struct tensor *tensors, size_t count,
                         const struct random_checkpoint *shape)
{
    char *text;
    size_t size, offset = 0;
    FILE *header = open_memstream(&text, &size);

    if (header == NULL)
        fail("header", strerror(errno));
    fprintf(header, "{\"__metadata__\":{\"format\":\"pt\"}");
    for (size_t i = 0; i < count; i++) {
        const size_t bytes = tensor_bytes(&tensors[i], shape);
        fprintf(header, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[%zu", tensors[i].name, dtype_name(shape->dtype),
                tensors[i].out);
        if (tensors[i].kind != NORM)
            fprintf(header, ",%zu", tensors[i].in);
        fprintf(header, "],\"data_offsets\":[%zu,%zu]}", offset, offset + bytes);
        offset += bytes;
    }
    fputc('}', header);
    fclose(header);
    const size_t padded = (size + 7) / 8 * 8; // the data start aligned
    for (size_t i = 0; i < 8; i++)
        fputc((int)((uint64_t)padded >> (8 * i) & 0xff), file);
    fprintf(file, "%s%*s", text, (int)(padded - size), "");
    free(text);
}

// Rows v, -v, and a last one of zeros: see the top.
static void write_router(FILE *file, const struct tensor *tensor, const struct random_checkpoint *shape,
                         struct generator *generator, const double *quantiles)
{
    const size_t in = tensor->in, element = dtype_size(shape->dtype);
    double *values = malloc(in * sizeof *values);
    void *row = malloc(in * element);

    if (values == NULL || row == NULL)
        fail("checkpoint", "out of memory");
    for (size_t i = 0; i < tensor->out; i++) {
        const bool alone = i % 2 == 0 && i + 1 == tensor->out;
        for (size_t j = 0; j < in; j++)
            values[j] = alone        ? 0
                        : i % 2 == 1 ? -values[j]
                                     : quantiles[generator_next(generator) >> 48] / sqrt((double)in);
        dtype_from_f64(row, values, shape->dtype, in);
        fwrite(row, element, in, file);
    }
    free(values);
    free(row);
}

static void write_weights(const struct random_checkpoint *shape, const char *folder)
{
    const size_t element = dtype_size(shape->dtype);
    struct tensor *tensors = calloc(most_tensors(shape), sizeof *tensors);
    double *quantiles = malloc(QUANTILES * sizeof *quantiles);
    void *table = malloc(QUANTILES * element), *buffer = malloc((BUFFER_ELEMENTS + 4) * element);
    struct generator generator;
    char name[64];
    size_t total = 0, before = 0;
    FILE *index = NULL;

    if (tensors == NULL || quantiles == NULL || table == NULL || buffer == NULL)
        fail("checkpoint", "out of memory");
    const size_t count = list_tensors(tensors, shape);
    for (size_t i = 0; i < count; i++)
        total += tensor_bytes(&tensors[i], shape);
    fill_quantiles(quantiles);
    generator_seed(&generator, shape->seed);
    if (shape->shards > 1) {
        index = create(folder, "model.safetensors.index.json");
        fprintf(index, "{\n  \"metadata\": {\"total_size\": %zu},\n  \"weight_map\": {", total);
    }
    size_t first = 0;
    for (size_t shard = 0; shard < shape->shards; shard++) {
        // Shards of about the same size, each with at least one tensor.
        size_t end = first;
        do {
            before += tensor_bytes(&tensors[end++], shape);
        } while (end < count - (shape->shards - 1 - shard) &&
                 (shard + 1 == shape->shards || before < total / shape->shards * (shard + 1)));
        shard_name(name, shard, shape);
        FILE *file = create(folder, name);
        write_header(file, tensors + first, end - first, shape);
        for (size_t i = first; i < end; i++) {
            if (tensors[i].kind == ROUTER)
                write_router(file, &tensors[i], shape, &generator, quantiles);
            else
                write_values(file, &tensors[i], shape, &generator, quantiles, table, buffer);
            if (index != NULL)
                fprintf(index, "%s\n    \"%s\": \"%s\"", i > 0 ? "," : "", tensors[i].name, name);
        }
        finish(file, name);
        first = end;
    }
    if (index != NULL) {
        fprintf(index, "\n  }\n}\n");
        finish(index, "model.safetensors.index.json");
    }
    free(tensors);
    free(quantiles);
    free(table);
    free(buffer);
}

static void write_config(const struct random_checkpoint *shape, const char *folder)
{
    FILE *file = create(folder, "config.json");
    fprintf(file,
            "{\n  \"architectures\": [\"%s\"],\n  \"model_type\": \"%s\",\n"
            "  \"hidden_size\": %zu,\n  \"intermediate_size\": %zu,\n  \"num_hidden_layers\": %zu,\n"
            "  \"num_attention_heads\": %zu,\n  \"num_key_value_heads\": %zu,\n  \"head_dim\": %zu,\n"
            "  \"vocab_size\": %zu,\n  \"max_position_embeddings\": 4096,\n  \"rms_norm_eps\": 1e-05,\n"
            "  \"rope_theta\": 10000.0,\n  \"hidden_act\": \"silu\",\n  \"tie_word_embeddings\": %s,\n"
            "  \"attention_bias\": false,\n  \"mlp_bias\": false,\n  \"bos_token_id\": 0,\n"
            "  \"eos_token_id\": 1,\n  \"num_local_experts\": %zu,\n  \"num_experts_per_tok\": %d,\n"
            "  \"torch_dtype\": \"%s\"\n}\n",
            shape->experts > 0 ? "MixtralForCausalLM" : "LlamaForCausalLM",
            shape->experts > 0 ? "mixtral" : "llama", shape->hidden, shape->intermediate, shape->layers,
            shape->heads, shape->kv_heads, shape->hidden / shape->heads, shape->vocab,
            shape->tied ? "true" : "false", shape->experts, shape->experts > 0 ? 2 : 0,
            shape->dtype == DTYPE_F32   ? "float32"
            : shape->dtype == DTYPE_F16 ? "float16"
                                        : "bfloat16");
    finish(file, "config.json");
}

// The character that stands for a byte in byte-level BPE (GPT-2): printable Latin-1 stands for itself, the
// others, in their order, for the characters from U+0100 on.
static unsigned byte_character(unsigned byte)
{
    unsigned others = 0;
    for (unsigned b = 0; b <= byte; b++) {
        const bool printable = (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
        if (b == byte)
            return printable ? b : 0x100 + others;
        others += !printable;
    }
    return 0;
}

static void put_byte(FILE *file, unsigned byte)
{
    const unsigned c = byte_character(byte);
    if (c == '"' || c == '\\')
        fprintf(file, "\\%c", (int)c);
    else if (c < 0x80)
        fputc((int)c, file);
    else
        fprintf(file, "\\u%04x", c);
}

// Bytes in the order in which they are paired: letters and space first, so that merges happen in plain text.
static unsigned common_byte(size_t i)
{
    static const char common[] = " etaoinshrdlucmfwypvbgkqjxz";
    const size_t num_common = sizeof common - 1;
    if (i < num_common)
        return (unsigned char)common[i];
    for (unsigned byte = 0, seen = 0; byte < 256; byte++) {
        if (byte != 0 && strchr(common, (int)byte) != NULL)
            continue;
        if (seen++ == i - num_common)
            return byte;
    }
    return 0;
}

// Calls for the first `count` merges: pairs (a, b) of growing max(a, b), so that common bytes are paired
// first.
static void put_merges(FILE *file, size_t count, bool as_vocabulary)
{
    size_t made = 0;
    for (size_t largest = 0; largest < 256; largest++) {
        for (size_t i = 0; i <= 2 * largest && made < count; i++, made++) {
            const unsigned left = common_byte(i <= largest ? largest : i - largest - 1);
            const unsigned right = common_byte(i <= largest ? i : largest);
            fprintf(file, as_vocabulary || made > 0 ? ",\"" : "\"");
            put_byte(file, left);
            if (!as_vocabulary)
                fputc(' ', file);
            put_byte(file, right);
            if (as_vocabulary)
                fprintf(file, "\":%zu", 258 + made);
            else
                fputc('"', file);
        }
    }
}

static void write_tokenizer(const struct random_checkpoint *shape, const char *folder)
{
    // 65536 pairs is all there is: a larger vocabulary has ids that no text gives, as padded ones do.
    const size_t merges = shape->vocab - 258 < 65536 ? shape->vocab - 258 : 65536;
    FILE *file = create(folder, "tokenizer.json");

    fprintf(file, "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\"added_tokens\":[");
    for (int id = 0; id < 2; id++)
        fprintf(file,
                "%s{\"id\":%d,\"content\":\"%s\",\"single_word\":false,\"lstrip\":false,\"rstrip\":false,"
                "\"normalized\":false,\"special\":true}",
                id > 0 ? "," : "", id, id == 0 ? "<s>" : "</s>");
    fprintf(
        file,
        "],\"normalizer\":null,\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,"
        "\"trim_offsets\":true,\"use_regex\":true},\"post_processor\":{\"type\":\"TemplateProcessing\","
        "\"single\":[{\"SpecialToken\":{\"id\":\"<s>\",\"type_id\":0}},{\"Sequence\":{\"id\":\"A\",\"type_"
        "id\":0}}],"
        "\"pair\":[{\"SpecialToken\":{\"id\":\"<s>\",\"type_id\":0}},{\"Sequence\":{\"id\":\"A\",\"type_id\":"
        "0}},"
        "{\"SpecialToken\":{\"id\":\"<s>\",\"type_id\":1}},{\"Sequence\":{\"id\":\"B\",\"type_id\":1}}],"
        "\"special_tokens\":{\"<s>\":{\"id\":\"<s>\",\"ids\":[0],\"tokens\":[\"<s>\"]}}},"
        "\"decoder\":{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":true,\"use_regex\":"
        "true},"
        "\"model\":{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":null,\"continuing_subword_prefix\":null,"
        "\"end_of_word_suffix\":null,\"fuse_unk\":false,\"byte_fallback\":false,\"ignore_merges\":false,"
        "\"vocab\":{\"<s>\":0,\"</s>\":1");
    for (unsigned byte = 0; byte < 256; byte++) {
        fprintf(file, ",\"");
        put_byte(file, byte);
        fprintf(file, "\":%u", byte + 2);
    }
    put_merges(file, merges, true);
    fprintf(file, "},\"merges\":[");
    put_merges(file, merges, false);
    fprintf(file, "]}}\n");
    finish(file, "tokenizer.json");

    file = create(folder, "tokenizer_config.json");
    fprintf(
        file,
        "{\"tokenizer_class\":\"PreTrainedTokenizerFast\",\"bos_token\":\"<s>\",\"eos_token\":\"</s>\"}\n");
    finish(file, "tokenizer_config.json");
}

// ---- the folder -----------------------------------------------------------------------------------------

struct random_checkpoint random_checkpoint_defaults(void)
{
    return (struct random_checkpoint){.hidden = 64,
                                      .intermediate = 172,
                                      .layers = 2,
                                      .heads = 4,
                                      .kv_heads = 4,
                                      .vocab = 512,
                                      .shards = 1,
                                      .dtype = DTYPE_BF16};
}

const char *random_checkpoint_problem(const struct random_checkpoint *shape)
{
    if (shape->heads == 0 || shape->kv_heads == 0 || shape->hidden == 0 || shape->intermediate == 0 ||
        shape->layers == 0 || shape->shards == 0)
        return "no size may be 0";
    if (shape->hidden % shape->heads != 0 || shape->heads % shape->kv_heads != 0)
        return "heads must divide hidden, and kv-heads must divide heads";
    if (shape->hidden / shape->heads % 2 != 0)
        return "hidden / heads must be even: rotary embeddings turn pairs";
    if (shape->vocab < 258)
        return "the vocabulary needs 256 bytes and two special tokens: at least 258";
    if (shape->experts == 1)
        return "a token takes two experts: at least 2";
    if (shape->shards > most_tensors(shape) - 1)
        return "more shards than tensors";
    return NULL;
}

void random_checkpoint_write(const struct random_checkpoint *shape, const char *folder)
{
    if (mkdir(folder, 0777) != 0 && errno != EEXIST)
        fail(folder, strerror(errno));
    write_config(shape, folder);
    write_tokenizer(shape, folder);
    write_weights(shape, folder);
}
