"""Processor seconds that SparseGPT and ALPS take for one linear, from G to its weights, beside the same in PyTorch on one thread, in turn;
the peers are written here from the papers (Frantar and Alistarh, ICML 2023; Meng et al., NeurIPS 2024), in float32 as their authors' programs
are, and are not those programs.

Called by tests/bench.sh: bench_solving.py FOLDER [--json], with build/tests/solve_linear in the folder. Ratios are of medians, with the range
of single rounds; standard error tells the squared error of the outputs of both, relative to the outputs'.
"""
import os
import statistics
import struct
import subprocess
import sys
import time

import bench

try:
    import torch
except ImportError as problem:
    print(f"bench solving: left out: {problem}; PYTHON names an interpreter with torch", file=sys.stderr)
    sys.exit(0)

AIM = 0.5  # half of the time that PyTorch takes
ROUNDS = 3
DAMPING = 0.01
SIZES = [(1024, 1024), (2048, 2048)] if os.environ.get("COPPICE_LARGE") else [(1024, 1024)]


def linear(rows, columns):
    """A weight, and G of correlated inputs of which a few are much larger than the others."""
    draw = torch.Generator().manual_seed(1)
    x = torch.randn(4 * columns, columns, generator=draw) @ (torch.eye(columns) + torch.randn(columns, columns, generator=draw) / columns**0.5)
    x *= torch.exp(0.5 * torch.randn(columns, generator=draw))
    return torch.randn(rows, columns, generator=draw) / columns**0.5, (x.double().T @ x.double())


def sparsegpt(weight, g):
    w, h = weight.clone(), g.float()
    h.diagonal().add_(DAMPING * h.diagonal().mean())
    u = torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(h)), upper=True)
    for left in range(0, w.shape[1], 128):
        right = min(left + 128, w.shape[1])
        block, part = w[:, left:right].clone(), u[left:right, left:right]
        scores = (block / part.diagonal()) ** 2
        pruned = scores <= scores.flatten().kthvalue(scores.numel() // 2).values
        errors = torch.zeros_like(block)
        for j in range(right - left):
            errors[:, j] = torch.where(pruned[:, j], block[:, j] / part[j, j], 0)
            block[:, j:] -= errors[:, j : j + 1] * part[j, j:]
        w[:, left:right] = torch.where(pruned, 0, block)
        w[:, right:] -= errors @ u[left:right, right:]
    return w


def keep_largest(t, keep):
    return torch.zeros_like(t, dtype=torch.bool).scatter_(1, t.abs().topk(keep, dim=1).indices, True)


def alps(weight, g):
    keep = weight.shape[1] // 2
    a = g.float()
    a.diagonal().add_(DAMPING * a.diagonal().mean())
    norm = a.diagonal().sqrt()
    a /= norm[:, None] * norm
    dense = weight * norm
    values, vectors = torch.linalg.eigh(a)
    target = dense @ a
    rho, dual = 0.1, torch.zeros_like(dense)
    mask = keep_largest(dense, keep)
    pruned, before, grew = dense * mask, mask, False
    for step in range(1, 301):
        b = ((target - dual + rho * pruned) @ vectors / (values + rho)) @ vectors.T
        t = b + dual / rho
        mask = keep_largest(t, keep)
        pruned = t * mask
        dual += rho * (b - pruned)
        if step % 3 != 0:
            continue
        share = (mask != before).sum().item() / mask.sum().item()
        before = mask
        if share > 0.005:
            grew = True
            rho *= 1.3 if share > 0.1 else 1.2
        elif not grew:  # too large to let the masks move: from the beginning
            rho, dual, mask = rho / 5, torch.zeros_like(dense), keep_largest(dense, keep)
            pruned, before = dense * mask, mask
            if rho < 1e-3:
                break
        else:
            rho *= 1.1
            if share == 0 or (step > 30 and share < 0.0003):
                break
    # Conjugate gradients on the support; the scaled equations have a diagonal of ones.
    residual = (target - pruned @ a) * mask
    direction, square = residual.clone(), (residual**2).sum(1, keepdim=True)
    for _ in range(10):
        image = direction @ a
        size = square / (direction * image).sum(1, keepdim=True).clamp_min(1e-30)
        pruned = pruned + size * direction
        residual = residual - size * image * mask
        last, square = square, (residual**2).sum(1, keepdim=True)
        direction = residual + square / last.clamp_min(1e-30) * direction
    return pruned / norm


def ours(tool, method, weight, g):
    problem = struct.pack("<QQ", *weight.shape) + g.numpy().tobytes() + weight.numpy().tobytes()
    done = subprocess.run([tool, method], input=problem, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True)
    return float(done.stderr), torch.frombuffer(bytearray(done.stdout), dtype=torch.float32).reshape(weight.shape)


def theirs(method, weight, g):
    start = time.process_time()
    result = method(weight, g)
    return time.process_time() - start, result


def error(result, weight, g):
    change, all_of_it = (result - weight).double(), weight.double()
    return (((change @ g) * change).sum() / ((all_of_it @ g) * all_of_it).sum()).item()


def main():
    tool, as_json = os.path.join(sys.argv[1], "solve_linear"), sys.argv[2:] == ["--json"]
    torch.set_num_threads(1)
    bench.begin(as_json)
    for rows, columns in SIZES:
        weight, g = linear(rows, columns)
        for method in (sparsegpt, alps):
            name = method.__name__
            method(weight, g)  # not counted
            rounds = [(ours(tool, name, weight, g), theirs(method, weight, g)) for _ in range(ROUNDS)]
            value, beside = (statistics.median(r[side][0] for r in rounds) for side in (0, 1))
            ratios = sorted(r[0][0] / r[1][0] for r in rounds)
            errors = [error(rounds[0][side][1], weight, g) for side in (0, 1)]
            print(f"{name}, {rows} x {columns}: error of ours {errors[0]:.5f}, of PyTorch's {errors[1]:.5f}", file=sys.stderr)
            bench.print_row(as_json, f"{name}, {rows} x {columns}: ours / PyTorch", "s", value, beside, AIM, "at most", (ratios[0], ratios[-1]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
