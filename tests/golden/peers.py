#!/usr/bin/env python3
"""Runs the official code of Wanda, RIA or SparseGPT on the calibration ids of a coppice run, and counts where masks
and weights differ. Nothing of that code is part of coppice: it is imported from a clone.

Usage: peers.py CLONE RUN MODEL METHOD AMOUNT VARIANT    (AMOUNT: a sparsity, or N:M as coppice writes it)
Fails if more than one mask bit in 10^5 differs, or 0.2 % for magnitude, where the official code prunes ties together.

METHOD wanda, magnitude, sparsegpt: clone of locuslab/wanda (8e8fc87; its lib/sparsegpt.py is IST-DASLab's).
METHOD ria: clone of biomedical-cybernetics/Relative-importance-and-activation-pruning (7bc55b0).
Both want a transformers of their time (4.36) and CUDA; here they run on the processor, in float32.
"""
import argparse
import contextlib
import importlib.machinery
import io
import sys
import types
import warnings

import h5py
import numpy as np

warnings.filterwarnings("ignore")
clone, run, model_folder, method, amount, variant = sys.argv[1:]

import torch  # noqa: E402

torch.set_num_threads(1)
torch.Tensor.cuda = lambda self, *_, **__: self
torch.cuda.synchronize = lambda *_, **__: None

sys.path.insert(0, clone)
datasets = types.ModuleType("datasets")  # which only their loaders need
datasets.__spec__ = importlib.machinery.ModuleSpec("datasets", None)
datasets.__version__ = "0"
datasets.load_dataset = None
sys.modules["datasets"] = datasets
import lib.prune as official  # noqa: E402
from transformers import AutoModelForCausalLM  # noqa: E402

with h5py.File(f"{run}/sequences.h5") as file:
    ids = torch.tensor(file["tokens"][()].astype(np.int64))
model = AutoModelForCausalLM.from_pretrained(model_folder, torch_dtype=torch.float32).eval()
model.seqlen = ids.shape[1]
model.hf_device_map = {}
official.get_loaders = lambda *_, **__: ([(row[None], None) for row in ids], None)

prune_n = prune_m = 0
if ":" in amount:
    kept, prune_m = map(int, amount.split(":"))
    prune_n = prune_m - kept  # they count what goes
arguments = argparse.Namespace(
    nsamples=len(ids), seed=0, seqlen=model.seqlen, sparsity_ratio=0 if prune_m else float(amount), use_variant=False,
    model="llama", calib_dataset="c4", prune_method=method, a=0.5, per_outneuron=True, reconstruction=False,
    gptq=False, reallocation=False, lsa=False, semi_sparse_acc=False)
prune = getattr(official, f"prune_{method}")
with contextlib.redirect_stdout(io.StringIO()), torch.no_grad():
    prune(arguments, model, None, torch.device("cpu"), prune_n, prune_m)

weights = masks_differ = weights_differ = 0
largest = 0.0
for index, layer in enumerate(model.model.layers):
    name = f"{variant}/layer-{index:03d}.h5"
    with h5py.File(f"{run}/masks/{name}") as masks, h5py.File(f"{run}/weights/{name}") as pruned:
        for linear, module in official.find_layers(layer).items():
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
