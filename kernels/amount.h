// amount.h - numbers for people.
#pragma once
#include <stddef.h>

// "1.5 GB", "408 B", "21.5 Gflop": powers of 1000, as disks and schedulers count. Returns text.
const char *amount_format(double value, const char *unit, char *text, size_t size);
