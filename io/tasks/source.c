#include "io/tasks/source.h"

#include <sys/stat.h>

bool task_is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}
