#include "io/model/families/rows.h"

static const struct family_member falcon_members[] = {
    OPTIONAL_NORM("input_layernorm", input_norm, DIMENSION_HIDDEN, ALWAYS, WITHOUT_PARALLEL_NORMS),
    OPTIONAL_NORM("ln_attn", input_norm, DIMENSION_HIDDEN, ALWAYS, WITH_PARALLEL_NORMS),
    LINEAR("self_attention.query_key_value", qkv, DIMENSION_QKV, DIMENSION_HIDDEN, SOURCE_ATTENTION,
           WITH_ATTENTION_BIAS),
    LINEAR("self_attention.dense", o, DIMENSION_HIDDEN, DIMENSION_QUERY, SOURCE_ATTENTION_OUTPUT,
           WITH_ATTENTION_BIAS),
    OPTIONAL_NORM("post_attention_layernorm", post_attention_norm, DIMENSION_HIDDEN, ALWAYS, SEQUENTIAL),
    OPTIONAL_NORM("ln_mlp", post_attention_norm, DIMENSION_HIDDEN, ALWAYS, WITH_PARALLEL_NORMS),
    LINEAR("mlp.dense_h_to_4h", up, DIMENSION_INTERMEDIATE, DIMENSION_HIDDEN, SOURCE_MLP, WITH_MLP_BIAS),
    LINEAR("mlp.dense_4h_to_h", down, DIMENSION_HIDDEN, DIMENSION_INTERMEDIATE, SOURCE_MLP_DOWN,
           WITH_MLP_BIAS),
};

// The switches that tell the models of this type from one another.
struct form {
    bool alibi, grouped, multi_query, parallel, bias;
    size_t key_value_heads, norms; // 0: not said
};

static enum status read_form(struct form *form, const struct config_reader *reader, struct error *err)
{
    const struct config_reader nullable = config_nullable(reader);
    const struct {
        const char *key;
        bool *value, fallback;
    } switches[] = {{"alibi", &form->alibi, false},
                    {"new_decoder_architecture", &form->grouped, false},
                    {"multi_query", &form->multi_query, true},
                    {"parallel_attn", &form->parallel, true},
                    {"bias", &form->bias, false}};

    *form = (struct form){0};
    for (size_t i = 0; i < LENGTH(switches); i++) {
        // Null is read as false.
        *switches[i].value = switches[i].fallback && !json_is_null(config_value(reader, switches[i].key));
        FORWARD_IF_ERROR(config_bool(&nullable, switches[i].key, switches[i].value, err));
    }
    FORWARD_IF_ERROR(config_optional_size(&nullable, "num_kv_heads", &form->key_value_heads, err));
    return config_optional_size(&nullable, "num_ln_in_parallel_attn", &form->norms, err);
}

// Which norms there are, and which of them are read, must fit together.
static enum status check_form(const struct form *form, const struct config_reader *reader, struct error *err)
{
    RETURN_ERROR_IF(form->grouped && !form->parallel, err, STATUS_INPUT,
                    "%s: parallel_attn: must be true with new_decoder_architecture", reader->path);
    RETURN_ERROR_IF(form->grouped ? form->norms > 2 : form->parallel && form->norms == 2, err, STATUS_INPUT,
                    "%s: num_ln_in_parallel_attn: must be 1 or 2, and 2 only with new_decoder_architecture",
                    reader->path);
    RETURN_ERROR_IF(config_has(reader, "head_dim"), err, STATUS_INPUT,
                    "%s: head_dim: models of this type have hidden_size / num_attention_heads", reader->path);
    return STATUS_OK;
}

static enum status configure_falcon(struct model_config *config, const struct config_reader *reader,
                                    struct error *err)
{
    struct decoder_config *decoder = &config->decoder;
    const size_t heads = decoder->num_attention_heads;
    struct form form;

    FORWARD_IF_ERROR(read_form(&form, reader, err));
    FORWARD_IF_ERROR(check_form(&form, reader, err));
    config->attention_bias = config->mlp_bias = form.bias;
    decoder->parallel_residual = form.parallel;
    config->parallel_norms = form.grouped && form.norms != 1;
    if (form.grouped) {
        decoder->num_key_value_heads = form.key_value_heads != 0 ? form.key_value_heads : heads;
        decoder->qkv_layout = QKV_GROUPS;
        decoder->qkv_groups = decoder->num_key_value_heads;
    } else if (form.multi_query) {
        decoder->num_key_value_heads = 1;
    } else {
        decoder->qkv_layout = QKV_PER_HEAD;
    }
    RETURN_ERROR_IF(heads % decoder->num_key_value_heads != 0 ||
                        (!form.grouped && !form.multi_query && form.key_value_heads != 0 &&
                         form.key_value_heads != heads),
                    err, STATUS_INPUT, "%s: num_kv_heads: %zu does not fit num_attention_heads %zu",
                    reader->path, form.key_value_heads, heads);
    if (form.alibi) {
        config->alibi = ALIBI_FALCON;
        decoder->rotary_dim = 0;
    }
    return STATUS_OK;
}

static const struct family rows[] = {
    {.model_type = "falcon",
     .prefix = "transformer.",
     .embedding = "word_embeddings",
     .layers = "h",
     .final_norm = "ln_f",
     .lm_head = "lm_head",
     .hidden_key = "n_embed",
     .intermediate_key = "ffn_hidden_size",
     .default_intermediate = 4,
     MEMBERS(falcon_members),
     ACTIVATION("activation", "gelu"),
     NORMS(NORM_LAYER, "layer_norm_epsilon", 1e-5),
     ROPE("rope_theta", 1e4),
     .multi_head = true,
     .free_pad_token = true,
     .default_max_positions = 2048,
     .default_tie = true,
     .refused = "forms whose norms the reference does not find: num_ln_in_parallel_attn beyond its uses",
     .configure = configure_falcon},
};
FAMILY_ROWS(falcon_family, rows);
