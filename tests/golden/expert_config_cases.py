#!/usr/bin/env python3
"""Odd keys of the families with experts: expert_config_cases.py OUT.json

As make_config_golden.py, whose outcomes these are; tests/golden/config_cases_experts.json is the one that
tests/io/model/test_config_cases.c reads. Outcomes that OUT.json has already are kept.
"""

import json
import os
import sys

import transformers as hf

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from make_config_golden import ABSENT, case_key, float_cases, outcome

KEYS = {"deepseek-v3":["q_lora_rank","num_key_value_heads","head_dim","n_group","topk_group","norm_topk_prob","first_k_dense_replace","rope_interleave","routed_scaling_factor","num_local_experts","n_shared_experts","num_experts_per_tok"],
 "deepseek-v2-lite":["topk_method","n_group","num_experts_per_tok","num_key_value_heads","mlp_bias","first_k_dense_replace","norm_topk_prob","head_dim"],
 "glm4-moe":["use_qk_norm","partial_rotary_factor","n_group","topk_group","norm_topk_prob","num_key_value_heads","num_experts_per_tok","head_dim"],
 "glm4-moe-plain":["norm_topk_prob"],
 "glm4-moe-lite":["num_key_value_heads","norm_topk_prob","head_dim","q_lora_rank","n_group","topk_group","rope_interleave","mlp_layer_types"],
 "dots1":["max_window_layers","sliding_window","n_shared_experts","num_experts_per_tok"],
 "ernie4-5-moe":["use_bias","moe_layer_end_index","moe_norm_min","moe_num_shared_experts","moe_k"],
 "minimax-m2":["rotary_dim","head_dim","num_experts_per_tok"],
 "gpt-oss":["swiglu_limit","sliding_window","layer_types","attention_bias","rope_parameters","num_experts_per_tok"],
 "phimoe":["lm_head_bias","router_jitter_noise","sliding_window","num_experts_per_tok"],
 "olmoe":["clip_qkv","norm_topk_prob","num_experts_per_tok"],"granitemoe":["residual_multiplier","num_experts_per_tok"],"hunyuan-moe":["moe_topk","head_dim"]}
OTHERS = [("n_group", 4), ("topk_group", 3), ("head_dim", 6), ("num_local_experts", 6), ("num_key_value_heads", 2)]


def main():
    hf.logging.set_verbosity(50)
    hf.logging.disable_progress_bar()
    cases = [(family, {key: value}) for family, keys in KEYS.items() for key in keys for value in (None, ABSENT)]
    cases += [("deepseek-v3", {key: value}) for key, value in OTHERS]
    # Absent, it is 4; of groups with three experts each, one kept, the reference then takes one of the others at random.
    cases += [("glm4-moe-lite", {"num_experts_per_tok": None}), ("glm4-moe-lite", {"num_experts_per_tok": ABSENT, "n_group": 1})]
    cases += float_cases(True)
    cases += [(family, {"attention_dropout": value}) for family in ("deepseek-v2", "deepseek-v3", "flex-olmo")
              for value in (0, 0.5, None)]
    known = {}
    if os.path.exists(sys.argv[1]):
        with open(sys.argv[1], encoding="utf-8") as file:
            known = {case_key(c["family"], c["set"]): c["outcome"] for c in json.load(file)}
    lines = [json.dumps({"family": family, "set": changes,
                         "outcome": known.get(case_key(family, changes)) or outcome(family, changes)}, separators=(",", ":"))
             for family, changes in cases]
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        file.write("[" + ",\n".join(lines) + "]\n")


if __name__ == "__main__":
    main()
