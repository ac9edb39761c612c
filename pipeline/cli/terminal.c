#include "pipeline/cli/terminal.h"

#include <fcntl.h>
#include <stdbool.h>
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

// Whether mpirun was told to change what it passes on (--tag-output, --timestamp-output, --xml,
// --output-filename).
static bool is_changed(void)
{
    static const char *const names[] = {"OMPI_MCA_orte_tag_output", "OMPI_MCA_orte_timestamp_output",
                                        "OMPI_MCA_orte_xml_output", "OMPI_MCA_orte_output_filename"};
    bool found = false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        found = found || getenv(names[i]) != NULL;
    return found;
}

static size_t columns_of_launcher(FILE *out)
{
    char path[64];
    struct stat info;

    if (getenv("OMPI_COMM_WORLD_RANK") == NULL || is_changed() || fstat(fileno(out), &info) != 0 ||
        !S_ISFIFO(info.st_mode))
        return 0;
    snprintf(path, sizeof path, "/proc/%ld/fd/2", (long)getppid());
    const int descriptor = open(path, O_WRONLY | O_NOCTTY | O_CLOEXEC);
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
