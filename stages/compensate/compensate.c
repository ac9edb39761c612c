#include "stages/compensate/compensate.h"

#include "io/file/run_paths.h"
#include "stages/compensate/compensated_file.h"
#include "stages/compensate/layer_compensation.h"
#include "stages/layer/gram_batches.h"
#include "stages/layer/linear_groups.h"
#include "stages/work.h"

#include <stdlib.h>

// Where masks come from and weights go to.
struct compensated_files {
    struct store_reader *masks;
    struct store_writer *writer;
};

// The linears in hand. What all have is declared already; what was decided of these is declared before the
// first of them is written.
static enum status write_linears(struct layer_compensation *c, const struct compensated_files *files,
                                 struct error *err)
{
    const size_t layer = c->dense->map.layer;

    for (size_t i = 0; i < c->count; i++)
        FORWARD_IF_ERROR(compensated_linear_put(&c->linears[i], layer, files->writer, DECLARE_DECIDED, err));
    for (size_t i = 0; i < c->count; i++)
        FORWARD_IF_ERROR(compensated_linear_put(&c->linears[i], layer, files->writer, WRITE_LINEAR, err));
    return STATUS_OK;
}

// Compensates and writes the linears tensors[count], together.
static enum status compensate_linears(struct layer_compensation *c, const struct compensated_files *files,
                                      const struct layer_tensor *const *tensors, size_t count,
                                      struct error *err)
{
    enum status status = STATUS_OK;

    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        c->measured[i] = (struct measured_linear){0};
        status =
            pruned_linear_create(&c->linears[i], c->stage, c->variant, &c->kind, c->dense, tensors[i], err);
        c->count = i + 1;
        if (status == STATUS_OK)
            status = pruned_linear_read(&c->linears[i], files->masks, err);
    }
    GOTO_IF_ERROR(team_agree(c->stage->team, status, err), done);
    for (size_t i = 0; i < count; i++)
        GOTO_IF_ERROR(pruned_linear_columns(&c->linears[i], err), done);
    if (c->kind.solves)
        GOTO_IF_ERROR(layer_compensation_solve(c, err), done);
    if (c->kind.measures)
        GOTO_IF_ERROR(layer_compensation_decide(c, err), done);
    status = write_linears(c, files, err);
done:
    layer_compensation_drop(c);
    return status;
}

// What the file has of every linear whatever is kept of its compensation.
static enum status declare_sure(const struct layer_compensation *c, const struct compensated_files *files,
                                const struct layer_tensor *const *tensors, size_t count, struct error *err)
{
    for (size_t i = 0; i < count; i++) {
        struct pruned_linear linear = {.stage = c->stage,
                                       .variant = c->variant,
                                       .kind = c->kind,
                                       .tensor = tensors[i],
                                       .kept = kept_at_first(c->variant)};
        FORWARD_IF_ERROR(
            compensated_linear_put(&linear, c->dense->map.layer, files->writer, DECLARE_SURE, err));
    }
    return STATUS_OK;
}

static enum status compensate_all(struct layer_compensation *c, const struct compensated_files *files,
                                  struct error *err)
{
    const struct layer_tensor **tensors = NULL;
    size_t count, batch;
    enum status status =
        allocate(&tensors, c->dense->map.num_tensors, sizeof *tensors, "a layer's linears", err);

    GOTO_IF_ERROR(team_agree(c->stage->team, status, err), done);
    count =
        (c->kind.solves ? linears_by_depth : linears_by_source)(tensors, c->stage->settings, &c->dense->map);
    GOTO_IF_ERROR(declare_sure(c, files, tensors, count, err), done);
    for (size_t i = 0; i < count; i += batch) {
        batch = c->kind.solves     ? linears_of_source(tensors + i, count - i)
                : c->kind.measures ? linears_together(tensors + i, count - i, 1, COMPENSATED_AT_ONCE)
                                   : 1;
        GOTO_IF_ERROR(stage_safe_point(c->stage, STATUS_OK, (double)i / (double)count, err), done);
        GOTO_IF_ERROR(compensate_linears(c, files, tensors + i, batch, err), done);
        for (size_t k = i; k < i + batch; k++)
            stage_advance(c->stage, compensate_work((double)tensors[k]->out * (double)tensors[k]->in));
    }
done:
    free(tensors);
    return status;
}

enum status compensate_layer(const struct stage *stage, struct layer_weights *weights,
                             const struct variant *variant, size_t layer, struct error *err)
{
    struct layer_compensation c = {.stage = stage,
                                   .variant = variant,
                                   .dense = weights,
                                   .kind = compensation_kind_of(variant),
                                   .stream = hidden_stream(stage->settings, variant)};
    struct compensated_files files = {NULL, NULL};
    char path[PATH_SIZE];
    enum status status;

    FORWARD_IF_ERROR(layer_weights_load(weights, stage, layer, NULL, err));
    GOTO_IF_ERROR(layer_compensation_open(&c, err), done);
    run_layer_path(path, stage->settings->run, RUN_MASKS, variant->name, layer);
    GOTO_IF_ERROR(store_open(&files.masks, path, stage->team->comm, err), done);
    run_layer_path(path, stage->settings->run, RUN_WEIGHTS, variant->name, layer);
    GOTO_IF_ERROR(store_create(&files.writer, path, settings_origin(stage->settings), stage->team->comm, err),
                  done);
    GOTO_IF_ERROR(compensate_all(&c, &files, err), done);
    status = store_commit(files.writer, err);
    files.writer = NULL;
done:
    store_abandon(files.writer);
    store_close(files.masks);
    layer_compensation_close(&c);
    return status;
}
