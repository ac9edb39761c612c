#!/usr/bin/env python3
"""What transformers makes of odd keys in config.json: make_config_golden.py OUT.json [FAMILY...]

Each case is a model of tests/golden/families with some keys of its config.json set, or removed ("absent"). OUT gets, for
each, the log-likelihood of every token of the first 70 (see golden.py), or "refused" where transformers raises an error,
draws missing tensors at random, computes what is no number, or attends to nothing because of a window that is used and below
one token. tests/golden/config_cases.json is the one
that tests/io/model/test_config_cases.c reads. With families (folders of tests/golden/families; "none"), only their cases, and new ones,
are computed; the others' outcomes are taken from OUT.json. Needs torch and transformers; made with transformers 5.24.
"""

import json
import os
import shutil
import sys
import tempfile

import torch
import transformers as hf

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from expert_families import EXPERT_FAMILIES
from make_families import attention_of, auto_class, rounded_embedding_scale

FAMILIES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "families")
LENGTH = 70  # more than the windows and the original contexts of the models
ABSENT = "absent"
FULL, SLIDING = "full_attention", "sliding_attention"
LINEAR = {"rope_type": "linear", "factor": 4.0, "rope_theta": 500.0}
YARN = {"rope_type": "yarn", "factor": 4.0, "rope_theta": 500.0, "original_max_position_embeddings": 64}
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "rope_theta": 500.0}
LONG = {"short_factor": [1.0, 1.5, 2.0], "long_factor": [1.25, 3.0, 9.0], "partial_rotary_factor": 0.75}
LONG |= {"rope_theta": 10000.0}


def without(entries, key):
    return {k: v for k, v in entries.items() if k != key}


def rope_cases():
    for scaling in (ABSENT, None, {}, {"type": "linear", "factor": 3.0}, {"rope_theta": 900.0}):
        for parameters in (ABSENT, None, {}, LINEAR, {"rope_theta": 500.0}):
            yield "mistral", {"rope_scaling": scaling, "rope_parameters": parameters, "rope_theta": 2000.0}
    yield "mistral", {"rope_parameters": ABSENT, "rope_theta": None}
    yield "mistral", {"rope_parameters": {"rope_theta": None}, "rope_theta": 2000.0}
    yield "mistral", {"rope_parameters": {"rope_theta": 500.0}, "rope_theta": None}
    yield "mistral", {"rope_parameters": {"rope_theta": 500.0, "partial_rotary_factor": 0.5}}
    yield "mistral", {"rope_parameters": LINEAR | {"partial_rotary_factor": 0.5}}
    yield "mistral", {"rope_parameters": LINEAR, "partial_rotary_factor": 0.5}
    yield "mistral", {"rope_parameters": LINEAR | {"partial_rotary_factor": 1.0}, "partial_rotary_factor": 0.5}
    for kind in ({"rope_type": None}, {"type": None}, {"rope_type": None, "type": "linear"},
                 {"rope_type": "linear", "type": "default"}):
        yield "llama-linear", {"rope_scaling": kind | {"factor": 2.0}}
    for family in ("qwen3", "gemma2"):
        yield family, {"rope_parameters": {FULL: LINEAR, SLIDING: LINEAR}}
        yield family, {"rope_scaling": {FULL: LINEAR, SLIDING: LINEAR}}

    for change in ({"truncate": None}, {"truncate": False}, {"factor": None}, {"partial_rotary_factor": 0.5},
                   {"original_max_position_embeddings": None}):
        yield "llama-yarn", {"rope_parameters": YARN | change}
    yield "llama-yarn", {"rope_parameters": without(YARN, "factor")}
    for root in (None, 100):
        yield "llama-yarn", {"rope_parameters": YARN, "original_max_position_embeddings": root}
        yield "llama3", {"rope_parameters": LLAMA3, "original_max_position_embeddings": root}
    for high in (1.0, 0.25):  # nothing is between the two
        yield "llama3", {"rope_parameters": LLAMA3 | {"high_freq_factor": high}}

    for name in ("longrope", "yarn"):
        for here in ({}, {"original_max_position_embeddings": 40}):
            for root in (ABSENT, None, 64):
                parameters = LONG | {"rope_type": name} | here
                yield "phi3", {"rope_parameters": parameters, "original_max_position_embeddings": root}
    yield "phi3", {"rope_scaling": {}, "partial_rotary_factor": 0.5, "rope_theta": 300.0}
    yield "phi3", {"rope_scaling": {"type": "default"}, "rope_parameters": {"partial_rotary_factor": 0.5}}
    yield "phi3", {"rope_parameters": {}, "partial_rotary_factor": 0.5, "rope_theta": 300.0}
    yield "phi3", {"rope_parameters": {}, "partial_rotary_factor": None}
    scaled = {"type": "linear", "factor": 2.0}
    yield "gpt-neox", {"rope_scaling": scaled}
    yield "gpt-neox", {"rope_scaling": scaled | {"partial_rotary_factor": 1.0}}
    yield "gpt-neox", {"rope_scaling": scaled, "rope_parameters": {"partial_rotary_factor": 1.0}}
    for key in ("rotary_pct", "rotary_emb_base"):
        yield "gpt-neox", {key: None}
        yield "gpt-neox", {key: ABSENT}

    nested = (ABSENT, None, {}, {FULL: {}, SLIDING: {}}, {FULL: LINEAR}, {SLIDING: LINEAR}, {FULL: None}, LINEAR,
              {FULL: {"type": "linear", "factor": 2.0}, SLIDING: {"rope_theta": 300.0}})
    for scaling in (ABSENT, {}, {"rope_type": "linear", "factor": 3.0}, {"type": "linear", "factor": 3.0}):
        for parameters in nested:
            yield "gemma3", {"rope_scaling": scaling, "rope_parameters": parameters, "rope_theta": 3000.0,
                             "rope_local_base_freq": 200.0}
    yield "gemma3", {"rope_parameters": {FULL: LLAMA3}, "original_max_position_embeddings": 50}
    for key in ("rope_theta", "rope_local_base_freq", "sliding_window_pattern"):
        yield "gemma3-old", {key: None}


