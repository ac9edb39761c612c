"""Megabytes of the demonstration's documents that the tokenizer encodes in a second, beside Hugging Face's `tokenizers` on one thread, in
turn, in processor time; `tokenizers` without offsets, as it is fastest. Of 0.65 MB of text 4 MB are made by repeating it, which favours
whoever remembers words. Four kinds of tokenizers are trained on these documents, the others are published ones.

Called by tests/bench.sh: bench_tokenizer.py FOLDER [--json], with build/tests/tokenizer_ids in the folder. TOKENIZERS: a folder of published
tokenizers, NAME/tokenizer.json (../shared/tokenizers); without it there are no rows for them.
"""
import glob
import json
import os
import random
import statistics
import sys
import tempfile

import bench

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path.insert(0, os.path.join(ROOT, "tests", "golden"))
try:
    import tokenizer_layouts as layouts
    import tokenizer_speed as speed
except ImportError as problem:
    print(f"bench tokenizer: left out: {problem}; PYTHON names an interpreter with tokenizers", file=sys.stderr)
    sys.exit(0)

AIM, RUNS = 1.5, 3
ROWS = {"llama-3": "byte-level BPE", "llama-2": "SentencePiece's BPE", "t5": "Unigram, character map", "bert": "WordPiece, BertNormalizer"}


def main():
    tool, as_json = os.path.join(sys.argv[1], "tokenizer_ids"), sys.argv[2:] == ["--json"]
    corpus = os.path.join(ROOT, "jobs", "demo", "train.jsonl")
    texts = speed.documents(corpus, 4_000_000, random.Random(0))
    made = layouts.layouts(layouts.read_corpus(corpus))
    folder = os.environ.get("TOKENIZERS", os.path.join(ROOT, "..", "shared", "tokenizers"))
    published = sorted(glob.glob(os.path.join(folder, "*", "tokenizer.json")))
    if not published:
        print(f"bench tokenizer: {folder} has no NAME/tokenizer.json: no rows for published ones", file=sys.stderr)
    bench.begin(as_json)

    def row(name, path):
        rates = speed.measure(tool, path, texts, RUNS)
        value, beside = map(statistics.median, zip(*rates))
        ratios = sorted(one / other for one, other in rates)
        bench.print_row(as_json, f"tokenizer: {name} / tokenizers", "MB/s", value, beside, AIM, "at least", (ratios[0], ratios[-1]))

    with tempfile.TemporaryDirectory() as made_here:
        for layout, kind in ROWS.items():
            path = os.path.join(made_here, layout + ".json")
            with open(path, "w", encoding="utf-8") as file:
                json.dump(made[layout], file, ensure_ascii=False)
            row(kind, path)
    for path in published:
        row(speed.name_of(path), path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
