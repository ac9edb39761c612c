// interrupt.h - inputs are long: whether the program was told to stop while it reads one.
//
// Signals belong to the process, and who reads a file has no way to them. So whoever knows says here how to
// ask, and loops over input ask once for each piece.
#pragma once
#include "kernels/error.h"
#include <stdbool.h>

// How to ask from now on; NULL: nobody tells. context stays the caller's and must outlive it.
void interrupt_set(bool (*is_told)(const void *context), const void *context);
// STATUS_STOPPED when the program was told to stop. Cheap: for each piece of some thousand bytes.
enum status interrupt_check(struct error *err);
