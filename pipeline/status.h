// status.h - `coppice status RUN`: what is done and what is to do, from the file system alone. No MPI.
#pragma once
#include "kernels/error.h"
#include <stdbool.h>
#include <stdio.h>

enum status status_print(const char *run, bool json, FILE *out, struct error *err);
