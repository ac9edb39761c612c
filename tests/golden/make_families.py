#!/usr/bin/env python3
"""Tiny random checkpoints of every model family, and what transformers computes with them: make_families.py OUT [NAME...]

Each becomes OUT/<name>/ with config.json, *.safetensors and golden*.json (see golden.py). Needs torch and transformers;
made with transformers 5.23 and torch 2.13 in tests/golden/families. Weights are random but not small, so that soft caps,
windows, biases and norms all show in the logits.
"""

import json
import os
import sys

import torch
import transformers as hf
from transformers.models.llama4 import modeling_llama4

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from expert_families import EXPERT_FAMILIES
from family_base import BF16, F16, F32, TOKENS, VOCABULARY, base, without, without_layer_types
from golden import write_golden
from wrappers import LATER_WRAPPERS, WRAPPERS

# Llama 4's wrapper of 5.24 asks the language model's output for this, and fails without images.
modeling_llama4.MoeCausalLMOutputWithPast.image_outputs = None

LENGTH = 150  # more than a block of queries, more than the windows and the original contexts below

GPT = dict(TOKENS, n_embd=16, n_layer=3, n_head=4, n_positions=256)
BLOOM = dict(TOKENS, hidden_size=24)


def short_base(**changes):
    """For those that call the inner size and the key-value heads otherwise."""
    return without(base(**changes), "intermediate_size", "num_key_value_heads")


def old_llama(config):
    """config.json as transformers 4 wrote it."""
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope.pop("rope_theta")
    config["rope_scaling"] = {"type": rope.pop("rope_type"), **rope} if rope["rope_type"] != "default" else None
    config["torch_dtype"] = config.pop("dtype")


def old_gemma3(config):
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope["full_attention"]["rope_theta"]
    config["rope_local_base_freq"] = rope["sliding_attention"]["rope_theta"]
    config["rope_scaling"] = {"rope_type": "linear", "factor": rope["full_attention"]["factor"]}
    config["sliding_window_pattern"] = 2
    del config["layer_types"]


def old_neox(config):
    rope = config.pop("rope_parameters")
    config["rotary_emb_base"] = rope["rope_theta"]
    config["rotary_pct"] = rope["partial_rotary_factor"]


def old_internlm3(config):
    """With the names that its releases have."""
    for key, name in (("attention_bias", "qkv_bias"), ("mlp_bias", "bias")):
        config[name] = config.pop(key)


def old_exaone(config):
    for key, name in (("num_hidden_layers", "num_layers"), ("rms_norm_eps", "layer_norm_epsilon"),
                      ("hidden_act", "activation_function")):
        config[name] = config.pop(key)


def old_cohere2(config):
    config["sliding_window_pattern"] = 2
    del config["layer_types"]
    config["rope_theta"] = config.pop("rope_parameters")["rope_theta"]


def old_bloom(config):
    config["n_embed"] = config.pop("hidden_size")
    config["num_attention_heads"] = config.pop("n_head")


def old_stablelm(config):
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope["rope_theta"]
    config["partial_rotary_factor"] = rope["partial_rotary_factor"]


def interval_for_types(config):
    """The key that layer_types are made of."""
    del config["layer_types"]
    config["full_attention_interval"] = 3


def published_gemma4(config):
    """Sizes of global heads as Google writes them; transformers writes per_layer_config."""
    del config["per_layer_config"]
    config["global_head_dim"] = 12
    config["num_global_key_value_heads"] = None


def tied_by_mistake(config):
    """Merges and fine-tuning leave such folders: a head of its own, and a config that says there is none."""
    config["tie_word_embeddings"] = True


