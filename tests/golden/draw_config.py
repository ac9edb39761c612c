"""Draws configurations from the range that transformers accepts, seeded: other numbers in the keys of a family's config."""

import copy

ACTIVATIONS = ["silu", "gelu", "gelu_new", "relu"]
# What may be there, and how another value is drawn.
WIDTHS = ("intermediate_size", "ffn_dim", "n_inner", "ffn_hidden_size", "moe_intermediate_size",
          "shared_expert_intermediate_size")
EPSILONS = ("rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon", "norm_eps", "norm_epsilon")
FACTORS = ("embedding_multiplier", "residual_multiplier", "attention_multiplier", "logits_scaling", "logit_scale",
           "query_pre_attn_scalar", "final_logit_softcapping", "attn_logit_softcapping", "routed_scaling_factor")
SWITCHES = ("attention_bias", "mlp_bias", "use_bias", "qk_layernorm", "use_qk_norm", "use_qkv_bias", "qkv_bias", "bias",
            "use_parallel_residual", "multi_query", "scale_attn_weights", "scale_attn_by_inverse_layer_idx",
            "norm_topk_prob", "alibi", "parallel_attn", "enable_bias", "apply_residual_connection_post_layernorm")
ACTIVATION_KEYS = ("hidden_act", "hidden_activation", "activation_function", "activation")


def draw_ropes(parameters, rng):
    """Of one rotary embedding, or of one for each layer type."""
    for key, value in (parameters or {}).items():
        if isinstance(value, dict):
            draw_ropes(value, rng)
        elif key == "rope_theta":
            parameters[key] = 10.0 ** rng.uniform(1.5, 6)
        elif key == "factor" and value > 1:
            parameters[key] = rng.uniform(1.5, 8)


def draw(config, rng):
    """Another dictionary like config (of config.to_dict()). Sizes that tie others are kept; transformers may refuse it."""
    drawn = copy.deepcopy(config)
    for key, value in config.items():
        if value is None:
            continue
        if key in WIDTHS:
            drawn[key] = 2 * rng.randint(4, 20)
        elif key in EPSILONS:
            drawn[key] = 10.0 ** rng.uniform(-8, -2)
        elif key in FACTORS:
            factor = value * rng.uniform(0.5, 2.0)
            drawn[key] = max(1, round(factor)) if isinstance(value, int) else factor  # some must be whole
        elif key in SWITCHES and isinstance(value, bool):
            drawn[key] = rng.random() < 0.5
        elif key in ACTIVATION_KEYS and value in ACTIVATIONS + ["gelu_pytorch_tanh"]:
            drawn[key] = rng.choice(ACTIVATIONS)
        elif key == "num_key_value_heads" and config.get("num_attention_heads"):
            heads = config["num_attention_heads"]
            drawn[key] = rng.choice([n for n in range(1, heads + 1) if heads % n == 0])
        elif key == "sliding_window":
            drawn[key] = rng.randint(3, 160)
        elif key == "layer_types":
            rng.shuffle(drawn[key])
        elif key == "rope_parameters":
            draw_ropes(drawn[key], rng)
    return drawn
