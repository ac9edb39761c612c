#!/usr/bin/env bash
# kill_storm.sh - a short storm of kills; tests/kill_storm.sh alone is the long one.
exec bash "$(dirname "${BASH_SOURCE[0]}")/../kill_storm.sh" --rounds 5
