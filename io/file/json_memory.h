// json_memory.h - whether a JSON value that was built is whole.
//
// When memory runs out, Jansson leaves out what it could not add and says so in return values of the many
// small steps that build a value. Instead of checking each of them, the program watches the allocator and
// asks once, when the value is complete. sealed_json_write asks before it writes, and the program before it
// ends with 0.
#pragma once
#include "kernels/error.h"

// From now on failed allocations of Jansson are remembered. Before the first use of Jansson; one thread.
void json_memory_watch(void);
// The same for an allocation of somebody else, for a part of a value.
void json_memory_note(void);
// STATUS_MEMORY, and "out of memory for WHAT", when one has failed since the last call; forgets it.
enum status json_memory_check(const char *what, struct error *err);
