// heartbeat.h - keeps the run directory's lock fresh while rank 0 computes, however long a kernel takes.
#pragma once
#include "io/run_directory.h"

struct heartbeat;
// Starts a thread that calls run_lock_heartbeat every few seconds. Stopped and freed with heartbeat_stop.
enum status heartbeat_start(struct heartbeat **heartbeat, struct run_lock *lock, struct error *err);
void heartbeat_stop(struct heartbeat *heartbeat); // NULL is fine
