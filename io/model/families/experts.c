#include "io/model/families/experts.h"

enum status read_experts(struct decoder_config *decoder, const struct config_reader *reader, size_t experts,
                         size_t per_token, struct error *err)
{
    FORWARD_IF_ERROR(config_optional_size(reader, "num_experts", &experts, err));
    FORWARD_IF_ERROR(config_optional_size(reader, "num_local_experts", &experts, err));
    FORWARD_IF_ERROR(config_optional_size(reader, "num_experts_per_tok", &per_token, err));
    RETURN_ERROR_IF(experts > 65536, err, STATUS_INPUT, "%s: num_experts: must be at most 65536",
                    reader->path);
    RETURN_ERROR_IF(per_token > experts, err, STATUS_INPUT,
                    "%s: num_experts_per_tok: %zu of only %zu experts", reader->path, per_token, experts);
    decoder->num_experts = experts;
    decoder->num_experts_per_tok = per_token;
    return STATUS_OK;
}
