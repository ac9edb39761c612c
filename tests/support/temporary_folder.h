// temporary_folder.h - a folder of its own for one test, and small files in it. Failures end the test.
#pragma once
#include "kernels/error.h"
#include <stddef.h>

// A new folder; removed with all that is in it by temporary_folder_remove, which also frees the name.
char *temporary_folder_create(void);
void temporary_folder_remove(char *folder);
// The same as fixtures of CMocka: *state is the folder.
int temporary_folder_set_up(void **state);
int temporary_folder_tear_down(void **state);

// "FOLDER/name", valid until the next but three calls.
const char *path_in(const char *folder, const char *name);
// Writes FOLDER/name and returns its path (as path_in).
const char *write_file(const char *folder, const char *name, const void *bytes, size_t size);
const char *write_text(const char *folder, const char *name, const char *text);
// Number of entries in folder, "." and ".." not counted.
size_t count_entries(const char *folder);

// err holds `status` and one line that contains `part`.
#define assert_error(err, expected_status, part) \
    check_error_(&(err), (expected_status), (part), __FILE__, __LINE__)
void check_error_(const struct error *err, enum status status, const char *part, const char *file, int line);
// The call is STATUS_OK, else its message is shown.
#define assert_ok(call, err) check_ok_((call), &(err), #call, __FILE__, __LINE__)
void check_ok_(enum status status, const struct error *err, const char *call, const char *file, int line);
