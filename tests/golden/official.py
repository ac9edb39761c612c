"""The official code of Wanda, RIA or SparseGPT, imported from a clone: it is not part of coppice.

    code = official.load(CLONE)
    official.prune(code, MODEL, IDS, METHOD, AMOUNT)

METHOD wanda, magnitude, sparsegpt: clone of locuslab/wanda (8e8fc87; its lib/sparsegpt.py is IST-DASLab's).
METHOD ria: clone of biomedical-cybernetics/Relative-importance-and-activation-pruning (7bc55b0).
Both want a transformers of their time (4.36) and CUDA; here they run on the processor, in the model's dtype.
"""
import argparse
import contextlib
import importlib.machinery
import io
import sys
import types


def load(clone):
    import torch
    torch.Tensor.cuda = lambda self, *_, **__: self
    torch.cuda.synchronize = lambda *_, **__: None
    sys.path.insert(0, clone)
    datasets = types.ModuleType("datasets")  # which only their loaders need
    datasets.__spec__ = importlib.machinery.ModuleSpec("datasets", None)
    datasets.__version__ = "0"
    datasets.load_dataset = None
    sys.modules["datasets"] = datasets
    import lib.prune
    return lib.prune


def prune(code, model, ids, method, amount):
    """Prunes a transformers model in place. ids: [sequences, length]; amount: a sparsity, or N:M as coppice writes it."""
    import torch
    model.seqlen = ids.shape[1]
    model.hf_device_map = {}
    code.get_loaders = lambda *_, **__: ([(row[None], None) for row in ids], None)
    prune_n = prune_m = 0
    if ":" in amount:
        kept, prune_m = map(int, amount.split(":"))
        prune_n = prune_m - kept  # they count what goes
    arguments = argparse.Namespace(
        nsamples=len(ids), seed=0, seqlen=model.seqlen, sparsity_ratio=0 if prune_m else float(amount), use_variant=False,
        model="llama", calib_dataset="c4", prune_method=method, a=0.5, per_outneuron=True, reconstruction=False,
        gptq=False, reallocation=False, lsa=False, semi_sparse_acc=False)
    with contextlib.redirect_stdout(io.StringIO()), torch.no_grad():
        getattr(code, f"prune_{method}")(arguments, model, None, torch.device("cpu"), prune_n, prune_m)
