// failure.h - for analysers, which do not look into error_set: what it returns is the status that it was
// given, so that a function that failed is known to have failed.
#include "kernels/error.h"
#define error_set(err, status, ...) (error_set((err), (status), __VA_ARGS__), (status))