FAMILIES = {
    # name: (config, dtype, more): `shard` a shard size, `rename` (from, to), `edit` a change of config.json,
    # `names` other tensor names than transformers writes, `seed` another one than the place in this list: a recurrent state may be ill-conditioned for some
    "llama3": (
        hf.LlamaConfig(
            **base(num_attention_heads=2, num_key_value_heads=1),
            attention_bias=True,
            mlp_bias=True,
            rope_parameters=dict(
                rope_type="llama3",
                rope_theta=500.0,
                factor=8.0,
                low_freq_factor=1.0,
                high_freq_factor=4.0,
                original_max_position_embeddings=64,
            ),
        ),
        BF16,
        {},
    ),
    "llama-linear": (
        hf.LlamaConfig(
            **base(num_hidden_layers=1, tie_word_embeddings=True),
            rope_parameters=dict(rope_type="linear", rope_theta=10000.0, factor=4.0),
        ),
        F32,
        {"edit": old_llama},
    ),
    "llama-dynamic": (
        hf.LlamaConfig(
            **base(num_hidden_layers=1, max_position_embeddings=64, num_attention_heads=1, num_key_value_heads=1),
            rope_parameters=dict(rope_type="dynamic", rope_theta=10000.0, factor=2.0),
        ),
        F16,
        {},
    ),
    "llama-yarn": (
        hf.LlamaConfig(
            **base(num_hidden_layers=1, num_attention_heads=1, num_key_value_heads=1),
            rope_parameters=dict(
                rope_type="yarn",
                rope_theta=500.0,
                factor=4.0,
                original_max_position_embeddings=64,
                beta_fast=1.5,
                beta_slow=0.5,
            ),
        ),
        BF16,
        {},
    ),
    "mistral": (
        hf.MistralConfig(**base(head_dim=6), sliding_window=19),
        F32,
        {"shard": "16KB"},
    ),
    "qwen2": (
        hf.Qwen2Config(
            **base(tie_word_embeddings=True), use_sliding_window=True, sliding_window=23, max_window_layers=1
        ),
        BF16,
        {"edit": without_layer_types},
    ),
    "qwen3": (
        hf.Qwen3Config(
            **base(),
            head_dim=6,
            use_sliding_window=True,
            sliding_window=40,
            layer_types=["sliding_attention", "full_attention", "sliding_attention"],
        ),
        F32,
        {},
    ),
    "phi3": (
        hf.Phi3Config(
            **base(num_attention_heads=2, num_key_value_heads=1),
            original_max_position_embeddings=64,
            sliding_window=100,
            rope_parameters=dict(
                rope_type="longrope",
                rope_theta=10000.0,
                partial_rotary_factor=0.75,
                short_factor=[1.0, 1.5, 2.0],
                long_factor=[1.25, 3.0, 9.0],
            ),
        ),
        BF16,
        {"short": 50},
    ),
    "gemma2": (
        hf.Gemma2Config(
            **base(num_hidden_layers=2, hidden_size=24),  # whose root is not a bfloat16 number
            head_dim=8,
            query_pre_attn_scalar=12,
            sliding_window=21,
            attn_logit_softcapping=5.0,
            final_logit_softcapping=4.0,
        ),
        BF16,
        {"edit": without_layer_types},
    ),
    "gemma3": (
        hf.Gemma3TextConfig(
            **base(),
            head_dim=8,
            query_pre_attn_scalar=6,
            sliding_window=21,
            layer_types=["sliding_attention", "full_attention", "sliding_attention"],
            rope_parameters=dict(
                full_attention=dict(rope_type="linear", rope_theta=100000.0, factor=8.0),
                sliding_attention=dict(rope_type="default", rope_theta=1000.0),
            ),
        ),
        F32,
        {},
    ),
    "gemma3-old": (
        hf.Gemma3TextConfig(
            **base(num_hidden_layers=2, hidden_size=24),
            head_dim=8,
            sliding_window=21,
            layer_types=["sliding_attention", "full_attention"],
            rope_parameters=dict(
                full_attention=dict(rope_type="linear", rope_theta=100000.0, factor=8.0),
                sliding_attention=dict(rope_type="default", rope_theta=1000.0),
            ),
        ),
        BF16,
        {"edit": old_gemma3},
    ),
    "gpt-neox": (
        hf.GPTNeoXConfig(
            **base(num_attention_heads=2),
            rope_parameters=dict(rope_type="default", rope_theta=10000.0, partial_rotary_factor=0.5),
        ),
        F32,
        {"shard": "12KB", "edit": old_neox},
    ),
    "gpt-neox-sequential": (
        hf.GPTNeoXConfig(
            **base(num_hidden_layers=1, num_attention_heads=1),
            use_parallel_residual=False,
            attention_bias=False,
            hidden_act="gelu_new",
        ),
        BF16,
        {},
    ),
    "opt": (
        hf.OPTConfig(**short_base(), ffn_dim=24, word_embed_proj_dim=16),
        F16,
        {},
    ),
    "opt-norm-after": (
        hf.OPTConfig(
            **short_base(num_hidden_layers=2), ffn_dim=24, word_embed_proj_dim=16, do_layer_norm_before=False,
            enable_bias=False,
        ),
        BF16,
        {},
    ),
    "mixtral": (
        hf.MixtralConfig(
            **base(num_hidden_layers=2), num_local_experts=4, num_experts_per_tok=2, sliding_window=33
        ),
        BF16,
        {},
    ),
    "qwen2-moe": (
        hf.Qwen2MoeConfig(
            **base(),
            num_experts=4,
            num_experts_per_tok=2,
            moe_intermediate_size=8,
            shared_expert_intermediate_size=12,
            mlp_only_layers=[1],
            use_sliding_window=True,
            sliding_window=30,
            max_window_layers=2,
        ),
        F32,
        {"edit": without_layer_types},
    ),
    "qwen3-moe": (
        hf.Qwen3MoeConfig(
            **base(num_hidden_layers=4),
            head_dim=6,
            num_experts=5,
            num_experts_per_tok=3,
            moe_intermediate_size=8,
            decoder_sparse_step=2,
            norm_topk_prob=True,
        ),
        BF16,
        {"shard": "9KB"},
    ),
    "granite": (
        hf.GraniteConfig(
            **base(head_dim=6),
            attention_bias=True,
            mlp_bias=True,
            embedding_multiplier=3.5,
            residual_multiplier=0.3,
            attention_multiplier=0.7,
            logits_scaling=2.5,
        ),
        BF16,
        {},
    ),
    "cohere": (
        hf.CohereConfig(
            **base(head_dim=6), attention_bias=True, use_qk_norm=True, logit_scale=0.4, tie_word_embeddings=False
        ),
        F32,
        {"shard": "12KB"},
    ),
    "cohere2": (
        hf.Cohere2Config(
            **base(num_hidden_layers=4),
            attention_bias=False,
            sliding_window=21,
            layer_types=["sliding_attention", "full_attention", "sliding_attention", "full_attention"],
            rope_parameters=dict(rope_type="default", rope_theta=500.0),
            logit_scale=0.5,
        ),
        BF16,
        {"edit": old_cohere2},
    ),
    "phi": (
        hf.PhiConfig(
            **base(num_attention_heads=2, num_key_value_heads=1),
            qk_layernorm=True,
            rope_parameters=dict(rope_type="default", rope_theta=500.0, partial_rotary_factor=0.75),
        ),
        F32,
        {},
    ),
    "starcoder2": (hf.Starcoder2Config(**base(), sliding_window=31, norm_epsilon=1e-3), BF16, {}),
    "starcoder2-no-bias": (
        hf.Starcoder2Config(**base(num_hidden_layers=2, tie_word_embeddings=False), use_bias=False),
        F32,
        {},
    ),
    "stablelm": (
        hf.StableLmConfig(
            **base(num_attention_heads=2, num_key_value_heads=1),
            use_qkv_bias=True,
            qk_layernorm=True,
            use_parallel_residual=True,
            rope_parameters=dict(rope_type="default", rope_theta=500.0, partial_rotary_factor=0.5),
        ),
        BF16,
        {},
    ),
    "stablelm-sequential": (
        hf.StableLmConfig(**base(num_hidden_layers=2, num_attention_heads=2), hidden_act="gelu"),
        F32,
        {"edit": old_stablelm},
    ),
    "ministral": (
        hf.MinistralConfig(
            **base(head_dim=6), sliding_window=19, layer_types=["full_attention", "sliding_attention", "full_attention"]
        ),
        BF16,
        {},
    ),
    "ministral3": (
        hf.Ministral3Config(
            **base(head_dim=12, num_attention_heads=2, num_key_value_heads=1),
            sliding_window=70,
            rope_parameters=dict(
                rope_type="yarn",
                rope_theta=500.0,
                factor=4.0,
                original_max_position_embeddings=32,
                beta_fast=1.5,
                beta_slow=0.5,
                mscale=1.0,
                mscale_all_dim=0.5,
                llama_4_scaling_beta=0.3,
            ),
        ),
        F32,
        {},
    ),
    "smollm3": (
        hf.SmolLM3Config(
            **base(tie_word_embeddings=False),
            attention_bias=True,
            mlp_bias=True,
            no_rope_layers=[1, 0, 1],
            use_sliding_window=True,
            sliding_window=19,
            rope_parameters=dict(rope_type="default", rope_theta=300.0),
        ),
        BF16,
        {},
    ),
    "olmo": (hf.OlmoConfig(**base(), attention_bias=True, clip_qkv=0.9), F32, {}),
    "olmo2": (hf.Olmo2Config(**base(), attention_bias=True), BF16, {}),
    "olmo3": (
        hf.Olmo3Config(
            **base(num_attention_heads=2, num_key_value_heads=1),
            sliding_window=21,
            layer_types=["sliding_attention", "full_attention", "sliding_attention"],
            rope_parameters=dict(
                full_attention=dict(
                    rope_type="yarn", rope_theta=500.0, factor=4.0, original_max_position_embeddings=64,
                    beta_fast=1.5, beta_slow=0.5,
                ),
                sliding_attention=dict(rope_type="default", rope_theta=700.0),
            ),
        ),
        F32,
        {},
    ),
    "exaone4": (
        hf.Exaone4Config(
            **base(), sliding_window=19, layer_types=["sliding_attention", "full_attention", "sliding_attention"]
        ),
        BF16,
        {},
    ),
    "seed-oss": (
        hf.SeedOssConfig(**base(head_dim=6), attention_out_bias=True, mlp_bias=True), BF16, {}
    ),
    "cwm": (
        hf.CwmConfig(
            **base(head_dim=6),
            mlp_bias=True,
            sliding_window=19,
            rope_parameters=dict(
                rope_type="llama3", rope_theta=500.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                original_max_position_embeddings=64,
            ),
        ),
        F32,
        {"edit": without_layer_types},
    ),
    "iquestcoder": (hf.IQuestCoderConfig(**base(head_dim=6, num_hidden_layers=1), mlp_bias=True), F32, {}),
    "internlm3": (
        hf.InternLM3Config(**base(head_dim=6, num_hidden_layers=1), attention_bias=True, mlp_bias=True),
        F32,
        {"edit": old_internlm3},
    ),
    "exaone": (hf.ExaoneConfig(**base(num_hidden_layers=2), attention_bias=True), BF16, {"edit": old_exaone}),
    "arcee": (hf.ArceeConfig(**base(head_dim=6, num_hidden_layers=2), mlp_bias=True), F32, {}),
    "nemotron": (
        hf.NemotronConfig(
            **base(head_dim=8),
            attention_bias=True,
            rope_parameters=dict(rope_type="default", rope_theta=300.0, partial_rotary_factor=0.75),
        ),
        BF16,
        {},
    ),
    "jais2": (hf.Jais2Config(**base(num_hidden_layers=2, num_attention_heads=2)), BF16, {}),
    "apertus": (
        hf.ApertusConfig(
            **base(num_hidden_layers=2, num_attention_heads=2),
            attention_bias=True,
            rope_parameters=dict(
                rope_type="llama3", rope_theta=500.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                original_max_position_embeddings=64,
            ),
        ),
        BF16,
        {},
    ),
    "nanochat": (
        hf.NanoChatConfig(**base(num_hidden_layers=2), attention_bias=True, final_logit_softcapping=4.0), F32, {}
    ),
    "hunyuan": (
        hf.HunYuanDenseV1Config(
            **base(head_dim=6),
            attention_bias=True,
            rope_parameters=dict(rope_type="dynamic", rope_theta=300.0, factor=1.0, alpha=20.0),
        ),
        BF16,
        {},
    ),
    "glm": (
        hf.GlmConfig(
            **base(num_hidden_layers=2, head_dim=8),
            rope_parameters=dict(rope_type="default", rope_theta=300.0, partial_rotary_factor=0.75),
        ),
        F32,
        {},
    ),
    "glm4": (hf.Glm4Config(**base(head_dim=8)), BF16, {}),
    "ernie4-5": (hf.Ernie4_5Config(**base(head_dim=6), use_bias=True), BF16, {}),
    "helium": (
        hf.HeliumConfig(**base(num_hidden_layers=2, head_dim=4), attention_bias=True, mlp_bias=True), F32, {}
    ),
    "gemma": (
        hf.GemmaConfig(**base(num_hidden_layers=2, hidden_size=24, head_dim=8), attention_bias=True), BF16, {}
    ),
    "vaultgemma": (
        hf.VaultGemmaConfig(
            **base(num_hidden_layers=2, hidden_size=24),
            head_dim=8,
            query_pre_attn_scalar=12,
            sliding_window=21,
            attn_logit_softcapping=5.0,
            final_logit_softcapping=4.0,
        ),
        BF16,
        {},
    ),
    "gpt2": (
        hf.GPT2Config(**GPT, n_inner=40, scale_attn_by_inverse_layer_idx=True, activation_function="gelu"),
        BF16,
        {},
    ),
    "gpt2-unscaled": (
        hf.GPT2Config(**{**GPT, "n_layer": 2}, scale_attn_weights=False, tie_word_embeddings=False), F32, {}
    ),
    "gpt-bigcode": (hf.GPTBigCodeConfig(**GPT, n_inner=24, activation_function="relu"), BF16, {}),
    "gpt-bigcode-multi-head": (
        hf.GPTBigCodeConfig(**{**GPT, "n_layer": 2}, n_inner=24, multi_query=False, scale_attn_weights=False), BF16, {}
    ),
    "gptj": (hf.GPTJConfig(**{**GPT, "n_head": 2}, n_inner=24, rotary_dim=6), BF16, {}),
    "codegen": (hf.CodeGenConfig(**{**GPT, "n_head": 8, "n_embd": 32}, n_inner=24, rotary_dim=2), BF16, {}),
    "bloom": (
        hf.BloomConfig(**BLOOM, n_layer=3, n_head=6, apply_residual_connection_post_layernorm=True), BF16, {}
    ),
    "bloom-power": (hf.BloomConfig(**BLOOM, n_layer=2, n_head=4, tie_word_embeddings=False), F32, {"edit": old_bloom}),
    "falcon": (
        hf.FalconConfig(**short_base(num_attention_heads=4), num_kv_heads=2, new_decoder_architecture=True, bias=True,
                        ffn_hidden_size=24), BF16, {},
    ),
    "falcon-one-norm": (
        hf.FalconConfig(**short_base(num_hidden_layers=2, num_attention_heads=4), num_kv_heads=2, ffn_hidden_size=24,
                        new_decoder_architecture=True, num_ln_in_parallel_attn=1), BF16, {},
    ),
    "falcon-multi-query": (
        hf.FalconConfig(**short_base(num_hidden_layers=2, num_attention_heads=4, tie_word_embeddings=False),
                        ffn_hidden_size=24, rope_parameters=dict(rope_type="default", rope_theta=500.0)), BF16, {},
    ),
    "falcon-alibi": (
        hf.FalconConfig(**short_base(num_hidden_layers=2, num_attention_heads=4, hidden_size=24), ffn_hidden_size=24,
                        alibi=True, multi_query=False, parallel_attn=False, bias=True, activation="gelu_new"), BF16, {},
    ),
    "mpt": (
        hf.MptConfig(d_model=24, n_heads=6, n_layers=3, max_seq_len=256, vocab_size=VOCABULARY,
                     attn_config=dict(clip_qkv=1.5, softmax_scale=0.7), bos_token_id=1, eos_token_id=2), BF16, {},
    ),
    "llama-own-head": (hf.LlamaConfig(**base(num_hidden_layers=1)), F32, {"edit": tied_by_mistake}),
    **EXPERT_FAMILIES,
}


