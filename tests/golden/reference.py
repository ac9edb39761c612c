"""The whole method a second time, in numpy and torch, written from its description and not from the C sources:
forward pass, channel statistics, importance, masks, their automatic choice, energy compensation, output matching, propagation, perplexity.

It is slow, holds everything in memory and knows the LLaMA family only. tests/golden/parity.py compares coppice
with it.
"""

import json
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from tokenizers import Tokenizer

# Linears that share an input share statistics; the order is that of the computation in a layer.
SOURCES = {
    "self_attn.q_proj": "attention",
    "self_attn.k_proj": "attention",
    "self_attn.v_proj": "attention",
    "self_attn.o_proj": "attention_output",
    "mlp.gate_proj": "mlp",
    "mlp.up_proj": "mlp",
    "mlp.down_proj": "mlp_down",
}
LINEARS = list(SOURCES)


# ---- the model ------------------------------------------------------------------------------------------


class Model:
    """A LLaMA checkpoint. `tensors` keep the dtype of the file; the forward pass is float32."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.config = json.loads((self.folder / "config.json").read_text())
        self.tensors = {}
        for shard in sorted(self.folder.glob("*.safetensors")):
            self.tensors.update(load_file(shard))
        c = self.config
        self.layers = c["num_hidden_layers"]
        self.heads = c["num_attention_heads"]
        self.kv_heads = c.get("num_key_value_heads", self.heads)
        self.head_dim = c.get("head_dim") or c["hidden_size"] // self.heads
        self.eps = c["rms_norm_eps"]
        theta = c.get("rope_theta") or c["rope_parameters"]["rope_theta"]
        self.inv_freq = 1.0 / theta ** (torch.arange(0, self.head_dim, 2, dtype=torch.float32) / self.head_dim)

    def layer_name(self, layer, name):
        return f"model.layers.{layer}.{name}.weight"

    def original(self, layer, linear):
        """The weight of a linear, float32 [out, in]."""
        return self.tensors[self.layer_name(layer, linear)].float()

    def dtype(self, layer, linear):
        return self.tensors[self.layer_name(layer, linear)].dtype

    def dense(self, layer):
        return {linear: self.original(layer, linear) for linear in LINEARS}

    def embed(self, ids):
        return self.tensors["model.embed_tokens.weight"].float()[torch.as_tensor(ids, dtype=torch.long)]

    def norm(self, x, name):
        weight = self.tensors[name].float()
        return weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps))

    def rotate(self, x):
        """x [heads, tokens, head_dim]; the halves of a head are the real and the imaginary parts."""
        angles = torch.outer(torch.arange(x.shape[1], dtype=torch.float32), self.inv_freq)
        cos, sin = torch.cat([angles.cos()] * 2, -1), torch.cat([angles.sin()] * 2, -1)
        a, b = x.chunk(2, -1)
        return x * cos + torch.cat([-b, a], -1) * sin

    def layer(self, layer, weights, x, observe=None):
        """One decoder layer. x [tokens, hidden]; weights: linear name -> [out, in], perhaps NAME.bias -> [out];
        observe(source, inputs)."""
        tokens = x.shape[0]
        see = observe or (lambda source, inputs: None)

        def linear(name, h):
            y = h @ weights[name].T
            return y + weights[name + ".bias"] if name + ".bias" in weights else y

        h = self.norm(x, f"model.layers.{layer}.input_layernorm.weight")
        see("attention", h)
        q, k, v = (
            linear(f"self_attn.{p}_proj", h).view(tokens, n, self.head_dim).transpose(0, 1)
            for p, n in (("q", self.heads), ("k", self.kv_heads), ("v", self.kv_heads))
        )
        q, k = self.rotate(q), self.rotate(k)
        k, v = (t.repeat_interleave(self.heads // self.kv_heads, 0) for t in (k, v))
        scores = q @ k.transpose(1, 2) / math.sqrt(self.head_dim)
        scores = scores.masked_fill(torch.ones(tokens, tokens, dtype=torch.bool).triu(1), -math.inf)
        h = (scores.softmax(-1) @ v).transpose(0, 1).reshape(tokens, -1)
        see("attention_output", h)
        x = x + linear("self_attn.o_proj", h)

        h = self.norm(x, f"model.layers.{layer}.post_attention_layernorm.weight")
        see("mlp", h)
        h = F.silu(linear("mlp.gate_proj", h)) * linear("mlp.up_proj", h)
        see("mlp_down", h)
        return x + linear("mlp.down_proj", h)

    def logits(self, x):
        head = self.tensors.get("lm_head.weight", self.tensors["model.embed_tokens.weight"])
        return self.norm(x, "model.norm.weight") @ head.float().T


# ---- statistics -----------------------------------------------------------------------------------------


def calibrate(model, layer, weights, hidden):
    """Statistics of every source over `hidden` [sequences][tokens, hidden], and what leaves the layer."""
    totals, counts, outputs, hessians = {}, {}, [], {}

    def observe(source, inputs):
        x = inputs.numpy().astype(np.float64)
        partial = np.stack([x.sum(0), (x * x).sum(0)])  # one partial sum per sequence
        largest = np.abs(x).max(0)
        counts[source] = counts.get(source, 0) + len(x)
        hessians[source] = hessians.get(source, 0) + 2 / len(hidden) * (x.T @ x)
        if source in totals:  # added in the order of the sequences
            totals[source] = (totals[source][0] + partial, np.maximum(totals[source][1], largest))
        else:
            totals[source] = (partial, largest)

    for x in hidden:
        outputs.append(model.layer(layer, weights, x, observe))
    statistics = {}
    for source, (sums, largest) in totals.items():
        n = counts[source]
        mean, second = sums[0] / n, sums[1] / n
        statistics[source] = {
            "count": n,
            "mean": mean,
            "second_moment": second,
            "variance": np.maximum(second - mean * mean, 0),
            "max_abs": largest,
            "hessian": hessians[source],
        }
    return statistics, outputs


# ---- importance -----------------------------------------------------------------------------------------


def importance(variant, weight, statistics):
    """S [out, in], float32: per-channel factors in double, rounded once, then one float32 product."""
    method = variant["method"]
    w = weight.numpy()
    absolute, wide = np.abs(w), w.astype(np.float64)
    own_exponent, own_alpha = {"magnitude": (0, 0), "wanda": (0.5, 0), "ria": (0.25, 0), "cvr": (0.25, 0.25)}[method]
    exponent, alpha = variant.get("activation_exponent", own_exponent), variant.get("alpha", own_alpha)
    factor = np.ones(w.shape[1])
    if exponent:
        factor = statistics["variance" if method == "cvr" else "second_moment"] ** exponent
    if alpha:
        factor = factor * (wide.var(0) + variant.get("epsilon", 1e-8)) ** (-alpha / 2)
    factor = factor.astype(np.float32)
    if method == "ria":
        a, b = (reciprocal(np.abs(wide).sum(axis)) for axis in (0, 1))
        return absolute * ((a[None, :] + b[:, None]) * factor[None, :])
    return absolute * factor


def reciprocal(sums):
    """float32 of 1/sum; a sum of zero belongs to weights that are all zero, and gives zero."""
    return np.where(sums > 0, 1 / np.where(sums > 0, sums, 1), 0).astype(np.float32)


# ---- masks ----------------------------------------------------------------------------------------------


def lowest(scores, count):
    """Mask of the last axis without the `count` lowest; of equal scores the lower index goes first."""
    order = np.argsort(scores, axis=-1, kind="stable")
    mask = np.ones(scores.shape, dtype=bool)
    np.put_along_axis(mask, order[..., :count], False, axis=-1)
    return mask


def select(variant, scores):
    """[out, in] of bool, true = kept."""
    rows, columns = scores.shape
    if "pattern" in variant:
        keep, of = map(int, variant["pattern"].split(":"))
        return lowest(scores.reshape(rows, columns // of, of), of - keep).reshape(rows, columns)
    if variant.get("group", "row") == "layer":
        flat = scores.reshape(1, -1)
        return lowest(flat, math.floor(flat.shape[1] * variant["sparsity"])).reshape(rows, columns)
    return lowest(scores, math.floor(columns * variant["sparsity"]))


# ---- sparsegpt ------------------------------------------------------------------------------------------


def sparsegpt(variant, weight, hessian, width=128):
    """Mask and corrected weights [out, in], in double."""
    w, h = weight.numpy().astype(np.float64), hessian.copy()
    columns = w.shape[1]
    dead = np.diag(h) == 0
    h[dead, dead] = 1
    w[:, dead] = 0
    h += 0.01 * np.diag(h).mean() * np.eye(columns)
    u = np.linalg.cholesky(np.linalg.inv(h)).T
    mask = np.ones(w.shape, dtype=bool)
    for first in range(0, columns, width):
        last = min(first + width, columns)
        block, errors = w[:, first:last], np.zeros((len(w), last - first))
        diagonal = np.diag(u)[first:last]
        if "pattern" not in variant:
            scores = (block / diagonal) ** 2
            index = math.floor(scores.size * variant["sparsity"])
            kept = scores > np.sort(scores, axis=None)[index]
        else:
            kept = np.ones(block.shape, dtype=bool)
        for j in range(last - first):
            if "pattern" in variant:
                keep, of = map(int, variant["pattern"].split(":"))
                if j % of == 0:
                    group = slice(j, j + of)
                    kept[:, group] = lowest((block[:, group] / diagonal[group]) ** 2, of - keep)
            errors[:, j] = np.where(kept[:, j], 0, block[:, j]) / diagonal[j]
            block[:, j:] -= errors[:, j, None] * u[None, first + j, first + j : last]
            block[~kept[:, j], j] = 0
        w[:, last:] -= errors @ u[first:last, last:]
        mask[:, first:last] = kept
    return mask, w


# ---- energy compensation --------------------------------------------------------------------------------


def compensate(variant, weight, mask, update=None):
    """The pruned weight [out, in] in double, before it is rounded to the model's dtype. update: the weights that
    stay, where the method has moved them."""
    original = weight.numpy().astype(np.float64)
    pruned = np.where(mask, original if update is None else update, 0.0)
    low, high = variant.get("clamp", [0.1, 10.0])
    for direction, axis in (("columns", 0), ("rows", 1)):
        if direction not in variant.get("energy", []):
            continue
        mu = original.mean(axis, keepdims=True)
        energy = ((original - mu) ** 2).sum(axis, keepdims=True)
        left = ((pruned - mu) ** 2).sum(axis, keepdims=True)
        gamma = np.clip(np.sqrt(energy / (left + 1e-8)), low, high)
        pruned = np.where(mask, mu + gamma * (pruned - mu), 0.0)
    return pruned


def round_to(dtype, values):
    """double -> the model's dtype, rounded once to nearest even. numpy knows no bfloat16: done by hand."""
    if dtype == torch.float32:
        return torch.from_numpy(values.astype(np.float32))
    if dtype == torch.float16:
        return torch.from_numpy(values.astype(np.float16))
    # The bfloat16 numbers below and above in magnitude; halfway cases are exact in double.
    magnitude = np.abs(values)
    bits = magnitude.astype(np.float32).view(np.uint32) & 0xFFFF0000
    as_double = lambda b: b.view(np.float32).astype(np.float64)
    bits = np.where(as_double(bits) > magnitude, bits - 0x10000, bits).astype(np.uint32)
    above = (bits + 0x10000).astype(np.uint32)
    middle = (as_double(bits) + as_double(above)) / 2
    odd = (bits >> 16) & 1 == 1
    bits = np.where((magnitude > middle) | ((magnitude == middle) & odd), above, bits).astype(np.uint32)
    return torch.from_numpy(np.copysign(bits.view(np.float32), values).astype(np.float32)).to(torch.bfloat16)


