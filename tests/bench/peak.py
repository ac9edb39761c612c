"""peak.py FILE PROGRAM ARGUMENT...: runs a program, and appends to FILE the bytes that it had in memory at most. For program.py, under mpirun."""
import os
import sys

child = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(child, 0)
with open(sys.argv[1], "a") as file:
    file.write(f"{1024 * usage.ru_maxrss}\n")
sys.exit(os.waitstatus_to_exitcode(status))
