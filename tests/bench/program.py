"""Starts coppice for the benchmarks, and says what it took."""
import os
import resource
import subprocess
import sys
import tempfile
import time


def run(coppice, ranks, *arguments):
    """Runs it with one thread a rank. {"wall": s, "processor": s of all ranks and mpirun, "resident": bytes, the largest resident sizes of
    all ranks added up, "memory": the same with what they share counted once}. If it fails, the benchmark ends with its message."""
    peak = os.path.join(os.path.dirname(os.path.abspath(__file__)), "peak.py")
    with tempfile.NamedTemporaryFile("r") as peaks:
        command = ["mpirun", "-n", str(ranks), sys.executable, "-S", peak, peaks.name, coppice, *arguments, "--progress", "none"]
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
        wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode != 0:
            sys.exit(f"{coppice} {' '.join(arguments)}: {done.stderr}")
        processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        resident, own, shared = zip(*(map(int, line.split()) for line in peaks))
        return {"wall": wall, "processor": processor, "resident": sum(resident), "memory": sum(own) + max(shared)}
