#include "pipeline/record/history.h"

#include "io/file/regular.h"
#include "io/file/run_paths.h"
#include "io/text/printable.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

double history_time(const char *text)
{
    struct tm parts = {0};
    const char *rest = text != NULL ? strptime(text, "%Y-%m-%dT%H:%M:%S", &parts) : NULL;

    if (rest == NULL)
        return 0;
    return (double)timegm(&parts) + (rest[0] == '.' ? strtod(rest, NULL) : 0);
}

static void copy_text(char *out, size_t size, const json_t *line, const char *key, const char *otherwise)
{
    const char *text = json_string_value(json_object_get(line, key));
    snprintf(out, size, "%s", text != NULL ? text : otherwise);
    make_printable(out);
}

static size_t count_of(const json_t *line, const char *key, size_t otherwise)
{
    const json_t *value = json_object_get(line, key);
    return json_is_integer(value) && json_integer_value(value) >= 0 ? (size_t)json_integer_value(value)
                                                                    : otherwise;
}

// Room for one more of `size` bytes in an array that has `count`; arrays grow to powers of two.
static enum status make_room(void *array, size_t count, size_t size, struct error *err)
{
    void *items;
    if (count > 0 && (count & (count - 1)) != 0)
        return STATUS_OK;
    memcpy(&items, array, sizeof items);
    items = realloc(items, (count > 0 ? 2 * count : 1) * size);
    RETURN_ERROR_IF(items == NULL, err, STATUS_MEMORY, "out of memory for %zu events of the log", count + 1);
    memcpy(array, &items, sizeof items);
    return STATUS_OK;
}

static struct history_unit read_unit(const json_t *line)
{
    struct history_unit unit = {.layer = -1};
    const json_t *layer = json_object_get(line, "layer");

    copy_text(unit.stage, sizeof unit.stage, line, "stage", "");
    copy_text(unit.variant, sizeof unit.variant, line, "variant", DENSE_NAME);
    copy_text(unit.task, sizeof unit.task, line, "task", "");
    copy_text(unit.process, sizeof unit.process, line, "process", "");
    copy_text(unit.node, sizeof unit.node, line, "node", "");
    copy_text(unit.slurm_job, sizeof unit.slurm_job, line, "slurm_job", "");
    if (json_integer_value(layer) >= 0 && json_is_integer(layer))
        unit.layer = (long)json_integer_value(layer);
    unit.time = history_time(json_string_value(json_object_get(line, "time")));
    unit.seconds = json_number_value(json_object_get(line, "seconds"));
    unit.skipped = json_number_value(json_object_get(line, "skipped"));
    unit.memory = json_number_value(json_object_get(line, "peak_memory"));
    unit.ranks = count_of(line, "ranks", 1);
    unit.team = count_of(line, "team", 0);
    unit.first_rank = count_of(line, "first_rank", 0);
    unit.team_ranks = count_of(line, "team_ranks", unit.ranks);
    return unit;
}

// A team works on one unit at a time: the one before it is done or lost.
static void forget_begun(struct history *history, const char *process, const size_t *team)
{
    size_t kept = 0;
    for (size_t i = 0; i < history->num_begun; i++)
        if (strcmp(history->begun[i].process, process) != 0 ||
            (team != NULL && history->begun[i].team != *team))
            history->begun[kept++] = history->begun[i];
    history->num_begun = kept;
}

static enum status add_start(struct history *history, const json_t *line, struct error *err)
{
    struct history_start start = {.ranks = count_of(line, "ranks", 1)};

    copy_text(start.process, sizeof start.process, line, "process", "");
    copy_text(start.command, sizeof start.command, line, "command", "");
    copy_text(start.slurm_job, sizeof start.slurm_job, line, "slurm_job", "");
    copy_text(start.version, sizeof start.version, line, "version", "");
    start.time = history_time(json_string_value(json_object_get(line, "time")));
    forget_begun(history, start.process, NULL); // the same process id, used again
    FORWARD_IF_ERROR(make_room(&history->starts, history->num_starts, sizeof start, err));
    history->starts[history->num_starts++] = start;
    return STATUS_OK;
}

