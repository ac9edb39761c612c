// The targets for libFuzzer; tests/fuzz.sh runs them.
//
//   COPPICE_FUZZ_TARGET=NAME fuzz [option of libFuzzer]... [CORPUS]...
//
// COPPICE_FUZZ_SEEDS=FOLDER writes the made seeds there first.
#include "tests/fuzz/promise.h"
#include "tests/fuzz/target.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct fuzz_target *target;

static void keep_seed(void *context, const void *bytes, size_t size)
{
    static int number;
    char path[4096];

    snprintf(path, sizeof path, "%s/made-%d", (const char *)context, number++);
    FILE *file = fopen(path, "wb");
    PROMISE(file != NULL && fwrite(bytes, 1, size, file) == size);
    PROMISE(fclose(file) == 0);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const char *name = getenv("COPPICE_FUZZ_TARGET"), *seeds = getenv("COPPICE_FUZZ_SEEDS");
    (void)argc;
    (void)argv;

    target = name != NULL ? fuzz_target_find(name) : NULL;
    if (target == NULL) {
        fprintf(stderr, "COPPICE_FUZZ_TARGET is none of:\n");
        for (size_t i = 0; i < NUM_FUZZ_TARGETS; i++)
            fprintf(stderr, "%s %s %s\n", FUZZ_TARGETS[i].name,
                    FUZZ_TARGETS[i].seeds != NULL ? FUZZ_TARGETS[i].seeds : "-",
                    FUZZ_TARGETS[i].dictionary != NULL ? FUZZ_TARGETS[i].dictionary : "-");
        exit(2);
    }
    if (seeds != NULL && target->make_seeds != NULL)
        target->make_seeds(&(struct seed_sink){.add = keep_seed, .context = (void *)(uintptr_t)seeds});
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    target->read(data, size);
    return 0;
}
