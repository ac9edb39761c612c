"""peak.py FILE PROGRAM ARGUMENT...: runs a program, and appends a line to FILE: the most bytes that it had in memory, by the system's account;
the most that were its own or mapped from files, and the most that it shares with other processes, both looked at every 20 ms. For program.py,
under mpirun."""
import os
import sys
import time

child = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
own = shared = 0
while True:
    done, status, usage = os.wait4(child, os.WNOHANG)
    if done != 0:
        break
    with open(f"/proc/{child}/status") as file:
        sizes = {line.split()[0]: 1024 * int(line.split()[1]) for line in file if line.startswith("Rss")}
    own = max(own, sizes.get("RssAnon:", 0) + sizes.get("RssFile:", 0))
    shared = max(shared, sizes.get("RssShmem:", 0))
    time.sleep(0.02)
with open(sys.argv[1], "a") as file:
    file.write(f"{1024 * usage.ru_maxrss} {own} {shared}\n")
sys.exit(os.waitstatus_to_exitcode(status))