// The last start of a process: process ids are used again.
static struct history_start *start_of(struct history *history, const char *process)
{
    for (size_t i = history->num_starts; i-- > 0;)
        if (strcmp(history->starts[i].process, process) == 0)
            return &history->starts[i];
    return NULL;
}

static void count_committed(struct history *history, const json_t *line)
{
    char process[sizeof history->starts->process];

    copy_text(process, sizeof process, line, "process", "");
    struct history_start *start = start_of(history, process);
    if (start != NULL)
        start->committed++;
}

static void end_start(struct history *history, const json_t *line)
{
    char process[sizeof history->starts->process];

    copy_text(process, sizeof process, line, "process", "");
    forget_begun(history, process, NULL);
    struct history_start *start = start_of(history, process);
    if (start == NULL)
        return;
    start->end = history_time(json_string_value(json_object_get(line, "time")));
    start->exit_code = (int)json_integer_value(json_object_get(line, "exit_code"));
    start->futile = json_is_true(json_object_get(line, "futile"));
    copy_text(start->message, sizeof start->message, line, "message", "");
}

bool history_ends_futile(const struct history *history, const char *command, const char *slurm_job)
{
    for (size_t i = history->num_starts; i-- > 0;) {
        const struct history_start *start = &history->starts[i];
        if (strcmp(start->command, command) != 0 || strcmp(start->slurm_job, slurm_job) != 0)
            continue;
        const bool had_nothing_to_do = start->end > 0 && start->exit_code == 0 && start->committed == 0;
        if (!had_nothing_to_do && (start->committed > 0 || start->end > 0))
            return start->committed == 0 && start->futile;
    }
    return false;
}

static enum status take_line(struct history *history, const json_t *line, struct error *err)
{
    const char *event = json_string_value(json_object_get(line, "event"));

    if (event == NULL)
        return STATUS_OK;
    if (strcmp(event, "start") == 0)
        return add_start(history, line, err);
    if (strcmp(event, "done") == 0 || strcmp(event, "end") == 0) {
        end_start(history, line);
        return STATUS_OK;
    }
    if (strcmp(event, "unit") == 0 || strcmp(event, "part") == 0)
        count_committed(history, line);
    if (strcmp(event, "unit") != 0 && strcmp(event, "begin") != 0)
        return STATUS_OK;
    const struct history_unit unit = read_unit(line);
    const bool done = strcmp(event, "unit") == 0;
    forget_begun(history, unit.process, &unit.team);
    FORWARD_IF_ERROR(done ? make_room(&history->units, history->num_units, sizeof unit, err)
                          : make_room(&history->begun, history->num_begun, sizeof unit, err));
    if (done)
        history->units[history->num_units++] = unit;
    else
        history->begun[history->num_begun++] = unit;
    return STATUS_OK;
}

enum status history_read(struct history *history, const char *run, struct error *err)
{
    char path[PATH_SIZE];
    char *line = NULL;
    size_t room = 0;
    ssize_t length;
    struct error why = {0};
    int fd;
    enum status status = STATUS_OK;

    memset(history, 0, sizeof *history);
    run_file_path(path, run, RUN_LOG);
    if (run_file_open(&fd, path, O_RDONLY, &why) != STATUS_OK)
        return errno == ENOENT ? STATUS_OK : error_set(err, why.status, "%s", why.message);
    FILE *file = fdopen(fd, "r");
    if (file == NULL) {
        close(fd);
        return error_set(err, STATUS_MEMORY, "%s: %s", path, strerror(errno));
    }
    while (status == STATUS_OK && (length = getline(&line, &room, file)) > 0) {
        json_t *json = json_loadb(line, (size_t)length, 0, NULL);
        if (json_is_object(json))
            status = take_line(history, json, err);
        json_decref(json);
    }
    if (status == STATUS_OK && ferror(file))
        status = error_set(err, STATUS_FAILED, "%s: cannot read: %s", path, strerror(errno));
    free(line);
    fclose(file);
    if (status != STATUS_OK)
        history_free(history);
    return status;
}

void history_free(struct history *history)
{
    free(history->units);
    free(history->begun);
    free(history->starts);
    memset(history, 0, sizeof *history);
}
