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

// As the reference has them in memory, as it has them on disk, and as they are when they were saved without
// the head.
static const char *const llava_prefixes[] = {"model.language_model.", "language_model.model.",
                                             "language_model.", NULL};
static const char *const llava_heads[] = {"lm_head", "language_model.lm_head", NULL};
static const char *const qwen_prefixes[] = {"model.language_model.", "model.", "language_model.", NULL};
static const char *const idefics_prefixes[] = {"model.text_model.", "text_model.", NULL};
static const char *const llama4_prefixes[] = {"language_model.model.", NULL};
static const char *const llama4_heads[] = {"language_model.lm_head", NULL};
static const char *const gemma4_prefixes[] = {"model.language_model.", NULL};
static const char *const one_head[] = {"lm_head", NULL};

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

// Their model_type, that of the language model, and the rules of tied heads.
#define LLAVA(type, text, tie, text_too)                                                                \
    {                                                                                                   \
        .model_type = (type), .texts = plain_texts, .default_text = (text), .prefixes = llava_prefixes, \
        .heads = llava_heads, .default_tie = (tie), .text_ties = (text_too), .harmless = harmless       \
    }
// Their model_type, and whether they are old enough to lack `text_config`.
#define QWEN_VL(type, known, old)                                                                        \
    {                                                                                                    \
        .model_type = (type), .texts = (known), .default_text = type "_text", .prefixes = qwen_prefixes, \
        .heads = one_head, .flat = (old), .text_ties = (old), .harmless = harmless                       \
    }
#define IDEFICS(type)                                                                                      \
    {                                                                                                      \
        .model_type = (type), .texts = plain_texts, .default_text = "llama", .prefixes = idefics_prefixes, \
        .heads = one_head, .harmless = harmless                                                            \
    }

static const struct wrapper rows[] = {
    {.model_type = "gemma3",
     .texts = gemma3_texts,
     .default_text = "gemma3_text",
     .prefixes = llava_prefixes,
     .heads = llava_heads,
     .default_tie = true,
     .harmless = harmless},
    LLAVA("llava", "llama", false, true),
    LLAVA("llava_next", "llama", false, false),
    LLAVA("llava_next_video", "llama", false, true),
    LLAVA("llava_onevision", "qwen2", false, true),
    LLAVA("video_llava", "llama", false, false),
    LLAVA("deepseek_vl", "llama", true, false),
    LLAVA("ovis2", "qwen2", true, false),
    LLAVA("vipllava", "llama", false, false),
    LLAVA("internvl", "qwen2", true, false),
    LLAVA("got_ocr2", "qwen2", true, false),
    LLAVA("mistral3", "mistral", true, false),
    {.model_type = "gemma4",
     .texts = gemma4_texts,
     .default_text = "gemma4_text",
     .prefixes = gemma4_prefixes,
     .heads = one_head,
     .default_tie = true,
     .caps_logits = true,
     .harmless = harmless},
    {.model_type = "llama4",
     .texts = llama4_texts,
     .default_text = "llama4_text",
     .prefixes = llama4_prefixes,
     .heads = llama4_heads,
     .text_ties = true,
     .harmless = harmless},
    {.model_type = "aya_vision",
     .texts = cohere_texts,
     .default_text = "cohere2",
     .prefixes = llava_prefixes,
     .heads = llava_heads,
     .default_tie = true,
     .harmless = harmless},
    {.model_type = "cohere2_vision",
     .texts = cohere_texts,
     .default_text = "cohere2",
     .prefixes = llava_prefixes,
     .heads = llava_heads,
     .default_tie = true,
     .harmless = harmless},
    {.model_type = "glm4v",
     .texts = glm4v_texts,
     .default_text = "glm4v_text",
     .prefixes = qwen_prefixes,
     .heads = one_head,
     .text_ties = true,
     .harmless = harmless},
    {.model_type = "glm4v_moe",
     .texts = glm4v_moe_texts,
     .default_text = "glm4v_moe_text",
     .prefixes = qwen_prefixes,
     .heads = one_head,
     .text_ties = true,
     .harmless = harmless},
    {.model_type = "glm46v",
     .texts = glm46v_texts,
     .default_text = "glm4v_text",
     .prefixes = qwen_prefixes,
     .heads = one_head,
     .harmless = harmless},
    QWEN_VL("qwen2_vl", qwen2_vl_texts, true),
    QWEN_VL("qwen2_5_vl", qwen2_5_vl_texts, true),
    QWEN_VL("qwen3_vl_moe", qwen3_vl_moe_texts, false),
    QWEN_VL("qwen3_vl", qwen3_vl_texts, false),
    QWEN_VL("qwen3_5", qwen3_5_texts, false),
    QWEN_VL("qwen3_5_moe", qwen3_5_moe_texts, false),
    IDEFICS("idefics3"),
    IDEFICS("smolvlm"),
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