FAMILIES |= WRAPPERS


def auto_class(config):
    """What loads such a checkpoint as the class that it was saved from."""
    return hf.AutoModelForImageTextToText if "text_config" in config.sub_configs else hf.AutoModelForCausalLM


# Linear attention by the gated delta rule.
FAMILIES |= {
    "qwen3-next": (
        hf.Qwen3NextConfig(
            **base(),
            head_dim=8,
            hidden_act="gelu_pytorch_tanh",
            rms_norm_eps=1e-2,
            attention_bias=True,
            rope_parameters=dict(rope_type="default", rope_theta=500.0, partial_rotary_factor=0.5),
            layer_types=["linear_attention", "full_attention", "linear_attention"],
            mlp_only_layers=[2],
            linear_conv_kernel_dim=3,
            linear_key_head_dim=8,
            linear_value_head_dim=6,
            linear_num_key_heads=2,
            linear_num_value_heads=4,
            num_experts=3,
            num_experts_per_tok=2,
            norm_topk_prob=False,
            moe_intermediate_size=8,
            shared_expert_intermediate_size=12,
        ),
        F32,
        {"seed": 31},
    ),
    "qwen3-5": (
        hf.Qwen3_5TextConfig(
            **base(tie_word_embeddings=True),
            head_dim=16,
            rope_parameters=dict(
                rope_type="default",
                rope_theta=500.0,
                partial_rotary_factor=0.5,
                mrope_interleaved=True,
                mrope_section=[2, 1, 1],
            ),
            full_attention_interval=3,
            linear_key_head_dim=8,
            linear_value_head_dim=4,
            linear_num_key_heads=2,
            linear_num_value_heads=2,
        ),
        BF16,
        {"edit": interval_for_types},
    ),
    "qwen3-5-moe": (
        hf.Qwen3_5MoeTextConfig(
            **without(base(num_hidden_layers=2), "intermediate_size"),
            head_dim=8,
            rms_norm_eps=1e-2,
            layer_types=["full_attention", "linear_attention"],
            linear_conv_kernel_dim=2,
            linear_key_head_dim=8,
            linear_value_head_dim=4,
            linear_num_key_heads=1,
            linear_num_value_heads=3,
            num_experts=4,
            num_experts_per_tok=2,
            moe_intermediate_size=8,
            shared_expert_intermediate_size=12,
        ),
        BF16,
        {},
    ),
    "qwen3-5-moe-fused": (
        hf.Qwen3_5MoeTextConfig(
            **without(base(num_hidden_layers=1), "intermediate_size"),
            rms_norm_eps=1e-2,
            layer_types=["linear_attention"],
            linear_key_head_dim=8,
            linear_value_head_dim=8,
            linear_num_key_heads=1,
            linear_num_value_heads=1,
            num_experts=3,
            num_experts_per_tok=1,
            moe_intermediate_size=8,
            shared_expert_intermediate_size=12,
        ),
        BF16,
        {"names": "in memory"},
    ),
}


