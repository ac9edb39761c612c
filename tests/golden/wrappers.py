"""Tiny models for images and text with a language model inside, for make_families.py. Their tests are about texts alone."""

import json
import os

import transformers as hf
from family_base import BF16, F32, base, without
from safetensors.torch import load_file, save_file

TOKEN = 1000  # stands for an image: beyond the vocabulary of the texts


def text(**changes):
    return base(**dict(num_hidden_layers=2) | changes)


VISION = dict(hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2, image_size=8, patch_size=4)
QWEN_VISION = dict(depth=1, hidden_size=8, intermediate_size=8, num_heads=2, out_hidden_size=16, patch_size=4)
MROPE = dict(rope_type="default", rope_theta=500.0, mrope_section=[1, 1, 0])


def old_qwen2_vl(config):
    """As the first checkpoints have it: the language model's keys at the root."""
    inside = config.pop("text_config")
    rope = inside.pop("rope_parameters")
    del inside["model_type"], inside["layer_types"]
    config.update(inside)
    config["rope_theta"] = rope["rope_theta"]
    config["rope_scaling"] = {"type": "mrope", "mrope_section": rope["mrope_section"]}


def tied_inside(config):
    """As transformers 4 wrote it; and nothing at the root."""
    config["text_config"]["tie_word_embeddings"] = config.pop("tie_word_embeddings")


def without_defaults(config):
    """As transformers 4 wrote what is inside another model."""
    for key in ("model_type", "rms_norm_eps", "hidden_act", "attention_bias", "mlp_bias", "head_dim", "tie_word_embeddings"):
        del config["text_config"][key]


def newer_names(directory):
    """The names that transformers 5 has in memory, which some checkpoints have on disk."""
    renames = (("language_model.lm_head", "lm_head"), ("language_model.model.", "model.language_model."),
               ("vision_tower", "model.vision_tower"), ("multi_modal", "model.multi_modal"))

    def renamed(entries):
        fits = lambda name: next(((old, new) for old, new in renames if name.startswith(old)), ("", ""))
        return {fits(name)[1] + name[len(fits(name)[0]):]: value for name, value in entries.items()}

    for file in os.listdir(directory):
        path = os.path.join(directory, file)
        if file.endswith(".safetensors"):
            save_file(renamed(load_file(path)), path, metadata={"format": "pt"})
        elif file.endswith(".index.json"):
            with open(path, encoding="utf-8") as source:
                index = json.load(source)
            index["weight_map"] = renamed(index["weight_map"])
            with open(path, "w", encoding="utf-8") as target:
                json.dump(index, target)


def transposed_experts(directory):
    """As they are in the published checkpoints."""
    for file in os.listdir(directory):
        path = os.path.join(directory, file)
        if file.endswith(".safetensors"):
            turn = lambda name, tensor: tensor.transpose(1, 2).contiguous() if ".mlp.experts." in name else tensor
            save_file({name: turn(name, tensor) for name, tensor in load_file(path).items()}, path, metadata={"format": "pt"})


