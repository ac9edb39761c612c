#!/usr/bin/env python3
"""Odd keys of models for images and text, inside and outside of their text_config: wrapper_config_cases.py OUT.json

As make_config_golden.py, whose outcomes these are; what coppice refuses although transformers computes it is "stricter": keys
at the root that belong inside, and a language model that the wrapper's class does not ask about. In "headless" cases the head's
tensor has another name, so that only a tied model has a head. tests/golden/config_cases_wrappers.json is the one that
tests/io/model/test_config_cases.c reads. Outcomes that OUT.json has already are kept.
"""

import json
import os
import sys
import tempfile

import transformers as hf

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from make_config_golden import ABSENT, FAMILIES, case_key, change, outcome

INSIDE = "text_config"
GPTQ = {"quant_method": "gptq", "bits": 4, "group_size": 128}
DENSE = {"quant_method": "compressed-tensors", "format": "dense", "config_groups": {}, "quantization_status": "compressed"}


def config_of(family):
    with open(os.path.join(FAMILIES, family, "config.json"), encoding="utf-8") as file:
        return json.load(file)


AT_ROOT = {"num_hidden_layers": 1, "rms_norm_eps": 0.5, "rope_theta": 77.0, "sliding_window": 3, "num_attention_heads": 1,
           "head_dim": 2, "attention_bias": True, "final_logit_softcapping": 2.0,
           "rope_scaling": {"rope_type": "linear", "factor": 2.0}, INSIDE + "." + INSIDE: {"hidden_size": 8}}
STRICTER = [{key: value} for key, value in AT_ROOT.items()] + [
    {INSIDE + ".model_type": kind} for kind in (None, "gpt2", "clip_text_model")] + [
    {"quantization_config": {}}]


def cases_of(family):
    config = config_of(family)
    for text in (ABSENT, None, {}, [], "llama"):
        if text != ABSENT or INSIDE in config:
            yield {INSIDE: text}
    if INSIDE not in config:  # the oldest, with all keys at the root
        for tie in (ABSENT, None, True, False):
            yield {"tie_word_embeddings": tie}
        yield {INSIDE: {"hidden_size": config["hidden_size"]}}
        return
    for outside in (ABSENT, None, True, False):
        for inside in (ABSENT, True, False):
            yield {"tie_word_embeddings": outside, f"{INSIDE}.tie_word_embeddings": inside}
    copies = {"hidden_size": 8, "vocab_size": 40}  # of which ovis2 has parts for images that take the first from the root
    for key, value in (AT_ROOT | copies | {"dtype": "float16", "torch_dtype": "float16"}).items():
        yield {key: value}
    for kind in (ABSENT, None, "gpt2", "clip_text_model", config["model_type"]):
        if kind != ABSENT or "model_type" in config[INSIDE]:
            yield {INSIDE + ".model_type": kind}
    for dtype in (None, "float16", "float32"):
        yield {INSIDE + ".dtype": dtype}
        yield {"dtype": None, INSIDE + ".dtype": dtype}
    for quantisation in (None, {}, GPTQ, DENSE):
        yield {"quantization_config": quantisation}
        yield {INSIDE + ".quantization_config": quantisation}


def placeholder_cases(family):
    """Tokens of the test's text in the place of those that stand for images."""
    config = config_of(family)
    with open(os.path.join(FAMILIES, family, "golden.json"), encoding="utf-8") as file:
        ids = json.load(file)["ids"]
    keys = [key for key in ("image_token_id", "image_token_index", "video_token_id", "video_token_index", "audio_token_id",
                            "visual_indicator_token_ids") if key in config]
    for key in keys:
        yield {key: None}
    for i, key in enumerate(keys):
        yield {key: [ids[i]] * len(config[key]) if isinstance(config[key], list) else ids[i]}
    if family == "gemma4-vl":
        for pad in (ABSENT, None, 5, 96, -1):
            yield {INSIDE + ".pad_token_id": pad, "image_token_id": ids[3], "video_token_id": ids[4], "audio_token_id": None}


def headless_cases(family):
    if INSIDE in config_of(family):
        for outside, inside in ((ABSENT, True), (True, True), (False, True), (ABSENT, False), (True, False)):
            yield {"tie_word_embeddings": outside, f"{INSIDE}.tie_word_embeddings": inside}


def without_head(path):
    with open(path, "rb") as file:
        data = file.read()
    with open(path, "wb") as file:
        file.write(data.replace(b"lm_head.weight", b"no_head.weight"))


def main():
    hf.logging.set_verbosity(50)
    hf.logging.disable_progress_bar()
    wrappers = [family for family in sorted(os.listdir(FAMILIES)) if "vision_config" in config_of(family)]
    known = {}
    if os.path.exists(sys.argv[1]):
        with open(sys.argv[1], encoding="utf-8") as file:
            known = {(case_key(c["family"], c["set"]), "headless" in c): c["outcome"] for c in json.load(file)}
    lines = []
    for family in wrappers:
        cases = [(changes, None) for changes in (*cases_of(family), *placeholder_cases(family))]
        for changes, edit in cases + [(changes, without_head) for changes in headless_cases(family)]:
            changes = {k: v for k, v in changes.items() if v != ABSENT or is_there(config_of(family), k)}
            if not changes:
                continue
            key = case_key(family, changes), edit is not None
            if key not in known:
                known[key] = outcome(family, changes, edit) if has_the_size(family, changes) else "refused"
            found = known[key]
            case = {"family": family, "set": changes, "outcome": found} | ({"headless": True} if edit else {})
            other_type = changes == {INSIDE + ".model_type": ABSENT} and family in ("llava-newer-names", "mistral3-ministral3")
            left_over = DENSE in changes.values() and family == "qwen3-vl-moe"  # refused whenever there are experts
            if found != "refused" and (changes in STRICTER or other_type or left_over):
                case["stricter"] = True  # keys of another family than the default are then unknown
            line = json.dumps(case, separators=(",", ":"))
            if line not in lines:
                lines.append(line)
        with open(sys.argv[1], "w", encoding="utf-8") as file:
            file.write("[" + ",\n".join(lines) + "]\n")


def has_the_size(family, changes):
    """Otherwise transformers would say that shapes do not fit, after it has made a model of several billion weights."""
    with tempfile.TemporaryDirectory() as folder:
        config = config_of(family)
        change(config, changes)
        with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as file:
            json.dump(config, file)
        try:
            made = hf.AutoConfig.from_pretrained(folder).get_text_config()
            return made.hidden_size * made.num_hidden_layers < 1000
        except Exception:
            return False


def is_there(config, path):
    for key in path.split("."):
        if key not in config:
            return False
        config = config[key]
    return True


if __name__ == "__main__":
    main()
