"""Prunes small random checkpoints of every model family with coppice, loads what it exported with transformers, and
compares logits and perplexities: family_parity.py COPPICE MODEL_LOGITS [FAMILY...]

Checkpoints are those of make_families.py, in float32 and bfloat16, tied and untied, whole and in shards (KINDS); then two
with other numbers in config.json, drawn from what transformers accepts (draw_config.py; a draw that coppice refuses is told,
and drawn again). Each is pruned on two ranks by a sweep: wanda with energy compensation, by turns with output matching, and
with and without biases, as far as the family has a place for them. transformers computes in float32 from the numbers on disk.
Logits are compared by MODEL_LOGITS (tests/tools/model_logits.c), relative to the largest of a position; perplexities are those
that the run measured. Prints a row for each family, and exits with 1 when anything was off by more than the limits.
JOBS runs (default: as many as there are processors) go on side by side while models are made and compared.
"""

import collections
import concurrent.futures
import json
import math
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time

import numpy
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
LOGITS_LIMIT, PERPLEXITY_LIMIT = 1e-4, 1e-3
DRAWS, ATTEMPTS = 2, 40
# dtype, tied, in shards: every pair of values of two of them.
KINDS = ((F32, False, False), (F32, True, True), (BF16, False, True), (BF16, True, False))
# By preference: the first that a model allows. Of experts outputs are not matched, and not all have a place for biases.
COMPENSATIONS = (("mixed", "[false, true]"), ("mixed", "false"), ("off", "[false, true]"), ("off", "false"))


def write_tokenizer(directory):
    """A token for each printable character, so that ids are known without a tokenizer."""
    vocab = {chr(32 + i): i for i in range(VOCABULARY - 1)} | {"<unk>": VOCABULARY - 1}
    tokenizer = {"version": "1.0", "added_tokens": [], "normalizer": None, "pre_tokenizer": None, "post_processor": None,
                 "model": {"type": "BPE", "unk_token": "<unk>", "vocab": vocab, "merges": []}}
    with open(os.path.join(directory, "tokenizer.json"), "w", encoding="utf-8") as file:
        json.dump(tokenizer, file)


def drawn_config(config, rng):
    """One that transformers can be built from, and computes with; None when there is none to be found."""
    for _ in range(ATTEMPTS):
        try:
            entries = config.to_dict()
            if "text_config" in entries:
                entries["text_config"] = draw_config(entries["text_config"], rng)
            else:
                entries = draw_config(entries, rng)
            drawn = type(config).from_dict(entries)
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


def reference(directory, dtype, ids):
    """Logits [windows, length, vocabulary], by a model that has all the tensors it looks for and no others (load)."""
    return load(directory, dtype)(ids, use_cache=False).logits.double()


def perplexity(logits, ids):
    return math.exp(torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten()).item())


def computed_logits(program, directory, ids):
    """Of coppice, for one window."""
    text = " ".join(map(str, ids.tolist())).encode()
    out = subprocess.run([program, directory], input=text, capture_output=True, check=False)
    if out.returncode != 0:
        raise RuntimeError(out.stderr.decode())
    return torch.from_numpy(numpy.frombuffer(out.stdout, numpy.float32).reshape(len(ids), -1).astype(float))


def logits_error(found, expected):
    return ((found - expected).abs().amax(-1) / expected.abs().amax(-1)).max().item()


def first_line(text):
    return (text.strip().splitlines() or ["?"])[0]


class Refused(Exception):
    """The model, by coppice."""


class Parity:
    """The programs, and the texts that all models see."""

    def __init__(self, coppice, program):
        rng = random.Random(5)
        draw = lambda n: "".join(chr(32 + rng.randrange(VOCABULARY - 1)) for _ in range(n))
        self.coppice, self.program = coppice, program
        self.pool = concurrent.futures.ThreadPoolExecutor(int(os.environ.get("JOBS") or os.cpu_count()))
        self.texts = {"train.txt": draw(40 * LENGTH), "test.txt": draw(WINDOWS * LENGTH)}
        self.ids = torch.tensor([ord(c) - 32 for c in self.texts["test.txt"]]).reshape(WINDOWS, LENGTH)

    def write_job(self, folder, matching, biases):
        with open(f"{folder}/job.yaml", "w", encoding="utf-8") as file:
            file.write(f"""model: {folder}/model
run: {folder}/run
output: {folder}/pruned
calibration: {{corpus: {folder}/train.txt, sequences: 6, length: {LENGTH}}}
prune: {{method: wanda, sparsity: 0.5}}
compensate: {{energy: [[columns, rows]], output: {matching}, bias: {biases}}}
evaluate: {{perplexity: {folder}/test.txt, length: {LENGTH}}}
""")

    def accepted_job(self, folder, first):
        """Writes the first job that the model allows."""
        message = ""
        for choice in COMPENSATIONS[first:]:
            self.write_job(folder, *choice)
            plan = subprocess.run([self.coppice, "plan", f"{folder}/job.yaml"], capture_output=True, check=False)
            if plan.returncode == 0:
                return
            message = first_line(plan.stderr.decode()).replace(folder, "")
            if plan.returncode not in (2, 3):
                raise RuntimeError(message)
        raise Refused(message)

    def run(self, folder):
        """[(name of the variant, exported folder or None for the dense model, perplexity)] of the run of job.yaml."""
        command = ["mpirun", "-n", "2", self.coppice, "run", "--progress", "none", f"{folder}/job.yaml"]
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(done.stderr.decode())
        variants, found = os.listdir(f"{folder}/run/results"), []
        for name in variants:
            with open(f"{folder}/run/results/{name}/perplexity.json", encoding="utf-8") as file:
                measured = json.load(file)["perplexity"]
            exported = f"{folder}/pruned" if len(variants) == 2 else f"{folder}/pruned/{name}"
            found.append((name, None if name == "dense" else exported, measured))
        return found


