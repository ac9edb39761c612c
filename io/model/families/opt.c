#include "io/model/families/rows.h"

static const struct family_member opt_members[] = {
    LAYER_NORM("self_attn_layer_norm", input_norm),
    LINEAR("self_attn.q_proj", q, DIMENSION_QUERY, DIMENSION_HIDDEN, SOURCE_ATTENTION, WITH_ATTENTION_BIAS),
    LINEAR("self_attn.k_proj", k, DIMENSION_KEY_VALUE, DIMENSION_HIDDEN, SOURCE_ATTENTION,
           WITH_ATTENTION_BIAS),
    LINEAR("self_attn.v_proj", v, DIMENSION_KEY_VALUE, DIMENSION_HIDDEN, SOURCE_ATTENTION,
           WITH_ATTENTION_BIAS),
    LINEAR("self_attn.out_proj", o, DIMENSION_HIDDEN, DIMENSION_QUERY, SOURCE_ATTENTION_OUTPUT,
           WITH_ATTENTION_BIAS),
    LAYER_NORM("final_layer_norm", post_attention_norm),
    LINEAR("fc1", up, DIMENSION_INTERMEDIATE, DIMENSION_HIDDEN, SOURCE_MLP, WITH_MLP_BIAS),
    LINEAR("fc2", down, DIMENSION_HIDDEN, DIMENSION_INTERMEDIATE, SOURCE_MLP_DOWN, WITH_MLP_BIAS),
};

static enum status configure_opt(struct model_config *config, const struct config_reader *reader,
                                 struct error *err)
{
    const struct config_reader nullable = config_nullable(reader);
    const size_t hidden = config->decoder.hidden_size;
    bool norm_before = true, affine = true, bias = true;
    size_t projection = hidden;

    FORWARD_IF_ERROR(config_optional_size(&nullable, "word_embed_proj_dim", &projection, err));
    RETURN_ERROR_IF(
        projection != hidden, err, STATUS_INPUT,
        "%s: word_embed_proj_dim: %zu differs from hidden_size %zu; projected embeddings are not supported",
        reader->path, projection, hidden);
    FORWARD_IF_ERROR(config_bool(reader, "layer_norm_elementwise_affine", &affine, err));
    RETURN_ERROR_IF(!affine, err, STATUS_INPUT, "%s: layer_norm_elementwise_affine: false is not supported",
                    reader->path);
    FORWARD_IF_ERROR(config_bool(reader, "do_layer_norm_before", &norm_before, err));
    FORWARD_IF_ERROR(config_bool(reader, "_remove_final_layer_norm", &config->no_final_norm, err));
    FORWARD_IF_ERROR(config_bool(reader, "enable_bias", &bias, err));
    config->decoder.rotary_dim = 0;
    config->decoder.norm_after = !norm_before;
    config->no_final_norm |= !norm_before;
    config->attention_bias = config->mlp_bias = bias;
    config->first_position = 2; // the first rows are for padding, which does not occur here
    return STATUS_OK;
}

static const struct family rows[] = {
    {.model_type = "opt",
     .prefix = "model.",
     .embedding = "decoder.embed_tokens",
     .positions = "decoder.embed_positions",
     .layers = "decoder.layers",
     .final_norm = "decoder.final_layer_norm",
     .lm_head = "lm_head",
     .intermediate_key = "ffn_dim",
     MEMBERS(opt_members),
     ACTIVATION("activation_function", "relu"),
     NORMS(NORM_LAYER, NULL, 1e-5),
     ROPE(NULL, 0.0),
     .multi_head = true,
     .default_max_positions = 2048,
     .default_tie = true,
     .refused = "projected embeddings (350m), norms without weights",
     .configure = configure_opt},
};
FAMILY_ROWS(opt_family, rows);
