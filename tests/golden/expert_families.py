"""Rows of make_families.FAMILIES: families whose layers have many experts."""

import family_base
import transformers as hf
from family_base import BF16, F32, without, without_layer_types


def base(**changes):
    return family_base.base(**dict(num_key_value_heads=4) | changes)


def published_minimax(config):
    """As the model's authors write it: what is rotated, in channels."""
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope["rope_theta"]
    config["rotary_dim"] = 4


LATENT = dict(q_lora_rank=6, kv_lora_rank=10, qk_nope_head_dim=6, qk_rope_head_dim=4, v_head_dim=5)
ROUTED = dict(
    n_routed_experts=6,
    num_experts_per_tok=2,
    n_shared_experts=2,
    moe_intermediate_size=4,
    n_group=2,
    topk_group=1,
    routed_scaling_factor=1.5,
    first_k_dense_replace=1,
)
YARN = dict(
    rope_type="yarn",
    rope_theta=500.0,
    factor=4.0,
    original_max_position_embeddings=64,
    beta_fast=1.5,
    beta_slow=0.5,
    mscale=0.7,
    mscale_all_dim=1.3,
)

EXPERT_FAMILIES = {
    "deepseek-v2": (
        hf.DeepseekV2Config(
            **base(num_hidden_layers=2),
            **LATENT,
            **ROUTED,
            topk_method="group_limited_greedy",
            attention_bias=True,
            mlp_bias=True,
            rms_norm_eps=1e-4,
            rope_parameters=YARN,
        ),
        BF16,
        {"seed": 101},
    ),
    "deepseek-v2-lite": (
        hf.DeepseekV2Config(
            **base(num_hidden_layers=1),
            **{**LATENT, "q_lora_rank": None, "v_head_dim": 8},
            **{**ROUTED, "n_group": None, "topk_group": None, "first_k_dense_replace": 0},
            topk_method="greedy",
        ),
        BF16,
        {"seed": 102},
    ),
    "deepseek-v3": (
        hf.DeepseekV3Config(
            **base(num_hidden_layers=2), **LATENT, **ROUTED, attention_bias=True, rms_norm_eps=1e-4,
            rope_parameters=YARN
        ),
        BF16,
        {"seed": 103},
    ),
    "deepseek-v3-plain": (
        hf.DeepseekV3Config(
            **base(num_hidden_layers=1),
            **{**LATENT, "q_lora_rank": None},
            **{**ROUTED, "n_group": 1, "n_shared_experts": 1, "first_k_dense_replace": 0},
            rope_interleave=False,
            norm_topk_prob=False,
        ),
        BF16,
        {"seed": 104, "shard": "9KB"},
    ),
    "glm4-moe": (
        hf.Glm4MoeConfig(
            **base(num_hidden_layers=2, num_key_value_heads=2),
            **ROUTED,
            head_dim=8,
            use_qk_norm=True,
            attention_bias=True,
            norm_topk_prob=False,
            rope_parameters=dict(rope_type="default", rope_theta=500.0, partial_rotary_factor=0.25),
        ),
        BF16,
        {"seed": 105},
    ),
    "glm4-moe-plain": (
        hf.Glm4MoeConfig(
            **base(num_hidden_layers=1, num_key_value_heads=1),
            **{**ROUTED, "n_group": 1, "first_k_dense_replace": 0},
            hidden_act="gelu",
            tie_word_embeddings=True,
        ),
        BF16,
        {"seed": 106},
    ),
    "glm4-moe-lite": (
        hf.Glm4MoeLiteConfig(
            **base(num_hidden_layers=2),
            **LATENT,
            **without(ROUTED, "first_k_dense_replace"),
            mlp_layer_types=["sparse", "dense"],
        ),
        BF16,
        {"seed": 108},
    ),
    "ernie4-5-moe": (
        hf.Ernie4_5_MoeConfig(
            **base(num_key_value_heads=2, num_hidden_layers=3),
            use_bias=True,
            moe_intermediate_size=4,
            moe_k=2,
            moe_num_experts=4,
            moe_num_shared_experts=2,
            moe_layer_start_index=0,
            moe_layer_interval=2,
            moe_norm_min=0.9,
            tie_word_embeddings=False,
        ),
        BF16,
        {"seed": 109},
    ),
    "ernie4-5-moe-unshared": (
        hf.Ernie4_5_MoeConfig(
            **base(num_key_value_heads=2, num_hidden_layers=2),
            moe_intermediate_size=4,
            moe_k=2,
            moe_num_experts=4,
            moe_num_shared_experts=0,
            moe_layer_start_index=0,
            moe_layer_end_index=0,
        ),
        BF16,
        {"seed": 110},
    ),
    "olmoe": (
        hf.OlmoeConfig(
            **base(num_key_value_heads=2, num_hidden_layers=2, intermediate_size=4),
            attention_bias=True,
            clip_qkv=0.9,
            num_experts=4,
            num_experts_per_tok=2,
            norm_topk_prob=True,
        ),
        BF16,
        {"seed": 111},
    ),
    "olmoe-fused": (
        hf.OlmoeConfig(
            **base(num_key_value_heads=2, num_hidden_layers=1, intermediate_size=4), num_experts=3, num_experts_per_tok=2
        ),
        BF16,
        {"seed": 147, "names": "in memory"},
    ),
    "flex-olmo": (
        hf.FlexOlmoConfig(
            **base(num_key_value_heads=2, num_hidden_layers=2, intermediate_size=4), num_experts=3,
            num_experts_per_tok=2
        ),
        BF16,
        {"seed": 112},
    ),
    "minimax-m2": (
        hf.MiniMaxM2Config(
            **base(num_key_value_heads=2, num_hidden_layers=2, intermediate_size=4), head_dim=8, num_local_experts=5,
            num_experts_per_tok=2, rope_parameters=dict(rope_type="default", rope_theta=500.0, partial_rotary_factor=0.5)
        ),
        BF16,
        {"seed": 113, "edit": published_minimax},
    ),
    "granitemoe": (
        hf.GraniteMoeConfig(
            **base(num_key_value_heads=2, num_hidden_layers=2, intermediate_size=4),
            attention_bias=True,
            embedding_multiplier=3.0,
            logits_scaling=0.5,
            residual_multiplier=0.4,
            attention_multiplier=0.3,
            num_local_experts=4,
            num_experts_per_tok=2,
        ),
        BF16,
        {"seed": 114},
    ),
    "granitemoeshared": (
        hf.GraniteMoeSharedConfig(
            **base(num_key_value_heads=2, num_hidden_layers=1, intermediate_size=4),
            residual_multiplier=0.4,
            num_local_experts=4,
            num_experts_per_tok=2,
            shared_intermediate_size=6,
        ),
        BF16,
        {"seed": 115},
    ),
    "gpt-oss": (
        hf.GptOssConfig(
            **base(num_key_value_heads=2, num_hidden_layers=2, intermediate_size=4),
            head_dim=6,
            sliding_window=25,
            num_local_experts=4,
            num_experts_per_tok=2,
            swiglu_alpha=1.3,
            swiglu_limit=0.8,
            rope_parameters={**without(YARN, "mscale"), "truncate": False},
        ),
        BF16,
        {"seed": 116, "edit": without_layer_types},
    ),
    "hunyuan-moe": (
        hf.HunYuanMoEV1Config(
            **base(num_key_value_heads=2, num_hidden_layers=2, intermediate_size=8),
            head_dim=6,
            attention_bias=True,
            num_experts=4,
            moe_topk=[2, 2],
            rope_parameters=dict(rope_type="dynamic", rope_theta=500.0, alpha=20.0, factor=1.0),
        ),
        BF16,
        {"seed": 117},
    ),
    "phimoe": (
        hf.PhimoeConfig(
            **base(num_key_value_heads=2, num_hidden_layers=2, intermediate_size=4),
            attention_bias=True,
            lm_head_bias=True,
            num_local_experts=5,
            router_jitter_noise=0.2,
            sliding_window=90,
            rope_parameters=dict(
                rope_type="longrope",
                rope_theta=500.0,
                short_factor=[1.0, 1.5],
                long_factor=[1.25, 3.0],
                short_mscale=1.2,
                long_mscale=1.4,
                original_max_position_embeddings=64,
            ),
        ),
        BF16,
        {"seed": 118, "short": 50},
    ),
    "dots1": (
        hf.Dots1Config(
            **base(num_key_value_heads=2),
            **ROUTED,
            head_dim=6,
            attention_bias=True,
            norm_topk_prob=True,
            sliding_window=25,
            max_window_layers=1,
        ),
        BF16,
        {"seed": 107, "edit": without_layer_types},
    ),
}
