#include "pipeline/plan/record.h"

#include "io/file/json_memory.h"
#include "io/file/run_paths.h"
#include "io/file/sealed_json.h"
#include "io/model/open.h"
#include "pipeline/job/ignored_keys.h"
#include "pipeline/job/job.h"
#include "pipeline/job/json.h"
#include "pipeline/record/run_json/outputs.h"
#include "stages/evaluate/text_size.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PLAN_FORMAT = 1 };

static json_t *member(json_t *object, const char *key)
{
    if (json_object_get(object, key) == NULL)
        json_object_set_new(object, key, json_object());
    return json_object_get(object, key);
}

// The name of task or text `index`; a text without one is ".", which no name
// begins with. NULL: there are no more.
static const char *name_at(const struct settings *settings, enum stage_kind stage, size_t index)
{
    if (stage == STAGE_EVALUATE)
        return index >= settings->num_texts      ? NULL
               : settings->texts[index].is_plain ? "."
                                                 : settings->texts[index].name;
    return index < settings->num_tasks ? settings->tasks[index].name : NULL;
}

json_t *plan_to_json(const struct plan *plan)
{
    json_t *work = json_object();
    size_t layers = 0;

    for (size_t i = 0; i < plan->num_units; i++) {
        const struct unit *unit = &plan->units[i];
        const char *name = unit_variant_name(unit);
        json_t *stage = member(work, stage_name(unit->stage)), *amount = json_real(unit->work);
        switch (stage_row(unit->stage)->unit_of) {
        case UNIT_OF_RUN:
        case UNIT_OF_MODEL:
            json_object_set_new(stage, name, amount);
            break;
        case UNIT_OF_TEXT:
            if (unit_task_name(unit, plan->settings) == NULL && plan->settings->num_texts == 1)
                json_object_set_new(stage, name, amount);
            else
                json_object_set_new(member(stage, name), name_at(plan->settings, STAGE_EVALUATE, unit->task),
                                    amount);
            break;
        case UNIT_OF_TASK:
            json_object_set_new(member(stage, name), unit_task_name(unit, plan->settings), amount);
            break;
        case UNIT_OF_LAYER:
            if (json_object_get(stage, name) == NULL)
                json_object_set_new(stage, name, json_array());
            // Units of a chain come in the order of the layers.
            json_array_append_new(json_object_get(stage, name), amount);
            if ((size_t)unit->layer >= layers)
                layers = (size_t)unit->layer + 1;
            break;
        }
    }
    return json_pack("{s:i, s:I, s:o}", "format", PLAN_FORMAT, "layers", (json_int_t)layers, "work", work);
}

static bool find_variant(const struct variant **variant, const struct settings *settings, const char *name)
{
    *variant = NULL;
    if (strcmp(name, DENSE_NAME) == 0)
        return true;
    for (size_t v = 0; v < settings->num_variants; v++)
        if (strcmp(settings->variants[v].name, name) == 0) {
            *variant = &settings->variants[v];
            return true;
        }
    for (size_t a = 0; a < settings->num_attempts; a++)
        if (strcmp(settings->attempts[a].name, name) == 0) {
            *variant = &settings->attempts[a];
            return true;
        }
    return false;
}

static void add_unit(struct plan *plan, enum stage_kind stage, const struct variant *variant, long layer,
                     const json_t *work)
{
    plan->units[plan->num_units++] =
        (struct unit){.stage = stage, .variant = variant, .layer = layer, .work = json_number_value(work)};
    plan->work += json_number_value(work);
}

// Units of STAGE_TASKS or STAGE_EVALUATE: the works of one variant by the names of tasks or texts. False when
// one is not of the job.
static bool add_tasks(struct plan *plan, enum stage_kind stage, const struct variant *variant, json_t *works)
{
    const char *name;
    json_t *work;

    json_object_foreach(works, name, work)
    {
        size_t t = 0;
        const char *known;
        while ((known = name_at(plan->settings, stage, t)) != NULL && strcmp(known, name) != 0)
            t++;
        if (known == NULL)
            return false;
        add_unit(plan, stage, variant, NO_LAYER, work);
        plan->units[plan->num_units - 1].task = t;
    }
    return true;
}

static size_t count_units(json_t *work)
{
    const char *stage, *name;
    json_t *variants, *amount;
    size_t count = 0;

    json_object_foreach(work, stage, variants)
    {
        json_object_foreach(variants, name, amount)
        {
            count += json_is_array(amount)    ? json_array_size(amount)
                     : json_is_object(amount) ? json_object_size(amount)
                                              : 1;
        }
    }
    return count;
}

