"""A whole job in PyTorch, in float32 with transformers: bench_jobs.py's peer. From a checkpoint on disk to a pruned one, or to a perplexity.

    job_peer.py THREADS MODEL IDS TASK OUT [CLONE]

TASK: wanda, sparsegpt, least_squares (on the mask of wanda), all at 50 %, which write the folder OUT in the checkpoint's dtype; or evaluate.
IDS: an HDF5 file with /tokens [sequences, length]; for evaluate a text, and OUT is the length of a window. CLONE: of
github.com/locuslab/wanda, whose code then prunes; it wants transformers 4.36. Without it the code below does, written from the papers (Sun
et al., ICLR 2024; Frantar and Alistarh, ICML 2023; least squares: the normal equations of each row on its support, by Cholesky).

Prints an object of JSON: wall and processor seconds without those of importing, bytes of memory at most, and `result`: the share of zeros,
or the perplexity.
"""
import json
import math
import resource
import sys
import time

import torch

threads, model_folder, ids_path, task, out, *clone = sys.argv[1:]
torch.set_num_threads(int(threads))
if clone:
    sys.path.append(__file__.rsplit("/", 2)[0] + "/golden")
    import official
    official_code = official.load(clone[0])
import h5py  # noqa: E402
import transformers  # noqa: E402

from bench_solving import sparsegpt  # noqa: E402

transformers.utils.logging.disable_progress_bar()
DAMPING = 0.01
BATCH = 64 << 20  # bytes of the matrices of a batch of rows


def load():
    dtype = "dtype" if int(transformers.__version__.split(".")[0]) >= 5 else "torch_dtype"
    return transformers.AutoModelForCausalLM.from_pretrained(model_folder, **{dtype: torch.float32}).eval()


def stored_dtype():
    with open(f"{model_folder}/config.json", encoding="utf-8") as file:
        config = json.load(file)
    return getattr(torch, config.get("dtype") or config["torch_dtype"])


class Catcher(torch.nn.Module):
    """Stands for a layer: keeps what it is called with, and hands its first argument on."""

    def __init__(self, layer):
        super().__init__()
        self.layer, self.inputs, self.arguments = layer, [], {}

    def __getattr__(self, name):
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self.layer, name)

    def forward(self, hidden, **arguments):
        self.inputs.append(hidden)
        self.arguments = arguments
        return hidden


def hidden_of(output):
    return output if isinstance(output, torch.Tensor) else output[0]


def wanda_mask(weight, squares):
    order = (weight.abs() * squares.sqrt()).sort(dim=1, stable=True).indices
    pruned = torch.zeros_like(weight, dtype=torch.bool)
    return pruned.scatter_(1, order[:, : weight.shape[1] // 2], True)


def least_squares(weight, h, pruned):
    h.diagonal().add_(DAMPING * h.diagonal().mean())
    target, result = weight @ h, torch.zeros_like(weight)
    support = (~pruned).nonzero()[:, 1].reshape(weight.shape[0], -1)
    rows = max(1, BATCH // (4 * support.shape[1] ** 2))
    for first in range(0, weight.shape[0], rows):
        kept = support[first : first + rows]
        factor = torch.linalg.cholesky(h[kept[:, :, None], kept[:, None, :]])
        values = torch.cholesky_solve(target[first : first + rows].gather(1, kept)[:, :, None], factor)
        result[first : first + rows].scatter_(1, kept, values[:, :, 0])
    return result


def linears_of(layer):
    return [module for module in layer.modules() if isinstance(module, torch.nn.Linear)]


def prune(model, ids):
    """Layer by layer, with hooks, as the official programs do."""
    layers = model.model.layers
    catchers = [Catcher(layer) for layer in layers]
    model.model.layers = torch.nn.ModuleList(catchers)
    for row in ids:
        model.model(row[None], use_cache=False)
    model.model.layers = layers
    inputs = catchers[0].inputs
    for catcher in catchers:
        layer = catcher.layer
        squares = {linear: torch.zeros(linear.in_features) for linear in linears_of(layer)}
        h = {linear: torch.zeros(linear.in_features, linear.in_features) for linear in squares} if task != "wanda" else {}

        def gather(linear, arguments, _):
            x = arguments[0].reshape(-1, linear.in_features)
            squares[linear] += x.square().sum(0)
            if h:
                h[linear] += x.T @ x

        hooks = [linear.register_forward_hook(gather) for linear in squares]
        for hidden in inputs:
            layer(hidden, **catcher.arguments)
        for hook in hooks:
            hook.remove()
        for linear in squares:
            weight = linear.weight.data
            if task == "sparsegpt":
                linear.weight.data = sparsegpt(weight, h.pop(linear))
                continue
            pruned = wanda_mask(weight, squares[linear])
            linear.weight.data = least_squares(weight, h.pop(linear), pruned) if task == "least_squares" else weight.masked_fill(pruned, 0)
        inputs = [hidden_of(layer(hidden, **catcher.arguments)) for hidden in inputs]


def perplexity(model, length):
    from tokenizers import Tokenizer
    with open(ids_path, encoding="utf-8") as file:
        ids = torch.tensor(Tokenizer.from_file(f"{model_folder}/tokenizer.json").encode(file.read()).ids)
    windows = ids[: len(ids) // length * length].reshape(-1, length)
    loss = 0.0
    for window in windows:
        logits = model(window[None], use_cache=False).logits[0, :-1]
        loss += torch.nn.functional.cross_entropy(logits, window[1:]).item()
    return math.exp(loss / len(windows))


def main():
    start = time.perf_counter(), time.process_time()
    model = load()
    with torch.no_grad():
        if task == "evaluate":
            result = perplexity(model, int(out))
        else:
            with h5py.File(ids_path) as file:
                ids = torch.tensor(file["tokens"][()].astype("int64"))
            if clone:
                official.prune(official_code, model, ids, task, "0.5")
            else:
                prune(model, ids)
            model.to(stored_dtype()).save_pretrained(out)
    seconds, processor = time.perf_counter() - start[0], time.process_time() - start[1]
    memory = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if task != "evaluate":
        weights = [linear.weight for layer in model.model.layers for linear in linears_of(layer)]
        result = sum((weight == 0).sum().item() for weight in weights) / sum(weight.numel() for weight in weights)
    print(json.dumps({"wall": seconds, "processor": processor, "memory": memory, "result": result}))


if __name__ == "__main__":
    main()
