#!/usr/bin/env python3
"""Codes of eight and four bits as torch reads them, and small quantised checkpoints as transformers dequantises them:
make_quantised_golden.py [--logits]

Writes codes.h and quantised/NAME/ (config.json, model.safetensors, expected.json, golden.json) next to itself. expected.json
has the dtype and the CRC-32 of the bytes of every tensor that transformers holds after loading the checkpoint on a CPU,
golden.json the logits that it computes from these in float32 (golden.py). --logits writes golden.json alone.
quantised/ids.h5 has token ids for tests/e2e/quantised.sh. Needs h5py, torch, transformers, accelerate and compressed-tensors; made with transformers 5.24, compressed-tensors 0.20 and torch 2.14.
"""

import json
import os
import re
import struct
import sys
import zlib

import h5py
import torch
import transformers as hf
from safetensors.torch import save_file

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from golden import write_golden

HIDDEN, INNER, VOCABULARY = 32, 48, 16
LENGTH = 40  # tokens whose logits are compared
E4M3, E5M2, E8M0 = torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e8m0fnu
SCALES = [1.0, 0.0123291015625, -3.3, 1e-30]


def bits(values):
    return ["0x%08x" % struct.unpack("<I", struct.pack("<f", v))[0] for v in values.to(torch.float32).tolist()]


def array(name, rows):
    text = ",\n     ".join("{" + ", ".join(row) + "}" for row in rows)
    return f"static const uint32_t {name}[{len(rows)}][{len(rows[0])}] = {{\n     {text}}};\n"


def write_codes():
    every = torch.arange(256, dtype=torch.uint8)
    fp4 = torch.tensor(hf.integrations.mxfp4.FP4_VALUES)
    with open(os.path.join(HERE, "codes.h"), "w") as out:
        out.write("// Written by make_quantised_golden.py: float32 bits of codes times scales, as torch has them.\n")
        out.write("// clang-format off\n#pragma once\n#include <stdint.h>\n")
        scales = torch.tensor(SCALES)
        out.write(array("golden_scales", [bits(scales)]))
        for name, values in (("e4m3", every.view(E4M3).float()), ("e5m2", every.view(E5M2).float()), ("e2m1", fp4)):
            out.write(array("golden_" + name, [bits(values * scale) for scale in scales]))
        out.write(array("golden_e8m0", [bits(every.view(E8M0).float())]))
        out.write("// clang-format on\n")


def llama(**quantisation):
    return hf.LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=HIDDEN, intermediate_size=INNER, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=64, dtype="bfloat16", architectures=["LlamaForCausalLM"],
        quantization_config=quantisation)


def codes_like(weight, dtype=E4M3):
    """Random codes without NaN and infinity, of every magnitude."""
    codes = torch.randint(0, 256, weight.shape, dtype=torch.uint8)
    bad = ~codes.view(dtype).float().isfinite()
    codes[bad] = 0x2A
    return codes.view(dtype)


def scales_of(shape, dtype):
    return (torch.rand(shape) * 0.02 + 1e-4).to(dtype)


def fp8_model(scale_name, shape_of, config, scale_dtype=torch.float32, code_dtype=E4M3, extra=None, outer=()):
    """outer: names of tensors outside the layers that are codes, too."""
    torch.manual_seed(7)
    plain = hf.LlamaConfig(**{k: v for k, v in config.to_dict().items() if k != "quantization_config"})
    tensors = {}
    for name, value in hf.LlamaForCausalLM(plain).to(torch.bfloat16).state_dict().items():
        if name in outer or re.search(r"_proj\.weight$", name) and "o_proj" not in name:
            tensors[name] = codes_like(value, code_dtype)
            shape = shape_of(*value.shape)
            scale = scales_of(shape, torch.float32)
            tensors[name + scale_name] = (
                torch.randint(115, 122, shape, dtype=torch.uint8).view(E8M0) if scale_dtype == E8M0 else scale.to(scale_dtype))
            if extra:
                tensors[name.replace("weight", extra)] = torch.tensor(0.5)
        else:
            tensors[name] = torch.randn(value.shape).to(torch.bfloat16)
    return config, tensors


def compressed(strategy, **more):
    weights = {"num_bits": 8, "type": "float", "strategy": strategy, "symmetric": True, "dynamic": False, **more}
    group = {"targets": ["Linear"], "weights": weights, "input_activations": None, "output_activations": None}
    return llama(quant_method="compressed-tensors", format="float-quantized", quantization_status="compressed",
                 config_groups={"group_0": group}, ignore=["lm_head", "re:.*o_proj"], kv_cache_scheme=None)


