"""GB/s at which two and four ranks write the rows of one file with HDF5, each its own share: independently, as the store does, beside
collective transfers; by Open MPI's OMPIO and by ROMIO, which MPICH and its kin have. The file is in memory, so that it is the transfers
that are measured. Independent ones are there because a collective one never comes back when the disk fails on one rank (io/store/write.c).

Called by tests/bench.sh: bench_transfers.py FOLDER [--json], with build/tests/transfer_rows in the folder. Ratios are of medians, with the
range of single rounds. BENCH_FOLDER: where the file is, instead of /dev/shm.
"""
import os
import statistics
import subprocess
import sys

import bench

BYTES = 128 << 20
MODULES = {"OMPIO": "ompio", "ROMIO": "^ompio"}


def rounds(tool, ranks, module):
    """Pairs of seconds: independent, collective."""
    path = os.path.join(os.environ.get("BENCH_FOLDER", "/dev/shm"), f"coppice-bench-{os.getpid()}.h5")
    environment = dict(os.environ, OMPI_MCA_io=module, OMPI_MCA_rmaps_base_oversubscribe="1", OMPI_MCA_mpi_yield_when_idle="1")
    command = ["mpirun", "-n", str(ranks), tool, path]
    output = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, text=True).stdout
    return [tuple(map(float, line.split())) for line in output.splitlines()]


def main():
    tool, as_json = os.path.join(sys.argv[1], "transfer_rows"), sys.argv[2:] == ["--json"]
    bench.begin(as_json)
    for name, module in MODULES.items():
        for ranks in (2, 4):
            pairs = rounds(tool, ranks, module)
            alone, together = (BYTES / 1e9 / statistics.median(column) for column in zip(*pairs))
            ratios = sorted(pair[1] / pair[0] for pair in pairs)
            label = f"{name}, {ranks} ranks: independent / collective"
            bench.print_row(as_json, label, "GB/s", alone, together, None, "at least", (ratios[0], ratios[-1]), os.cpu_count())
    return 0


if __name__ == "__main__":
    sys.exit(main())
