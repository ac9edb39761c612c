#include "pipeline/run/admit/open_job.h"

#include "io/corpus/text_kind.h"
#include "io/file/real_path.h"
#include "io/file/run_paths.h"
#include "io/file/text/file_set.h"
#include "io/model/open.h"
#include "io/tasks/source.h"
#include "pipeline/job/ignored_keys.h"
#include "pipeline/job/job.h"
#include "pipeline/job/load.h"
#include "pipeline/run/admit/find_model.h"
#include "pipeline/run/admit/places.h"
#include "pipeline/run/process/bus_error.h"
#include "pipeline/run/process/compute_choice.h"
#include "stages/compensate/compensate.h"
#include "stages/evaluate/text_size.h"
#include "stages/export/side_files.h"
#include "stages/layer/sequences.h"
#include "stages/prune/allocation.h"
#include "stages/prune/prune.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum status check_length(const char *path, const char *key, const char *job, struct error *err)
{
    RETURN_ERROR_IF(path != NULL && strlen(path) > JOB_PATH_MAX, err, STATUS_USAGE,
                    "%s: %s: a path may have %d characters, this has %zu", job, key, JOB_PATH_MAX,
                    strlen(path));
    return STATUS_OK;
}

static enum status check_readable(const char *path, const char *key, const char *job, struct error *err)
{
    struct stat info;
    RETURN_ERROR_IF(stat(path, &info) != 0, err, STATUS_USAGE, "%s: %s: %s: %s", job, key, path,
                    strerror(errno));
    return STATUS_OK;
}

// The data of a task, or token ids.
static enum status check_file(const char *path, const char *key, const char *job, struct error *err)
{
    struct stat info;
    FORWARD_IF_ERROR(check_readable(path, key, job, err));
    RETURN_ERROR_IF(stat(path, &info) == 0 && !S_ISREG(info.st_mode), err, STATUS_INPUT,
                    "%s: not a regular file", path);
    return STATUS_OK;
}

// A corpus or a text, perhaps of several files. field: what the job names, so that it must be JSON, or NULL.
static enum status check_text(const char *path, const char *key, const char *field, const char *field_key,
                              const char *job, struct error *err)
{
    struct file_set set;
    struct text_kind kind;
    struct error why = {0};
    enum status status = file_set_find(&set, path, UINT64_MAX, &why);

    if (status == STATUS_OK)
        status = text_kind_find(&kind, set.paths[0], &why);
    file_set_free(&set);
    if (status == STATUS_INPUT && access(path, F_OK) != 0) // a name that is wrong is the job's mistake
        return error_set(err, STATUS_USAGE, "%s: %s: %s", job, key, why.message);
    if (status != STATUS_OK)
        return error_set(err, status, "%s", why.message);
    RETURN_ERROR_IF(field != NULL && kind.format < TEXT_JSON_LINES, err, STATUS_USAGE,
                    "%s: %s: only objects of JSON have fields, and %s has none", job, field_key, path);
    return STATUS_OK;
}

// MMLU may be a folder.
static enum status check_task(const struct task_settings *task, const char *job, struct error *err)
{
    static const char key[] = "evaluate.tasks", from[] = "evaluate.tasks.shots_from";
    FORWARD_IF_ERROR(task_is_folder(task->data) ? STATUS_OK : check_file(task->data, key, job, err));
    return task->shots_from == NULL || task_is_folder(task->shots_from)
               ? STATUS_OK
               : check_file(task->shots_from, from, job, err);
}

// The model, the run directory and the output must be three places: `verify` and every removal of files take
// all of the run directory for this program's, and the output must be a name that is free.
static enum status check_apart(const struct settings *settings, const char *job, struct error *err)
{
    char model[PATH_SIZE], run[PATH_SIZE], output[PATH_SIZE];

    FORWARD_IF_ERROR(real_path(model, settings->model, err));
    FORWARD_IF_ERROR(real_path(run, settings->run, err));
    RETURN_ERROR_IF(path_is_within(model, run), err, STATUS_USAGE,
                    "%s: model: %s is the run directory, or lies in it", job, settings->model);
    if (settings->output == NULL)
        return STATUS_OK;
    FORWARD_IF_ERROR(real_path(output, settings->output, err));
    RETURN_ERROR_IF(path_is_within(output, run), err, STATUS_USAGE,
                    "%s: output: %s is the run directory, or lies in it", job, settings->output);
    RETURN_ERROR_IF(path_is_within(run, output), err, STATUS_USAGE,
                    "%s: output: the run directory, %s, lies in it", job, settings->run);
    RETURN_ERROR_IF(strcmp(output, model) == 0, err, STATUS_USAGE, "%s: output: %s is the model", job,
                    settings->output);
    return STATUS_OK;
}

