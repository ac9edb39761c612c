// The targets without libFuzzer: seeds, all their truncations, single bytes changed, members of JSON left
// out, and random edits, the same ones each time.
//
//   fuzz [--random N] [--every N] [TARGET]...      default: all of them
//   fuzz TARGET FILE...                            these files instead
//
// --random: random edits of each seed, 50. --every: of bytes and lengths only every Nth, instead of the
// table's. Each target has a process of its own. One that does not end well leaves the input in
// ./finding-TARGET.
#include "tests/fuzz/mutate.h"
#include "tests/fuzz/promise.h"
#include "tests/fuzz/target.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    LARGEST = 1 << 16,     // input, in bytes
    SECONDS_EACH = 20,     // of processor time, before an input counts as endless
    CHANGES_AT_MOST = 1500 // of single bytes, and truncations, of a seed: of longer ones only every Nth byte
};

// Shared with the parent, which finds the input here when the target has crashed.
struct current {
    size_t size, runs, accepted;
    uint8_t bytes[LARGEST];
};
static struct current *current;

struct fuzzing {
    const struct fuzz_target *target;
    struct words words;
    size_t random, every;
};

static bool run(const struct fuzz_target *target, const void *bytes, size_t size)
{
    const struct itimerval limit = {.it_value = {.tv_sec = SECONDS_EACH}};

    PROMISE(size <= LARGEST);
    current->size = size;
    current->runs++;
    if (bytes != current->bytes && size > 0)
        memcpy(current->bytes, bytes, size);
    // A copy of its own, so that reading past its end is seen.
    uint8_t *copy = malloc(size > 0 ? size : 1);
    PROMISE(copy != NULL);
    if (size > 0)
        memcpy(copy, current->bytes, size);
    setitimer(ITIMER_PROF, &limit, NULL);
    const bool accepted = target->read(copy, size);
    current->accepted += accepted;
    free(copy);
    return accepted;
}

// Other values of a byte: a bit, the sign, the ends, and what formats are made of.
static void change_byte(const struct fuzz_target *target, uint8_t *bytes, size_t size, size_t at)
{
    static const uint8_t marks[] = "\"{}[],:\n\\0 9-";
    const uint8_t old = bytes[at], values[] = {(uint8_t)(old ^ 1), (uint8_t)(old ^ 0x80), 0, 0xff,
                                               marks[at % (sizeof marks - 1)]};
    for (size_t i = 0; i < sizeof values; i++) {
        bytes[at] = values[i];
        if (values[i] != old)
            run(target, bytes, size);
    }
    bytes[at] = old;
}

static void fuzz_seed(void *context, const void *seed, size_t size)
{
    const struct fuzzing *fuzzing = context;
    size_t step = 1 + size / CHANGES_AT_MOST;
    uint64_t state = 88172645463325252U;
    uint8_t *bytes = malloc(LARGEST);

    PROMISE(bytes != NULL && size <= LARGEST);
    const size_t every = fuzzing->every > 0 ? fuzzing->every : fuzzing->target->every;
    step = fuzzing->every > 0 || step < every ? every : step;
    memcpy(bytes, seed, size);
    PROMISE(run(fuzzing->target, bytes, size)); // a seed is a valid file
    for (size_t cut = 0; cut < size; cut += step)
        run(fuzzing->target, bytes, cut);
    for (size_t at = 0; at < size; at += step)
        change_byte(fuzzing->target, bytes, size, at);
    for (size_t at = 0; at < size; at++) {
        memcpy(bytes, seed, size);
        const size_t left = remove_member(bytes, size, at);
        if (left < size)
            run(fuzzing->target, bytes, left);
    }
    for (size_t i = 0; i < fuzzing->random; i++) {
        memcpy(bytes, seed, size);
        run(fuzzing->target, bytes, mutate(bytes, size, LARGEST, &fuzzing->words, &state));
    }
    free(bytes);
}

