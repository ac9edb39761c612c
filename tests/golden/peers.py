#!/usr/bin/env python3
"""Runs the official code of Wanda, RIA or SparseGPT on the calibration ids of a coppice run, and counts where masks
and weights differ. Nothing of that code is part of coppice: it is imported from a clone.

Usage: peers.py CLONE RUN MODEL METHOD AMOUNT VARIANT    (AMOUNT: a sparsity, or N:M as coppice writes it)
Fails if more than one mask bit in 10^5 differs, or 0.2 % for magnitude, where the official code prunes ties together.

tests/golden/official.py says which clones.
"""
import sys
import warnings

import h5py
import numpy as np
import torch

import official

warnings.filterwarnings("ignore")
clone, run, model_folder, method, amount, variant = sys.argv[1:]
torch.set_num_threads(1)
code = official.load(clone)
from transformers import AutoModelForCausalLM  # noqa: E402

with h5py.File(f"{run}/sequences.h5") as file:
    ids = torch.tensor(file["tokens"][()].astype(np.int64))
model = AutoModelForCausalLM.from_pretrained(model_folder, torch_dtype=torch.float32).eval()
official.prune(code, model, ids, method, amount)

weights = masks_differ = weights_differ = 0
largest = 0.0
for index, layer in enumerate(model.model.layers):
    name = f"{variant}/layer-{index:03d}.h5"
    with h5py.File(f"{run}/masks/{name}") as masks, h5py.File(f"{run}/weights/{name}") as pruned:
        for linear, module in code.find_layers(layer).items():
            theirs = module.weight.data.numpy()
            bits = np.unpackbits(masks[linear]["mask"][()], axis=1, bitorder="little")
            kept = bits[:, : theirs.shape[1]].astype(bool)
            ours = pruned[linear]["weight"][()]
            both = kept & (theirs != 0)
            difference = np.abs(ours - theirs)[both]
            weights += kept.size
            masks_differ += np.count_nonzero(kept != (theirs != 0))
            weights_differ += np.count_nonzero(difference > 1e-4 * np.abs(theirs[both]) + 1e-6)
            largest = max(largest, float(difference.max(initial=0)))
print(f"{method} {amount}: of {weights} weights {masks_differ} masks differ; of those kept by both {weights_differ} "
      f"by more than 1e-4, the most {largest:.2g}")
sys.exit(int(masks_differ > weights * (2e-3 if method == "magnitude" else 1e-5)))
