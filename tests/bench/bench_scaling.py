"""Time and memory of a whole job with wanda, on random LLaMA models, beside what `coppice plan --machine measured` expects, by tokens, width,
layers and ranks. Each grows alone from 4 layers of 512 channels, 16 sequences of 256 tokens and one rank. Time is that of the units in the
run's log, in seconds of the clock, without starting; memory is the largest resident size of each rank, added up, and what ranks share counts for each.

Called by tests/bench.sh: bench_scaling.py FOLDER [--json], with make_checkpoint in the folder and coppice above it. Three rounds.
"""
import json
import os
import statistics
import subprocess
import sys
import tempfile

import bench
import program

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
ROUNDS, LENGTH = 3, 256
BASE = {"sequences": 16, "width": 512, "layers": 4, "ranks": 1}
STEPS = {"sequences": (8, 16, 32, 64), "width": (256, 512, 768, 1024), "layers": (2, 4, 8, 16), "ranks": (1, 2, 4, 8, 16)}


class Tools:
    def __init__(self, tools, folder):
        self.coppice, self.maker, self.folder = os.path.join(tools, "..", "coppice"), os.path.join(tools, "make_checkpoint"), folder

    def path(self, name):
        return os.path.join(self.folder, name)

    def make_model(self, width, layers):
        model = self.path(f"model-{width}-{layers}")
        if not os.path.exists(model):
            shape = ["-l", layers, "-h", width, "-i", width * 11 // 4, "-a", width // 64, "-v", 1024]
            subprocess.run([self.maker, *map(str, shape), "-t", model], check=True)
        return model

    def measure(self, case):
        """[seconds, bytes], and what the plan says."""
        job, run = self.path("job.yaml"), self.path("run")
        with open(job, "w") as file:
            file.write(f"model: {self.make_model(case['width'], case['layers'])}\nrun: {run}\noutput: {self.path('out')}\n"
                       f"calibration: {{corpus: {ROOT}/jobs/demo/train.jsonl, pack: true, sequences: {case['sequences']}, length: {LENGTH}}}\n"
                       "prune: {method: wanda, sparsity: 0.5}\n")
        subprocess.run(["rm", "-rf", run, self.path("out")], check=True)
        options = ["--json", "--machine", "measured", "--ranks-per-node", str(case["ranks"])]
        planned = json.loads(subprocess.run([self.coppice, "plan", *options, job], check=True, capture_output=True).stdout)
        memory = program.run(self.coppice, case["ranks"], "run", job)["resident"]
        with open(os.path.join(run, "log.jsonl")) as file:
            units = [line for line in map(json.loads, file) if line["event"] == "unit"]
        seconds = sum(unit["seconds"] * unit["team_ranks"] for unit in units) / case["ranks"]
        return [seconds, memory], [planned["seconds"], planned["memory"]["peak_resident"] * case["ranks"]]


def main():
    as_json, cores = sys.argv[2:] == ["--json"], len(os.sched_getaffinity(0))
    bench.begin(as_json)
    with tempfile.TemporaryDirectory(prefix="coppice-scaling-") as folder:
        tools = Tools(sys.argv[1], folder)
        for what, steps in STEPS.items():
            for step in steps:
                if what == "ranks" and step > cores:
                    continue
                rounds = [tools.measure(BASE | {what: step}) for _ in range(ROUNDS)]
                x, label = (step * LENGTH, "tokens") if what == "sequences" else (step, what)
                for i, (kind, unit, factor) in enumerate((("time", "s", 1), ("memory", "MB", 1e-6))):
                    found, planned = (statistics.median(r[side][i] for r in rounds) for side in (0, 1))
                    ratios = sorted(r[0][i] / r[1][i] for r in rounds)
                    bench.print_row(as_json, f"{kind} by {label}: {x} / plan", unit, factor * found, factor * planned, None, None,
                                    (ratios[0], ratios[-1]), cores, x)
    return 0


if __name__ == "__main__":
    sys.exit(main())
