"""Prunes a small random checkpoint of every model family with coppice, loads what it exported with transformers, and
compares perplexities: family_parity.py COPPICE [FAMILY...]

Checkpoints are those of make_families.py, in float32 and bfloat16, tied and untied, whole and in shards; then two with
other numbers in config.json, drawn from what transformers accepts (draw_config.py; a draw that coppice refuses is told,
and drawn again). Each is pruned on two ranks, twice: wanda with energy compensation, and, where the family has a place
for biases, with output matching and biases. transformers computes in float32 from the exported numbers. Exit code 1
when a perplexity is off by more than 1e-3.
"""

import json
import math
import os
import random
import subprocess
import sys
import tempfile
import time

import torch
import transformers as hf

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from draw_config import draw as draw_config
from make_families import BF16, F32, FAMILIES, VOCABULARY, auto_class, edit_config, load, randomise, save
from wrappers import MORE_WRAPPERS

torch.set_grad_enabled(False)
torch.set_num_threads(1)
hf.logging.set_verbosity_error()
hf.logging.disable_progress_bar()

FAMILIES = FAMILIES | MORE_WRAPPERS
LENGTH, WINDOWS = 150, 6
LIMIT = 1e-3
DRAWS, ATTEMPTS = 2, 40


def write_tokenizer(directory):
    """A token for each printable character, so that ids are known without a tokenizer."""
    vocab = {chr(32 + i): i for i in range(VOCABULARY - 1)} | {"<unk>": VOCABULARY - 1}
    tokenizer = {"version": "1.0", "added_tokens": [], "normalizer": None, "pre_tokenizer": None, "post_processor": None,
                 "model": {"type": "BPE", "unk_token": "<unk>", "vocab": vocab, "merges": []}}
    with open(os.path.join(directory, "tokenizer.json"), "w", encoding="utf-8") as file:
        json.dump(tokenizer, file)


def drawn_config(name, rng):
    """One that transformers can be built from, and computes with; None when there is none to be found."""
    config, _, more = FAMILIES[name]
    if "rename" in more or hasattr(config, "text_config"):
        return None  # what is written is not what was drawn
    for _ in range(ATTEMPTS):
        try:
            drawn = type(config).from_dict(draw_config(config.to_dict(), rng))
            model = auto_class(drawn).from_config(drawn, attn_implementation="eager").eval()
            randomise(model, 1)
            if model(torch.arange(LENGTH)[None] % VOCABULARY, use_cache=False).logits.isfinite().all():
                return drawn
        except Exception:  # of any kind: this is how transformers refuses
            continue
    return None


def make(directory, name, config, dtype, tied, sharded):
    own, _, more = FAMILIES[name]
    edit = more.get("edit") if config is own else None  # an older way to write the family's own numbers
    config = type(config).from_dict({**config.to_dict(), "tie_word_embeddings": tied})
    model = auto_class(config).from_config(config)
    randomise(model, 1)
    model.tie_weights()
    save(model.to(dtype), directory, more, "9KB" if sharded else "1GB")
    if "rename" in more:
        more["rename"](directory)
    if edit is not None:
        edit_config(directory, edit)
    write_tokenizer(directory)


def refuse_other_keys(directory):
    """An exported model has all the tensors that transformers looks for, and no others."""
    found = auto_class(hf.AutoConfig.from_pretrained(directory))
    _, info = found.from_pretrained(directory, output_loading_info=True)
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
    """Perplexities of the dense and the pruned model; None when the model is refused, or cannot be compensated so."""
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
    command = ["mpirun", "-n", "2", coppice, "run", "--progress", "none", f"{folder}/job.yaml"]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode in (2, 3):
        if "config.json" in done.stderr.decode():
            print(done.stderr.decode().strip().splitlines()[0].replace(folder, ""), flush=True)
        return None
    if done.returncode != 0:
        raise RuntimeError(done.stderr.decode())
    found = {}
    for name in os.listdir(f"{folder}/run/results"):
        with open(f"{folder}/run/results/{name}/perplexity.json", encoding="utf-8") as file:
            found["dense" if name == "dense" else "pruned"] = json.load(file)["perplexity"]
    return found


