"""What rows of make_families.FAMILIES are made of: the sizes that tiny models share."""

import torch

VOCABULARY = 96
F32, F16, BF16 = torch.float32, torch.float16, torch.bfloat16
TOKENS = dict(vocab_size=VOCABULARY, bos_token_id=1, eos_token_id=2, pad_token_id=None)


def base(**changes):
    """With the keys that most configurations have."""
    return dict(
        TOKENS,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
    ) | changes


def without(entries, *keys):
    return {key: value for key, value in entries.items() if key not in keys}


def without_layer_types(config):
    """An edit of config.json: they came later, and older keys say the same."""
    del config["layer_types"]
