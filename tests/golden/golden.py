"""Writes golden logits: what Hugging Face transformers computes, in float32, for one sequence of token ids.

Format (JSON): `ids` the sequence, `log_likelihood` of ids[t + 1] at position t, `positions` some positions and `logits`
the logits of the whole vocabulary at each of them.
"""

import json

import torch


def write_golden(model, ids, path, positions):
    model = model.eval()
    with torch.no_grad():
        logits = model(torch.tensor([ids]), use_cache=False).logits[0].double()
    log_probabilities = torch.log_softmax(logits, dim=-1)
    targets = torch.tensor(ids[1:])
    golden = {
        "ids": ids,
        "log_likelihood": [float(f"{v:.8g}") for v in log_probabilities[:-1].gather(1, targets[:, None])[:, 0]],
        "positions": positions,
        "logits": [[float(f"{v:.7g}") for v in logits[p].tolist()] for p in positions],
    }
    with open(path, "w") as file:
        json.dump(golden, file, separators=(",", ":"))
        file.write("\n")