WRAPPERS = {
    # What follows the head of gemma3_text is not done here.
    "gemma3-vl": (
        hf.Gemma3Config(
            text_config=text(
                head_dim=8, query_pre_attn_scalar=6, sliding_window=21, final_logit_softcapping=3.0,
                layer_types=["sliding_attention", "full_attention"],
                rope_parameters=dict(full_attention=dict(rope_type="linear", rope_theta=100000.0, factor=8.0),
                                     sliding_attention=dict(rope_type="default", rope_theta=1000.0))),
            vision_config=VISION, image_token_index=TOKEN, mm_tokens_per_image=4,
        ),
        BF16,
        {"shard": "9KB"},
    ),
    "qwen2-vl": (
        hf.Qwen2VLConfig(
            text_config=text(rope_parameters=MROPE, use_sliding_window=True, sliding_window=23, max_window_layers=1),
            vision_config=dict(depth=1, embed_dim=8, hidden_size=16, num_heads=2, patch_size=4), image_token_id=TOKEN,
        ),
        F32,
        {"edit": old_qwen2_vl},
    ),
    "qwen2.5-vl": (
        hf.Qwen2_5_VLConfig(
            text_config=text(rope_parameters=MROPE, num_hidden_layers=1),
            vision_config=QWEN_VISION | dict(fullatt_block_indexes=[0]), image_token_id=TOKEN, tie_word_embeddings=True,
        ),
        BF16,
        {"edit": tied_inside},
    ),
    "qwen3-vl": (
        hf.Qwen3VLConfig(
            text_config=text(head_dim=8, attention_bias=True,
                             rope_parameters=MROPE | dict(mrope_section=[2, 1, 1], mrope_interleaved=True)),
            vision_config=QWEN_VISION | dict(num_position_embeddings=4, deepstack_visual_indexes=[0]), image_token_id=TOKEN,
        ),
        BF16,
        {},
    ),
    "qwen3-vl-moe": (
        hf.Qwen3VLMoeConfig(
            text_config=text(head_dim=8, attention_bias=True, num_experts=5, num_experts_per_tok=3, moe_intermediate_size=12,
                             mlp_only_layers=[1],
                             rope_parameters=MROPE | dict(mrope_section=[2, 1, 1], mrope_interleaved=True)),
            vision_config=QWEN_VISION | dict(num_position_embeddings=4, deepstack_visual_indexes=[0]), image_token_id=TOKEN,
        ),
        F32,
        {"rename": transposed_experts},
    ),
    "qwen3-5-vl": (
        hf.Qwen3_5Config(
            text_config=text(
                head_dim=8, layer_types=["linear_attention", "full_attention"], rms_norm_eps=1e-2, linear_conv_kernel_dim=2,
                linear_key_head_dim=8, linear_value_head_dim=4, linear_num_key_heads=1, linear_num_value_heads=2,
                rope_parameters=dict(rope_type="default", rope_theta=500.0, partial_rotary_factor=0.5,
                                     mrope_section=[1, 1, 0], mrope_interleaved=True)),
            vision_config=QWEN_VISION | dict(num_position_embeddings=4), image_token_id=TOKEN, video_token_id=TOKEN + 1,
        ),
        BF16,
        {},
    ),
    "llava": (
        hf.LlavaConfig(text_config=text(model_type="llama"), vision_config=VISION | dict(
            model_type="clip_vision_model", projection_dim=8), image_token_index=TOKEN),
        F32,
        {"edit": without_defaults},
    ),
    "llava-newer-names": (
        hf.LlavaConfig(text_config=text(model_type="qwen3", head_dim=6, num_hidden_layers=1), vision_config=VISION | dict(
            model_type="clip_vision_model", projection_dim=8), image_token_index=TOKEN),
        BF16,
        {"rename": newer_names},
    ),
    "mistral3": (
        hf.Mistral3Config(text_config=text(model_type="mistral", head_dim=6, sliding_window=19), vision_config=VISION | dict(
            model_type="pixtral"), image_token_index=TOKEN, tie_word_embeddings=False),
        BF16,
        {},
    ),
    "mistral3-ministral3": (
        hf.Mistral3Config(
            text_config=text(
                model_type="ministral3", head_dim=12, num_attention_heads=2, num_key_value_heads=1, num_hidden_layers=2,
                rope_parameters=dict(rope_type="yarn", rope_theta=500.0, factor=4.0, original_max_position_embeddings=32,
                                     llama_4_scaling_beta=0.3),
            ),
            vision_config=VISION | dict(model_type="pixtral"), image_token_index=TOKEN, tie_word_embeddings=False,
        ),
        BF16,
        {},
    ),
    "internvl": (
        hf.InternVLConfig(text_config=text(model_type="qwen2"), vision_config=VISION, image_token_id=TOKEN),
        BF16,
        {},
    ),
    "smolvlm": (
        hf.SmolVLMConfig(text_config=text(model_type="llama", num_hidden_layers=1), vision_config=VISION, image_token_id=TOKEN,
                         pad_token_id=0),
        F32,
        {},
    ),
}

