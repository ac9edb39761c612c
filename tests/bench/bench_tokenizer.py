"""Megabytes that the tokenizer encodes in a second, beside Hugging Face's `tokenizers` on one thread.

Called by tests/bench.sh: bench_tokenizer.py FOLDER [--json], with build/tests/tokenizer_ids in the folder. One row for each kind of model, laid out as bench.h does.
"""
import json
import os
import random
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

AIM = 1  # not slower than the reference
ROWS = {"llama-3": "byte-level BPE", "llama-2": "SentencePiece's BPE", "t5": "Unigram, character map", "bert": "WordPiece, BertNormalizer"}


def main():
    tool, as_json = os.path.join(sys.argv[1], "tokenizer_ids"), sys.argv[2:] == ["--json"]
    corpus = os.path.join(ROOT, "jobs", "demo", "train.jsonl")
    texts = speed.documents(corpus, 4_000_000, random.Random(0))
    made = layouts.layouts(layouts.read_corpus(corpus))
    bench.begin(as_json)
    with tempfile.TemporaryDirectory() as folder:
        for layout, kind in ROWS.items():
            path = os.path.join(folder, layout + ".json")
            with open(path, "w", encoding="utf-8") as file:
                json.dump(made[layout], file, ensure_ascii=False)
            value, beside = speed.measure(tool, path, texts, 3)
            bench.print_row(as_json, f"tokenizer: documents, {kind} / tokenizers", "MB/s", value, beside, AIM, "at least")
    return 0


if __name__ == "__main__":
    sys.exit(main())
