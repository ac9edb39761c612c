"""Compares a finished run of coppice with the reference next to this file, and makes the golden files of the
default tests from the reference.

    parity.py check RUN                everything in the run directory RUN and its exported models
    parity.py golden RUN FOLDER        golden files of RUN's job, computed by the reference alone

Paths in RUN/run.json count from the working directory. Only the token ids of the calibration are taken from
the run, so that both work on the same sequences.
"""

import argparse
import fnmatch
import hashlib
import json
import sys
from pathlib import Path

import h5py
import numpy as np
import torch

import reference

torch.set_grad_enabled(False)
torch.set_num_threads(1)

verbose = False
checks = failures = 0
largest = {}  # of each kind of check: the largest value and its limit


def check(name, value, limit):
    """A measured deviation and what it may be; a limit of 0 asks for equality. name: "VARIANT: WHAT" or "WHAT".
    Failures are printed as they are found, the largest value of each WHAT at the end."""
    global checks, failures
    good = value <= limit  # false for NaN
    checks += 1
    failures += not good
    kind = name.split(": ", 1)[-1]
    largest[kind] = (max(largest.get(kind, (0, 0))[0], value), limit)
    if verbose or not good:
        print(f"{'ok    ' if good else 'NOT OK'} {name}: {value:.3g}, at most {limit:.3g}", flush=True)


class Run:
    """A run directory as h5py and json show it."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.job = json.loads((self.folder / "run.json").read_text())["job"]
        self.variants = self.job["variants"]
        self.propagation = self.job["prune"]["propagation"]
        with h5py.File(self.folder / "sequences.h5") as file:
            self.sequences = file["tokens"][:]

    def stream(self, variant):
        return variant["name"] if self.propagation == "pruned" else "dense"

    def skips(self, layer, linear):
        names = (linear, f"layers.{layer}.{linear}")
        return any(fnmatch.fnmatchcase(n, p) for n in names for p in self.job["prune"]["skip"])

    def read(self, kind, name, layer):
        """{linear: {dataset: array}} of one unit's file; bfloat16 comes back as torch.bfloat16."""
        result = {}
        with h5py.File(self.folder / kind / name / f"layer-{layer:03d}.h5") as file:
            for linear, group in file.items():
                result[linear] = {key: dataset[:] for key, dataset in group.items()}
                for key, dataset in group.items():
                    dtype = dataset.attrs.get("dtype")
                    if dtype is not None:
                        dtype = dtype.decode() if isinstance(dtype, bytes) else dtype
                        kind_of = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32}[dtype]
                        result[linear][key] = torch.from_numpy(dataset[:]).view(kind_of)
        return result

    def decisions(self, name, layer):
        """{linear: {attribute: value}} of a weights file: what was kept, and the measured errors."""
        with h5py.File(self.folder / "weights" / name / f"layer-{layer:03d}.h5") as file:
            return {linear: dict(group.attrs) for linear, group in file.items()}

    def choices(self, name, layer):
        """{linear: {attribute: value}} of the masks of the method auto."""
        with h5py.File(self.folder / "masks" / name / f"layer-{layer:03d}.h5") as file:
            text = lambda v: v.decode() if isinstance(v, bytes) else v
            return {linear: {k: text(v) for k, v in group["mask"].attrs.items()} for linear, group in file.items()}

    def mask(self, masks, linear, columns):
        bits = np.unpackbits(masks[linear]["mask"], axis=1, bitorder="little")
        assert not bits[:, columns:].any(), "padding bits of a mask are 0"
        return bits[:, :columns].astype(bool)

    def perplexity(self, name):
        return json.loads((self.folder / "results" / name / "perplexity.json").read_text())

    def output(self, variant):
        return Path(self.job["output"]) / (variant["name"] if len(self.variants) > 1 else "")


# ---- the calibration sequences --------------------------------------------------------------------------


