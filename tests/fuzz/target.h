// target.h - the parsers that are fuzzed. The table is in targets.c; what a target promises is said where it
// is.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Where a target hands its made seeds to.
struct seed_sink {
    void (*add)(void *context, const void *bytes, size_t size);
    void *context;
};

struct fuzz_target {
    const char *name;
    // Reads data[size] as the file that the target is about: false, it is refused. A broken promise ends the
    // program (promise.h).
    bool (*read)(const uint8_t *data, size_t size);
    const char *seeds;      // small valid files: those in seeds/NAME; NULL: none
    const char *dictionary; // words of the format: dictionaries/NAME.dict; NULL: none
    // Seeds that are made rather than kept, since they are not text; NULL: none.
    void (*make_seeds)(const struct seed_sink *sink);
    size_t every; // it is slow: the suite changes only every Nth byte of its seeds; 0: all
};

extern const struct fuzz_target FUZZ_TARGETS[];
extern const size_t NUM_FUZZ_TARGETS;
const struct fuzz_target *fuzz_target_find(const char *name); // NULL: there is none
