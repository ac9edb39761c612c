#include "pipeline/cli/standard_descriptors.h"

#include <fcntl.h>
#include <unistd.h>

void standard_descriptors_hold(void)
{
    // open takes the lowest free number, so each gap is filled in its turn.
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
            return; // no /dev/null: as before
}
