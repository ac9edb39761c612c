// job_path.h - a path of the job as the program opens it. For the readers of values.
#pragma once
#include "pipeline/job/yaml.h"

enum job_path_kind {
    JOB_PATH_MODEL, // a folder, or an id on the Hub, which stays as it is written
    JOB_PATH_INPUT, // something else that must be there
    JOB_PATH_RUN,   // the run directory
    JOB_PATH_MADE   // what the program will make
};

// *path <- the node's text with "~" and variables replaced, counted from the job file's folder where it is
// relative. Nothing is opened, and nothing need be there, but what is only found from the working directory
// is refused with one line, as are a variable that is not set and an address of a model: STATUS_USAGE. The
// caller frees it.
enum status job_path_take(char **path, const struct job_document *document, const struct job_node *node,
                          enum job_path_kind kind, const char *key, struct error *err);