COMPENSATIONS = {"energy": "{energy: [columns, rows]}", "matching": "{output: mixed, bias: true}"}


class Family:
    """What is found out about one family."""

    def __init__(self, name, coppice, texts):
        self.name, self.coppice, self.texts = name, coppice, texts
        self.models = self.pruned = self.failed = 0
        self.most = {"dense": 0.0, "pruned": 0.0}

    def check(self, config, dtype, tied, sharded):
        """False when coppice refuses the model."""
        with tempfile.TemporaryDirectory() as folder:
            for file, text in self.texts.items():
                with open(os.path.join(folder, file), "w", encoding="utf-8") as out:
                    out.write(text)
            make(f"{folder}/model", self.name, config, dtype, tied, sharded)
            dense = perplexity(f"{folder}/model", dtype, self.texts["test.txt"])
            ran = [self.compare(folder, kind, dtype, dense) for kind in COMPENSATIONS]
            self.models += any(ran)
            return any(ran)

    def compare(self, folder, kind, dtype, dense):
        found = run(self.coppice, folder, COMPENSATIONS[kind])
        if found is None:
            return False
        self.pruned += 1
        refuse_other_keys(f"{folder}/pruned")
        theirs = {"dense": dense, "pruned": perplexity(f"{folder}/pruned", dtype, self.texts["test.txt"])}
        for which, value in theirs.items():
            off = abs(found[which] - value) / value
            self.most[which] = max(self.most[which], off)
            if not off <= LIMIT:
                self.failed += 1
                with open(f"{folder}/model/config.json", encoding="utf-8") as file:
                    config = json.dumps(json.load(file))
                print(f"NOT OK {self.name} {dtype} {kind} {which}: {found[which]:.6g}, in transformers {value:.6g}: "
                      f"{config}", flush=True)
        return True

    def check_all(self):
        config = FAMILIES[self.name][0]
        for dtype in (F32, BF16):
            for tied in (False, True):
                for sharded in (False, True):
                    if not self.check(config, dtype, tied, sharded):
                        self.failed += 1
                        print(f"NOT OK {self.name} {dtype} tied={tied} sharded={sharded}: refused", flush=True)
        rng, done = random.Random(self.name), 0
        for _ in range(ATTEMPTS):
            drawn = drawn_config(self.name, rng) if done < DRAWS else None
            if drawn is None:
                break
            kind = (rng.choice((F32, BF16)), rng.random() < 0.5, rng.random() < 0.5)
            done += self.check(drawn, *kind)
        return done


def main():
    coppice, *names = sys.argv[1:]
    rng = random.Random(5)
    draw = lambda n: "".join(chr(32 + rng.randrange(VOCABULARY - 1)) for _ in range(n))
    texts = {"train.txt": draw(40 * LENGTH), "test.txt": draw(WINDOWS * LENGTH)}
    worst, failed, count = 0.0, 0, 0

    print(f"{'family':24} {'models':>6} {'drawn':>5} {'pruned':>6}  {'worst dense':>11}  {'worst pruned':>12} {'s':>5}",
          flush=True)
    for name in names or FAMILIES:
        start, family = time.monotonic(), Family(name, coppice, texts)
        drawn = family.check_all()
        print(f"{name:24} {family.models:6} {drawn:5} {family.pruned:6}  {family.most['dense']:11.1e}  "
              f"{family.most['pruned']:12.1e} {time.monotonic() - start:5.0f}", flush=True)
        worst, count = max(worst, *family.most.values()), count + family.pruned
        failed += family.failed
    print(f"{count} exported models, {failed} failed; the worst perplexity is off by {worst:.1e}, at most {LIMIT:g}")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