def mxfp4_model():
    torch.manual_seed(9)
    config = hf.GptOssConfig(
        vocab_size=VOCABULARY, hidden_size=64, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, head_dim=16, num_local_experts=2, num_experts_per_tok=1, max_position_embeddings=64,
        dtype="bfloat16", architectures=["GptOssForCausalLM"],
        quantization_config={"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn", "lm_head"]})
    plain = hf.GptOssConfig(**{k: v for k, v in config.to_dict().items() if k != "quantization_config"})
    tensors = {}
    for name, value in hf.GptOssForCausalLM(plain).to(torch.bfloat16).state_dict().items():
        if re.search(r"experts\.(gate_up|down)_proj$", name):
            experts, inputs, outputs = value.shape
            tensors[name + "_blocks"] = torch.randint(0, 256, (experts, outputs, inputs // 32, 16), dtype=torch.uint8)
            tensors[name + "_scales"] = torch.randint(110, 130, (experts, outputs, inputs // 32), dtype=torch.uint8)
        else:
            tensors[name] = torch.randn(value.shape).to(torch.bfloat16)
    return config, tensors


def load(folder):
    """Dequantised."""
    with open(os.path.join(folder, "config.json")) as file:
        method = json.load(file)["quantization_config"]["quant_method"]
    arguments = {}
    if method == "compressed-tensors":
        arguments["quantization_config"] = hf.CompressedTensorsConfig(dequantize=True)
    loaded, info = hf.AutoModelForCausalLM.from_pretrained(folder, dtype="auto", output_loading_info=True,
                                                           attn_implementation="eager", **arguments)
    assert not info["missing_keys"] and not info["mismatched_keys"], info
    return loaded, info


def write_logits(folder):
    ids = torch.randint(0, VOCABULARY, (LENGTH,), generator=torch.Generator().manual_seed(3)).tolist()
    write_golden(load(folder)[0].float(), ids, os.path.join(folder, "golden.json"), [0, 11, LENGTH - 1])


def write(name, config, tensors):
    folder = os.path.join(HERE, "quantised", name)
    os.makedirs(folder, exist_ok=True)
    config.save_pretrained(folder)
    save_file({k: v.contiguous() for k, v in tensors.items()}, os.path.join(folder, "model.safetensors"), {"format": "pt"})
    loaded, info = load(folder)
    expected = {}
    for key, value in loaded.state_dict().items():
        raw = value.contiguous().view(torch.uint8).numpy().tobytes()
        expected[key] = {"dtype": str(value.dtype).removeprefix("torch."), "crc32": zlib.crc32(raw)}
    with open(os.path.join(folder, "expected.json"), "w") as out:
        json.dump(expected, out, indent=1)
    write_logits(folder)
    print(name, info["unexpected_keys"])


def main():
    if sys.argv[1:] == ["--logits"]:
        for name in sorted(os.listdir(os.path.join(HERE, "quantised"))):
            if name != "ids.h5":
                write_logits(os.path.join(HERE, "quantised", name))
        return
    write_codes()
    blocks = lambda rows, columns: (rows // 16, columns // 16)
    fp8 = dict(quant_method="fp8", activation_scheme="dynamic", modules_to_not_convert=["lm_head"])
    block = llama(weight_block_size=[16, 16], **fp8)
    write("fp8-block", *fp8_model("_scale_inv", blocks, block))
    write("fp8-e8m0", *fp8_model("_scale_inv", blocks, llama(weight_block_size=[16, 16], scale_fmt="ue8m0", **fp8), E8M0))
    outer = llama(weight_block_size=[16, 16], **dict(fp8, modules_to_not_convert=[]))
    write("fp8-outer", *fp8_model("_scale_inv", blocks, outer, outer=("lm_head.weight", "model.embed_tokens.weight")))
    static = dict(fp8, activation_scheme="static", weight_block_size=None)
    write("fp8-tensor", *fp8_model("_scale_inv", lambda *_: (), llama(**static), torch.bfloat16, extra="activation_scale"))
    write("compressed-channel", *fp8_model("_scale", lambda rows, _: (rows, 1), compressed("channel"), torch.bfloat16))
    write("compressed-tensor", *fp8_model("_scale", lambda *_: (1,), compressed("tensor"), torch.float32))
    write("compressed-block", *fp8_model("_scale", blocks, compressed("block", block_structure=[16, 16]), torch.float32))
    write("mxfp4", *mxfp4_model())
    with h5py.File(os.path.join(HERE, "quantised", "ids.h5"), "w") as out:
        out["tokens"] = torch.randint(0, VOCABULARY, (4, 24), dtype=torch.int32).numpy()


if __name__ == "__main__":
    main()