# Heads that differ from layer to layer.
FAMILIES |= {
    "gemma4": (
        hf.Gemma4TextConfig(
            **base(),
            head_dim=6,
            global_head_dim=8,
            num_global_key_value_heads=1,
            attention_k_eq_v=True,
            attention_bias=True,
            hidden_size_per_layer_input=0,
            sliding_window=21,
            final_logit_softcapping=4.0,
            rms_norm_eps=1e-4,
            layer_types=["full_attention", "sliding_attention", "full_attention"],
            rope_parameters=dict(
                full_attention=dict(rope_type="proportional", rope_theta=500.0, partial_rotary_factor=0.6, factor=2.0),
                sliding_attention=dict(rope_type="linear", rope_theta=100.0, factor=1.5),
            ),
        ),
        F32,
        {},
    ),
    "gemma4-published": (
        hf.Gemma4TextConfig(
            **base(num_hidden_layers=2, hidden_size=24),
            head_dim=8,
            global_head_dim=12,
            hidden_size_per_layer_input=0,
            sliding_window=19,
            rope_parameters=dict(
                full_attention=dict(rope_type="proportional", rope_theta=1000.0, partial_rotary_factor=0.5),
                sliding_attention=dict(rope_type="default", rope_theta=100.0),
            ),
        ),
        BF16,
        {"edit": published_gemma4},
    ),
    # Layers that read the tokens, and the last four the keys and values of two earlier ones.
    "gemma4-per-layer": (
        hf.Gemma4TextConfig(
            **base(num_hidden_layers=7, num_key_value_heads=1, intermediate_size=20),
            head_dim=6,
            global_head_dim=8,
            hidden_size_per_layer_input=5,
            vocab_size_per_layer_input=VOCABULARY,
            num_kv_shared_layers=4,
            use_double_wide_mlp=True,
            sliding_window=21,
            rms_norm_eps=1e-3,
            layer_types=["sliding_attention", "full_attention", "sliding_attention", "sliding_attention",
                         "full_attention", "sliding_attention", "full_attention"],
            rope_parameters=dict(
                full_attention=dict(rope_type="proportional", rope_theta=500.0, partial_rotary_factor=0.5),
                sliding_attention=dict(rope_type="default", rope_theta=100.0),
            ),
        ),
        BF16,
        {},
    ),
    "gemma4-experts": (
        hf.Gemma4TextConfig(
            **base(num_hidden_layers=2),
            head_dim=6,
            global_head_dim=8,
            num_global_key_value_heads=1,
            attention_k_eq_v=True,
            hidden_size_per_layer_input=0,
            enable_moe_block=True,
            num_experts=5,
            top_k_experts=2,
            moe_intermediate_size=12,
            sliding_window=23,
            use_bidirectional_attention="vision",
            rope_parameters=dict(
                full_attention=dict(rope_type="proportional", rope_theta=1000.0, partial_rotary_factor=0.5),
                sliding_attention=dict(rope_type="default", rope_theta=100.0),
            ),
        ),
        F32,
        {},
    ),
}