enum status plan_from_json(struct plan *plan, const struct settings *settings, const json_t *json,
                           const char *origin, struct error *err)
{
    json_t *work = json_object_get(json, "work"), *variants, *amount, *item;
    const char *stage, *name;
    size_t i;

    memset(plan, 0, sizeof *plan);
    plan->settings = settings;
    RETURN_ERROR_IF(json_integer_value(json_object_get(json, "format")) != PLAN_FORMAT || work == NULL, err,
                    STATUS_DAMAGED, "%s: not a plan of this version of the program", origin);
    FORWARD_IF_ERROR(allocate(&plan->units, count_units(work) + 1, sizeof *plan->units, "the plan", err));
    json_object_foreach(work, stage, variants)
    {
        json_object_foreach(variants, name, amount)
        {
            struct unit unit = {.layer = NO_LAYER};
            if (!stage_find(&unit.stage, stage) || !find_variant(&unit.variant, settings, name) ||
                !add_tasks(plan, unit.stage, unit.variant, amount)) {
                plan_free(plan);
                RETURN_ERROR(err, STATUS_DAMAGED, "%s: %s of %s is not of this run", origin, stage, name);
            }
            if (json_is_number(amount))
                add_unit(plan, unit.stage, unit.variant, NO_LAYER, amount);
            json_array_foreach(amount, i, item)
            {
                add_unit(plan, unit.stage, unit.variant, (long)i, item);
            }
        }
    }
    return STATUS_OK;
}

// The job as the record has it, in the run directory as it is called now: it may have been moved.
static enum status recorded_settings(struct settings **settings, const struct run_record *record,
                                     const char *run, struct error *err)
{
    enum status status = settings_from_json(settings, json_object_get(record->json, "job"), run, err);
    if (json_memory_check(run, err) != STATUS_OK) { // then nothing can be said of the file
        settings_free(status == STATUS_OK ? *settings : NULL);
        *settings = NULL;
        return STATUS_MEMORY;
    }
    FORWARD_IF_ERROR(status);
    free((*settings)->run);
    (*settings)->run = strdup(run);
    RETURN_ERROR_IF((*settings)->run == NULL, err, STATUS_MEMORY, "out of memory for a name");
    return STATUS_OK;
}

// ---- what the last job asked for ------------------------------------------------------------------------

// Which variants, texts and tasks of the record are the last job's (record.h).
struct asked {
    size_t variants, first_text, texts, tasks;
};

static struct asked asked_of(const struct settings *job, const struct settings *recorded)
{
    struct asked asked = {job->num_variants, 0, job->num_texts, job->num_tasks};

    while (asked.first_text + asked.texts < recorded->num_texts && asked.texts > 0 &&
           strcmp(name_at(job, STAGE_EVALUATE, 0), name_at(recorded, STAGE_EVALUATE, asked.first_text)) != 0)
        asked.first_text++;
    return asked;
}

static bool asked_is_all(const struct asked *asked, const struct settings *recorded)
{
    return asked->variants == recorded->num_variants && asked->texts == recorded->num_texts &&
           asked->tasks == recorded->num_tasks;
}

static struct settings asked_settings(const struct settings *recorded, const struct asked *asked)
{
    struct settings settings = *recorded;

    settings.num_variants = asked->variants;
    settings.texts = recorded->texts + asked->first_text;
    settings.num_texts = asked->texts;
    settings.num_tasks = asked->tasks;
    settings.num_attempts = 0; // those of the first variants come first
    while (settings.num_attempts < recorded->num_attempts &&
           recorded->attempts[settings.num_attempts].base < recorded->variants + asked->variants)
        settings.num_attempts++;
    return settings;
}

static bool is_same_unit(const struct unit *a, const struct settings *of_a, const struct unit *b,
                         const struct settings *of_b)
{
    if (a->stage != b->stage || a->layer != b->layer ||
        strcmp(unit_variant_name(a), unit_variant_name(b)) != 0)
        return false;
    const enum unit_of of = stage_row(a->stage)->unit_of;
    return (of != UNIT_OF_TEXT && of != UNIT_OF_TASK) ||
           strcmp(name_at(of_a, a->stage, a->task), name_at(of_b, b->stage, b->task)) == 0;
}

// Leaves in `plan` the units that are not in `job`, and that some job asked for: not all had an output.
static void leave_out(struct plan *plan, const struct plan *job, const struct run_record *record)
{
    size_t kept = 0;

    for (size_t i = 0; i < plan->num_units; i++) {
        const struct unit *unit = &plan->units[i];
        bool found = unit->stage == STAGE_EXPORT && outputs_newest(record->json, unit->variant) == NULL;
        for (size_t k = 0; k < job->num_units && !found; k++)
            found = is_same_unit(unit, plan->settings, &job->units[k], job->settings);
        if (!found)
            plan->units[kept++] = *unit;
    }
    plan->num_units = kept;
}