def check_sequences(run):
    """Every sequence is a slice of one document, as the reference tokenizer cuts it, and they differ."""
    if run.job["calibration"]["corpus"].endswith(".h5"):
        return
    tokenizer = reference.Tokenizer.from_file(str(Path(run.job["model"]) / "tokenizer.json"))
    documents = reference.read_documents(run.job["calibration"]["corpus"])
    texts = [np.array(e.ids, dtype=np.int32).tobytes() for e in tokenizer.encode_batch(documents)]
    strangers = 0
    for ids in run.sequences:
        needle = ids.astype(np.int32).tobytes()
        strangers += not any(text.find(needle) >= 0 for text in texts)
    check("sequences that are in no document", strangers, 0)
    check("sequences drawn twice", len(run.sequences) - len({ids.tobytes() for ids in run.sequences}), 0)


# ---- statistics, masks, weights, layer by layer ---------------------------------------------------------


def deviation(found, expected):
    """Largest relative deviation over the channels. A mean is compared in units of the channel's usual size."""
    size = np.sqrt(expected["second_moment"])
    tiny = 1e-12
    worst = {}
    for key in ("second_moment", "variance", "max_abs"):
        worst[key] = np.max(np.abs(found[key] - expected[key]) / (np.abs(expected[key]) + tiny))
    worst["mean"] = np.max(np.abs(found["mean"] - expected["mean"]) / (size + tiny))
    worst["count"] = abs(int(found["count"][0]) - expected["count"])
    return worst


def distance_to_threshold(variant, scores, mine, theirs):
    """Of every weight on which two masks differ: how far its score is from the place where its group is cut,
    relative. Small distances are ties that rounding of the statistics has decided."""
    differ = mine != theirs
    if not differ.any():
        return 0
    rows, columns = scores.shape
    width = columns if "pattern" not in variant else int(variant["pattern"].split(":")[1])
    if variant.get("group") == "layer" and "pattern" not in variant:
        width = rows * columns
    scores, differ, kept = (x.reshape(-1, width) for x in (scores, differ, mine))
    cut = np.where(kept, -np.inf, scores).max(1, keepdims=True)  # the largest score that was pruned
    return float((np.abs(scores - cut) / cut)[differ].max())


class Worst:
    """Worst values over all layers and linears of a variant."""

    def __init__(self):
        self.values = {}

    def note(self, key, value):
        self.values[key] = max(self.values.get(key, 0), float(value))

    def add(self, key, value):
        self.values[key] = self.values.get(key, 0) + float(value)


def check_variant(run, model, variant):
    """Hidden states flow through coppice's own weights, so that a layer's deviation is that layer's alone."""
    worst, total = Worst(), 0
    dense = hidden = [model.embed(ids) for ids in run.sequences]
    own_stream = run.propagation == "pruned" or reference.matches(variant)
    pruned_linears = []
    for layer in range(model.layers):
        entering = hidden if run.propagation == "pruned" else dense
        own, outputs = reference.calibrate(model, layer, model.dense(layer), entering)
        stored = run.read("statistics", run.stream(variant), layer)
        for linear, source in reference.SOURCES.items():
            for key, value in deviation(stored[linear], own[source]).items():
                worst.note(key, value)
        theirs = {source: {k: v for k, v in stored[linear].items()} for linear, source in reference.SOURCES.items()}

        masks = run.read("masks", variant["name"], layer)
        weights = run.read("weights", variant["name"], layer)
        second_order = variant["method"] == "sparsegpt"
        chosen = check_choice(run, model, variant, layer, worst, own, entering)
        exact, _, _ = reference.mask_layer(model, variant, layer, own if second_order else theirs, entering,
                                           run.skips, chosen)
        near, _, scores = reference.mask_layer(model, variant, layer, own, entering, run.skips, chosen)
        worst.add("linears", len(set(masks) ^ set(exact)) + len(set(weights) ^ set(exact)))
        found, updates = {}, {}
        for linear in exact:
            weight = model.original(layer, linear)
            mask = found[linear] = run.mask(masks, linear, weight.shape[1])
            total += mask.size
            if second_order:
                # A near tie that is decided otherwise moves the columns after it.
                update = updates[linear] = masks[linear]["update"].astype(np.float64)
                worst.add("second", (mask != exact[linear]).sum())
                same = (mask == exact[linear]).all(1)
                away = np.abs(update - scores[linear])[same] / np.abs(weight.numpy()).mean()
                worst.note("update", away.max(initial=0))
            else:
                worst.add("mask", (mask != exact[linear]).sum())
                worst.add("tie", (mask != near[linear]).sum())
                worst.note("distance", distance_to_threshold(variant, scores[linear], near[linear], mask))
        linears = check_weights(run, model, variant, layer, worst, found, updates, weights, dense,
                                hidden if own_stream else dense)
        pruned_linears.append(linears)
        if layer + 1 == model.layers:
            break
        if run.propagation == "dense":
            dense = outputs
        elif reference.matches(variant):
            dense = [model.layer(layer, model.dense(layer), x) for x in dense]
        if own_stream:
            hidden = [model.layer(layer, linears, x) for x in hidden]

    report(variant["name"], worst.values, total)
    return pruned_linears