def window_cases():
    layers = {"mistral": 3, "qwen2": 3, "qwen3": 3, "qwen2-moe": 3, "gemma2": 2, "gemma3": 3, "cohere2": 4,
              "ministral": 3, "cwm": 3, "olmo3": 3, "exaone4": 3, "vaultgemma": 2, "smollm3": 3, "ministral3": 3}
    for family in (*layers, "qwen3-moe", "mixtral", "phi3", "starcoder2"):
        for window in (ABSENT, None, 0, 7):
            yield family, {"sliding_window": window}
    for family, count in layers.items():
        mixed = [SLIDING, FULL, SLIDING, FULL][:count]
        for types in (ABSENT, None, [], [FULL] * count, [SLIDING] * count, mixed, mixed[1:], mixed[1:] + ["chunked"]):
            yield family, {"layer_types": types}
        if family != "ministral3":  # which gives all layers the window
            yield family, {"sliding_window": 0, "layer_types": [FULL] * count}
    for family in ("qwen2", "qwen3", "qwen2-moe"):
        for use in (ABSENT, False, True):
            for window in (None, 0, 9):
                for most in (ABSENT, 0, 2):
                    if (family, use, window, most) == ("qwen2-moe", True, None, 0):
                        continue  # no layer uses a window, and yet the reference asks for one
                    yield family, {"use_sliding_window": use, "sliding_window": window, "max_window_layers": most,
                                   "layer_types": ABSENT}
        yield family, {"max_window_layers": None, "layer_types": ABSENT}
    for use in (ABSENT, False, True):
        for window in (None, 0, 9):
            yield "qwen3-moe", {"use_sliding_window": use, "sliding_window": window}
    for family in ("mistral", "mixtral", "gemma2"):
        yield family, {"use_sliding_window": False}


def head_cases():
    """Families that say in which way the size of a head may differ from hidden_size / heads."""
    for family in ("cohere", "cohere2", "phi", "starcoder2", "stablelm"):
        for size in (None, 5, 8):
            yield family, {"head_dim": size}
    for family in ("phi", "stablelm-sequential"):
        for parameters in (ABSENT, {}, {"rope_theta": 500.0}, {"rope_theta": 500.0, "partial_rotary_factor": 0.75}):
            for fraction in (ABSENT, None, 0.5, 1.0):
                yield family, {"rope_parameters": parameters, "partial_rotary_factor": fraction}
        yield family, {"rope_scaling": {"type": "linear", "factor": 2.0}}
    yield "cohere", {"rope_parameters": ABSENT}
    yield "cohere", {"rope_parameters": ABSENT, "rope_theta": 1000.0}
    for theta in (ABSENT, None):
        yield "cohere2", {"rope_theta": theta}
    yield "cohere2", {"sliding_window_pattern": 3, "layer_types": [SLIDING, SLIDING, FULL, SLIDING]}
    yield "granite", {"attention_multiplier": 2, "logits_scaling": 3, "embedding_multiplier": 1}
    yield "granite", {"logits_scaling": 0}
    yield "starcoder2", {"attention_bias": False, "mlp_bias": False}
    yield "stablelm", {"use_parallel_residual": False}
    yield "stablelm-sequential", {"use_parallel_residual": None}
    yield "phi", {"qk_layernorm": False}


