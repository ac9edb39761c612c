#include "tests/fuzz/promise.h"

#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void promise_(bool kept, const char *what, const char *file, int line)
{
    if (kept)
        return;
    fprintf(stderr, "%s:%d: not kept: %s\n", file, line, what);
    abort();
}

// Nothing that a terminal would act on: no control character of ASCII or of Latin-1.
static bool is_one_line(const char *message)
{
    const unsigned char *at = (const unsigned char *)message;

    for (; *at != '\0'; at++)
        if (*at < 0x20 || *at == 0x7f || (at[0] == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0))
            return false;
    return message[0] != '\0';
}

bool outcome_(enum status status, const struct error *err, unsigned allowed, const char *file, int line)
{
    if (status == STATUS_OK)
        return true;
    if (!(allowed & MAY(status)) || err->status != status || !is_one_line(err->message)) {
        fprintf(stderr, "%s:%d: status %d: %.1023s\n", file, line, (int)status, err->message);
        abort();
    }
    if (getenv("COPPICE_FUZZ_VERBOSE") != NULL)
        fprintf(stderr, "refused: %s\n", err->message);
    return false;
}

// By RFC 3629's table of well-formed sequences.
bool is_utf8(const void *text, size_t size)
{
    const unsigned char *at = text, *end = at + size;

    while (at < end) {
        const unsigned char first = *at++;
        size_t more = first < 0x80 ? 0 : first >= 0xc2 && first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
        unsigned char low = 0x80, high = 0xbf;
        if ((first >= 0x80 && first < 0xc2) || first > 0xf4)
            return false;
        low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : low;
        high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : high;
        for (; more > 0; more--, low = 0x80, high = 0xbf)
            if (at == end || *at < low || *at++ > high)
                return false;
    }
    return true;
}

// ---- files -----------------------------------------------------------------------------------------------

static char folder[PATH_MAX];
static pid_t owner;

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *walk)
{
    (void)info;
    (void)kind;
    (void)walk;
    return remove(path);
}

static void remove_folder(void)
{
    if (getpid() == owner)
        nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

const char *work_folder(void)
{
    const char *parent = getenv("TMPDIR");

    if (owner == getpid())
        return folder;
    if (parent == NULL || parent[0] == '\0')
        parent = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(folder, sizeof folder, "%s/coppice-fuzz-XXXXXX", parent);
    PROMISE(mkdtemp(folder) != NULL);
    owner = getpid();
    PROMISE(atexit(remove_folder) == 0);
    return folder;
}

const char *work_path(const char *name)
{
    static char paths[8][PATH_MAX];
    static size_t next;
    char *path = paths[next++ % 8];

    PROMISE(snprintf(path, PATH_MAX, "%s/%s", work_folder(), name) < PATH_MAX);
    return path;
}

const char *work_file(const char *name, const void *bytes, size_t size)
{
    const char *path = work_path(name);
    char parent[PATH_MAX];

    snprintf(parent, sizeof parent, "%s", path);
    for (char *slash = parent + strlen(work_folder()) + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = '\0';
        mkdir(parent, 0777); // it may be there
        *slash = '/';
    }
    FILE *file = fopen(path, "wb");
    PROMISE(file != NULL);
    PROMISE(size == 0 || fwrite(bytes, size, 1, file) == 1);
    PROMISE(fclose(file) == 0);
    return path;
}

void *file_bytes(const char *path, size_t *size)
{
    struct stat info;
    FILE *file = fopen(path, "rb");

    PROMISE(file != NULL);
    PROMISE(fstat(fileno(file), &info) == 0);
    *size = (size_t)info.st_size;
    char *bytes = malloc(*size + 1);
    PROMISE(bytes != NULL);
    PROMISE(fread(bytes, 1, *size, file) == *size);
    fclose(file);
    return bytes;
}
