"""Writes alps.json: what ALPS (Meng et al., NeurIPS 2024) and ADMM pruning (Boža, TMLR 2024) select.

    make_alps_golden.py >alps.json

Straight from the papers' formulas, in double, with an inverse by eigenvectors for every penalty; the penalties are those
of kernels/pruning/solving/alps.c. The problem is the one that tests/kernels/pruning/solving/test_alps.c makes: its numbers come from the
generator of tests/support/random.c, repeated here.
"""

import json
import sys

import numpy as np

ROWS, CHANNELS, TOKENS, SEED = 24, 48, 130, 11


class Random:
    """SplitMix64 and what random.c makes of it."""

    def __init__(self, seed):
        self.state = seed

    def u64(self):
        mask = (1 << 64) - 1
        self.state = (self.state + 0x9E3779B97F4A7C15) & mask
        z = self.state
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & mask
        z = (z ^ z >> 27) * 0x94D049BB133111EB & mask
        return z ^ z >> 31

    def normal(self):
        total = -6.0
        for _ in range(12):
            total += (self.u64() >> 11) * 2.0**-53
        return total

    def normals(self, *shape):
        return np.array([self.normal() for _ in range(int(np.prod(shape)))]).reshape(shape)


def problem():
    """A = G scaled, and W+ scaled."""
    random = Random(SEED)
    x = random.normals(TOKENS, CHANNELS)
    x[:, 3::17] *= 8
    for j in range(1, CHANNELS):
        x[:, j] += 0.8 * x[:, j - 1]
    y = x + 0.1 * random.normals(TOKENS, CHANNELS)
    dense = (0.05 * random.normals(ROWS, CHANNELS)).astype(np.float32).astype(np.float64)
    g, c = x.T @ x, x.T @ y
    damped = 0.01 * np.diag(g).mean() * np.eye(CHANNELS)
    plus = np.linalg.solve(g + damped, (c + damped) @ dense.T).T
    n = np.sqrt(np.diag(g + damped))
    return (g + damped) / np.outer(n, n), plus * n


def keep_largest(scores, keep):
    """The mask of the `keep` largest of each row; of equal ones the lower column goes first."""
    mask = np.zeros(scores.shape, bool)
    order = np.argsort(scores, axis=1, kind="stable")
    np.put_along_axis(mask, order[:, scores.shape[1] - keep :], True, axis=1)
    return mask


def row(scores, sparsity):
    return keep_largest(scores, scores.shape[1] - int(scores.shape[1] * sparsity))


def layer(scores, sparsity):
    return keep_largest(scores.reshape(1, -1), scores.size - int(scores.size * sparsity)).reshape(scores.shape)


def pattern(scores, _):
    return keep_largest(scores.reshape(-1, 4), 2).reshape(scores.shape)


def growing_pattern(scores, sparsity):
    """The two largest of four are safe; of the others the smallest of the row are pruned."""
    safe = pattern(scores, None)
    return row(np.where(safe, np.inf, scores), sparsity)


def refit(a, weights, mask):
    """The kept weights that come nearest to the outputs of `weights`."""
    target, result = weights @ a, np.zeros_like(weights)
    for i, kept in enumerate(mask):
        result[i, kept] = np.linalg.solve(a[np.ix_(kept, kept)], target[i, kept])
    return result


def error(a, weights, result):
    difference = result - weights
    return float(((difference @ a) * difference).sum() / ((weights @ a) * weights).sum())


def ladder(wanted):
    penalty = 0.1
    while penalty * 1.3 <= wanted * (1 + 1e-9):
        penalty *= 1.3
    while penalty > wanted * (1 + 1e-9):
        penalty /= 1.3
    return penalty


def alps(a, weights, select, sparsity):
    values, vectors = np.linalg.eigh(a)
    wanted, grew, step = 0.1, False, 0
    mask = checked = select(abs(weights), sparsity)
    pruned, dual = weights * mask, np.zeros_like(weights)
    while step < 300:
        penalty = ladder(wanted)
        inverse = (vectors / (values + penalty)) @ vectors.T
        fitted = (weights @ a - dual + penalty * pruned) @ inverse
        mask = select(abs(fitted + dual / penalty), sparsity)
        pruned = (fitted + dual / penalty) * mask
        dual = dual + penalty * (fitted - pruned)
        step += 1
        if step % 3 != 0:
            continue
        changed, kept = (mask != checked).sum(), mask.sum()
        checked = mask
        if changed > 0.005 * kept:
            grew = True
            wanted *= 1.3 if changed > 0.1 * kept else 1.2
        elif not grew:
            wanted /= 5
            if wanted < 1e-3:
                break
            mask = checked = select(abs(weights), sparsity)
            pruned, dual = weights * mask, np.zeros_like(weights)
        else:
            wanted *= 1.1
            if changed == 0 or (step > 30 and changed < 0.0003 * kept):
                break
    return mask, refit(a, weights, mask), step


def admm(a, weights, select, sparsity):
    damped = a + 0.1 * np.diag(a).mean() * np.eye(len(a))
    inverse = np.linalg.inv(damped + np.eye(len(a)))
    target, fitted, dual = weights @ damped, weights, np.zeros_like(weights)
    for step in range(20):
        if step < 15:
            if select is pattern and step < 14:
                mask = growing_pattern(abs(fitted + dual), sparsity * (1 - (1 - (step + 1) / 15) ** 3))
            else:
                mask = select(abs(fitted + dual), sparsity * (1 - (1 - (step + 1) / 15) ** 3))
        pruned = (fitted + dual) * mask
        dual = dual + fitted - pruned
        fitted = (target + pruned - dual) @ inverse
    return mask, refit(a, weights, mask), 20


def main():
    a, weights = problem()
    cases = []
    for name, method in {"alps": alps, "admm": admm}.items():
        for group, select, sparsity in [("row", row, 0.5), ("row", row, 0.7), ("layer", layer, 0.6), ("2:4", pattern, 0.5)]:
            mask, result, steps = method(a, weights, select, sparsity)
            magnitude = select(abs(weights), sparsity)
            cases.append({"method": name, "group": group, "sparsity": sparsity, "steps": steps,
                          "error": error(a, weights, result),
                          "error_of_magnitude": error(a, weights, refit(a, weights, magnitude)),
                          "mask": np.packbits(mask, axis=1, bitorder="little").tobytes().hex()})
    json.dump({"plus_norm": float((weights**2).sum()), "cases": cases}, sys.stdout, indent=1)
    print()


main()
