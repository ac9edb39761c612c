#include "io/model/families/wrappers.h"

#include <string.h>

// Language models whose own class does nothing after the head, as the wrapper's does not.
static const char *const plain_texts[] = {"llama", "mistral", "ministral3", "qwen2", "qwen3", "phi3", NULL};
static const char *const gemma3_texts[] = {"gemma3_text", NULL};
static const char *const gemma4_texts[] = {"gemma4_text", NULL};
static const char *const llama4_texts[] = {"llama4_text", NULL};
static const char *const cohere_texts[] = {"cohere2", "cohere", NULL};
static const char *const glm4v_texts[] = {"glm4v_text", NULL};
static const char *const glm4v_moe_texts[] = {"glm4v_moe_text", NULL};
static const char *const glm46v_texts[] = {"glm4v_text", "glm4v_moe_text", NULL};
static const char *const qwen2_vl_texts[] = {"qwen2_vl_text", NULL};
static const char *const qwen2_5_vl_texts[] = {"qwen2_5_vl_text", NULL};
static const char *const qwen3_vl_moe_texts[] = {"qwen3_vl_moe_text", NULL};
static const char *const qwen3_vl_texts[] = {"qwen3_vl_text", NULL};
static const char *const qwen3_5_texts[] = {"qwen3_5_text", NULL};
static const char *const qwen3_5_moe_texts[] = {"qwen3_5_moe_text", NULL};

// Names of tensors, by whose they are. As the reference has them in memory, as it has them on disk, and as
// they are when they were saved without the head.
static const char *const llava_prefixes[] = {"model.language_model.", "language_model.model.",
                                             "language_model.", NULL};
static const char *const llava_heads[] = {"lm_head", "language_model.lm_head", NULL};
static const char *const llama4_prefixes[] = {"language_model.model.", NULL};
static const char *const llama4_heads[] = {"language_model.lm_head", NULL};
static const char *const qwen_prefixes[] = {"model.language_model.", "model.", "language_model.", NULL};
static const char *const qwen_heads[] = {"lm_head", NULL};
static const char *const idefics_prefixes[] = {"model.text_model.", "text_model.", NULL};
static const char *const idefics_heads[] = {"lm_head", NULL};
static const char *const gemma4_prefixes[] = {"model.language_model.", NULL};
static const char *const gemma4_heads[] = {"lm_head", NULL};

// Of images, of how they become embeddings, and of copies of the language model's sizes.
static const char *const harmless[] = {"vision_*",
                                       "audio_*",
                                       "image_*",
                                       "video_*",
                                       "projector_*",
                                       "multimodal_projector_bias",
                                       "alignment_intermediate_size",
                                       "spatial_merge_size",
                                       "mm_tokens_per_image",
                                       "downsample_*",
                                       "adapter_layer_norm_eps",
                                       "scale_factor",
                                       "pixel_shuffle_factor",
                                       "perceiver_config",
                                       "spatial_pool_*",
                                       "use_image_newline_parameter",
                                       "ignore_index",
                                       "vocab_size",
                                       "hidden_size",
                                       NULL};

static const struct wrapper_placeholder gemma4_placeholders[] = {
    {"image_token_id", 258880}, {"video_token_id", 258884}, {"audio_token_id", 258881}, {NULL, 0}};

// Ids of tokens, by how the reference's configurations call them.
static const char *const image_index[] = {"image_token_index", NULL};
static const char *const video_index[] = {"image_token_index", "video_token_index", NULL};
static const char *const edges_index[] = {"image_token_index", "boi_token_index", "eoi_token_index", NULL};
static const char *const image_id[] = {"image_token_id", NULL};
static const char *const ovis_id[] = {"image_token_id", "visual_indicator_token_ids", NULL};
static const char *const vision_id[] = {"image_token_id", "video_token_id", "vision_start_token_id",
                                        "vision_end_token_id", NULL};
static const char *const both_id[] = {"image_token_id",
                                      "video_token_id",
                                      "image_start_token_id",
                                      "image_end_token_id",
                                      "video_start_token_id",
                                      "video_end_token_id",
                                      NULL};

// model_type; the language models, and which one it is when text_config does not say; whose names the tensors
// have; the members that are not false.
#define WRAPPER(type, known, text, names, ...)                                                        \
    {                                                                                                 \
        .model_type = (type), .texts = (known), .default_text = (text), .prefixes = names##_prefixes, \
        .heads = names##_heads, .harmless = harmless, __VA_ARGS__                                     \
    }