CLIP = VISION | dict(model_type="clip_vision_model", projection_dim=8)
# Added later: a model's seed is its place among all families.
LATER_WRAPPERS = {
    # What follows the head of gemma4_text is done here as well.
    "gemma4-vl": (
        hf.Gemma4Config(
            text_config=text(
                pad_token_id=0, num_hidden_layers=4, num_key_value_heads=1, head_dim=4, global_head_dim=8,
                hidden_size_per_layer_input=4,
                vocab_size_per_layer_input=96, num_kv_shared_layers=2, sliding_window=21, final_logit_softcapping=3.0,
                layer_types=["sliding_attention", "full_attention"] * 2,
                rope_parameters=dict(
                    full_attention=dict(rope_type="proportional", rope_theta=500.0, partial_rotary_factor=0.5),
                    sliding_attention=dict(rope_type="default", rope_theta=100.0))),
            vision_config=dict(hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2, head_dim=4,
                               num_key_value_heads=2, patch_size=4, position_embedding_size=16, use_clipped_linears=True),
            audio_config=dict(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, subsampling_conv_channels=[4, 2],
                              output_proj_dims=8),
            image_token_id=TOKEN, video_token_id=TOKEN + 1, audio_token_id=TOKEN + 2,
        ),
        BF16,
        {},
    ),
    "llama4-vl": (
        hf.Llama4Config(
            text_config=text(num_hidden_layers=2, head_dim=8, intermediate_size=12, intermediate_size_mlp=20,
                             num_local_experts=3, moe_layers=[1], attention_chunk_size=23, no_rope_layers=[1, 0],
                             floor_scale=16, rope_parameters=dict(rope_type="default", rope_theta=500.0)),
            vision_config=dict(hidden_size=8, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, image_size=8,
                               patch_size=4, vision_output_dim=8, projector_input_dim=8, projector_output_dim=8),
            image_token_index=TOKEN,
        ),
        BF16,
        {},
    ),
    "aya-vision": (
        hf.AyaVisionConfig(text_config=text(model_type="cohere2", sliding_window=19, logit_scale=0.5), vision_config=VISION | dict(
            model_type="siglip_vision_model", vision_use_head=False), image_token_index=TOKEN),
        F32,
        {},
    ),
    "glm4v": (
        hf.Glm4vConfig(
            text_config=text(rope_parameters=dict(rope_type="default", rope_theta=500.0, partial_rotary_factor=0.5,
                                                  mrope_section=[1, 0, 0])),
            vision_config=dict(depth=1, hidden_size=8, intermediate_size=8, num_heads=2, out_hidden_size=16, patch_size=4,
                               image_size=8), image_token_id=TOKEN, video_token_id=TOKEN + 1,
        ),
        BF16,
        {},
    ),
    "glm4v-moe": (
        hf.Glm4vMoeConfig(
            text_config=text(head_dim=8, num_experts_per_tok=2, n_routed_experts=4, moe_intermediate_size=12, n_shared_experts=1,
                             first_k_dense_replace=1, routed_scaling_factor=1.5,
                             rope_parameters=dict(rope_type="default", rope_theta=500.0, partial_rotary_factor=0.5,
                                                  mrope_section=[1, 1, 0])),
            vision_config=dict(depth=1, hidden_size=8, intermediate_size=8, num_heads=2, out_hidden_size=16, patch_size=4,
                               image_size=8), image_token_id=TOKEN, video_token_id=TOKEN + 1,
        ),
        F32,
        {},
    ),
    "glm46v": (
        hf.Glm46VConfig(
            text_config=text(model_type="glm4v_text", num_hidden_layers=1, rope_parameters=dict(
                rope_type="default", rope_theta=500.0, mrope_section=[1, 1, 0])),
            vision_config=dict(depth=1, hidden_size=8, intermediate_size=8, num_heads=2, out_hidden_size=16, patch_size=4,
                               image_size=8), image_token_id=TOKEN, video_token_id=TOKEN + 1,
        ),
        BF16,
        {},
    ),
    "video-llava": (hf.VideoLlavaConfig(text_config=text(model_type="llama", num_hidden_layers=1), vision_config=CLIP,
                                        image_token_index=TOKEN, video_token_index=TOKEN + 1), BF16, {}),
    "deepseek-vl": (hf.DeepseekVLConfig(text_config=text(model_type="llama", num_hidden_layers=1), vision_config=VISION | dict(
        model_type="siglip_vision_model", vision_use_head=False), image_token_id=TOKEN), BF16, {}),
    "ovis2": (hf.Ovis2Config(text_config=text(model_type="qwen2", num_hidden_layers=1), vision_config=VISION | dict(vocab_size=16),
                             hidden_size=16, vocab_size=96, image_token_id=TOKEN), BF16, {}),
}

# The same arithmetic under other names, for family_parity.py alone.
MORE_WRAPPERS = {
    "qwen3-5-moe-vl": (
        hf.Qwen3_5MoeConfig(
            text_config={key: value for key, value in text(
                head_dim=8, layer_types=["linear_attention", "full_attention"], rms_norm_eps=1e-2, linear_key_head_dim=8,
                linear_value_head_dim=4, linear_num_key_heads=1, linear_num_value_heads=2, num_experts=3,
                num_experts_per_tok=2, moe_intermediate_size=8, shared_expert_intermediate_size=12,
            ).items() if key != "intermediate_size"},
            vision_config=QWEN_VISION | dict(num_position_embeddings=4), image_token_id=TOKEN, video_token_id=TOKEN + 1,
        ), BF16, {}),
    "cohere2-vision": (hf.Cohere2VisionConfig(text_config=text(model_type="cohere2", sliding_window=19), vision_config=VISION | dict(
        model_type="siglip_vision_model", vision_use_head=False), image_token_id=TOKEN), BF16, {}),
    "qwen3-vl-moe-as-saved": (WRAPPERS["qwen3-vl-moe"][0], F32, {}),
    "llava-next": (hf.LlavaNextConfig(text_config=text(model_type="mistral", sliding_window=19), vision_config=CLIP,
                                      image_token_index=TOKEN), F32, {}),
    "llava-next-video": (hf.LlavaNextVideoConfig(text_config=text(model_type="llama"), vision_config=CLIP,
                                                 image_token_index=TOKEN), F32, {}),
    "llava-onevision": (hf.LlavaOnevisionConfig(text_config=text(model_type="qwen2"), vision_config=VISION | dict(
        model_type="siglip_vision_model"), image_token_index=TOKEN), F32, {}),
    "vipllava": (hf.VipLlavaConfig(text_config=text(model_type="llama"), vision_config=CLIP, image_token_index=TOKEN,
                                   vision_feature_layers=[0]), F32, {}),
    "got-ocr2": (hf.GotOcr2Config(text_config=text(model_type="qwen2"), vision_config=VISION | dict(
        output_channels=4, window_size=2, global_attn_indexes=[0], mlp_dim=8), image_token_index=TOKEN), F32, {}),
    "idefics3": (hf.Idefics3Config(text_config=text(model_type="llama"), vision_config=VISION, image_token_id=TOKEN,
                                   pad_token_id=0), F32, {}),
}
