"""Prunes a small random checkpoint of every model family with coppice, loads what it exported with transformers, and
compares perplexities: family_parity.py COPPICE [FAMILY...]

Checkpoints are those of make_families.py, in float32 and bfloat16, tied and untied, whole and in shards. Each is pruned
twice: wanda with energy compensation, and, where the family has a place for biases, with output matching and biases.
transformers computes in float32 from the exported numbers. Exit code 1 when a perplexity is off by more than 1e-3.
"""

import json
import math
import os
import random
import subprocess
import sys
import tempfile

import torch
import transformers as hf

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from make_families import BF16, F32, FAMILIES, VOCABULARY, auto_class, edit_config, load, randomise, save
from wrappers import MORE_WRAPPERS

torch.set_grad_enabled(False)
torch.set_num_threads(1)
hf.logging.set_verbosity_error()
hf.logging.disable_progress_bar()

FAMILIES = FAMILIES | MORE_WRAPPERS
LENGTH, WINDOWS = 150, 6
LIMIT = 1e-3


def write_tokenizer(directory):
    """A token for each printable character, so that ids are known without a tokenizer."""
    vocab = {chr(32 + i): i for i in range(VOCABULARY - 1)} | {"<unk>": VOCABULARY - 1}
    tokenizer = {"version": "1.0", "added_tokens": [], "normalizer": None, "pre_tokenizer": None, "post_processor": None,
                 "model": {"type": "BPE", "unk_token": "<unk>", "vocab": vocab, "merges": []}}
    with open(os.path.join(directory, "tokenizer.json"), "w", encoding="utf-8") as file:
        json.dump(tokenizer, file)


def make(directory, name, dtype, tied, sharded):
    config, _, more = FAMILIES[name]
    config = type(config).from_dict({**config.to_dict(), "tie_word_embeddings": tied})
    model = auto_class(config).from_config(config)
    randomise(model, 1)
    model.tie_weights()
    save(model.to(dtype), directory, more, "9KB" if sharded else "1GB")
    if "rename" in more:
        more["rename"](directory)
    if "edit" in more:
        edit_config(directory, more["edit"])
    write_tokenizer(directory)


def refuse_other_keys(directory):
    """An exported model has all the tensors that transformers looks for, and no others."""
    _, info = hf.AutoModelForCausalLM.from_pretrained(directory, output_loading_info=True)
    wrong = {what: list(keys) for what, keys in info.items() if keys}
    if wrong:
        raise RuntimeError(f"{directory}: {wrong}")


def perplexity(directory, dtype, text):
    model = load(directory, dtype)
    ids = torch.tensor([ord(c) - 32 for c in text])
    total = 0.0
    for start in range(0, len(text) - LENGTH + 1, LENGTH):
        window = ids[start : start + LENGTH]
        logits = model(window[None], use_cache=False).logits[0, :-1].double()
        total += torch.nn.functional.cross_entropy(logits, window[1:]).item()
    return math.exp(total / (len(text) // LENGTH))


def run(coppice, folder, compensate):
    """Perplexities of the dense and the pruned model; None when this family cannot be compensated so."""
    job = f"""model: {folder}/model
run: {folder}/run
output: {folder}/pruned
calibration: {{corpus: {folder}/train.txt, sequences: 6, length: {LENGTH}}}
prune: {{method: wanda, sparsity: 0.5}}
compensate: {compensate}
evaluate: {{perplexity: {folder}/test.txt, length: {LENGTH}}}
"""
    subprocess.run(["rm", "-rf", f"{folder}/run", f"{folder}/pruned"], check=True)
    with open(f"{folder}/job.yaml", "w", encoding="utf-8") as file:
        file.write(job)
    done = subprocess.run([coppice, "run", "--progress", "none", f"{folder}/job.yaml"], capture_output=True, check=False)
    if done.returncode == 2:
        return None
    if done.returncode != 0:
        raise RuntimeError(done.stderr.decode())
    found = {}
    for name in os.listdir(f"{folder}/run/results"):
        with open(f"{folder}/run/results/{name}/perplexity.json", encoding="utf-8") as file:
            found["dense" if name == "dense" else "pruned"] = json.load(file)["perplexity"]
    return found


def main():
    coppice, *names = sys.argv[1:]
    rng = random.Random(5)
    draw = lambda n: "".join(chr(32 + rng.randrange(VOCABULARY - 1)) for _ in range(n))
    train, test = draw(40 * LENGTH), draw(WINDOWS * LENGTH)
    kinds = [(dtype, tied, sharded) for dtype in (F32, BF16) for tied in (False, True) for sharded in (False, True)]
    compensations = {"energy": "{energy: [columns, rows]}", "matching": "{output: mixed, bias: true}"}
    worst, failed, count = 0.0, 0, 0

    print(f"{'family':20} {'models':>6} {'pruned':>6}  {'worst dense':>11}  {'worst pruned':>12}", flush=True)
    for name in names or FAMILIES:
        most, models, pruned = {"dense": 0.0, "pruned": 0.0}, 0, 0
        for dtype, tied, sharded in kinds:
            with tempfile.TemporaryDirectory() as folder:
                for file, text in (("train.txt", train), ("test.txt", test)):
                    with open(os.path.join(folder, file), "w", encoding="utf-8") as out:
                        out.write(text)
                make(f"{folder}/model", name, dtype, tied, sharded)
                models += 1
                dense = perplexity(f"{folder}/model", dtype, test)
                for kind, compensate in compensations.items():
                    found = run(coppice, folder, compensate)
                    if found is None:
                        continue
                    pruned += 1
                    refuse_other_keys(f"{folder}/pruned")
                    theirs = {"dense": dense, "pruned": perplexity(f"{folder}/pruned", dtype, test)}
                    for which, value in theirs.items():
                        off = abs(found[which] - value) / value
                        most[which] = max(most[which], off)
                        if not off <= LIMIT:
                            failed += 1
                            print(f"NOT OK {name} {dtype} tied={tied} sharded={sharded} {kind} {which}: "
                                  f"{found[which]:.6g}, in transformers {value:.6g}", flush=True)
        print(f"{name:20} {models:6} {pruned:6}  {most['dense']:11.1e}  {most['pruned']:12.1e}", flush=True)
        worst, count = max(worst, *most.values()), count + pruned
    print(f"{count} exported models, {failed} failed; the worst perplexity is off by {worst:.1e}, at most {LIMIT:g}")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
