#!/usr/bin/env bash
# faults.sh - a few calls that fail on one rank, always about the same; tests/faults.sh alone has others each time, or all.
exec bash "$(dirname "${BASH_SOURCE[0]}")/../faults.sh" --sample 8 --scene "pruned dense" --seed 1
