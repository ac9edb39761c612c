#include "tests/support/source_path.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

char *source_path(const char *relative)
{
    const char *source = getenv("COPPICE_SOURCE");
    char *path = NULL;

    assert_true(asprintf(&path, "%s/%s", source != NULL ? source : ".", relative) > 0);
    if (access(path, R_OK) != 0) {
        print_message("skipped: %s is not there\n", path);
        free(path);
        skip();
    }
    return path;
}