def check_choice(run, model, variant, layer, worst, statistics, entering):
    """Errors of the candidates of the method auto. Returns what coppice chose, {linear: candidate}."""
    if variant["method"] != "auto":
        return None
    stored, chosen = run.choices(variant["name"], layer), {}
    for linear, found in stored.items():
        point = (found["method"], found["activation_exponent"], found["alpha"])
        chosen[linear] = next(name for name, values in reference.CANDIDATES.items() if values == point)
    _, _, errors = reference.choose(model, variant, layer, statistics, entering, run.skips, chosen)
    for linear, own in errors.items():
        for name, error in own.items():
            worst.note("candidate", abs(stored[linear][f"candidate_error_{name}"] / error - 1))
        worst.note("chosen", own[chosen[linear]] / min(own.values()) - 1)
    return chosen


def check_weights(run, model, variant, layer, worst, masks, updates, weights, dense, hidden):
    """Compensation of a layer from coppice's masks. Returns coppice's linears for the forward pass."""
    attributes = run.decisions(variant["name"], layer)
    kept_of = {linear: (bool(attributes[linear].get("energy_kept", bool(variant.get("energy")))),
                        bool(attributes[linear].get("output_kept", False))) for linear in masks}
    expected, decided = reference.compensate_layer(model, variant, layer, masks, updates, dense, hidden, kept_of)
    linears = dict(model.dense(layer))
    for linear, mask in masks.items():
        energy, output = kept_of[linear]
        weight, values = model.original(layer, linear), weights[linear]["weight"]
        differ = (expected[linear].float() - values.float()).abs()
        if output:
            # Factors come from float32 outputs: some weights are rounded to the other neighbour.
            worst.add("matched", 0 if values.dtype == torch.float32 else (differ > 0).sum())
            worst.note("far", (differ / (expected[linear].float().abs() + 1e-30)).max())
        else:
            worst.add("weight", (differ > 0).sum())
        worst.add("pruned", (values.float().numpy()[~mask] != 0).sum())
        compensated = reference.compensate(variant if energy else {**variant, "energy": []}, weight, mask,
                                           updates.get(linear))
        check_energies(worst, weights[linear], weight, mask, updates.get(linear), compensated)
        linears[linear] = values.float()
        if linear in decided:
            check_decision(worst, attributes[linear], kept_of[linear], *decided[linear])
        if variant.get("bias"):
            bias, wanted = weights[linear]["bias"].float(), expected[linear + ".bias"].float()
            worst.note("bias", (bias - wanted).abs().max() / (wanted.abs().max() + 1e-30))
            linears[linear + ".bias"] = bias
    return linears


def check_decision(worst, attributes, taken, kept, errors, found):
    for key, choice in (("pruned", (False, False)), ("compensated", taken)):
        stored, own = attributes[f"output_error_{key}"], found[choice][2]
        worst.note("error", abs(stored - own) / own if own else stored)
        if errors:
            worst.note("layer", abs(attributes[f"layer_error_{key}"] / errors[choice] - 1))
    # Another choice is fine where the two are as good as equal.
    worst.note("choice", 0 if taken == kept else abs(errors[taken] / errors[kept] - 1))