# ---- output matching, and the guard ---------------------------------------------------------------------


def matches(variant):
    return variant.get("output", "off") != "off" or variant.get("bias", False)


def measures(variant):
    return matches(variant) or bool(variant.get("energy") and variant.get("guard", True))


def inputs_of(model, layer, weights, hidden):
    """{source: [its input in every sequence]}"""
    found = {}
    for x in hidden:
        model.layer(layer, weights, x, lambda source, h: found.setdefault(source, []).append(h))
    return found


def match(variant, y, z):
    """Factor and shift of each output channel, from the outputs [tokens, out] themselves."""
    kind = variant.get("output", "off")
    low, high = variant.get("clamp", [0.1, 10.0])
    vary, varz = y.var(0), z.var(0)
    covariance = ((y - y.mean(0)) * (z - z.mean(0))).mean(0)
    safe = np.where(varz > 0, varz, 1)
    moment = np.sqrt(vary / safe)
    regression = np.maximum(covariance / safe, 0.001)
    gamma = {"off": np.ones_like(vary), "moment": moment, "regression": regression,
             "mixed": np.sqrt(regression * moment)}[kind]
    gamma = gamma if kind == "off" else np.clip(np.where(varz > 0, gamma, 1), low, high)
    return gamma, y.mean(0) - gamma * z.mean(0) if variant.get("bias") else np.zeros_like(gamma)


