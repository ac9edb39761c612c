#include "pipeline/run/admit/find_model.h"

#include "io/model/hub.h"
#include "pipeline/record/run_json/run_record.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool is_absent(const char *path)
{
    struct stat info;
    return stat(path, &info) != 0 && (errno == ENOENT || errno == ENOTDIR);
}

// The commit that the run was begun with by the same id, or "".
static void recorded_commit(char *commit, size_t size, const struct settings *settings)
{
    struct run_record record;

    commit[0] = '\0';
    if (run_record_read(&record, settings->run, NULL) == STATUS_OK) {
        const json_t *hub = json_object_get(record.json, "hub");
        const char *id = json_string_value(json_object_get(hub, "id"));
        const char *found = json_string_value(json_object_get(hub, "commit"));
        if (id != NULL && found != NULL && strcmp(id, settings->model) == 0)
            snprintf(commit, size, "%s", found);
    }
    run_record_free(&record);
}

static enum status look(struct hub_model *model, char *notice, const struct settings *settings,
                        const char *job, struct error *err)
{
    struct hub_model current;
    char commit[sizeof model->commit];

    recorded_commit(commit, sizeof commit, settings);
    if (hub_find(model, settings->model, commit[0] != '\0' ? commit : NULL, err) != STATUS_OK) {
        if (commit[0] != '\0')
            error_prefix(err, "%s was begun with commit %s", settings->run, commit);
        return error_prefix(err, "%s: model", job);
    }
    snprintf(notice, MODEL_NOTICE_SIZE, "%s", model->notice);
    if (commit[0] != '\0' && hub_find(&current, settings->model, NULL, NULL) == STATUS_OK &&
        strcmp(current.commit, commit) != 0)
        snprintf(notice, MODEL_NOTICE_SIZE,
                 "%s: the run goes on with commit %s, which it was begun with; in the cache it is %s by now",
                 settings->model, commit, current.commit);
    return STATUS_OK;
}

static enum status copy_text(char **copy, const char *text, struct error *err)
{
    *copy = strdup(text);
    RETURN_ERROR_IF(*copy == NULL, err, STATUS_MEMORY, "out of memory for the model's name");
    return STATUS_OK;
}

static enum status take(struct settings *settings, const struct hub_model *model, struct error *err)
{
    char *path;

    FORWARD_IF_ERROR(copy_text(&path, model->path, err));
    settings->hub_id = settings->model;
    settings->model = path;
    return copy_text(&settings->hub_commit, model->commit, err);
}

enum status find_model(struct settings *settings, char *notice, const char *job, const struct team *team,
                       struct error *err)
{
    const bool looks = team == NULL || team->rank == 0;
    struct hub_model model = {0};
    enum status status = STATUS_OK;

    notice[0] = '\0';
    if (looks && hub_is_id(settings->model) && is_absent(settings->model))
        status = look(&model, notice, settings, job, err);
    if (team != NULL) {
        FORWARD_IF_ERROR(team_agree(team, status, err));
        FORWARD_IF_ERROR(team_broadcast(team, &model, sizeof model, 0, err));
    }
    FORWARD_IF_ERROR(status);
    if (model.path[0] != '\0')
        status = take(settings, &model, err);
    return team != NULL ? team_agree(team, status, err) : status;
}