static const char *tree_path(char path[4096], const char *folder, const char *name, const char *ending)
{
    const char *source = getenv("COPPICE_SOURCE");
    snprintf(path, 4096, "%s/tests/fuzz/%s/%s%s", source != NULL ? source : ".", folder, name, ending);
    return path;
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void fuzz_kept_seeds(struct fuzzing *fuzzing)
{
    char folder[4096], path[8192];
    struct dirent **entries;
    size_t size;

    const int count =
        scandir(tree_path(folder, "seeds", fuzzing->target->seeds, ""), &entries, is_visible, alphasort);
    if (count <= 0) {
        fprintf(stderr, "%s: no seeds\n", folder);
        exit(1);
    }
    for (int i = 0; i < count; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
        void *bytes = file_bytes(path, &size);
        fuzz_seed(fuzzing, bytes, size);
        free(bytes);
        free(entries[i]);
    }
    free(entries);
}

static void fuzz_target(struct fuzzing *fuzzing)
{
    char path[4096];

    run(fuzzing->target, "", 0);
    if (fuzzing->target->dictionary != NULL)
        words_read(&fuzzing->words, tree_path(path, "dictionaries", fuzzing->target->dictionary, ".dict"));
    if (fuzzing->target->seeds != NULL)
        fuzz_kept_seeds(fuzzing);
    if (fuzzing->target->make_seeds != NULL)
        fuzzing->target->make_seeds(&(struct seed_sink){fuzz_seed, fuzzing});
    words_free(&fuzzing->words);
}

static void keep_finding(const char *name)
{
    char path[4096];

    snprintf(path, sizeof path, "finding-%s", name);
    FILE *file = fopen(path, "wb");
    if (file == NULL || fwrite(current->bytes, 1, current->size, file) != current->size || fclose(file) != 0)
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
    fprintf(stderr, "%s: run %zu did not end well; its input of %zu bytes is in %s\n", name, current->runs,
            current->size, path);
}

static void in_child(struct fuzzing *fuzzing, char **files)
{
#ifndef COPPICE_SANITIZE
    // A small input has no reason for more; an allocation that fails is a broken promise.
    const struct rlimit memory = {(rlim_t)2 << 30, (rlim_t)2 << 30};
    setrlimit(RLIMIT_AS, &memory);
#endif
    if (files == NULL)
        fuzz_target(fuzzing);
    for (; files != NULL && *files != NULL; files++) {
        size_t size;
        void *bytes = file_bytes(*files, &size);
        run(fuzzing->target, bytes, size);
        free(bytes);
    }
    exit(0);
}

static bool fuzz(struct fuzzing *fuzzing, char **files)
{
    struct rusage before, after;
    int how = 0;

    current->runs = current->accepted = 0;
    getrusage(RUSAGE_CHILDREN, &before);
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0)
        in_child(fuzzing, files);
    PROMISE(child > 0 && waitpid(child, &how, 0) == child);
    getrusage(RUSAGE_CHILDREN, &after);
    if (how != 0)
        keep_finding(fuzzing->target->name);
    printf("%-20s %7zu inputs %7zu accepted %6.2f s%s\n", fuzzing->target->name, current->runs,
           current->accepted,
           (double)(after.ru_utime.tv_sec + after.ru_stime.tv_sec - before.ru_utime.tv_sec -
                    before.ru_stime.tv_sec) +
               1e-6 * (double)(after.ru_utime.tv_usec + after.ru_stime.tv_usec - before.ru_utime.tv_usec -
                               before.ru_stime.tv_usec),
           how != 0 ? "  FAILED" : "");
    return how == 0;
}

int main(int argc, char **argv)
{
    struct fuzzing fuzzing = {.random = 50};
    bool good = true;
    int at = 1;

    for (; at + 1 < argc && strncmp(argv[at], "--", 2) == 0; at += 2)
        *(strcmp(argv[at], "--random") == 0 ? &fuzzing.random : &fuzzing.every) =
            strtoul(argv[at + 1], NULL, 10);
    current = mmap(NULL, sizeof *current, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    PROMISE(current != MAP_FAILED);
    const bool are_files = argc > at + 1 && fuzz_target_find(argv[at + 1]) == NULL;
    for (size_t i = 0; i < NUM_FUZZ_TARGETS; i++) {
        bool wanted = at >= argc;
        for (int a = at; a < (are_files ? at + 1 : argc); a++)
            wanted = wanted || strcmp(argv[a], FUZZ_TARGETS[i].name) == 0;
        fuzzing.target = &FUZZ_TARGETS[i];
        if (wanted)
            good = fuzz(&fuzzing, are_files ? argv + at + 1 : NULL) && good;
    }
    return good ? 0 : 1;
}
