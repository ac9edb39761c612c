#!/usr/bin/env python3
"""Golden logits of whole models: make_model_golden.py MODEL_DIRECTORY CORPUS.jsonl OUT.json

Needs torch, transformers and tokenizers. Made with transformers 5.23 and torch 2.13 from kjv-llama-1m with
corpora/kjv/test.jsonl and from stories260K with corpora/tinystories.txt.
"""

import json
import os
import sys

import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from golden import write_golden

LENGTH = 200  # more than one block of queries of the attention kernel


def main():
    directory, corpus, out = sys.argv[1:]
    with open(corpus) as file:
        text = file.read(20000)
    if corpus.endswith(".jsonl"):
        text = "\n\n".join(json.loads(line)["text"] for line in text.splitlines()[:-1])
    ids = Tokenizer.from_file(os.path.join(directory, "tokenizer.json")).encode(text).ids[:LENGTH]
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32, attn_implementation="eager")
    write_golden(model, ids, out, [0, 57, LENGTH - 1])


if __name__ == "__main__":
    main()
