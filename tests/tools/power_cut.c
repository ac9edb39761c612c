// power_cut.c - what a machine that loses its power does to a folder, after the fact: of what preload/power.c
// has noted and no fsync has made durable, a part that the seed chooses is taken back. Usage: power_cut ROOT
// JOURNAL SEED
//
// Of each file, the last unsynced writes are lost, all or some of them, or leave zeros where the file was
// shorter. Of each folder the last unsynced names are; folders do not wait for one another. Prints what was
// lost. JOURNAL is emptied: what is left now is on disk.
#include "tests/preload/power.h"
#include "tests/support/random.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct entry {
    struct power_record record;
    const char *payload;
    size_t position; // in the journal
    bool is_lost;
};

static const char *root, *folder;
static struct entry *entries;
static size_t num_entries;

static void fail(const char *what)
{
    fprintf(stderr, "power_cut: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void require(bool is_done, const char *what)
{
    if (!is_done)
        fail(what);
}

static void read_journal(void)
{
    char path[PATH_MAX];
    struct stat info;

    snprintf(path, sizeof path, "%s/journal", folder);
    const int fd = open(path, O_RDONLY);
    if (fd < 0 && errno == ENOENT)
        return;
    require(fd >= 0 && fstat(fd, &info) == 0, path);
    const size_t size = (size_t)info.st_size;
    char *bytes = malloc(size + 1);
    entries = calloc(size / sizeof(struct power_record) + 1, sizeof *entries);
    require(bytes != NULL && entries != NULL && read(fd, bytes, size) == (ssize_t)size, path);
    close(fd);
    for (size_t at = 0; at < size;) {
        struct entry *entry = &entries[num_entries];
        // A program that was killed while it wrote a record has not made the call that it tells of.
        if (size - at < sizeof entry->record)
            break;
        memcpy(&entry->record, bytes + at, sizeof entry->record);
        if (entry->record.mark != POWER_MARK || entry->record.payload > size - at - sizeof entry->record) {
            at++; // where the next one begins, if there is one
            continue;
        }
        num_entries++;
        entry->position = at;
        entry->payload = bytes + at + sizeof entry->record;
        at += sizeof entry->record + entry->record.payload;
    }
}

// ---- what is lost ---------------------------------------------------------------------------------------

static bool is_name(const struct entry *entry)
{
    return entry->record.kind >= POWER_NAMED;
}

// Data of one file, or names in one folder.
static bool are_together(const struct entry *one, const struct entry *other)
{
    return one->record.inode == other->record.inode && is_name(one) == is_name(other);
}

// Every entry is looked at with those after it: there are thousands at most.
static bool is_durable(size_t number)
{
    for (size_t i = number + 1; i < num_entries; i++)
        if (entries[i].record.kind == POWER_SYNCED &&
            entries[i].record.inode == entries[number].record.inode &&
            entries[i].record.offset > entries[number].position)
            return true;
    return false;
}

static void choose_losses(struct random_state *random, bool *leaves_zeros)
{
    bool *is_open = calloc(num_entries + 1, sizeof *is_open);
    require(is_open != NULL, "memory");
    for (size_t i = 0; i < num_entries; i++)
        is_open[i] = entries[i].record.kind != POWER_SYNCED && !is_durable(i);
    for (size_t i = 0; i < num_entries; i++) {
        if (!is_open[i])
            continue;
        size_t count = 0, seen = 0;
        for (size_t j = i; j < num_entries; j++)
            count += is_open[j] && are_together(&entries[i], &entries[j]);
        const size_t choice = random_below(random, 4);
        const size_t kept = choice < 2 ? 0 : choice == 2 ? count : random_below(random, count + 1);
        const bool zeros = random_below(random, 3) == 0;
        for (size_t j = i; j < num_entries; j++) {
            if (!is_open[j] || !are_together(&entries[i], &entries[j]))
                continue;
            entries[j].is_lost = seen++ >= kept;
            leaves_zeros[j] = zeros;
            if (j != i)
                is_open[j] = false;
        }
    }
    free(is_open);
}

// ---- where files are now --------------------------------------------------------------------------------

// A folder that is made again has another inode than before.
static struct {
    uint64_t old, new;
} successors[1024];
static size_t num_successors;

static struct {
    uint64_t inode;
    bool is_folder;
    char path[PATH_MAX];
} wanted;

static int look(const char *path, const struct stat *info, int type, struct FTW *walk)
{
    (void)walk;
    if (info->st_ino != wanted.inode || (type == FTW_D) != wanted.is_folder)
        return 0;
    snprintf(wanted.path, sizeof wanted.path, "%s", path);
    return 1;
}

// What it is called now, below root; NULL: it is gone.
static const char *find(uint64_t inode, bool is_folder)
{
    for (size_t i = 0; i < num_successors; i++)
        if (is_folder && successors[i].old == inode)
            inode = successors[i].new;
    wanted.inode = inode;
    wanted.is_folder = is_folder;
    return nftw(root, look, 16, FTW_PHYS) == 1 ? wanted.path : NULL;
}

// ---- losing it ------------------------------------------------------------------------------------------

static void lose_bytes(const struct entry *entry, bool leaves_zeros)
{
    const struct power_record *record = &entry->record;
    const char *path = find(record->inode, false);
    struct stat info;

    if (path == NULL)
        return;
    const int fd = open(path, O_RDWR | O_NOFOLLOW);
    require(fd >= 0 && fstat(fd, &info) == 0, path);
    const off_t old = (off_t)record->size;
    const bool grew = info.st_size > old;
    // Cut off and made longer again: zeros.
    if (grew)
        require(ftruncate(fd, old) == 0 && (!leaves_zeros || ftruncate(fd, info.st_size) == 0), path);
    require(pwrite(fd, entry->payload, record->payload, (off_t)record->offset) == (ssize_t)record->payload,
            path);
    close(fd);
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *walk)
{
    (void)info;
    (void)type;
    (void)walk;
    return remove(path);
}

static void give_back(uint64_t inode, const char *path)
{
    char kept[PATH_MAX];
    snprintf(kept, sizeof kept, "%s/%llu", folder, (unsigned long long)inode);
    require(link(kept, path) == 0 || errno == EEXIST || errno == ENOENT, path);
}

static void lose_name(const struct entry *entry)
{
    char path[2 * PATH_MAX], old[2 * PATH_MAX];
    struct stat info;
    const char *at = find(entry->record.inode, true), *name = entry->payload;

    if (at == NULL)
        return; // with its folder
    snprintf(path, sizeof path, "%s/%s", at, name);
    switch ((enum power_kind)entry->record.kind) {
    case POWER_NAMED:
        require(unlink(path) == 0 || errno == ENOENT, path);
        break;
    case POWER_RENAMED:
        snprintf(old, sizeof old, "%s/%s", at, name + strlen(name) + 1);
        require(rename(path, old) == 0 || errno == ENOENT, path);
        if (entry->record.other != 0)
            give_back(entry->record.other, path);
        break;
    case POWER_UNNAMED:
        give_back(entry->record.other, path);
        break;
    case POWER_FOLDER_MADE:
        nftw(path, remove_one, 16, FTW_PHYS | FTW_DEPTH);
        break;
    case POWER_FOLDER_REMOVED:
        require((mkdir(path, 0777) == 0 || errno == EEXIST) && stat(path, &info) == 0, path);
        if (num_successors < sizeof successors / sizeof *successors) {
            successors[num_successors].old = entry->record.other;
            successors[num_successors++].new = info.st_ino;
        }
        break;
    case POWER_DATA:
    case POWER_SYNCED:
        break;
    }
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: power_cut ROOT JOURNAL SEED\n");
        return 2;
    }
    root = argv[1];
    folder = argv[2];
    struct random_state random = random_seed(strtoull(argv[3], NULL, 10));
    size_t writes = 0, names = 0, lost_writes = 0, lost_names = 0;

    read_journal();
    bool *leaves_zeros = calloc(num_entries + 1, sizeof *leaves_zeros);
    require(leaves_zeros != NULL, "memory");
    choose_losses(&random, leaves_zeros);
    // The bytes first, while files still have the names that they are found by.
    for (size_t i = num_entries; i-- > 0;) {
        writes += entries[i].record.kind == POWER_DATA;
        if (entries[i].record.kind == POWER_DATA && entries[i].is_lost) {
            lose_bytes(&entries[i], leaves_zeros[i]);
            lost_writes++;
        }
    }
    for (size_t i = num_entries; i-- > 0;) {
        names += is_name(&entries[i]);
        if (is_name(&entries[i]) && entries[i].is_lost) {
            lose_name(&entries[i]);
            lost_names++;
        }
    }
    nftw(folder, remove_one, 16, FTW_PHYS | FTW_DEPTH);
    require(mkdir(folder, 0777) == 0, folder);
    printf("lost: %zu of %zu writes, %zu of %zu names\n", lost_writes, writes, lost_names, names);
    return 0;
}
