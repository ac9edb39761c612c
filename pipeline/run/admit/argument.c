#include "pipeline/run/admit/argument.h"

#include "io/file/run_paths.h"

#include <sys/stat.h>
#include <unistd.h>

static enum status check_job(const char *path, const char *command, struct error *err)
{
    char record[PATH_SIZE];
    struct stat info;

    if (stat(path, &info) != 0 || !S_ISDIR(info.st_mode))
        return STATUS_OK;
    run_file_path(record, path, RUN_RECORD);
    RETURN_ERROR_IF(
        access(record, F_OK) == 0, err, STATUS_USAGE,
        "%s: is a run directory, and coppice %s takes the job file that it was made by; coppice status %s "
        "says how far it is",
        path, command, path);
    RETURN_ERROR(err, STATUS_USAGE, "%s: is a folder, and coppice %s takes a job file", path, command);
}

static enum status check_run(const char *path, const char *command, struct error *err)
{
    struct stat info;

    if (stat(path, &info) != 0 || !S_ISREG(info.st_mode))
        return STATUS_OK;
    RETURN_ERROR(
        err, STATUS_USAGE,
        "%s: is a file, and coppice %s takes a run directory: the one that the key run of a job file names; "
        "what is done and left of a job, coppice plan says",
        path, command);
}

enum status argument_check(const struct options *options, struct error *err)
{
    const char *command = options->command->name;

    switch (options->command->argument) {
    case ARGUMENT_JOB:
        return check_job(options->path, command, err);
    case ARGUMENT_RUN:
        return check_run(options->path, command, err);
    case ARGUMENT_RUNS:
        for (size_t i = 0; i < options->num_paths; i++)
            FORWARD_IF_ERROR(check_run(options->paths[i], command, err));
        break;
    case ARGUMENT_JOB_OR_RUN:
    case ARGUMENT_FOLDER:
        break;
    }
    return STATUS_OK;
}