def check_energies(worst, stored, weight, mask, update, compensated):
    """Centred energy of each row around its original mean: dense, pruned, compensated."""
    w = weight.numpy().astype(np.float64)
    mu = w.mean(1, keepdims=True)
    for key, values in (("before", w), ("pruned", np.where(mask, w if update is None else update, 0)), ("compensated", compensated)):
        expected = ((values - mu) ** 2).sum(1)
        worst.note("energy", np.max(np.abs(stored[f"energy_{key}"] - expected) / (expected + 1e-30)))


def report(name, worst, total):
    # Float32 activations: two orders of summation differ by about 1e-6 of a channel's size after a layer.
    for key in ("mean", "second_moment", "variance", "max_abs"):
        check(f"{name}: statistics, {key}", worst[key], 1e-5)
    check(f"{name}: token counts", worst["count"], 0)
    check(f"{name}: linears that only one of the two pruned", worst["linears"], 0)
    if "mask" in worst:
        check(f"{name}: mask from the stored statistics, differing weights", worst["mask"], 0)
        check(f"{name}: mask from own statistics, share of differing weights", worst["tie"] / total, 1e-4)
        check(f"{name}: how far those are from a tie", worst["distance"], 1e-4)
    else:
        check(f"{name}: second-order mask, share of differing weights", worst["second"] / total, 1e-3)
        check(f"{name}: corrected weights in rows of equal masks, relative to the mean weight", worst["update"], 1e-3)
    check(f"{name}: weights that differ in the last bit", worst.get("weight", 0) / total, 1e-5)
    if "far" in worst:
        check(f"{name}: matched weights, share of those that differ", worst["matched"] / total, 2e-3)
        check(f"{name}: matched weights, relative", worst["far"], 2**-7)
    if "bias" in worst:
        check(f"{name}: biases, relative to the largest", worst["bias"], 2**-7)
    if "candidate" in worst:
        check(f"{name}: errors of candidates", worst["candidate"], 1e-3)
        check(f"{name}: what another candidate would have meant", worst["chosen"], 1e-3)
    if "error" in worst:
        check(f"{name}: measured output errors", worst["error"], 1e-3)
        check(f"{name}: the layer's output errors", worst.get("layer", 0), 1e-3)
        check(f"{name}: what another choice of the guard would have meant", worst["choice"], 1e-3)
    check(f"{name}: pruned weights that are not zero", worst["pruned"], 0)
    check(f"{name}: energies", worst["energy"], 1e-11)


# ---- exported folders -----------------------------------------------------------------------------------


def read_raw(path):
    """Header bytes, header, and the bytes of every tensor of a safetensors file."""
    data = path.read_bytes()
    size = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:size])
    header.pop("__metadata__", None)
    return data[:size], {k: data[size + v["data_offsets"][0] : size + v["data_offsets"][1]] for k, v in header.items()}


def asked_zeros(variant, shape):
    if "pattern" in variant:
        keep, of = map(int, variant["pattern"].split(":"))
        return shape[0] * shape[1] // of * (of - keep)
    if variant.get("group", "row") == "layer":
        return int(np.floor(shape[0] * shape[1] * variant["sparsity"]))
    return shape[0] * int(np.floor(shape[1] * variant["sparsity"]))


