#include "pipeline/record/log.h"

#include "io/file/json.h"

#include "io/file/fence.h"
#include "io/file/process_identity.h"
#include "io/file/regular.h"
#include "io/launched.h"
#include "version.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct event_log {
    int fd, ranks;
    char process[LOG_PROCESS_SIZE];
    char path[]; // for messages
};

static enum status write_line(const struct event_log *log, const char *line, size_t length, struct error *err)
{
    ssize_t written;
    do
        written = write(log->fd, line, length);
    while (written < 0 && errno == EINTR);
    RETURN_ERROR_IF(written < 0, err, STATUS_FAILED, "%s: cannot write: %s", log->path, strerror(errno));
    // The rest is not sent after it: another write could come between. The next log_open ends the torn line.
    RETURN_ERROR_IF((size_t)written != length, err, STATUS_FAILED, "%s: only %zd of %zu bytes were written",
                    log->path, written, length);
    return STATUS_OK;
}

static enum status end_torn_line(const struct event_log *log, struct error *err)
{
    struct stat info;
    char last = '\n';

    RETURN_ERROR_IF(fstat(log->fd, &info) != 0, err, STATUS_FAILED, "%s: cannot read: %s", log->path,
                    strerror(errno));
    if (info.st_size == 0)
        return STATUS_OK;
    RETURN_ERROR_IF(pread(log->fd, &last, 1, info.st_size - 1) != 1, err, STATUS_FAILED,
                    "%s: cannot read: %s", log->path, strerror(errno));
    return last == '\n' ? STATUS_OK : write_line(log, "\n", 1, err);
}

void log_process(char process[LOG_PROCESS_SIZE])
{
    struct process_identity self;
    process_identity_self(&self);
    snprintf(process, LOG_PROCESS_SIZE, "%s:%ld", self.host, self.pid);
}

void log_set_process(struct event_log *log, const char *process)
{
    if (log != NULL)
        snprintf(log->process, sizeof log->process, "%s", process);
}

enum status log_open(struct event_log **log, const char *run, int ranks, struct error *err)
{
    static const char name[] = "/log.jsonl";
    const size_t path_size = strlen(run) + sizeof name;
    char process[LOG_PROCESS_SIZE];
    enum status status;

    FORWARD_IF_ERROR(allocate(log, 1, sizeof **log + path_size, "the event log", err));
    (*log)->ranks = ranks;
    log_process(process);
    log_set_process(*log, process);
    snprintf((*log)->path, path_size, "%s%s", run, name);
    status = run_file_open(&(*log)->fd, (*log)->path, O_RDWR | O_CREAT | O_APPEND, err);
    if (status == STATUS_OK)
        status = end_torn_line(*log, err);
    if (status != STATUS_OK) {
        log_close(*log);
        *log = NULL;
    }
    return status;
}

void log_close(struct event_log *log)
{
    if (log == NULL)
        return;
    if (log->fd >= 0)
        close(log->fd);
    free(log);
}

static json_t *time_now(void)
{
    struct timespec now;
    struct tm utc;
    char date[32], text[48];

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(text, sizeof text, "%s.%03ldZ", date, now.tv_nsec / 1000000);
    return json_string(text);
}

// The members of every line; NULL when memory ran out or event is not UTF-8.
static json_t *common_keys(const struct event_log *log, const char *event)
{
    const char *job = launched_in_job();
    json_t *line = json_pack("{s:o, s:s, s:s, s:i, s:s}", "time", time_now(), "event", event, "version",
                             COPPICE_VERSION, "ranks", log->ranks, "process", log->process);
    if (line != NULL && job != NULL && json_object_set_new(line, "slurm_job", json_string(job)) != 0) {
        json_decref(line);
        line = NULL;
    }
    return line;
}

static enum status append(const struct event_log *log, const json_t *line, struct error *err)
{
    char *text = json_text(line, JSON_COMPACT);
    RETURN_ERROR_IF(text == NULL, err, STATUS_MEMORY, "%s: out of memory for an event", log->path);

    const size_t length = strlen(text);
    text[length] = '\n'; // in the place of the NUL: one line, one write
    const enum status status = write_line(log, text, length + 1, err);
    free(text);
    return status;
}

enum status log_event(struct event_log *log, struct error *err, const char *event, const char *format, ...)
{
    json_t *extra = NULL;
    json_error_t why = {.text = ""};
    enum status status;

    if (log == NULL)
        return STATUS_OK;
    FORWARD_IF_ERROR(fence_check(err)); // the log is another program's now
    if (format != NULL) {
        va_list arguments;
        va_start(arguments, format);
        extra = json_vpack_ex(&why, 0, format, arguments);
        va_end(arguments);
    }
    json_t *line = common_keys(log, event);
    if (line == NULL || (format != NULL && json_object_update_missing(line, extra) != 0))
        status =
            error_set(err, STATUS_FAILED, "%s: cannot write the event '%s': %s", log->path, event, why.text);
    else
        status = append(log, line, err);
    json_decref(line);
    json_decref(extra);
    return status;
}
