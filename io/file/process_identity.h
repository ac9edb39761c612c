// process_identity.h - which process on which machine, written so that another machine can read it: the
// contents of a lock file.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct process_identity {
    char host[256];
    char boot[64];          // Linux's boot id: no process of another boot is alive; "" unknown
    char pid_namespace[64]; // in which pid counts (containers have their own); "" unknown
    long pid;
    uint64_t start; // clock ticks from boot to the process's start: tells reused ids apart; 0 unknown
    char user[64];
    char slurm_job[64]; // SLURM_JOB_ID, "" outside of Slurm
    char since[32];     // when this was made, UTC, "2026-02-03T04:05:06Z"
    uint64_t nonce;     // nanoseconds: the same process never writes the same contents twice
};

void process_identity_self(struct process_identity *identity);
// "key=value" lines into out[size]; returns their length.
size_t process_identity_format(char *out, size_t size, const struct process_identity *identity);
// The reverse. False when text is not complete.
bool process_identity_parse(struct process_identity *identity, const char *text);
// Whether pids of a can be looked up from b's process.
bool process_identity_same_host(const struct process_identity *a, const struct process_identity *b);
// Of the same host only. A zombie is not alive.
bool process_identity_is_alive(const struct process_identity *identity);