def check_export(run, model, variant):
    source, target = Path(run.job["model"]), run.output(variant)
    name = variant["name"]
    headers = tensors = wrong = off = missing = 0
    for shard in sorted(source.glob("*.safetensors")):
        before, old = read_raw(shard)
        after, new = read_raw(target / shard.name)
        added = {key for key in new if key not in old}
        wanted = {key.replace(".weight", ".bias") for key in old if split_name(key)[1]} if variant.get("bias") else set()
        headers += before != after if not wanted else added != wanted
        for key in old:
            layer, linear = split_name(key)
            if linear is None or run.skips(layer, linear):
                tensors += old[key] != new[key]
                continue
            weights = run.read("weights", name, layer)[linear]["weight"]
            wrong += weights.contiguous().view(torch.uint8).numpy().tobytes() != new[key]
            # A kept weight may have been zero from the start; then there is one zero more.
            mask = run.mask(run.read("masks", name, layer), linear, weights.shape[1])
            zero_before = (model.original(layer, linear).numpy()[mask] == 0).sum()
            zeros = (weights.float() == 0).sum().item()
            asked = asked_zeros(variant, weights.shape)
            if variant["method"] == "sparsegpt" and "pattern" not in variant:
                # One more, and ties, for each block of 128 columns.
                more = int((~mask).sum()) - asked
                off += not 0 <= more <= 8 * (weights.shape[1] // 128 + 1)
                asked += more
            off += abs(zeros - int(zero_before) - asked)
            off += abs(int((~mask).sum()) - asked)
        for key in added:
            layer, linear = split_name(key)
            bias = b"" if run.skips(layer, linear) else run.read("weights", name, layer)[linear]["bias"]
            bias = bias if isinstance(bias, bytes) else bias.contiguous().view(torch.uint8).numpy().tobytes()
            wrong += bias != new[key] if bias else any(new[key])
    for path in source.iterdir():
        if path.suffix in (".json", ".model", ".txt"):
            theirs = (target / path.name).read_bytes() if (target / path.name).exists() else b"{}"
            if path.name == "config.json" and variant.get("bias"):
                config = {**json.loads(path.read_text()), "attention_bias": True, "mlp_bias": True}
                missing += json.loads(theirs) != config
            else:
                missing += theirs != path.read_bytes()
    about = json.loads((target / "coppice.json").read_text())
    check(f"{name}: exported headers that differ", headers, 0)
    check(f"{name}: untouched tensors that differ", tensors, 0)
    check(f"{name}: pruned tensors that are not the run's", wrong, 0)
    check(f"{name}: zeros that were not asked for, or are missing", off, 0)
    check(f"{name}: side files that are missing or differ", missing, 0)
    check(f"{name}: coppice.json without job, versions, fingerprints, linears or perplexity",
          sum(key not in about for key in ("job", "versions", "fingerprints", "linears", "perplexity", "variant")), 0)


def split_name(key):
    """(layer, linear) of a tensor that may be pruned, else (None, None)."""
    parts = key.split(".")
    if len(parts) < 5 or parts[:2] != ["model", "layers"]:
        return None, None
    linear = ".".join(parts[3:-1])
    return (int(parts[2]), linear) if linear in reference.SOURCES else (None, None)


def transformers_perplexity(folder, texts):
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    losses = [model(t[None], labels=t[None]).loss.item() for t in torch.from_numpy(texts)]
    return float(np.exp(np.mean(losses)))


# ---- perplexities ---------------------------------------------------------------------------------------


def relative(a, b):
    return abs(a - b) / abs(b)


def command_check(args):
    global verbose
    verbose = args.verbose
    run = Run(args.run)
    model = reference.Model(run.job["model"])
    texts = reference.windows(run.job["model"], run.job["evaluate"]["perplexity"], run.job["evaluate"]["length"])
    stored = run.perplexity("dense")
    check_sequences(run)
    check("evaluation windows", abs(stored["windows"] - len(texts)), 0)
    dense = reference.perplexity(model, [model.dense(l) for l in range(model.layers)], texts)
    check("dense: perplexity", relative(stored["perplexity"], dense), 1e-3)
    check("dense: perplexity in transformers",
          relative(stored["perplexity"], transformers_perplexity(run.job["model"], texts)), 1e-3)
    for variant in run.variants:
        name, found = variant["name"], run.perplexity(variant["name"])["perplexity"]
        linears = check_variant(run, model, variant)
        same = reference.perplexity(model, linears, texts)
        check(f"{name}: perplexity of coppice's weights", relative(found, same), 1e-3)
        _, alone = reference.prune(model, variant, run.sequences, run.propagation, run.skips)
        free = reference.perplexity(model, alone, texts)
        # Corrected weights differ by about 1e-5, so that some are rounded to the other neighbour in bfloat16.
        limit = 2e-2 if variant["method"] == "sparsegpt" else 1e-3
        check(f"{name}: perplexity of the reference's own weights", relative(found, free), limit)
        if run.job["output"]:
            check_export(run, model, variant)
            check(f"{name}: perplexity in transformers",
                  relative(found, transformers_perplexity(run.output(variant), texts)), 1e-3)
    for kind, (value, limit) in largest.items():
        print(f"{'ok    ' if value <= limit else 'NOT OK'} {kind}: {value:.3g}, at most {limit:.3g}")
    print(f"{checks} checks of {len(run.variants)} variants, {failures} failed")
    return failures != 0


# ---- golden files ---------------------------------------------------------------------------------------


def pack(mask):
    return np.packbits(mask, axis=1, bitorder="little").tobytes()


def command_golden(args):
    """golden.json: digests and perplexities; LINEAR.VARIANT.mask: a layer's whole mask, for counting bits."""
    run = Run(args.run)
    model = reference.Model(run.job["model"])
    folder = Path(args.folder)
    folder.mkdir(parents=True, exist_ok=True)
    texts = reference.windows(run.job["model"], run.job["evaluate"]["perplexity"], run.job["evaluate"]["length"])
    golden = {
        "tokens_sha256": hashlib.sha256(run.sequences.astype("<i4").tobytes()).hexdigest(),
        "windows": len(texts),
        "length": texts.shape[1],
        "perplexity": {"dense": reference.perplexity(model, [model.dense(l) for l in range(model.layers)], texts)},
        "mask_sha256": {},
        "statistics": [],
    }
    hidden = [model.embed(ids) for ids in run.sequences]
    statistics, _ = reference.calibrate(model, 0, model.dense(0), hidden)
    for linear in ("self_attn.q_proj", "self_attn.o_proj", "mlp.up_proj", "mlp.down_proj"):
        for name in ("mean", "variance", "second_moment", "max_abs"):
            values = statistics[reference.SOURCES[linear]][name]
            for channel in (0, len(values) // 2, len(values) - 1):
                golden["statistics"].append(
                    {"linear": linear, "name": name, "channel": channel, "value": float(values[channel]),
                     "size": float(np.sqrt(statistics[reference.SOURCES[linear]]["second_moment"][channel]))})
    for variant in run.variants:
        masks, linears = reference.prune(model, variant, run.sequences, run.propagation, run.skips)
        golden["perplexity"][variant["name"]] = reference.perplexity(model, linears, texts)
        if variant["method"] == "magnitude":  # masks of the weights alone: the same on every machine
            golden["mask_sha256"][variant["name"]] = {
                f"layer-{layer:03d}/{linear}": hashlib.sha256(pack(mask)).hexdigest()
                for layer, found in enumerate(masks) for linear, mask in found.items()}
        elif variant["method"] == "sparsegpt":
            (folder / f"self_attn.q_proj.{variant['name']}.mask").write_bytes(pack(masks[0]["self_attn.q_proj"]))
            (folder / f"mlp.down_proj.{variant['name']}.mask").write_bytes(pack(masks[0]["mlp.down_proj"]))
        elif not variant.get("energy") and variant["method"] != "auto":
            (folder / f"mlp.down_proj.{variant['name']}.mask").write_bytes(pack(masks[0]["mlp.down_proj"]))
    (folder / "golden.json").write_text(json.dumps(golden, indent=1) + "\n")
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("check")
    one.add_argument("run")
    one.add_argument("--verbose", action="store_true", help="a line for every check")
    one.set_defaults(command=command_check)
    one = commands.add_parser("golden")
    one.add_argument("run")
    one.add_argument("folder")
    one.set_defaults(command=command_golden)
    args = parser.parse_args()
    return args.command(args)


if __name__ == "__main__":
    sys.exit(main())