// Everything that the job names must be there before any work starts.
static enum status check_paths(const struct settings *settings, const char *job, struct error *err)
{
    char sequences[PATH_SIZE], record[PATH_SIZE];
    struct stat info;

    FORWARD_IF_ERROR(check_length(settings->model, "model", job, err));
    FORWARD_IF_ERROR(check_length(settings->run, "run", job, err));
    FORWARD_IF_ERROR(check_length(settings->output, "output", job, err));
    FORWARD_IF_ERROR(check_readable(settings->model, "model", job, err));
    FORWARD_IF_ERROR(check_apart(settings, job, err));
    FORWARD_IF_ERROR(place_check(settings->run, "run", job, err));
    run_file_path(sequences, settings->run, RUN_SEQUENCES);
    run_file_path(record, settings->run, RUN_RECORD);
    RETURN_ERROR_IF(settings->field != NULL && sequences_are_given(settings), err, STATUS_USAGE,
                    "%s: calibration.field: only objects of JSON have fields, and %s has none", job,
                    settings->corpus);
    // Sequences that are drawn are stored: the corpus may be gone by then.
    if (stat(sequences, &info) != 0 || stat(record, &info) != 0)
        FORWARD_IF_ERROR(sequences_are_given(settings)
                             ? check_file(settings->corpus, "calibration.corpus", job, err)
                             : check_text(settings->corpus, "calibration.corpus", settings->field,
                                          "calibration.field", job, err));
    for (size_t i = 0; i < settings->num_texts; i++)
        FORWARD_IF_ERROR(check_text(settings->texts[i].data, "evaluate.perplexity", settings->texts[i].field,
                                    "evaluate.perplexity.field", job, err));
    for (size_t i = 0; i < settings->num_tasks; i++)
        FORWARD_IF_ERROR(check_task(&settings->tasks[i], job, err));
    return STATUS_OK;
}

static enum status agree(const struct team *team, enum status status, struct error *err)
{
    return team != NULL ? team_agree(team, status, err) : status;
}

// What is not there, or not as it must be, is not known here: a run that has its results does not need the
// texts any more, and where they are needed, admission_check refuses them. Where memory or the system failed,
// a run would record another estimate. A plan records nothing, and under a limit of memory it is to warn.
static enum status measure_texts(struct settings *settings, const struct model *model,
                                 const struct team *team, struct error *err)
{
    const size_t size = sizeof(double);
    enum status status = STATUS_OK;

    if (team == NULL || team->rank == 0)
        status = texts_measure(settings, model, err);
    if (status == STATUS_INPUT || (status == STATUS_MEMORY && team == NULL))
        status = STATUS_OK;
    FORWARD_IF_ERROR(agree(team, status, err));
    if (team == NULL)
        return STATUS_OK;
    for (size_t i = 0; i < settings->num_texts; i++)
        FORWARD_IF_ERROR(team_broadcast(team, &settings->texts[i].tokens, size, 0, err));
    for (size_t i = 0; i < settings->num_tasks; i++)
        FORWARD_IF_ERROR(team_broadcast(team, &settings->tasks[i].tokens, size, 0, err));
    return STATUS_OK;
}

enum status job_open(struct opened_job *job, const char *path, const struct job_sets *sets,
                     const struct ignored_keys *ignored, const struct team *team, struct error *err)
{
    const bool looks = team == NULL || team->rank == 0;

    FORWARD_IF_ERROR(job_load(&job->settings, path, sets, team, err));
    if (ignored != NULL)
        FORWARD_IF_ERROR(
            agree(team, settings_ignore_keys(job->settings, ignored->names, ignored->count, err), err));
    FORWARD_IF_ERROR(agree(team, compute_check(job->settings, path, err), err));
    FORWARD_IF_ERROR(find_model(job->settings, job->notice, path, team, err));
    FORWARD_IF_ERROR(agree(team, looks ? check_paths(job->settings, path, err) : STATUS_OK, err));
    FORWARD_IF_ERROR(agree(team, settings_open_model(&job->model, job->settings, err), err));
    bus_error_name(job->model->checkpoint);
    FORWARD_IF_ERROR(agree(team, prune_check(job->model, job->settings, err), err));
    FORWARD_IF_ERROR(agree(team, allocation_check(job->model, job->settings, path, err), err));
    FORWARD_IF_ERROR(agree(team, compensate_check(job->model, job->settings, err), err));
    if (job->settings->output != NULL)
        FORWARD_IF_ERROR(
            agree(team, looks ? side_files_check(job->model, job->settings->model, err) : STATUS_OK, err));
    return measure_texts(job->settings, job->model, team, err);
}

void job_close(struct opened_job *job)
{
    bus_error_name(NULL);
    model_close(job->model);
    settings_free(job->settings);
    *job = (struct opened_job){0};
}
