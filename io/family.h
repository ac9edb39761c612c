// family.h - model families: which tensors a layer has, what they are called, and how config.json is to be
// read.
//
// To add a family, see FAMILIES.md.
#pragma once
#include "io/config_reader.h"
#include "io/model.h"

// A size that the shapes of tensors are made of, computed from the model's config.
enum dimension {
    DIMENSION_ONE,
    DIMENSION_HIDDEN,
    DIMENSION_QUERY,     // heads * head_dim
    DIMENSION_KEY_VALUE, // key-value heads * head_dim
    DIMENSION_INTERMEDIATE,
    DIMENSION_HEAD, // head_dim
};

// When a tensor, or a linear's bias, is there.
enum presence {
    NEVER,
    ALWAYS,
    WITH_ATTENTION_BIAS, // config.json's attention_bias
    WITH_MLP_BIAS,       // config.json's mlp_bias
};

enum member_kind { MEMBER_NORM, MEMBER_LINEAR };

// One norm or linear of a layer: "<name>.weight" and perhaps "<name>.bias".
struct family_member {
    enum member_kind kind;
    const char *name;   // within the layer: "self_attn.q_proj"
    size_t member;      // offset in struct decoder_layer of its struct norm or struct linear
    enum dimension out; // rows of the weight; a norm's size
    enum dimension in;  // columns; DIMENSION_ONE for a norm
    size_t source;      // of a linear: its statistics source (enum decoder_source)
    enum presence bias;
};

struct family {
    const char *model_type;
    const char *prefix;     // before all names but lm_head: "model."
    const char *embedding;  // "embed_tokens"
    const char *layers;     // "layers": a layer's tensors are "<prefix><layers>.<index>.<member>"
    const char *final_norm; // "norm"
    const char *lm_head;    // "lm_head", without prefix
    const struct family_member *members;
    size_t num_members;
    // Reads what the family has beyond what model_config.c reads for all; the defaults of those are already
    // set.
    enum status (*configure)(struct model_config *config, const struct config_reader *reader,
                             struct error *err);
};

// NULL when there is none.
const struct family *family_find(const char *model_type);
// Writes all model types, separated by ", ", into text[size]; returns text.
const char *family_list(char *text, size_t size);

size_t family_dimension(enum dimension dimension, const struct model_config *config);
bool family_presence(enum presence presence, const struct model_config *config);

// Fills config from directory/config.json. *family is the row of its model_type.
enum status model_config_read(struct model_config *config, const struct family **family,
                              const char *directory, struct error *err);

// The tensor of that name with the shape [out, in] ([out] when in is 1) in a dtype that coppice computes
// with; anything else is STATUS_INPUT and names file and tensor.
enum status model_find_tensor(const struct safetensors_tensor **tensor, const struct model *model,
                              const char *name, size_t out, size_t in, struct error *err);