def kin_cases():
    """The keys that LLaMA's younger kin have of their own."""
    for layers in (ABSENT, None, [], [1, 1], [0, 0, 1], [1, 0, 1, 1], ["1", "0", "1"], 1):
        yield "smollm3", {"no_rope_layers": layers}
        yield "smollm3", {"no_rope_layers": layers, "layer_types": ABSENT}
    for interval in (ABSENT, None, 0, 1, 2):
        yield "smollm3", {"no_rope_layer_interval": interval, "no_rope_layers": ABSENT, "layer_types": ABSENT}
        yield "smollm3", {"no_rope_layer_interval": interval, "no_rope_layers": ABSENT}
    for use in (ABSENT, None, False, True):
        for window in (None, 0, 7):
            for types in (ABSENT, [SLIDING, FULL, FULL]):
                yield "smollm3", {"use_sliding_window": use, "sliding_window": window, "layer_types": types}

    for window in (ABSENT, None, 0, 7):
        for pattern in (ABSENT, None, 0, 1, 2, "LLG"):
            for types in (ABSENT, [FULL] * 3, [SLIDING, FULL, SLIDING]):
                yield "exaone4", {"sliding_window": window, "sliding_window_pattern": pattern, "layer_types": types}

    for family in ("ministral", "cwm", "olmo3"):
        for types in (ABSENT, [FULL] * 3):
            yield family, {"sliding_window": None, "layer_types": types}
    for clip in (0.5, "1"):
        yield "olmo", {"clip_qkv": clip}
    yield "olmo", {"rms_norm_eps": 0.5}  # its norms have an epsilon of their own
    nested = (ABSENT, None, {}, {FULL: {}, SLIDING: {}}, {FULL: LINEAR}, {SLIDING: LINEAR}, {FULL: None}, LINEAR)
    for scaling in (ABSENT, {}, {"rope_type": "linear", "factor": 3.0}):
        for parameters in nested:
            for theta in (ABSENT, 3000.0):
                yield "olmo3", {"rope_scaling": scaling, "rope_parameters": parameters, "rope_theta": theta}

    beta = {"llama_4_scaling_beta": 0.3}
    for parameters in (ABSENT, None, {}, YARN, YARN | beta, without(YARN, "original_max_position_embeddings") | beta,
                       LINEAR | beta, {"rope_theta": 500.0} | beta, YARN | {"llama_4_scaling_beta": None},
                       LINEAR | beta | {"original_max_position_embeddings": 16},
                       YARN | {"llama_4_scaling_beta": 0}, LLAMA3 | beta):
        yield "ministral3", {"rope_parameters": parameters}
        yield "ministral3", {"rope_scaling": parameters, "rope_parameters": None, "rope_theta": 700.0}
    for family in ("apertus", "cwm"):
        for scaling in (ABSENT, {}, {"type": "linear", "factor": 3.0}):
            for parameters in (ABSENT, None, {}, LINEAR, {"rope_theta": 500.0}):
                for theta in (ABSENT, 300.0):
                    yield family, {"rope_scaling": scaling, "rope_parameters": parameters, "rope_theta": theta}
    for kind in ("default", "dynamic", "linear"):
        for alpha in (None, 0, 1000.0, 50):
            parameters = {"rope_type": kind, "factor": 2.0, "rope_theta": 500.0, "alpha": alpha}
            yield "hunyuan", {"rope_parameters": parameters}
    hunyuan = {"alpha": 1000.0, "beta_fast": 32, "beta_slow": 1, "factor": 1.0, "mscale": 1.0, "mscale_all_dim": 1.0}
    yield "hunyuan", {"rope_scaling": hunyuan | {"type": "dynamic"}, "rope_parameters": ABSENT, "rope_theta": 1000.0}
    yield "hunyuan", {"rope_scaling": {"type": "dynamic", "alpha": 9.0}, "rope_parameters": ABSENT}

    for family in ("glm", "glm4", "nemotron"):
        for parameters in (ABSENT, None, {}, {"rope_theta": 500.0}, {"partial_rotary_factor": 0.25}):
            for fraction in (ABSENT, None, 1.0, 0.75):
                yield family, {"rope_parameters": parameters, "partial_rotary_factor": fraction}
        yield family, {"rope_parameters": YARN | {"partial_rotary_factor": 0.5}}
    for value in (None, False):
        yield "ernie4-5", {"use_bias": value}
        yield "seed-oss", {"attention_out_bias": value}
    yield "ernie4-5", {"attention_bias": False, "mlp_bias": False}
    yield "helium", {"attention_bias": False, "mlp_bias": False}
    yield "seed-oss", {"attention_bias": False, "residual_dropout": 0.5, "attention_dropout": 0.5}
    for act in ("gelu", "gelu_pytorch_tanh", "gelu_new", "relu", "silu"):
        yield "gemma", {"hidden_act": act, "hidden_activation": None}
        yield "gemma", {"hidden_act": "gelu", "hidden_activation": act}
    for act in ("relu2", "silu", "relu", "gelu"):
        for family in ("arcee", "nemotron", "nanochat"):
            yield family, {"hidden_act": act}
    for name in ("bias", "mlp_bias", "qkv_bias", "attention_bias"):
        for value in (None, False, True):
            yield "internlm3", {name: value}
    yield "internlm3", {"bias": False, "qkv_bias": False, "mlp_bias": True, "attention_bias": True}
    yield "internlm3", {"bias": True, "qkv_bias": True, "mlp_bias": False, "attention_bias": False}
    for layers in (ABSENT, None, 1, 2):
        yield "exaone", {"num_layers": layers, "num_hidden_layers": 2}
    for epsilon in (ABSENT, None, 0.5):
        yield "exaone", {"layer_norm_epsilon": epsilon, "rms_norm_eps": 0.1}
    yield "iquestcoder", {"clip_qkv": None}
    yield "iquestcoder", {"clip_qkv": 1.0}
    yield "iquestcoder", {"use_sliding_window": True}
    for family in ("olmo2", "exaone4", "smollm3", "apertus", "nanochat", "hunyuan", "glm", "helium", "gemma"):
        yield family, {"head_dim": 4}
    for family in ("seed-oss", "arcee", "ernie4-5", "ministral", "ministral3", "cwm", "iquestcoder", "jais2", "nemotron"):
        yield family, {"head_dim": None}