class Family:
    """What is found out about one family."""

    def __init__(self, name, parity):
        self.name, self.parity = name, parity
        self.models = self.pruned = self.failed = self.drawn = 0
        self.going = []
        self.worst = {(what, which): 0.0 for what in ("logits", "perplexity") for which in ("dense", "pruned")}

    def fail(self, message):
        self.failed += 1
        print(f"NOT OK {self.name} {message}", flush=True)

    def begin(self, label, config, *kind):
        """Makes a model and has it pruned meanwhile. Raises Refused when coppice refuses it."""
        folder = tempfile.mkdtemp()
        try:
            for file, text in self.parity.texts.items():
                with open(os.path.join(folder, file), "w", encoding="utf-8") as out:
                    out.write(text)
            make(f"{folder}/model", self.name, config, *kind)
            self.parity.accepted_job(folder, 2 * (len(self.going) % 2))  # by turns with and without matching
        except BaseException:
            shutil.rmtree(folder)
            raise
        self.going.append((label, folder, kind[0], self.parity.pool.submit(self.parity.run, folder)))

    def finish(self):
        """Compares what came of the models."""
        for label, folder, dtype, future in self.going:
            try:
                for name, exported, found in future.result():
                    self.compare(f"{label} {name}", f"{folder}/model", exported, (dtype, found))
                self.models += 1
            except Exception as error:  # of any kind: the other models are checked nevertheless
                self.fail(f"{label}: {type(error).__name__} {error}")
            shutil.rmtree(folder)
        self.print_row()

    def print_row(self):
        errors = "  ".join(" ".join(f"{self.worst[what, which]:8.1e}" for which in ("dense", "pruned"))
                           for what in ("logits", "perplexity"))
        print(f"{self.name:24} {self.models:6} {self.drawn:5} {self.pruned:6}  {errors} {self.failed:6}", flush=True)

    def compare(self, label, model, exported, measured):
        dtype, found = measured
        ids, which = self.parity.ids, "pruned" if exported else "dense"
        expected = reference(exported or model, dtype, ids)
        theirs = perplexity(expected, ids)
        errors = {"logits": logits_error(computed_logits(self.parity.program, exported or model, ids[0]), expected[0]),
                  "perplexity": abs(found - theirs) / theirs}
        self.pruned += which == "pruned"
        for (what, error), limit in zip(errors.items(), (LOGITS_LIMIT, PERPLEXITY_LIMIT)):
            self.worst[what, which] = max(self.worst[what, which], error)
            if not error <= limit:
                with open(f"{model}/config.json", encoding="utf-8") as file:
                    config = json.dumps(json.load(file))
                self.fail(f"{label} {what}: off by {error:.2e}; perplexity {found:.6g}, in transformers {theirs:.6g}: {config}")

    def begin_all(self):
        config = FAMILIES[self.name][0]
        for kind in KINDS:
            try:
                self.begin(str(kind), config, *kind)
            except Exception as error:
                self.fail(f"{kind}: {type(error).__name__} {error}")
        rng = random.Random(self.name)
        for _ in range(ATTEMPTS):
            drawn = drawn_config(config, rng) if self.drawn < DRAWS else None
            if drawn is None:
                break
            try:
                self.begin("drawn", drawn, rng.choice((F32, BF16)), rng.random() < 0.5, rng.random() < 0.5)
                self.drawn += 1
            except Refused as refusal:
                print(f"{self.name}: drawn again: {refusal}", flush=True)
            except Exception as error:
                self.fail(f"drawn: {type(error).__name__} {error}: {drawn.to_json_string(use_diff=False)}")
        if self.drawn < DRAWS:
            self.fail(f"has {self.drawn} drawn configurations")


HEADER = f"{'':24} {'':>6} {'':>5} {'':>6}  {'logits':>17}  {'perplexity':>17}\n" \
         f"{'family':24} {'models':>6} {'drawn':>5} {'pruned':>6}  {'dense':>8} {'pruned':>8}  {'dense':>8} {'pruned':>8} {'not ok':>6}"


def main():
    coppice, program, *names = sys.argv[1:]
    if shutil.which(program) is None:
        sys.exit(f"{program} is not built")
    parity, families, going, begun = Parity(coppice, program), [], collections.deque(), time.monotonic()
    print(HEADER, flush=True)
    for name in names or FAMILIES:
        families.append(Family(name, parity))
        families[-1].begin_all()
        going.append(families[-1])
        if len(going) > 1:
            going.popleft().finish()
    while going:
        going.popleft().finish()
    failed = sum(family.failed for family in families)
    worst = {what: max(max(f.worst[what, "dense"], f.worst[what, "pruned"]) for f in families)
             for what in ("logits", "perplexity")}
    print(f"{len(families)} families, {sum(f.models for f in families)} models, {sum(f.pruned for f in families)} exported, "
          f"{failed} not ok, {(time.monotonic() - begun) / 60:.0f} minutes; logits off by at most {worst['logits']:.1e} "
          f"(allowed {LOGITS_LIMIT:g}), perplexities by {worst['perplexity']:.1e} ({PERPLEXITY_LIMIT:g})")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