#define TIED .default_tie = true
#define UNTIED .default_tie = false
#define TIED_BY_EITHER .tie = TIE_OF_EITHER
#define TIED_INSIDE .tie = TIE_OF_TEXT
// Old enough to lack text_config.
#define FLAT .flat = true, TIED_BY_EITHER

static const struct wrapper rows[] = {
    WRAPPER("gemma3", gemma3_texts, "gemma3_text", llava, TIED, .tokens = image_index),
    WRAPPER("llava", plain_texts, "llama", llava, TIED_BY_EITHER, .tokens = image_index),
    WRAPPER("llava_next", plain_texts, "llama", llava, UNTIED, .tokens = image_index),
    WRAPPER("llava_next_video", plain_texts, "llama", llava, TIED_BY_EITHER, .tokens = video_index),
    WRAPPER("llava_onevision", plain_texts, "qwen2", llava, TIED_BY_EITHER, .tokens = video_index),
    WRAPPER("video_llava", plain_texts, "llama", llava, UNTIED, .tokens = video_index),
    WRAPPER("deepseek_vl", plain_texts, "llama", llava, TIED, .tokens = image_id),
    WRAPPER("ovis2", plain_texts, "qwen2", llava, TIED, .default_hidden = 1536, .tokens = ovis_id),
    WRAPPER("vipllava", plain_texts, "llama", llava, UNTIED, .tokens = image_index),
    WRAPPER("internvl", plain_texts, "qwen2", llava, TIED, .tokens = image_id),
    WRAPPER("got_ocr2", plain_texts, "qwen2", llava, TIED, .tokens = image_index),
    WRAPPER("mistral3", plain_texts, "mistral", llava, TIED, .tokens = image_index),
    WRAPPER("gemma4", gemma4_texts, "gemma4_text", gemma4, TIED, .caps_logits = true,
            .placeholders = gemma4_placeholders),
    WRAPPER("llama4", llama4_texts, "llama4_text", llama4, TIED_INSIDE, .tokens = edges_index),
    WRAPPER("aya_vision", cohere_texts, "cohere2", llava, TIED, .tokens = image_index),
    WRAPPER("cohere2_vision", cohere_texts, "cohere2", llava, TIED, .tokens = image_id),
    WRAPPER("glm4v", glm4v_texts, "glm4v_text", qwen, TIED_BY_EITHER, .tokens = both_id),
    WRAPPER("glm4v_moe", glm4v_moe_texts, "glm4v_moe_text", qwen, TIED_BY_EITHER, .tokens = both_id),
    WRAPPER("glm46v", glm46v_texts, "glm4v_text", qwen, UNTIED, .tokens = both_id),
    WRAPPER("qwen2_vl", qwen2_vl_texts, "qwen2_vl_text", qwen, FLAT, .tokens = vision_id),
    WRAPPER("qwen2_5_vl", qwen2_5_vl_texts, "qwen2_5_vl_text", qwen, FLAT, .tokens = vision_id),
    WRAPPER("qwen3_vl_moe", qwen3_vl_moe_texts, "qwen3_vl_moe_text", qwen, UNTIED, .tokens = vision_id),
    WRAPPER("qwen3_vl", qwen3_vl_texts, "qwen3_vl_text", qwen, UNTIED, .tokens = vision_id),
    WRAPPER("qwen3_5", qwen3_5_texts, "qwen3_5_text", qwen, UNTIED, .tokens = vision_id),
    WRAPPER("qwen3_5_moe", qwen3_5_moe_texts, "qwen3_5_moe_text", qwen, UNTIED, .tokens = vision_id),
    WRAPPER("idefics3", plain_texts, "llama", idefics, UNTIED, .tokens = image_id),
    WRAPPER("smolvlm", plain_texts, "llama", idefics, UNTIED, .tokens = image_id),
};
enum { NUM_WRAPPERS = sizeof rows / sizeof *rows };

const struct wrapper *wrapper_find(const char *model_type)
{
    for (size_t i = 0; i < NUM_WRAPPERS; i++)
        if (strcmp(rows[i].model_type, model_type) == 0)
            return &rows[i];
    return NULL;
}

const struct wrapper *wrapper_rows(size_t *count)
{
    *count = NUM_WRAPPERS;
    return rows;
}
