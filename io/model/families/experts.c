#include "io/model/families/experts.h"

static enum status check_counts(const struct decoder_config *decoder, const struct config_reader *reader,
                                const char *experts, const char *per_token, struct error *err)
{
    RETURN_ERROR_IF(decoder->num_experts > 65536, err, STATUS_INPUT, "%s: %s: must be at most 65536",
                    reader->path, experts);
    RETURN_ERROR_IF(decoder->num_experts_per_tok > decoder->num_experts, err, STATUS_INPUT,
                    "%s: %s: %zu of only %zu experts", reader->path, per_token, decoder->num_experts_per_tok,
                    decoder->num_experts);
    return STATUS_OK;
}

enum status read_experts(struct decoder_config *decoder, const struct config_reader *reader, size_t experts,
                         size_t per_token, struct error *err)
{
    FORWARD_IF_ERROR(config_optional_size(reader, "num_experts", &experts, err));
    FORWARD_IF_ERROR(config_optional_size(reader, "num_local_experts", &experts, err));
    FORWARD_IF_ERROR(config_optional_size(reader, "num_experts_per_tok", &per_token, err));
    decoder->num_experts = experts;
    decoder->num_experts_per_tok = per_token;
    return check_counts(decoder, reader, "num_experts", "num_experts_per_tok", err);
}

// *size holds the default, 0: the key is needed.
static enum status read_size(size_t *size, const struct config_reader *reader, const char *key,
                             const char *alias, struct error *err)
{
    const char *found = alias != NULL && config_has(reader, alias) ? alias : key;

    if (found != key)
        config_pass(reader, key);
    return *size == 0 ? config_size(reader, found, size, err)
                      : config_optional_size(reader, found, size, err);
}

enum status read_expert_count(struct decoder_config *decoder, const struct config_reader *reader,
                              const struct expert_keys *keys, const char *per_token, struct error *err)
{
    decoder->num_experts = keys->default_experts;
    FORWARD_IF_ERROR(read_size(&decoder->num_experts, reader, keys->experts, keys->experts_alias, err));
    return check_counts(decoder, reader, keys->experts, per_token, err);
}

enum status read_expert_keys(struct decoder_config *decoder, const struct config_reader *reader,
                             const struct expert_keys *keys, struct error *err)
{
    decoder->num_experts_per_tok = keys->default_per_token;
    FORWARD_IF_ERROR(
        read_size(&decoder->num_experts_per_tok, reader, keys->per_token, keys->per_token_alias, err));
    return read_expert_count(decoder, reader, keys, keys->per_token, err);
}

void set_all_sparse(struct model_config *config)
{
    for (size_t i = 0; i < config->num_hidden_layers; i++)
        config->layers[i].sparse = true;
    config->decoder.moe_intermediate_size = config->decoder.intermediate_size;
}

static enum status read_first_dense(struct model_config *config, const struct config_reader *reader,
                                    size_t fallback, struct error *err)
{
    double first = (double)fallback;

    FORWARD_IF_ERROR(config_number(reader, "first_k_dense_replace", -1e9, 1e9, &first, err));
    for (size_t i = 0; i < config->num_hidden_layers; i++)
        config->layers[i].sparse = (double)i >= first;
    return STATUS_OK;
}

enum status read_routed_experts(struct model_config *config, const struct config_reader *reader,
                                const struct routed_experts *defaults, struct error *err)
{
    struct decoder_config *decoder = &config->decoder;
    size_t shared = defaults->shared;
    double scale = defaults->scale;

    decoder->moe_intermediate_size = defaults->intermediate;
    FORWARD_IF_ERROR(read_size(&decoder->moe_intermediate_size, reader, "moe_intermediate_size", NULL, err));
    FORWARD_IF_ERROR(read_size(&shared, reader, "n_shared_experts", NULL, err));
    RETURN_ERROR_IF(shared > 65536, err, STATUS_INPUT, "%s: n_shared_experts: must be at most 65536",
                    reader->path);
    decoder->shared_expert_intermediate_size = shared * decoder->moe_intermediate_size;
    FORWARD_IF_ERROR(config_real(reader, "routed_scaling_factor", 1e-6, 1e6, &scale, err));
    decoder->routing.scale = scale == 1.0 ? 0.0F : (float)scale;
    return read_first_dense(config, reader, defaults->first_dense, err);
}

enum status set_groups(struct decoder_config *decoder, const struct config_reader *reader, size_t groups,
                       size_t kept, struct error *err)
{
    const size_t experts = decoder->num_experts;
    const size_t least = decoder->routing.worth == GROUP_TWO_LARGEST ? 2 : 1;

    RETURN_ERROR_IF(experts % groups != 0 || experts / groups < least, err, STATUS_INPUT,
                    "%s: n_group: %zu experts do not make %zu groups of %zu or more", reader->path, experts,
                    groups, least);
    RETURN_ERROR_IF(kept > groups || kept * (experts / groups) < decoder->num_experts_per_tok, err,
                    STATUS_INPUT, "%s: topk_group: %zu of %zu groups do not have %zu experts", reader->path,
                    kept, groups, decoder->num_experts_per_tok);
    decoder->routing.groups = kept < groups ? groups : 0;
    decoder->routing.kept_groups = kept;
    return STATUS_OK;
}

enum status read_sigmoid_routing(struct model_config *config, const struct config_reader *reader,
                                 const struct routed_experts *defaults, struct error *err)
{
    static const float added = 1e-20F; // the reference's, against a division by zero
    const struct config_reader nullable = config_nullable(reader);
    struct decoder_config *decoder = &config->decoder;
    const struct expert_keys keys = {.experts = "n_routed_experts",
                                     .experts_alias = "num_local_experts",
                                     .per_token = "num_experts_per_tok",
                                     .default_experts = defaults->experts,
                                     .default_per_token = defaults->per_token};
    size_t groups = defaults->groups, kept = defaults->kept_groups;
    bool normalise = defaults->normalise && !json_is_null(config_value(reader, "norm_topk_prob"));

    FORWARD_IF_ERROR(read_expert_keys(decoder, reader, &keys, err));
    FORWARD_IF_ERROR(read_routed_experts(config, reader, defaults, err));
    FORWARD_IF_ERROR(
        config_bool(defaults->null_normalise ? &nullable : reader, "norm_topk_prob", &normalise, err));
    FORWARD_IF_ERROR(config_optional_size(reader, "n_group", &groups, err));
    FORWARD_IF_ERROR(config_optional_size(reader, "topk_group", &kept, err));
    decoder->routing.scores = ROUTING_SIGMOID;
    decoder->routing.worth = GROUP_TWO_LARGEST;
    decoder->routing.normalise = normalise;
    decoder->routing.sum_added = added;
    return set_groups(decoder, reader, groups, kept, err);
}

enum status check_attention_dropout(const struct config_reader *reader, struct error *err)
{
    const struct config_reader nullable = config_nullable(reader);
    double unused;

    return config_real(&nullable, "attention_dropout", -1e30, 1e30, &unused, err);
}
