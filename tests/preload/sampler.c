// sampler.c - a shared object for LD_PRELOAD that tells where a program's wall time goes: every few
// milliseconds it writes down the program's functions on the stack of the main thread.
//
//   SAMPLE_FILE=FILE   gets a line per sample: the return addresses within the program, the innermost first,
//   relative
//                      to where it is loaded; FILE.RANK where mpirun started it. The last line is "io READ
//                      WRITTEN": bytes that went through read and write calls of all kinds.
//   SAMPLE_EVERY=MS    default 10
#include "tests/preload/rank.h"

#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

enum { MAX_FRAMES = 48 };

static struct {
    int file;
    pthread_t thread;
    uintptr_t base, begin, end; // where the program is loaded, and its code
} sampler = {.file = -1};

static int note_code(struct dl_phdr_info *info, size_t size, void *context)
{
    (void)size;
    (void)context;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        if (segment->p_type != PT_LOAD || !(segment->p_flags & PF_X))
            continue;
        sampler.base = (uintptr_t)info->dlpi_addr;
        sampler.begin = sampler.base + (uintptr_t)segment->p_vaddr;
        sampler.end = sampler.begin + (uintptr_t)segment->p_memsz;
    }
    return 1; // the program comes first
}

static size_t put_hex(char *text, uintptr_t value)
{
    char digits[2 * sizeof value];
    size_t n = 0, used = 0;
    do {
        digits[n++] = "0123456789abcdef"[value % 16];
        value /= 16;
    } while (value != 0);
    text[used++] = ' ';
    while (n > 0)
        text[used++] = digits[--n];
    return used;
}

static void sample(int signal_number)
{
    void *frames[MAX_FRAMES];
    char line[MAX_FRAMES * (2 * sizeof(uintptr_t) + 1) + 2];
    size_t used = 0;

    if (!pthread_equal(pthread_self(), sampler.thread)) {
        pthread_kill(sampler.thread, signal_number);
        return;
    }
    const int n = backtrace(frames, MAX_FRAMES);
    for (int i = 0; i < n; i++)
        if ((uintptr_t)frames[i] >= sampler.begin && (uintptr_t)frames[i] < sampler.end)
            used += put_hex(line + used, (uintptr_t)frames[i] - sampler.base - 1);
    line[used++] = '\n';
    const ssize_t ignored = write(sampler.file, line, used);
    (void)ignored;
}

__attribute__((constructor)) static void begin(void)
{
    const char *file = getenv("SAMPLE_FILE"), *every = getenv("SAMPLE_EVERY"), *rank = rank_of_launcher();
    const long milliseconds = every != NULL ? atol(every) : 10;
    struct sigaction action = {.sa_handler = sample, .sa_flags = SA_RESTART};
    struct itimerval timer = {.it_interval = {.tv_usec = milliseconds * 1000}};
    char path[4096];
    void *frame;

    unsetenv("LD_PRELOAD"); // the program's children are not looked at
    if (file == NULL)
        return;
    snprintf(path, sizeof path, "%s.%s", file, rank != NULL ? rank : "0");
    sampler.file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0666);
    sampler.thread = pthread_self();
    dl_iterate_phdr(note_code, NULL);
    backtrace(&frame, 1); // loads the unwinder now
    timer.it_value = timer.it_interval;
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &timer, NULL);
}

__attribute__((destructor)) static void end(void)
{
    const struct itimerval none = {{0, 0}, {0, 0}};
    char line[256], text[128];
    unsigned long long read_bytes = 0, written = 0;

    if (sampler.file < 0)
        return;
    setitimer(ITIMER_REAL, &none, NULL);
    FILE *io = fopen("/proc/self/io", "re");
    while (io != NULL && fgets(line, sizeof line, io) != NULL) {
        (void)sscanf(line, "rchar: %llu", &read_bytes);
        (void)sscanf(line, "wchar: %llu", &written);
    }
    if (io != NULL)
        fclose(io);
    const int length = snprintf(text, sizeof text, "io %llu %llu\n", read_bytes, written);
    const ssize_t ignored = write(sampler.file, text, (size_t)length);
    (void)ignored;
    close(sampler.file);
}