def relative_error(y, z, gamma=1.0, shift=0.0):
    return ((y - gamma * z - shift) ** 2).sum() / ((y - y.mean(0)) ** 2).sum()


def held_out(sequences):
    """How many of them only judge."""
    return max(1, len(sequences) // 8) if len(sequences) > 1 else 0


def choices(variant):
    """What may be kept, (energy, output), the most compensated first."""
    asked = [(energy, output) for energy in ((True, False) if variant.get("energy") else (False,))
             for output in ((True, False) if matches(variant) else (False,))]
    return asked if variant.get("guard", True) else asked[:1]


def measure(variant, weight, mask, update, x, pruned_x, dtype):
    """{choice: (factors, shifts, error of the linear's own outputs)}, (False, False) always among them.
    x, pruned_x: its input in every sequence, in the two streams."""
    judges = held_out(x) if variant.get("guard", True) else 0
    fitted = slice(0, len(x) - judges)
    judged = slice(len(x) - judges, None) if judges else fitted
    put_out = lambda part, inputs, w: np.concatenate([(h @ w.T).numpy() for h in inputs[part]]).astype(np.float64)
    y, judged_y = put_out(fitted, x, weight) if matches(variant) else None, put_out(judged, x, weight)
    found = {}
    for energy, output in choices(variant) + [(False, False)]:
        w = compensate(variant if energy else {**variant, "energy": []}, weight, mask, update)
        w = round_to(dtype, w).float()
        gamma, shift = match(variant, y, put_out(fitted, pruned_x, w)) if output else (1.0, 0.0)
        found[energy, output] = gamma, shift, relative_error(judged_y, put_out(judged, pruned_x, w), gamma, shift)
    return found


def finish(variant, weight, mask, update, dtype, choice, gamma, shift):
    """The weight and, where the variant sets it, the bias of a linear with what is kept, in the model's dtype."""
    w = compensate(variant if choice[0] else {**variant, "energy": []}, weight, mask, update)
    w = round_to(dtype, np.reshape(gamma, (-1, 1)) * w)
    return w, round_to(dtype, np.broadcast_to(shift, len(w)).astype(np.float64)) if variant.get("bias") else None


def compensate_layer(model, variant, layer, masks, updates, dense_hidden, hidden, kept_of=None):
    """The weights of a layer's masked linears in the model's dtype (and NAME.bias), and of each, where outputs are
    measured, (what the reference keeps, the layer's error with each choice, what `measure` found).
    dense_hidden, hidden: what enters the layer in the dense stream and in the one that the variant works with,
    every sequence. kept_of: {linear: (energy, output)}, to follow another's decisions."""
    dense = model.dense(layer)
    finished, weights, report = dict(dense), {}, {}
    if not measures(variant):
        for linear in masks:
            weights[linear], _ = finish(variant, dense[linear], masks[linear], updates.get(linear),
                                        model.dtype(layer, linear), (True, False), 1.0, 0.0)
        return weights, report
    x = inputs_of(model, layer, dense, dense_hidden if matches(variant) else hidden)
    judges = hidden[-held_out(hidden):]
    wanted = dense_hidden[-held_out(hidden):] if matches(variant) else judges
    outputs = [model.layer(layer, dense, h) for h in wanted]
    added = sum(((d - h).double() ** 2).sum().item() for d, h in zip(outputs, wanted))
    for source in dict.fromkeys(SOURCES.values()):
        linears = [linear for linear in masks if SOURCES[linear] == source]
        if not linears:
            continue
        pruned_x = inputs_of(model, layer, finished, hidden) if matches(variant) else x
        found = {n: measure(variant, dense[n], masks[n], updates.get(n), x[source], pruned_x[source],
                            model.dtype(layer, n)) for n in linears}
        made, errors = {}, {}
        for choice in choices(variant):
            made[choice] = {}
            for n in linears:
                w, bias = finish(variant, dense[n], masks[n], updates.get(n), model.dtype(layer, n), choice,
                                 *found[n][choice][:2])
                made[choice].update({n: w} if bias is None else {n: w, n + ".bias": bias})
            if variant.get("guard", True):
                candidate = {**finished, **{name: t.float() for name, t in made[choice].items()}}
                errors[choice] = sum(((d - model.layer(layer, candidate, h)).double() ** 2).sum().item()
                                     for d, h in zip(outputs, judges)) / added
        kept = min(errors, key=errors.get) if errors else choices(variant)[0]
        taken = kept_of[linears[0]] if kept_of else kept
        weights.update(made[taken])
        finished.update({name: t.float() for name, t in made[taken].items()})
        for n in linears:
            report[n] = kept, errors, found[n]
    return weights, report


# ---- the automatic choice -------------------------------------------------------------------------------

# name: (method, activation exponent, alpha)
CANDIDATES = {
    "wanda": ("wanda", 0.5, 0),
    "wanda-alpha0.125": ("wanda", 0.5, 0.125),
    "wanda-alpha0.25": ("wanda", 0.5, 0.25),
    "wanda-exponent0.375": ("wanda", 0.375, 0),
    "wanda-alpha0.125-exponent0.375": ("wanda", 0.375, 0.125),
    "wanda-alpha0.25-exponent0.375": ("wanda", 0.375, 0.25),
    "wanda-exponent0.25": ("wanda", 0.25, 0),
    "wanda-alpha0.25-exponent0.25": ("wanda", 0.25, 0.25),
    "wanda-exponent0.625": ("wanda", 0.625, 0),
    "wanda-alpha0.125-exponent0.625": ("wanda", 0.625, 0.125),
    "ria": ("ria", 0.25, 0),
    "ria-exponent0.5": ("ria", 0.5, 0),
    "cvr-alpha0.25": ("cvr", 0.25, 0.25),
    "cvr-alpha0-exponent0.5": ("cvr", 0.5, 0),
    "magnitude": ("magnitude", 0, 0),
}


def candidate_masks(model, variant, layer, statistics, linear):
    weight, masks = model.original(layer, linear), {}
    for name, (method, exponent, alpha) in CANDIDATES.items():
        chosen = {**variant, "method": method, "activation_exponent": exponent, "alpha": alpha}
        masks[name] = select(variant, importance(chosen, weight, statistics[SOURCES[linear]]))
    return masks


def choose(model, variant, layer, statistics, entering, skip, chosen_of=None):
    """{linear: mask}, {linear: candidate} and {linear: {candidate: error}}: for the linears of each source in
    turn the candidate with which the layer's output differs least from the dense layer's, over the last eighth
    of the sequences. entering: what enters the layer, every sequence. chosen_of: {linear: candidate}, to follow
    another's choices."""
    dense = model.dense(layer)
    judges = entering[-held_out(entering):]
    outputs = [model.layer(layer, dense, x) for x in judges]
    added = sum(((d - x).double() ** 2).sum().item() for d, x in zip(outputs, judges))
    pruned, masks, chosen, errors = dict(dense), {}, {}, {}
    for source in dict.fromkeys(SOURCES.values()):
        linears = [n for n in LINEARS if SOURCES[n] == source and not skip(layer, n)]
        if not linears:
            continue
        tried = {n: candidate_masks(model, variant, layer, statistics, n) for n in linears}
        found = {}
        for name in CANDIDATES:
            weights = {**pruned, **{n: dense[n] * torch.from_numpy(tried[n][name]) for n in linears}}
            found[name] = sum(((d - model.layer(layer, weights, x)).double() ** 2).sum().item()
                              for d, x in zip(outputs, judges)) / added
        best = min(found, key=found.get)
        for n in linears:
            chosen[n], errors[n] = chosen_of[n] if chosen_of else best, found
            masks[n] = tried[n][chosen[n]]
            pruned[n] = dense[n] * torch.from_numpy(masks[n])
    return masks, chosen, errors


# ---- a whole run ----------------------------------------------------------------------------------------


def mask_layer(model, variant, layer, statistics, entering, skip=lambda layer, linear: False, chosen_of=None):
    """masks, corrected weights (of sparsegpt alone) and scores of one layer; of sparsegpt the corrected weights,
    before they are stored in float32, as scores."""
    masks, updates, scores = {}, {}, {}
    if variant["method"] == "auto":
        masks, chosen, _ = choose(model, variant, layer, statistics, entering, skip, chosen_of)
        for linear, name in chosen.items():
            method, exponent, alpha = CANDIDATES[name]
            point = {**variant, "method": method, "activation_exponent": exponent, "alpha": alpha}
            scores[linear] = importance(point, model.original(layer, linear), statistics[SOURCES[linear]])
        return masks, updates, scores
    for linear, source in SOURCES.items():
        if skip(layer, linear):
            continue
        weight = model.original(layer, linear)
        if variant["method"] == "sparsegpt":
            masks[linear], scores[linear] = sparsegpt(variant, weight, statistics[source]["hessian"])
            updates[linear] = scores[linear].astype(np.float32).astype(np.float64)
            continue
        scores[linear] = importance(variant, weight, statistics and statistics[source])
        masks[linear] = select(variant, scores[linear])
    return masks, updates, scores


def prune(model, variant, sequences, propagation, skip=lambda layer, linear: False):
    """Everything from the token ids on: masks[layer][linear] and the pruned model's linears, all layers."""
    dense = [model.embed(ids) for ids in sequences]
    hidden = dense
    masks, pruned = [], []
    for layer in range(model.layers):
        own = propagation == "pruned" or matches(variant)  # the stream that the variant works with
        entering = hidden if propagation == "pruned" else dense
        statistics, outputs = calibrate(model, layer, model.dense(layer), entering)
        found, updates, _ = mask_layer(model, variant, layer, statistics, entering, skip)
        weights, _ = compensate_layer(model, variant, layer, found, updates, dense, hidden if own else dense)
        masks.append(found)
        pruned.append({**model.dense(layer), **{k: w.float() for k, w in weights.items()}})
        if layer + 1 == model.layers:
            break
        if propagation == "dense":
            dense = outputs
        elif matches(variant):
            dense = [model.layer(layer, model.dense(layer), x) for x in dense]
        if own:
            hidden = [model.layer(layer, pruned[layer], x) for x in hidden]
    return masks, pruned


# ---- evaluation -----------------------------------------------------------------------------------------


def read_documents(path):
    """.jsonl has a "text" field a line; .raw has a document a line, newline included; a .txt is one document."""
    text = Path(path).read_bytes().decode("utf-8")
    if path.endswith(".jsonl"):
        return [json.loads(line)["text"] for line in text.splitlines() if line.strip()]
    return text.splitlines(keepends=True) if path.endswith(".raw") else [text]


def windows(folder, corpus, length):
    ids = Tokenizer.from_file(str(Path(folder) / "tokenizer.json")).encode("\n\n".join(read_documents(corpus))).ids
    return np.array(ids[: len(ids) // length * length], dtype=np.int64).reshape(-1, length)


def perplexity(model, linears, texts):
    """linears: all layers' weights by name. exp of the mean over windows of the mean cross-entropy."""
    losses = []
    for ids in texts:
        x = model.embed(ids)
        for layer in range(model.layers):
            x = model.layer(layer, linears[layer], x)
        targets = torch.as_tensor(ids[1:], dtype=torch.long)
        losses.append(F.cross_entropy(model.logits(x[:-1]).double(), targets).item())
    return math.exp(sum(losses) / len(losses))