def gpt_cases():
    for family in ("gpt2", "gptj", "codegen", "gpt-bigcode"):
        yield family, {"n_layer": ABSENT, "num_hidden_layers": 2}
        yield family, {"n_inner": None}
    yield "gpt2", {"add_cross_attention": True}
    yield "gpt2", {"scale_attn_weights": False}
    yield "gpt2", {"reorder_and_upcast_attn": True}
    for size in (0, 2, 4, 6, 8, 10):
        yield "gptj", {"rotary_dim": size}
    yield "bloom-power", {"n_embed": ABSENT, "hidden_size": 24}
    yield "bloom-power", {"apply_residual_connection_post_layernorm": True, "pretraining_tp": 2}
    yield "falcon", {"num_ln_in_parallel_attn": 2}
    yield "falcon", {"num_kv_heads": 3}
    yield "falcon", {"parallel_attn": False}
    yield "falcon-multi-query", {"num_ln_in_parallel_attn": 2}
    yield "falcon-multi-query", {"num_ln_in_parallel_attn": 1}
    yield "falcon-multi-query", {"alibi": True}
    yield "falcon-multi-query", {"rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 500.0}}
    yield "falcon-multi-query", {"rope_parameters": ABSENT, "rope_theta": 900.0}
    yield "falcon-alibi", {"num_kv_heads": 2}
    yield "mpt", {"attn_config": {"clip_qkv": None, "softmax_scale": None, "alibi": True}}
    yield "mpt", {"attn_config": {"clip_qkv": 0.0}}
    yield "mpt", {"attn_config": {}}
    for key, values in {"alibi": (False, None), "qk_ln": (True, None), "prefix_lm": (True,), "attn_uses_sequence_id": (True, 1),
                        "alibi_bias_max": (16, None, 8.0, 0), "attn_type": ("multiquery_attention", "grouped", None),
                        "attn_impl": ("triton", None)}.items():
        for value in values:
            yield "mpt", {"attn_config": {key: value}}
    for key, values in {"expansion_ratio": (2, None, 4.0), "no_bias": (False, None, 0), "logit_scale": (0.5, "inv_sqrt_d_model", 2),
                        "learned_pos_emb": (False,), "embedding_fraction": (0.5,)}.items():
        for value in values:
            yield "mpt", {key: value}


def compression_cases():
    for value in (None, {}, {"sparsity_config": {"format": "dense", "global_sparsity": 0.5}}, {"format": "dense"},
                  {"quantization_status": "frozen", "config_groups": {}}):
        yield "llama-linear", {"compression_config": value}
    yield "llama-linear", {"quantization_config": None}
    yield "llama-linear", {"quantization_config": {}}


# Keys of sizes, which are not left out: the defaults are large.
SIZES = ("n_embd", "n_layer", "n_head", "n_positions", "n_embed", "d_model", "n_heads", "n_layers", "max_seq_len",
         "vocab_size", "hidden_size", "intermediate_size", "ffn_dim", "num_hidden_layers", "num_attention_heads",
         "num_key_value_heads", "num_experts", "num_local_experts", "moe_intermediate_size",
         "shared_expert_intermediate_size", "word_embed_proj_dim", "max_position_embeddings")
KEYS = ("head_dim", "hidden_act", "hidden_activation", "activation_function", "rms_norm_eps", "layer_norm_eps",
        "tie_word_embeddings", "attention_bias", "mlp_bias", "use_sliding_window", "qkv_bias", "norm_topk_prob",
        "num_experts_per_tok", "decoder_sparse_step", "mlp_only_layers", "query_pre_attn_scalar",
        "final_logit_softcapping", "attn_logit_softcapping", "use_bidirectional_attention", "use_parallel_residual",
        "embedding_multiplier", "residual_multiplier", "attention_multiplier", "logits_scaling", "logit_scale",
        "use_qk_norm", "norm_epsilon", "use_bias", "qk_layernorm", "use_qkv_bias", "sliding_window_pattern",
        "clip_qkv", "norm_eps", "attention_out_bias", "no_rope_layers", "no_rope_layer_interval",
        "n_inner", "scale_attn_weights", "scale_attn_by_inverse_layer_idx", "rotary_dim",
        "layer_norm_epsilon", "apply_residual_connection_post_layernorm", "alibi", "new_decoder_architecture",
        "multi_query", "parallel_attn", "bias", "num_kv_heads", "num_ln_in_parallel_attn", "activation",
        "ffn_hidden_size", "attn_config", "add_cross_attention",
        "do_layer_norm_before", "_remove_final_layer_norm", "enable_bias", "layer_norm_elementwise_affine")


def linear_cases():
    """Layers with linear attention."""
    full, linear = "full_attention", "linear_attention"
    for types in (None, [], [full] * 3, [linear] * 3, [linear, full], [linear, full, SLIDING], [linear, None, full]):
        yield "qwen3-next", {"layer_types": types, "full_attention_interval": 2}
    for interval in (ABSENT, None, 1, 2, 0):
        yield "qwen3-5", {"full_attention_interval": interval}
    for factor in (ABSENT, None, 0.25, 1.0):
        parameters = {"rope_type": "default", "rope_theta": 500.0}
        yield "qwen3-5", {"rope_parameters": parameters, "partial_rotary_factor": factor}
        yield "qwen3-5", {"rope_parameters": ABSENT, "rope_theta": 300.0, "partial_rotary_factor": factor}
        yield "qwen3-5", {"rope_parameters": parameters | {"partial_rotary_factor": 0.25}, "partial_rotary_factor": factor}
    yield "qwen3-5", {"rope_parameters": {"rope_type": "default", "rope_theta": 500.0, "partial_rotary_factor": None}}
    yield "qwen3-next", {"rope_parameters": {"rope_type": "default", "rope_theta": 500.0}, "partial_rotary_factor": None}
    yield "qwen3-next", {"rope_parameters": ABSENT, "partial_rotary_factor": None}
    yield "qwen3-5", {"linear_num_key_heads": 3}
    for key in ("linear_num_key_heads", "linear_num_value_heads", "linear_key_head_dim", "linear_value_head_dim",
                "linear_conv_kernel_dim", "norm_topk_prob"):
        yield "qwen3-next", {key: None}


def layer_head_cases():
    """Heads that differ from layer to layer."""
    for key, values in {"per_layer_config": (ABSENT, None, {}, {"0": {"head_dim": 8}, "2": {"head_dim": 8}}),
                        "attention_k_eq_v": (ABSENT, None, False), "hidden_size_per_layer_input": (ABSENT, None),
                        "num_kv_shared_layers": (ABSENT, None), "use_bidirectional_attention": (None, "vision"),
                        "rope_parameters": (ABSENT, None, {}), "layer_types": (ABSENT, None, [SLIDING, SLIDING, SLIDING],
                                                                               [FULL, SLIDING, SLIDING]),
                        "sliding_window": (ABSENT, None, 0, 7)}.items():
        for value in values:
            yield "gemma4", {key: value}
    for key, values in {"global_head_dim": (ABSENT, None, 12), "num_global_key_value_heads": (ABSENT, None, 1, 2),
                        "per_layer_config": (None, {"1": {"head_dim": 12}})}.items():
        for value in values:
            yield "gemma4-published", {key: value}
    yield "gemma4-published", {"attention_k_eq_v": True, "num_global_key_value_heads": None}
    for key, values in {"num_kv_shared_layers": (ABSENT, None, 0, 2, 3, 5, 7, 8, -1, 4.0, True),
                        "use_double_wide_mlp": (ABSENT, None, False), "vocab_size_per_layer_input": (ABSENT, None, 95, 97),
                        "hidden_size_per_layer_input": (ABSENT, None, 0, 4, True), "enable_moe_block": (ABSENT, None, True),
                        "top_k_experts": (None, 3), "use_bidirectional_attention": ("vision",),
                        "layer_types": ([FULL] * 7, [SLIDING, FULL, FULL, SLIDING, FULL, FULL, FULL])}.items():
        for value in values:
            yield "gemma4-per-layer", {key: value}
    for key, values in {"enable_moe_block": (ABSENT, None, False), "num_experts": (ABSENT, None, 4),
                        "top_k_experts": (ABSENT, None, 1, 5, 6), "moe_intermediate_size": (ABSENT, None, 8),
                        "norm_topk_prob": (False,)}.items():
        for value in values:
            yield "gemma4-experts", {key: value}


def llama4_cases():
    chunked = "chunked_attention"
    for key, values in {
        "layer_types": (ABSENT, None, [], [FULL] * 4, [chunked] * 4, [chunked, FULL], [chunked, FULL, SLIDING, FULL]),
        "no_rope_layers": (ABSENT, None, [], [1, 0, 1], [1, 0, 1, 0, 1], [2, 0, 1, 1], [True, False, True, True]),
        "no_rope_layer_interval": (ABSENT, None, 2, 0), "attention_chunk_size": (ABSENT, None, 1, 20, 200, 0),
        "moe_layers": (ABSENT, None, [], [0], [1, 3, 7], [-1, 1, 3], ["1"]), "interleave_moe_layer_step": (ABSENT, None, 1, 0),
        "use_qk_norm": (ABSENT, None, False), "attn_temperature_tuning": (ABSENT, None, False, 4, 0),
        "floor_scale": (ABSENT, None, 1, 0), "attn_scale": (ABSENT, None, 0, 1, -0.2), "num_experts_per_tok": (1, 5, 6),
        "num_local_experts": (ABSENT, 4), "intermediate_size_mlp": (ABSENT, None, 24), "intermediate_size": (ABSENT, None, 8),
        "rope_parameters": (ABSENT, None, {}, {"rope_type": "default", "rope_theta": 100.0}),
        "rope_scaling": (None, {"rope_type": "linear", "factor": 2.0}), "partial_rotary_factor": (0.5,)}.items():
        for value in values:
            yield "llama4", {key: value}
            if key in ("no_rope_layers", "moe_layers"):  # without what was made of it
                yield "llama4", {key: value, "layer_types": ABSENT}
    yield "llama4-no-norm", {"layer_types": [chunked, FULL]}
    yield "llama4-no-norm", {"layer_types": ABSENT, "attention_chunk_size": 20}
    yield "llama4-no-norm", {"attn_temperature_tuning": True}
    yield "llama4-no-norm", {"head_dim": 4}


def opening_cases():
    """Keys for which the reference only checks whether it opens the model."""
    for key, values in {"use_cache": (None, False), "bos_token_id": ([1], 999, None), "eos_token_id": ([1, 2], ["1"], [None], []),
                        "pad_token_id": ([1], 95, 96, -1, -96, -97), "dtype": ("auto", "torch.float16", "half")}.items():
        for value in values:
            yield "llama3", {key: value}
    for family in ("bloom", "codegen", "falcon", "gpt2", "gpt-bigcode", "gpt-neox", "gptj", "mpt", "opt", "phi", "gemma4", "qwen3-5"):
        yield family, {"pad_token_id": 1000}
    for family in ("llama-own-head", "arcee", "cwm", "exaone", "gemma2", "gemma3", "internlm3", "iquestcoder", "jais2", "vaultgemma"):
        yield family, {"hidden_size": 33, "head_dim": 8}


def null_cases():
    for family in sorted(os.listdir(FAMILIES)):
        with open(os.path.join(FAMILIES, family, "config.json"), encoding="utf-8") as file:
            config = json.load(file)
        if "vision_config" in config or family in EXPERT_FAMILIES:
            continue  # not a causal language model by itself; or in expert_config_cases.py
        for key in SIZES + KEYS:
            if key in config:
                yield family, {key: None}
                if key in KEYS and (family, key) != ("qwen3-next", "rms_norm_eps"):  # ill-conditioned with the default
                    yield family, {key: ABSENT}


# Where the reference's class says float, an integer is refused; where it says float | int, or nothing, it is not.
FLOATS = ("initializer_range", "init_std", "rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon", "norm_eps", "norm_epsilon",
          "attn_logit_softcapping", "final_logit_softcapping", "clip_qkv", "logit_scale", "attn_scale", "moe_norm_min",
          "routed_scaling_factor", "swiglu_alpha", "swiglu_limit", "router_jitter_noise", "router_aux_loss_coef",
          "query_pre_attn_scalar",
          "embedding_multiplier", "residual_multiplier", "attention_multiplier", "logits_scaling")


def float_cases(of_experts):
    for family in sorted(os.listdir(FAMILIES)):
        with open(os.path.join(FAMILIES, family, "config.json"), encoding="utf-8") as file:
            config = json.load(file)
        if "vision_config" in config or (family in EXPERT_FAMILIES) != of_experts:
            continue
        for key in FLOATS:
            if config.get(key) is not None:
                yield family, {key: 1}


def odd_number_cases():
    """Zeros that mean "not given", and numbers at the end of what can be computed."""
    for smallest in (1e-320, 1e-46, 1e-45, 1e-40, 0.1):  # float32 has the last three, but not 1 / 1e-40
        yield "phi3", {"rope_parameters": {"rope_type": "longrope", "rope_theta": 10000.0, "original_max_position_embeddings": 64}
                       | LONG | {"long_factor": [1.25, smallest, 9.0]}}
    for proportion in (ABSENT, None, 0.5, 1.0):
        rope = {"rope_type": "proportional", "rope_theta": 500.0, "partial_rotary_factor": proportion}
        yield "llama-linear", {"rope_parameters": {k: v for k, v in rope.items() if v != ABSENT}, "rope_theta": ABSENT,
                               "rope_scaling": ABSENT}
    yield "llama-linear", {"rope_scaling": {"rope_type": "proportional", "factor": 2.0}, "rope_theta": 300.0}
    yield "qwen3", {"rope_parameters": {"rope_type": "proportional", "rope_theta": 500.0, "partial_rotary_factor": 0.4, "factor": 3.0}}
    for change in ({"beta_fast": 0}, {"beta_slow": 0}, {"attention_factor": 0}, {"mscale": 0, "mscale_all_dim": 1.0},
                   {"rope_theta": 1.0}, {"rope_theta": 0.5}, {"factor": 0.5}, {"factor": 0}, {"beta_fast": 1, "beta_slow": 32}):
        yield "llama-yarn", {"rope_parameters": YARN | change}
    for theta in (1, 0.5, 0, -1):
        yield "mistral", {"rope_parameters": ABSENT, "rope_theta": theta}
    for factor in (0.5, 0):
        yield "mistral", {"rope_parameters": LINEAR | {"factor": factor}}
    yield "llama-own-head", {"tie_word_embeddings": None}
    for name in ("gelu", "gelu_python", "gelu_new", "gelu_fast", "gelu_accurate", "gelu_pytorch_tanh", "gelu_python_tanh", "quick_gelu",
                 "relu", "relu2", "relu6", "leaky_relu", "sigmoid", "tanh", "hardswish", "mish", "linear", "swish", "prelu", "nothing"):
        yield "mistral", {"hidden_act": name}
    yield "gemma", {"hidden_act": "gelu_python"}  # which is not "gelu"
    for family, key in {"gemma": "hidden_act", "qwen3-next": "hidden_act", "gpt2": "activation_function"}.items():
        yield family, {key: "quick_gelu"}
    for dtype in ({"": "float16"}, {"text_config": "bfloat16"}, {}):
        yield "mistral", {"dtype": dtype}
    yield "mistral", {"rope_parameters": {"rope_type": "default", "rope_theta": 500.0, "mrope_section": [2, 1, 1]}}
    for parameters in ({"rope_type": "default", "mrope_section": [1, 1, 1], "mrope_interleaved": True}, {"rope_type": "mrope"}):
        yield "llama-linear", {"rope_scaling": parameters}
    for wrapper in ("llava", "gemma3-vl", "qwen2-vl"):
        yield wrapper, {"vision_feature_layer": -1}
    for family in ("llama-linear", "mistral"):
        yield family, {"is_causal": True}
        for key in ("attention_bias", "mlp_bias"):
            yield family, {key: False}
    yield "mistral", {"attention_bias": True, "mlp_bias": True}  # which it does not have


def log_likelihood(directory, ids):
    """Of each token but the first, or None for an error and where tensors are missing, which the reference draws at random."""
    try:
        model, info = auto_class(hf.AutoConfig.from_pretrained(directory)).from_pretrained(
            directory, dtype=torch.float32, attn_implementation=attention_of(directory), output_loading_info=True
        )
        if info["missing_keys"]:
            return None
        rounded_embedding_scale(model, torch.bfloat16)  # the dtype of those models that have one
        with torch.no_grad():
            logits = model(torch.tensor([ids]), use_cache=False).logits[0].double()
    except Exception:
        return None
    return torch.log_softmax(logits, dim=-1)[:-1].gather(1, torch.tensor(ids[1:])[:, None])[:, 0]


def attends_to_nothing(directory):
    """Whether a layer with sliding attention has a window below one token."""
    config = hf.AutoConfig.from_pretrained(directory)
    window = getattr(config, "sliding_window", None)
    types = getattr(config, "layer_types", None) or [SLIDING]
    return window is not None and window < 1 and SLIDING in types


def change(config, changes):
    """"text_config.KEY" is a key of the object inside."""
    for path, value in changes.items():
        *outer, key = path.split(".")
        entries = config
        for name in outer:
            entries = entries[name]
        entries[key] = value
        if value == ABSENT:
            del entries[key]


def outcome(family, changes, edit=None):
    """edit(path of a file with tensors, or of their index) may change it."""
    with open(os.path.join(FAMILIES, family, "golden.json"), encoding="utf-8") as file:
        ids = json.load(file)["ids"][:LENGTH]
    with tempfile.TemporaryDirectory() as folder:
        directory = os.path.join(folder, "model")
        shutil.copytree(os.path.join(FAMILIES, family), directory)
        path = os.path.join(directory, "config.json")
        with open(path, encoding="utf-8") as file:
            config = json.load(file)
        change(config, changes)
        with open(path, "w", encoding="utf-8") as file:
            json.dump(config, file)
        for name in os.listdir(directory) if edit is not None else ():
            if "safetensors" in name:
                edit(os.path.join(directory, name))
        found = log_likelihood(directory, ids)
        if found is None or not found.isfinite().all() or attends_to_nothing(directory):
            return "refused"
    return [float(f"{value:.6g}") for value in found.tolist()]


def case_key(family, changes):
    return json.dumps([family, changes])


def main():
    hf.logging.set_verbosity(50)
    hf.logging.disable_progress_bar()
    cases = [*rope_cases(), *window_cases(), *kin_cases(), *compression_cases(), *head_cases(), *gpt_cases(),
             *null_cases(), *odd_number_cases()]
    path, families, known = sys.argv[1], sys.argv[2:], {}
    if families:
        with open(path, encoding="utf-8") as file:
            known = {case_key(c["family"], c["set"]): c["outcome"] for c in json.load(file)
                     if c["family"] not in families}
    cases += linear_cases()
    cases += layer_head_cases()
    cases += llama4_cases()
    cases += opening_cases()
    cases += float_cases(False)
    lines = []
    for family, changes in cases:
        key = case_key(family, changes)
        found = known[key] if key in known else outcome(family, changes)
        lines.append(json.dumps({"family": family, "set": changes, "outcome": found}, separators=(",", ":")))
    with open(path, "w", encoding="utf-8") as file:
        file.write("[" + ",\n".join(lines) + "]\n")


if __name__ == "__main__":
    main()
