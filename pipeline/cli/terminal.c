#include "pipeline/cli/terminal.h"

#include "io/launched.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEFAULT_COLUMNS = 80 };

static size_t columns_of(int descriptor)
{
    struct winsize window;
    if (isatty(descriptor) != 1)
        return 0;
    return ioctl(descriptor, TIOCGWINSZ, &window) == 0 && window.ws_col > 0 ? window.ws_col : DEFAULT_COLUMNS;
}

static size_t columns_of_launcher(FILE *out)
{
    struct stat info;

    if (launched_with_changed_output() || fstat(fileno(out), &info) != 0 || !S_ISFIFO(info.st_mode))
        return 0;
    const int descriptor = launched_error_stream();
    if (descriptor < 0)
        return 0;
    const size_t columns = columns_of(descriptor);
    close(descriptor);
    return columns;
}

size_t terminal_columns(FILE *out)
{
    const char *term = getenv("TERM");
    if (term == NULL || strcmp(term, "dumb") == 0 || fileno(out) < 0)
        return 0;
    const size_t columns = columns_of(fileno(out));
    return columns > 0 ? columns : columns_of_launcher(out);
}
