#include "pipeline/status/holders.h"

#include "io/file/regular.h"
#include "io/file/run/run_lock.h"
#include "io/file/run_paths.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

const char *holder_state_name(enum holder_state state)
{
    static const char *const names[] = {"works", "gone", "silent"};
    return names[state];
}

// False when there is no lock at path, or it is not complete.
static bool read_lock(struct process_identity *identity, double *silence, const char *path)
{
    char text[2048];
    struct stat info;
    struct timespec now;
    ssize_t length = -1;
    int fd;

    if (run_file_open(&fd, path, O_RDONLY, NULL) != STATUS_OK)
        return false;
    if (fstat(fd, &info) == 0)
        length = read(fd, text, sizeof text - 1);
    close(fd);
    if (length < 0)
        return false;
    text[length] = '\0';
    clock_gettime(CLOCK_REALTIME, &now);
    *silence =
        (double)(now.tv_sec - info.st_mtim.tv_sec) + 1e-9 * (double)(now.tv_nsec - info.st_mtim.tv_nsec);
    return process_identity_parse(identity, text);
}

static enum holder_state state_of(const struct process_identity *identity, double silence)
{
    struct process_identity self;

    process_identity_self(&self);
    if (process_identity_same_host(identity, &self))
        return process_identity_is_alive(identity) ? HOLDER_WORKS : HOLDER_GONE;
    return silence <= (double)RUN_LOCK_STALE_SECONDS ? HOLDER_WORKS : HOLDER_SILENT;
}

static bool same_process(const struct process_identity *a, const struct process_identity *b)
{
    return a->pid == b->pid && a->start == b->start && strcmp(a->host, b->host) == 0 &&
           strcmp(a->boot, b->boot) == 0 && strcmp(a->pid_namespace, b->pid_namespace) == 0;
}

// variant NULL: RUN/lock.
static enum status add_lock(struct holders *holders, const char *path, const char *variant, struct error *err)
{
    struct process_identity identity;
    struct lock_holder *holder = NULL;
    double silence;

    if (!read_lock(&identity, &silence, path))
        return STATUS_OK;
    for (size_t i = 0; i < holders->count && holder == NULL; i++)
        if (same_process(&holders->items[i].identity, &identity))
            holder = &holders->items[i];
    if (holder == NULL) {
        struct lock_holder *items = realloc(holders->items, (holders->count + 1) * sizeof *items);
        RETURN_ERROR_IF(items == NULL, err, STATUS_MEMORY, "out of memory for the locks");
        holders->items = items;
        holder = &items[holders->count++];
        *holder = (struct lock_holder){.identity = identity, .silence = silence};
    }
    if (silence < holder->silence)
        holder->silence = silence;
    holder->state = state_of(&identity, holder->silence);
    if (variant == NULL) {
        holder->whole = true;
        return STATUS_OK;
    }
    char **names = realloc(holder->variants, (holder->num_variants + 1) * sizeof *names);
    RETURN_ERROR_IF(names == NULL, err, STATUS_MEMORY, "out of memory for the locks");
    holder->variants = names;
    names[holder->num_variants] = strdup(variant);
    RETURN_ERROR_IF(names[holder->num_variants] == NULL, err, STATUS_MEMORY, "out of memory for the locks");
    holder->num_variants++;
    return STATUS_OK;
}

enum status holders_read(struct holders *holders, const char *run, struct error *err)
{
    char path[PATH_SIZE], folder[PATH_SIZE];
    struct dirent **entries = NULL;
    enum status status;

    memset(holders, 0, sizeof *holders);
    run_file_path(path, run, RUN_LOCK);
    status = add_lock(holders, path, NULL, err);
    run_folder_path(folder, run, RUN_RESULTS);
    const int count = status == STATUS_OK ? scandir(folder, &entries, NULL, alphasort) : 0;
    for (int i = 0; i < count; i++) {
        if (status == STATUS_OK && entries[i]->d_name[0] != '.') {
            run_subfolder_path(folder, run, RUN_RESULTS, entries[i]->d_name);
            run_file_path(path, folder, RUN_LOCK);
            status = add_lock(holders, path, entries[i]->d_name, err);
        }
        free(entries[i]);
    }
    free(entries);
    if (status != STATUS_OK)
        holders_free(holders);
    return status;
}

void holders_free(struct holders *holders)
{
    for (size_t i = 0; i < holders->count; i++) {
        for (size_t v = 0; v < holders->items[i].num_variants; v++)
            free(holders->items[i].variants[v]);
        free(holders->items[i].variants);
    }
    free(holders->items);
    memset(holders, 0, sizeof *holders);
}