FAMILIES |= {
    "llama4": (
        hf.Llama4TextConfig(
            **base(num_hidden_layers=4, intermediate_size=12),
            head_dim=6,
            intermediate_size_mlp=20,
            num_local_experts=5,
            num_experts_per_tok=2,
            interleave_moe_layer_step=2,
            no_rope_layer_interval=3,
            attention_chunk_size=37,
            floor_scale=16,
            attn_scale=0.4,
            attention_bias=True,
            rms_norm_eps=1e-3,
            rope_parameters=dict(rope_type="llama3", rope_theta=500.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                                 original_max_position_embeddings=64),
        ),
        BF16,
        {},
    ),
    "llama4-no-norm": (
        hf.Llama4TextConfig(
            **base(num_hidden_layers=2, intermediate_size=12, tie_word_embeddings=True),
            head_dim=8,
            intermediate_size_mlp=20,
            num_local_experts=3,
            moe_layers=[0],
            no_rope_layers=[0, 1],
            attention_chunk_size=None,
            attn_temperature_tuning=False,
            use_qk_norm=False,
        ),
        F32,
        {},
    ),
}
FAMILIES |= LATER_WRAPPERS


def randomise(model, seed):
    generator = torch.Generator().manual_seed(seed)
    less_one = ("Gemma", "VaultGemma", "Nemotron")  # whose norms hold weight - 1
    kind = type(model).__name__
    around_one = kind.startswith("Gemma4") or not kind.startswith(less_one)
    with torch.no_grad():
        learned_buffers = [(name, buffer) for name, buffer in model.named_buffers()
                           if "correction" in name or "layer_scalar" in name]
        for name, parameter in sorted([*model.named_parameters(), *learned_buffers]):
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.dim() >= 2:
                scale = 0.7 if "embed" in name or "lm_head" in name else 1.4 * parameter.shape[-1] ** -0.5
                parameter.copy_(noise * scale)
            elif name.endswith("A_log"):
                parameter.copy_(noise - 2.5)  # a state that remembers some dozen tokens
            elif name.endswith("bias") or "sinks" in name:
                parameter.copy_(noise * 0.3)
            else:
                parameter.copy_(noise * 0.2 + (1.0 if around_one else 0.0))


