"""Whole jobs, from a checkpoint on disk to a pruned checkpoint on disk at 50 %, and perplexities, beside the same in PyTorch in
float32 with transformers, on as many cores: as many ranks as PyTorch has threads. "LLaMA 7B" has two layers of that size and random
weights. "PyTorch" is written here from the papers, layer by layer with hooks as the official programs go; "official" is
the code of github.com/locuslab/wanda. Seconds are of the clock, or of all processors; of PyTorch's none are those of importing.
Memory is the largest resident size of each process, added up, and what ranks share counts once. Least squares solves for weights on
wanda's mask; here it also looks whether that lowers the error on held-out sequences (`compensate.guard`), in PyTorch it does not.

Called by tests/bench.sh: bench_jobs.py FOLDER [--json], with make_checkpoint in the folder and coppice above it. Needs torch, transformers and
h5py. CORES=2: how many. MODEL=FOLDER[:FOLDER...]: checkpoints of real models, for which there are rows as well. WANDA=FOLDER: a clone of
github.com/locuslab/wanda; WANDA_PYTHON=python3: an interpreter with transformers 4.36 for it. COPPICE_LARGE=1: more tokens and wider linears.
A job that takes less than some seconds runs three times in turn with its peer; ratios are of medians. TMPDIR: where the checkpoints are.
"""
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import bench
import program

for module in ("torch", "transformers", "h5py"):
    if importlib.util.find_spec(module) is None:
        print(f"bench jobs: left out: no module {module}; PYTHON names an interpreter with torch, transformers and h5py", file=sys.stderr)
        sys.exit(0)

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..")
LARGE = bool(os.environ.get("COPPICE_LARGE"))
CORES = int(os.environ.get("CORES") or min(2, len(os.sched_getaffinity(0))))
AIMS = {"wanda": 2.5, "sparsegpt": 2, "least_squares": 2, "evaluate": 2}
NAMES = {"wanda": "wanda", "sparsegpt": "sparsegpt", "least_squares": "least squares", "evaluate": "perplexity"}
MEMORY_AIM = 5
FEW_SECONDS, ROUNDS = 20, 3  # what takes less in one round has so many
# Of the peer's Cholesky factors, in floating-point operations: what would take longer is left out.
MOST_SOLVING = 2e14 if LARGE else 8e12


def make_text(model, target, length, windows):
    """The beginning of the demonstration's text that gives so many windows."""
    with open(os.path.join(ROOT, "jobs", "demo", "test.jsonl"), encoding="utf-8") as file:
        texts = [" ".join(json.loads(line)["text"].split()) for line in file]
    corpus = target + ".raw"
    with open(corpus, "w", encoding="utf-8") as file:
        file.write("\n".join(texts * 8) + "\n")
    tool = os.path.join(ROOT, "tests", "golden", "real_models.py")
    subprocess.run([sys.executable, "-B", tool, "text", model, corpus, target, str(length), str(windows)], check=True)