// *json: new reference.
static enum status record_to_json(json_t **json, const struct model *model, const struct settings *settings,
                                  const struct settings *recorded, const struct run_record *record,
                                  struct error *err)
{
    const struct asked asked = asked_of(settings, recorded);
    struct plan plan = {0}, all = {0};
    enum status status;

    GOTO_IF_ERROR(plan_create(&plan, model, settings, err), done);
    *json = plan_to_json(&plan);
    if (asked_is_all(&asked, recorded))
        goto done;
    GOTO_IF_ERROR(plan_create(&all, model, recorded, err), done);
    leave_out(&all, &plan, record);
    json_t *earlier = plan_to_json(&all);
    json_object_set(*json, "earlier", json_object_get(earlier, "work"));
    json_object_set_new(*json, "asked",
                        json_pack("{s:I, s:I, s:I, s:I}", "variants", (json_int_t)asked.variants,
                                  "first_text", (json_int_t)asked.first_text, "texts",
                                  (json_int_t)asked.texts, "tasks", (json_int_t)asked.tasks));
    json_decref(earlier);
done:
    plan_free(&all);
    plan_free(&plan);
    return status;
}

enum status plan_record_write(const struct run_record *record, const struct model *model,
                              const struct settings *settings, struct error *err)
{
    struct settings *recorded = NULL;
    json_t *now = NULL, *before = NULL;
    char path[PATH_SIZE];
    enum status status;

    run_file_path(path, settings->run, RUN_PLAN);
    GOTO_IF_ERROR(recorded_settings(&recorded, record, settings->run, err), done);
    texts_take_over(recorded, settings);
    GOTO_IF_ERROR(record_to_json(&now, model, settings, recorded, record, err), done);
    GOTO_IF_ERROR(json_memory_check(path, err), done);
    if (sealed_json_read(&before, path, NULL) == STATUS_OK) {
        json_object_del(before, "xxh3");
        if (json_equal(before, now))
            goto done;
    }
    status = sealed_json_write(path, now, err);
done:
    json_decref(before);
    json_decref(now);
    settings_free(recorded);
    return status;
}

static bool read_count(size_t *count, const json_t *object, const char *key, size_t most)
{
    const json_t *value = json_object_get(object, key);

    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        (uint64_t)json_integer_value(value) > most)
        return false;
    *count = (size_t)json_integer_value(value);
    return true;
}

static enum status plans_from_json(struct run_view *view, const json_t *json, const char *path,
                                   struct error *err)
{
    const json_t *said = json_object_get(json, "asked");
    const struct settings *all = view->settings;
    struct asked asked;

    if (said == NULL)
        return plan_from_json(&view->plan, &view->asked, json, path, err);
    RETURN_ERROR_IF(!read_count(&asked.variants, said, "variants", all->num_variants) ||
                        !read_count(&asked.texts, said, "texts", all->num_texts) ||
                        !read_count(&asked.first_text, said, "first_text", all->num_texts - asked.texts) ||
                        !read_count(&asked.tasks, said, "tasks", all->num_tasks),
                    err, STATUS_DAMAGED, "%s: what the last job asked for is not of this run", path);
    view->asked = asked_settings(all, &asked);
    FORWARD_IF_ERROR(plan_from_json(&view->plan, &view->asked, json, path, err));
    json_t *rest = json_pack("{s:i, s:O?}", "format", PLAN_FORMAT, "work", json_object_get(json, "earlier"));
    const enum status status = plan_from_json(&view->earlier, all, rest, path, err);
    json_decref(rest);
    return status;
}

static enum status view_plan(struct run_view *view, const char *run, struct error *err)
{
    char path[PATH_SIZE];
    json_t *json = NULL;

    run_file_path(path, run, RUN_PLAN);
    if (access(path, F_OK) == 0) {
        FORWARD_IF_ERROR(sealed_json_read(&json, path, err));
        const enum status status = plans_from_json(view, json, path, err);
        json_decref(json);
        return status;
    }
    FORWARD_IF_ERROR(settings_open_model(&view->model, view->settings, err));
    return plan_create(&view->plan, view->model, &view->asked, err);
}

enum status run_view_open(struct run_view *view, const char *run, struct error *err)
{
    enum status status;

    memset(view, 0, sizeof *view);
    GOTO_IF_ERROR(run_record_read(&view->record, run, err), failed);
    GOTO_IF_ERROR(recorded_settings(&view->settings, &view->record, run, err), failed);
    view->asked = *view->settings;
    GOTO_IF_ERROR(view_plan(view, run, err), failed);
    return STATUS_OK;
failed:
    run_view_close(view);
    return status;
}

void run_view_close(struct run_view *view)
{
    plan_free(&view->earlier);
    plan_free(&view->plan);
    model_close(view->model);
    settings_free(view->settings);
    run_record_free(&view->record);
    memset(view, 0, sizeof *view);
}
