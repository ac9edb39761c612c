#!/usr/bin/env python3
"""A random model in the shape of DeepSeek-V3, of reduced width and with as many experts: make_deepseek.py OUT [EXPERTS]

Two layers with latent attention; each token takes 8 experts of 4 groups of 8, and the shared one. No token takes the experts
3 and 200 of layer 1. Written expert by expert, as it is published, in shards. Needs numpy alone.
"""

import json
import os
import struct
import sys

import numpy as np

HIDDEN, INNER, HEADS, VOCABULARY, LAYERS = 256, 128, 8, 512, 2
QUERY_RANK, RANK, PLAIN, TURNED, VALUE = 96, 64, 32, 16, 32
IDLE = (3, 200)


def config(experts):
    return dict(
        architectures=["DeepseekV3ForCausalLM"], model_type="deepseek_v3", hidden_size=HIDDEN, intermediate_size=512,
        moe_intermediate_size=INNER, num_hidden_layers=LAYERS, num_attention_heads=HEADS, num_key_value_heads=HEADS,
        vocab_size=VOCABULARY, n_routed_experts=experts, n_shared_experts=1, num_experts_per_tok=8, n_group=8, topk_group=4,
        first_k_dense_replace=0, norm_topk_prob=True, routed_scaling_factor=2.5, scoring_func="sigmoid",
        topk_method="noaux_tc", q_lora_rank=QUERY_RANK, kv_lora_rank=RANK, qk_nope_head_dim=PLAIN, qk_rope_head_dim=TURNED,
        v_head_dim=VALUE, hidden_act="silu", rms_norm_eps=1e-6, rope_theta=10000.0, max_position_embeddings=4096,
        tie_word_embeddings=False, torch_dtype="bfloat16", bos_token_id=0, eos_token_id=1, num_nextn_predict_layers=1,
        rope_scaling=dict(type="yarn", factor=40, beta_fast=32, beta_slow=1, mscale=1.0, mscale_all_dim=1.0,
                          original_max_position_embeddings=4096))


def tensors(layer, experts):
    """(name, shape) of a layer, in the order of a checkpoint."""
    attention, mlp = "self_attn.", "mlp."
    yield "input_layernorm.weight", (HIDDEN,)
    yield attention + "q_a_proj.weight", (QUERY_RANK, HIDDEN)
    yield attention + "q_a_layernorm.weight", (QUERY_RANK,)
    yield attention + "q_b_proj.weight", (HEADS * (PLAIN + TURNED), QUERY_RANK)
    yield attention + "kv_a_proj_with_mqa.weight", (RANK + TURNED, HIDDEN)
    yield attention + "kv_a_layernorm.weight", (RANK,)
    yield attention + "kv_b_proj.weight", (HEADS * (PLAIN + VALUE), RANK)
    yield attention + "o_proj.weight", (HIDDEN, HEADS * VALUE)
    yield "post_attention_layernorm.weight", (HIDDEN,)
    yield mlp + "gate.weight", (experts, HIDDEN)
    yield mlp + "gate.e_score_correction_bias", (experts,)
    for path in [f"experts.{e}" for e in range(experts)] + ["shared_experts"]:
        yield f"{mlp}{path}.gate_proj.weight", (INNER, HIDDEN)
        yield f"{mlp}{path}.up_proj.weight", (INNER, HIDDEN)
        yield f"{mlp}{path}.down_proj.weight", (HIDDEN, INNER)


def values(name, shape, rng):
    if "correction" in name:
        bias = rng.normal(0, 0.1, shape)
        if ".1." in name:
            bias[[e for e in IDLE if e < shape[0]]] = -10  # scores are below 1
        return bias
    if len(shape) == 1:
        return 1 + rng.normal(0, 0.1, shape)
    return rng.normal(0, 1, shape) * (1 if "embed" in name else shape[1] ** -0.5)


def bfloat16(x):
    return ((np.asarray(x, np.float32).view(np.uint32) + 0x8000) >> 16).astype("<u2").tobytes()


def write(path, names, rng):
    data, header, offset = [], {"__metadata__": {"format": "pt"}}, 0
    for name, shape in names:
        data.append(bfloat16(values(name, shape, rng)))
        header[name] = dict(dtype="BF16", shape=list(shape), data_offsets=[offset, offset + len(data[-1])])
        offset += len(data[-1])
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(data))
    return offset


def main():
    out, experts = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 256
    rng = np.random.default_rng(1)
    os.makedirs(out, exist_ok=True)
    shards = [[("model.embed_tokens.weight", (VOCABULARY, HIDDEN))]]
    for layer in range(LAYERS):
        shards.append([(f"model.layers.{layer}.{name}", shape) for name, shape in tensors(layer, experts)])
    shards.append([("model.norm.weight", (HIDDEN,)), ("lm_head.weight", (VOCABULARY, HIDDEN))])
    total, places = 0, {}
    for i, names in enumerate(shards):
        file = f"model-{i + 1:05}-of-{len(shards):05}.safetensors"
        total += write(os.path.join(out, file), names, rng)
        places |= {name: file for name, _ in names}
    with open(os.path.join(out, "model.safetensors.index.json"), "w", encoding="utf-8") as file:
        json.dump(dict(metadata=dict(total_size=total), weight_map=places), file)
    with open(os.path.join(out, "config.json"), "w", encoding="utf-8") as file:
        json.dump(config(experts), file, indent=1)
    vocabulary = {chr(32 + i): i for i in range(95)} | {"<unk>": 95}
    with open(os.path.join(out, "tokenizer.json"), "w", encoding="utf-8") as file:
        json.dump(dict(version="1.0", added_tokens=[], normalizer=None, pre_tokenizer=None, post_processor=None,
                       model=dict(type="BPE", unk_token="<unk>", vocab=vocabulary, merges=[])), file)


if __name__ == "__main__":
    main()
