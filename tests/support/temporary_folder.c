#include "tests/support/temporary_folder.h"

#include <dirent.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

char *temporary_folder_create(void)
{
    const char *parent = getenv("TMPDIR");
    char name[PATH_MAX];

    snprintf(name, sizeof name, "%s/coppice-test-XXXXXX",
             parent != NULL && parent[0] != '\0' ? parent : "/tmp");
    assert_non_null(mkdtemp(name));
    char *folder = strdup(name);
    assert_non_null(folder);
    return folder;
}

static void remove_tree(const char *path)
{
    struct stat info;

    if (lstat(path, &info) == 0 && S_ISDIR(info.st_mode)) {
        DIR *folder = opendir(path);
        const struct dirent *entry;
        assert_non_null(folder);
        while ((entry = readdir(folder)) != NULL) {
            char below[PATH_MAX];
            if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
                continue;
            snprintf(below, sizeof below, "%s/%s", path, entry->d_name);
            remove_tree(below);
        }
        closedir(folder);
        rmdir(path);
    } else {
        unlink(path);
    }
}

void temporary_folder_remove(char *folder)
{
    remove_tree(folder);
    free(folder);
}

int temporary_folder_set_up(void **state)
{
    *state = temporary_folder_create();
    return 0;
}

int temporary_folder_tear_down(void **state)
{
    temporary_folder_remove(*state);
    return 0;
}

const char *path_in(const char *folder, const char *name)
{
    static char paths[4][PATH_MAX];
    static size_t next;

    char *path = paths[next++ % 4];
    snprintf(path, PATH_MAX, "%s/%s", folder, name);
    return path;
}

const char *write_file(const char *folder, const char *name, const void *bytes, size_t size)
{
    const char *path = path_in(folder, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
    return path;
}

const char *write_text(const char *folder, const char *name, const char *text)
{
    return write_file(folder, name, text, strlen(text));
}

size_t count_entries(const char *path)
{
    DIR *folder = opendir(path);
    const struct dirent *entry;
    size_t count = 0;

    assert_non_null(folder);
    while ((entry = readdir(folder)) != NULL)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(folder);
    return count;
}

void check_error_(const struct error *err, enum status status, const char *part, const char *file, int line)
{
    if (err->status != status || strstr(err->message, part) == NULL || strchr(err->message, '\n') != NULL) {
        print_error("status %d: %s\nexpected status %d and one line with: %s\n", (int)err->status,
                    err->message, (int)status, part);
        _fail(file, line);
    }
}

void check_ok_(enum status status, const struct error *err, const char *call, const char *file, int line)
{
    if (status != STATUS_OK) {
        print_error("%s: status %d: %s\n", call, (int)status, err->message);
        _fail(file, line);
    }
}
