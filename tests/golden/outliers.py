"""Writes outliers.json: how many outliers OWL sees in every layer of the demonstration's model (Yin et al., ICML 2024).

    outliers.py RUN >outliers.json

RUN is the run directory of tests/e2e/allocation.sh; only its token ids are taken. Everything else is the reference's
own arithmetic: the dense model's hidden states, scores |W| * sqrt(mean x^2) of all linears of a layer together, and how
many are above 5 times their mean.
"""

import json
import sys

import h5py
import numpy as np
import torch

import reference

torch.set_grad_enabled(False)
THRESHOLD = 5

model = reference.Model("jobs/demo/kjv-llama-1m")
with h5py.File(sys.argv[1] + "/sequences.h5") as file:
    hidden = [model.embed(torch.from_numpy(ids.astype(np.int64))) for ids in file["tokens"][:]]
layers = []
for layer in range(model.layers):
    statistics, hidden = reference.calibrate(model, layer, model.dense(layer), hidden)
    scores = np.concatenate([
        (np.abs(model.original(layer, linear).numpy().astype(np.float64)) * np.sqrt(statistics[source]["second_moment"])).ravel()
        for linear, source in reference.SOURCES.items()
    ])
    layers.append({"weights": scores.size, "outliers": int((scores > THRESHOLD * scores.mean()).sum()),
                   "mean_score": scores.mean()})
json.dump({"threshold": THRESHOLD, "layers": layers}, sys.stdout, indent=1)
print()