def rounded_embedding_scale(model, dtype):
    """The factor on Gemma's embeddings as the model has it in its own dtype, kept in this float32 copy."""
    for module in model.modules():
        if hasattr(module, "embed_scale"):
            module.embed_scale.copy_(module.embed_scale.to(dtype).float())


def attention_of(directory):
    """The implementation of attention: Falcon's eager one adds the biases of ALiBi twice, unlike the usual one."""
    return "sdpa" if hf.AutoConfig.from_pretrained(directory).model_type == "falcon" else "eager"


def load(directory, dtype):
    found = auto_class(hf.AutoConfig.from_pretrained(directory))
    model, info = found.from_pretrained(directory, dtype=F32, attn_implementation=attention_of(directory), output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"] and not info["mismatched_keys"], info
    rounded_embedding_scale(model, dtype)
    return model


def edit_config(directory, edit):
    path = os.path.join(directory, "config.json")
    with open(path) as file:
        config = json.load(file)
    edit(config)
    with open(path, "w") as file:
        json.dump(config, file, indent=2)
        file.write("\n")


def save(model, directory, more, shard):
    """With the names on disk, or those that the model has in memory."""
    model.save_pretrained(directory, max_shard_size=shard, save_original_format="names" not in more)


def make(out, name, seed):
    config, dtype, more = FAMILIES[name]
    directory = os.path.join(out, name)
    model = auto_class(config).from_config(config)
    randomise(model, seed)
    save(model.to(dtype), directory, more, more.get("shard", "1GB"))
    generation = os.path.join(directory, "generation_config.json")
    if os.path.exists(generation):
        os.remove(generation)

    model = load(directory, dtype)
    ids = torch.randint(0, VOCABULARY, (LENGTH,), generator=torch.Generator().manual_seed(seed)).tolist()
    write_golden(model, ids, os.path.join(directory, "golden.json"), [0, 17, 64, LENGTH - 1])
    if "short" in more:
        length = more["short"]
        write_golden(model, ids[:length], os.path.join(directory, "golden-short.json"), [0, length - 1])
    if "rename" in more:
        more["rename"](directory)
        again = load(directory, dtype)(torch.tensor([ids])).logits
        assert torch.equal(again, model(torch.tensor([ids])).logits), f"{name}: the renamed tensors are others"
    if "edit" in more:
        edit_config(directory, more["edit"])
        again = load(directory, dtype)(torch.tensor([ids])).logits
        assert torch.equal(again, model(torch.tensor([ids])).logits), f"{name}: the edited config says something else"


def main():
    for seed, name in enumerate(FAMILIES):
        if name in sys.argv[2:] or len(sys.argv) == 2:
            make(sys.argv[1], name, FAMILIES[name][2].get("seed", seed))


if __name__ == "__main__":
    main()
