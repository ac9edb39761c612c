#include "pipeline/cli/exit_code.h"

int exit_code(enum status status)
{
    switch (status) {
    case STATUS_OK:
        return EXIT_DONE;
    case STATUS_STOPPED:
        return EXIT_STOPPED;
    case STATUS_USAGE:
        return EXIT_USAGE;
    case STATUS_INPUT:
        return EXIT_INPUT;
    case STATUS_DAMAGED:
    case STATUS_FAILED:
    case STATUS_MEMORY:
        break;
    }
    return EXIT_FAILED;
}
