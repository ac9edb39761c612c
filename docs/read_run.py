#!/usr/bin/env python3
"""Reads a run directory with h5py alone: read_run.py RUN VARIANT"""

import glob
import os
import signal
import sys

import h5py
import numpy


def linears(file):
    """Names of the groups that hold a mask."""
    found = []
    file.visit(lambda name: found.append(name[: -len("/mask")]) if name.endswith("/mask") else None)
    return found


def mask_of(dataset):
    """uint8 [out, bytes] -> 0 or 1 [out, in]: bit k of byte b is column 8 b + k."""
    return numpy.unpackbits(dataset[:], axis=1, bitorder="little")[:, : dataset.attrs["columns"]]


def weight_of(dataset):
    """Float32. BF16 and F16 are kept as 16-bit integers with the attribute dtype."""
    dtype = dataset.attrs.get("dtype", b"F32")
    dtype = dtype.decode() if isinstance(dtype, bytes) else dtype
    if dtype == "BF16":
        return (dataset[:].astype(numpy.uint32) << 16).view(numpy.float32)
    return dataset[:].view(numpy.float16).astype(numpy.float32) if dtype == "F16" else dataset[:]


def show_layer(run, variant, path):
    name = os.path.basename(path)
    weights_path = os.path.join(run, "weights", variant, name)
    weights = h5py.File(weights_path) if os.path.exists(weights_path) else None
    with h5py.File(path) as masks:
        for linear in linears(masks):
            kept = mask_of(masks[linear + "/mask"])
            note = ""
            if weights is not None:
                pruned = weight_of(weights[linear + "/weight"])[kept == 0]
                note = "  pruned weights are zero" if not pruned.any() else "  PRUNED WEIGHTS ARE NOT ZERO"
            print(f"{name[:-3]} {linear:24} sparsity {1 - kept.mean():.4f}{note}")
    if weights is not None:
        weights.close()


def show_channels(path):
    with h5py.File(path) as statistics:
        second = statistics["self_attn.q_proj/second_moment"][:]
    largest = numpy.argsort(second)[::-1][:3]
    print("inputs of self_attn.q_proj in the first layer, largest:", ", ".join(f"channel {c}" for c in largest))


def show(run, variant):
    if not os.path.exists(os.path.join(run, "run.json")):
        sys.exit(f"{run}: not a run directory: there is no run.json in it")
    paths = sorted(glob.glob(os.path.join(run, "masks", variant, "layer-*.h5")))
    if not paths:
        masks = os.path.join(run, "masks")
        found = ", ".join(sorted(os.listdir(masks))) if os.path.isdir(masks) else ""
        sys.exit(f"{run}: no masks of {variant}" + (f"; there are those of {found}" if found else ""))
    for path in paths:
        show_layer(run, variant, path)
    for stream in (variant, "dense"):
        path = os.path.join(run, "statistics", stream, "layer-000.h5")
        if os.path.exists(path):
            show_channels(path)
            break


def main():
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # end quietly before "head" as other programs do
    if len(sys.argv) != 3:
        sys.exit("read_run.py RUN VARIANT: a run directory, and a variant of it (coppice status RUN names them)")
    try:
        show(*sys.argv[1:])
    except (OSError, KeyError, TypeError, ValueError) as error:  # HDF5 says what is damaged or missing by these
        sys.exit(f"{sys.argv[1]}: cannot be read as a run directory: {error}")


if __name__ == "__main__":
    main()