class Job:
    def __init__(self, folder, coppice, model, task, sequences, length):
        self.folder, self.coppice, self.model, self.task, self.length = folder, coppice, model, task, length
        self.run, self.out = os.path.join(folder, "run"), os.path.join(folder, "out")
        self.text = os.path.join(folder, "text.txt")
        if task == "evaluate":
            make_text(model, self.text, length, sequences)
        method = "wanda" if task == "evaluate" or task == "least_squares" else task
        lines = [f"model: {model}", f"run: {self.run}", f"prune: {{method: {method}, sparsity: 0.5}}",
                 f"calibration: {{corpus: {ROOT}/jobs/demo/train.jsonl, pack: true, sequences: {sequences}, length: {length}}}",
                 f"evaluate: {{perplexity: {self.text}}}" if task == "evaluate" else f"output: {self.out}"]
        lines += ["compensate: {output: least_squares}"] if task == "least_squares" else []
        with open(os.path.join(folder, "job.yaml"), "w") as file:
            file.write("\n".join(lines) + "\n")

    def clear(self, *folders):
        subprocess.run(["rm", "-rf", *folders], check=True)

    def ours(self):
        self.clear(self.run, self.out)
        command = ["evaluate", "--variant", "dense"] if self.task == "evaluate" else ["run"]
        found = program.run(self.coppice, CORES, *command, os.path.join(self.folder, "job.yaml"))
        if self.task == "evaluate":
            with open(os.path.join(self.run, "results", "dense", "perplexity.json")) as file:
                found["result"] = json.load(file)["perplexity"]
        return found

    def theirs(self, python, *clone):
        """After ours(), on the same ids."""
        self.clear(self.out)
        ids, out = (self.text, str(self.length)) if self.task == "evaluate" else (os.path.join(self.run, "sequences.h5"), self.out)
        environment = os.environ | {name: str(CORES) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
        done = subprocess.run([python, "-B", os.path.join(HERE, "job_peer.py"), str(CORES), self.model, ids, self.task, out, *clone],
                              env=environment, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"bench jobs: {done.stderr}")
        return json.loads(done.stdout.splitlines()[-1])


def check(job, ours, theirs):
    """A peer that does something else is no peer."""
    wanted, slack = (ours["result"], 0.001 * ours["result"]) if job.task == "evaluate" else (0.5, 0.01)
    if abs(theirs["result"] - wanted) > slack:
        sys.exit(f"bench jobs: {NAMES[job.task]}: {wanted} expected, the peer has {theirs['result']}")


def measure(as_json, name, job, peers):
    rounds = []
    start = time.perf_counter()
    while not rounds or (len(rounds) < ROUNDS and time.perf_counter() - start < FEW_SECONDS * len(rounds)):
        ours = job.ours()
        found = {peer: job.theirs(*call) for peer, call in peers.items()}
        for theirs in found.values():
            check(job, ours, theirs)
        rounds.append((ours, found))
    for peer in peers:
        for what, unit, factor, aim in (("wall", "s", 1, AIMS[job.task]), ("processor", "s", 1, None), ("memory", "MB", 1e-6, MEMORY_AIM)):
            value = statistics.median(r[1][peer][what] for r in rounds)
            beside = statistics.median(r[0][what] for r in rounds)
            ratios = sorted(r[1][peer][what] / r[0][what] for r in rounds)
            label = what if unit == "MB" else f"{what} seconds"
            bench.print_row(as_json, f"{name}, {NAMES[job.task]}, {label}: {peer} / ours", unit, factor * value, factor * beside, aim, "at least",
                            (ratios[0], ratios[-1]) if len(ratios) > 1 else None, CORES)


def solving(config):
    """Operations of the peer's Cholesky factors, half of each row's inputs."""
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    head = config.get("head_dim") or hidden // config["num_attention_heads"]
    queries, keys = config["num_attention_heads"] * head, config["num_key_value_heads"] * head
    rows = {hidden: queries + 2 * keys + 2 * inner}
    for width in (queries, inner):
        rows[width] = rows.get(width, 0) + hidden
    return config["num_hidden_layers"] * sum(count * (width / 2) ** 3 / 3 for width, count in rows.items())


def main():
    tools, as_json = sys.argv[1], sys.argv[2:] == ["--json"]
    coppice = os.path.join(tools, "..", "coppice")
    clone = os.environ.get("WANDA")
    if not clone:
        print("bench jobs: no official code: WANDA names a clone of github.com/locuslab/wanda", file=sys.stderr)
    bench.begin(as_json)

    def model_rows(name, model, tasks, sequences, length, official=()):
        with open(os.path.join(model, "config.json")) as file:
            config = json.load(file)
        for task in tasks:
            if task == "least_squares" and solving(config) > MOST_SOLVING:
                print(f"bench jobs: {name}, least squares: left out, it would take long in PyTorch", file=sys.stderr)
                continue
            peers = {"PyTorch": (sys.executable,)}
            if task in official and clone:
                peers["official"] = (os.environ.get("WANDA_PYTHON", "python3"), os.path.abspath(clone))
            with tempfile.TemporaryDirectory(prefix="coppice-jobs-") as folder:
                job = Job(folder, coppice, model, task, sequences, length)
                measure(as_json, f"{name}, {sequences} x {length} tokens", job, peers)

    def random_rows(name, hidden, inner, heads, *rest):
        with tempfile.TemporaryDirectory(prefix="coppice-jobs-") as folder:
            model = os.path.join(folder, "model")
            subprocess.run([os.path.join(tools, "make_checkpoint"), "-l", "2", "-h", str(hidden), "-i", str(inner), "-a", str(heads), "-v", "32000",
                            model], check=True)
            model_rows(name, model, *rest)

    tokens = (8, 2048) if LARGE else (4, 512)
    random_rows("LLaMA 7B", 4096, 11008, 32, ("wanda", "sparsegpt", "evaluate"), *tokens, ("wanda", "sparsegpt"))
    # Least squares of its full width takes an hour in PyTorch.
    part, name = (2, "half") if LARGE else (4, "a quarter")
    random_rows(f"LLaMA 7B, {name} of its width", 4096 // part, 11008 // part, 32 // part, ("least_squares",), *tokens)
    for model in filter(None, os.environ.get("MODEL", "").split(os.pathsep)):
        model = os.path.abspath(model)
        model_rows(os.path.basename(model), model, ("wanda", "sparsegpt", "least_squares", "evaluate"), 64 if LARGE else 16, 512)
    return 0


if __name__ == "__main__":
    sys.exit(main())
