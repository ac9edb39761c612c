"""Times coppice's tokenizer and Hugging Face's `tokenizers`, on one core: tokenizer_speed.py TOOL [--corpus FILE]
[--tokenizer FILE ...] [--layout NAME ...] [--megabytes N] [--runs N]

TOOL is the program tokenizer_ids of a release build. Three texts of N megabytes (10): documents of the corpus (.jsonl
with a "text" field, or a plain text, cut at empty lines), the same as one text, and one word without a space. Processor
time, the best of some runs in turn; `tokenizers` without threads and offsets, as it is fastest. Last columns: the
ratio, above 1 where coppice is faster, and how much longer a megabyte takes than in a tenth of the text.
"""
import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"
from tokenizers import Tokenizer  # noqa: E402

import tokenizer_layouts as layouts  # noqa: E402


def documents(path, size, rng):
    """Documents of the file in random order, again and again, until there are `size` bytes."""
    with open(path, encoding="utf-8") as file:
        if path.endswith(".jsonl"):
            found = [json.loads(line)["text"] for line in file]
        else:
            found = [d for d in re.split(r"\n[ \t]*\n", file.read()) if d]
    out, total = [], 0
    while total < size:
        rng.shuffle(found)
        for text in found:
            if total < size:
                out.append(text)
                total += len(text.encode()) + 2
    return out


def word(size, rng):
    return "".join(rng.choices("etaoinshrdlucmfwypvbgkqjxz", [12, 9, 8, 8, 7, 7, 6, 6, 6, 4, 4, 3, 3, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1],
                               k=size))


def ours(tool, path, texts):
    data = b"".join(b"%d\n%s" % (len(t), t) for t in (text.encode() for text in texts))
    done = subprocess.run([tool, path, "--time"], input=data, capture_output=True, check=True)
    seconds, count = done.stdout.split()
    return float(seconds), int(count)


def theirs(reference, texts):
    start = time.process_time()
    found = reference.encode_batch_fast(texts, add_special_tokens=False)
    seconds = time.process_time() - start
    return seconds, sum(len(e) for e in found)


def name_of(path):
    """MODEL/tokenizer.json and MODEL.json"""
    name = os.path.splitext(os.path.basename(path))[0]
    return os.path.basename(os.path.dirname(os.path.abspath(path))) if name == "tokenizer" else name


def measure(tool, path, texts, runs):
    """Megabytes a second of both, in each of some runs in turn: [(ours, theirs), ...]"""
    reference = Tokenizer.from_file(path)
    reference.no_truncation()
    reference.no_padding()
    size, rates = sum(len(t.encode()) for t in texts) / 1e6, []
    for _ in range(runs):
        one, count = ours(tool, path, texts)
        other, expected = theirs(reference, texts)
        assert count == expected, f"{path}: {count} tokens, {expected} expected"
        rates.append((size / one, size / other))
    return rates


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tool")
    parser.add_argument("--corpus", default="jobs/demo/train.jsonl")
    parser.add_argument("--tokenizer", action="append", default=[])
    parser.add_argument("--layout", action="append", default=[])
    parser.add_argument("--megabytes", type=float, default=10)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    size = int(options.megabytes * 1e6)
    rng = random.Random(0)
    texts = documents(options.corpus, size, rng)
    one = "\n\n".join(texts)
    cases = {"documents": texts, "one text": [one], "one word": [word(size, rng)]}
    lowest = float("inf")

    with tempfile.TemporaryDirectory() as folder:
        made = layouts.layouts(layouts.MORE if not options.corpus.endswith(".jsonl") else layouts.read_corpus(options.corpus))
        paths = [(name_of(p), p) for p in options.tokenizer]
        for name in options.layout or ([] if options.tokenizer else made):
            paths.append((name, os.path.join(folder, name + ".json")))
            with open(paths[-1][1], "w", encoding="utf-8") as file:
                json.dump(made[name], file, ensure_ascii=False)
        print(f"{'tokenizer':12} {'text':10} {'MB/s':>7} {'tokenizers':>10} {'ratio':>6} {'growth':>6}", flush=True)
        for name, path in paths:
            for kind, full in cases.items():
                fast, slow = map(max, zip(*measure(options.tool, path, full, options.runs)))
                part = full[: max(1, len(full) // 10)] if len(full) > 1 else [full[0][: len(full[0]) // 10]]
                small = ours(options.tool, path, part)[0] / sum(len(t.encode()) for t in part)
                lowest = min(lowest, fast / slow)
                print(f"{name:12} {kind:10} {fast:7.2f} {slow:10.2f} {fast / slow:6.2f} {1 / fast / 1e6 / small:6.2f}", flush=True)
    print(f"lowest ratio {lowest:.2f}")


if __name__ == "__main__":
    sys.exit(main())
