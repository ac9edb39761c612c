#!/usr/bin/env bash
# faults.sh - a few calls that fail on one rank; tests/faults.sh alone has them all.
exec bash "$(dirname "${BASH_SOURCE[0]}")/../faults.sh" --sample 8 --scene "pruned dense"
