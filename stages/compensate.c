#include "stages/compensate.h"

#include "io/run_directory.h"
#include "io/store.h"
#include "kernels/select.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Everything that compensating one linear needs, on one rank.
struct compensator {
    const struct stage *stage;
    const struct variant *variant;
    const struct layer_tensor *tensor;
    const float *weight;                // [out, in], the dense linear
    const float *updated;               // [out, in], what stays is taken from here: weight, or `update`
    float *update;                      // [out, in] of sparsegpt, else NULL
    size_t first, count;                // this rank's rows
    uint8_t *mask;                      // [out, mask_row_bytes(in)]: columns run over all rows
    double *column_mean, *column_gamma; // [in], NULL when columns are off
    double *energy[3];                  // [out] before, pruned, compensated
    double *row_gamma;                  // [out]
    double *row;                        // [in] one row in double
    void *result;                       // [count, in] in the model's dtype
};

static const char *const energy_names[3] = {"energy_before", "energy_pruned", "energy_compensated"};
static const char *const energy_meanings[3] = {
    "centred energy of each row around its original mean, of the dense weight",
    "the same of the pruned weight, zeros included", "the same after compensation"};

static void compensator_free(struct compensator *compensator)
{
    free(compensator->mask);
    free(compensator->update);
    free(compensator->column_mean);
    free(compensator->column_gamma);
    for (size_t k = 0; k < 3; k++)
        free(compensator->energy[k]);
    free(compensator->row_gamma);
    free(compensator->row);
    free(compensator->result);
}

// Columns run over all rows; without them this rank's rows are enough.
static enum status read_update(struct compensator *c, const struct store_reader *masks, const char *name,
                               struct error *err)
{
    const size_t in = c->tensor->in;
    const size_t first = c->variant->energy_columns ? 0 : c->first;
    const size_t count = c->variant->energy_columns ? c->tensor->out : c->count;

    FORWARD_IF_ERROR(allocate(&c->update, c->tensor->out * in, sizeof *c->update, "corrected weights", err));
    c->updated = c->update;
    return store_read(masks, name, STORE_F32, first, count, c->update + first * in, err);
}

static enum status compensator_create(struct compensator *c, const struct stage *stage,
                                      const struct variant *variant, const struct layer_weights *weights,
                                      const struct layer_tensor *tensor, const struct store_reader *masks,
                                      struct error *err)
{
    char name[160];

    memset(c, 0, sizeof *c);
    c->stage = stage;
    c->variant = variant;
    c->tensor = tensor;
    c->weight = c->updated = layer_weights_of(weights, tensor);
    share_of(tensor->out, (size_t)stage->team->rank, (size_t)stage->team->size, &c->first, &c->count);
    FORWARD_IF_ERROR(allocate(&c->mask, tensor->out, mask_row_bytes(tensor->in), "mask", err));
    if (variant->energy_columns) {
        FORWARD_IF_ERROR(allocate(&c->column_mean, tensor->in, sizeof(double), "column means", err));
        FORWARD_IF_ERROR(allocate(&c->column_gamma, tensor->in, sizeof(double), "column factors", err));
    }
    for (size_t k = 0; k < 3; k++)
        FORWARD_IF_ERROR(allocate(&c->energy[k], tensor->out, sizeof(double), "row energies", err));
    FORWARD_IF_ERROR(allocate(&c->row_gamma, tensor->out, sizeof(double), "row factors", err));
    FORWARD_IF_ERROR(allocate(&c->row, tensor->in, sizeof(double), "one row", err));
    FORWARD_IF_ERROR(allocate_aligned(&c->result, c->count * tensor->in, dtype_size(tensor->tensor->dtype),
                                      "rows of a pruned weight", err));
    snprintf(name, sizeof name, "/%s/update", tensor->linear);
    if (store_has(masks, name))
        FORWARD_IF_ERROR(read_update(c, masks, name, err));
    snprintf(name, sizeof name, "/%s/mask", tensor->linear);
    return store_read(masks, name, STORE_U8, 0, tensor->out, c->mask, err);
}

// Columns run over all rows: each rank computes a share of them.
static enum status compensate_columns(struct compensator *c, struct error *err)
{
    const struct team *team = c->stage->team;
    const struct layer_tensor *tensor = c->tensor;
    double *energy = NULL, *pruned = NULL;
    size_t first, count;
    enum status status;

    share_of(tensor->in, (size_t)team->rank, (size_t)team->size, &first, &count);
    status = allocate(&energy, count, sizeof *energy, "column energies", err);
    if (status == STATUS_OK)
        status = allocate(&pruned, count, sizeof *pruned, "column energies", err);
    GOTO_IF_ERROR(team_agree(team, status, err), done);
    energy_columns(c->column_mean + first, c->column_gamma + first, energy, pruned, c->weight, c->updated,
                   c->mask, tensor->out, tensor->in, first, count, &c->variant->clamp);
    GOTO_IF_ERROR(team_allgather(team, c->column_mean, tensor->in, sizeof(double), err), done);
    status = team_allgather(team, c->column_gamma, tensor->in, sizeof(double), err);
done:
    free(energy);
    free(pruned);
    return status;
}

static enum status compensate_rows(struct compensator *c, struct error *err)
{
    const struct team *team = c->stage->team;
    const size_t in = c->tensor->in, bytes = mask_row_bytes(in);
    const enum dtype dtype = c->tensor->tensor->dtype;

    for (size_t row = 0; row < c->count; row++) {
        const size_t i = c->first + row;
        double energies[3];
        c->row_gamma[i] =
            energy_row(c->row, energies, c->weight + i * in, c->updated + i * in, c->mask + i * bytes,
                       c->column_mean, c->column_gamma, c->variant->energy_rows, in, &c->variant->clamp);
        for (size_t k = 0; k < 3; k++)
            c->energy[k][i] = energies[k];
        dtype_from_f64((char *)c->result + row * in * dtype_size(dtype), c->row, dtype, in);
    }
    for (size_t k = 0; k < 3; k++)
        FORWARD_IF_ERROR(team_allgather(team, c->energy[k], c->tensor->out, sizeof(double), err));
    return team_allgather(team, c->row_gamma, c->tensor->out, sizeof(double), err);
}

static enum status write_vector(struct compensator *c, struct store_writer *writer, const char *what,
                                const double *values, size_t length, const char *meaning, struct error *err)
{
    const uint64_t dims[1] = {length};
    char name[160];
    snprintf(name, sizeof name, "/%s/%s", c->tensor->linear, what);
    FORWARD_IF_ERROR(store_declare(writer, name, STORE_F64, 1, dims, NULL, meaning, err));
    return store_write(writer, name, 0, c->stage->team->rank == 0 ? length : 0, values, err);
}

static enum status write_linear(struct compensator *c, struct store_writer *writer, struct error *err)
{
    const struct layer_tensor *tensor = c->tensor;
    const enum dtype dtype = tensor->tensor->dtype;
    const uint64_t dims[2] = {tensor->out, tensor->in};
    char group[128], name[160];

    snprintf(group, sizeof group, "/%s", tensor->linear);
    snprintf(name, sizeof name, "/%s/weight", tensor->linear);
    FORWARD_IF_ERROR(store_declare(writer, name, dtype == DTYPE_F32 ? STORE_F32 : STORE_U16, 2, dims, NULL,
                                   "pruned and compensated weight, [out, in]", err));
    FORWARD_IF_ERROR(store_attribute_string(writer, name, "dtype", dtype_name(dtype), err));
    FORWARD_IF_ERROR(store_write(writer, name, c->first, c->count, c->result, err));
    for (size_t k = 0; k < 3; k++) {
        double total = 0;
        for (size_t i = 0; i < tensor->out; i++)
            total += c->energy[k][i];
        FORWARD_IF_ERROR(
            write_vector(c, writer, energy_names[k], c->energy[k], tensor->out, energy_meanings[k], err));
        FORWARD_IF_ERROR(store_attribute_f64(writer, group, energy_names[k], total, err));
    }
    if (c->variant->energy_rows)
        FORWARD_IF_ERROR(
            write_vector(c, writer, "row_gamma", c->row_gamma, tensor->out, "factor of each row", err));
    if (c->variant->energy_columns)
        FORWARD_IF_ERROR(write_vector(c, writer, "column_gamma", c->column_gamma, tensor->in,
                                      "factor of each column", err));
    return STATUS_OK;
}

static enum status compensate_linear(const struct stage *stage, const struct variant *variant,
                                     const struct layer_weights *weights, const struct layer_tensor *tensor,
                                     const struct store_reader *masks, struct store_writer *writer,
                                     struct error *err)
{
    struct compensator compensator;
    enum status status = compensator_create(&compensator, stage, variant, weights, tensor, masks, err);

    GOTO_IF_ERROR(team_agree(stage->team, status, err), done);
    if (variant->energy_columns)
        GOTO_IF_ERROR(compensate_columns(&compensator, err), done);
    GOTO_IF_ERROR(compensate_rows(&compensator, err), done);
    status = write_linear(&compensator, writer, err);
done:
    compensator_free(&compensator);
    return status;
}

enum status compensate_layer(const struct stage *stage, struct layer_weights *weights,
                             const struct variant *variant, size_t layer, struct error *err)
{
    struct store_reader *masks = NULL;
    struct store_writer *writer = NULL;
    char path[PATH_SIZE];
    enum status status;

    FORWARD_IF_ERROR(layer_weights_load(weights, stage, layer, NULL, err));
    run_layer_path(path, sizeof path, stage->settings->run, "masks", variant->name, layer);
    FORWARD_IF_ERROR(store_open(&masks, path, stage->team->comm, err));
    run_layer_path(path, sizeof path, stage->settings->run, "weights", variant->name, layer);
    GOTO_IF_ERROR(store_create(&writer, path, stage->team->comm, err), done);
    for (size_t i = 0; i < weights->map.num_tensors; i++) {
        const struct layer_tensor *tensor = &weights->map.tensors[i];
        if (!tensor_is_pruned(stage->settings, layer, tensor))
            continue;
        GOTO_IF_ERROR(stage_safe_point(stage, STATUS_OK, (double)i / (double)weights->map.num_tensors, err),
                      done);
        GOTO_IF_ERROR(compensate_linear(stage, variant, weights, tensor, masks, writer, err), done);
        stage_advance(stage, 16.0 * (double)tensor->out * (double)tensor->in);
    }
    status = store_commit(writer, err);
    writer = NULL;
done:
    store_abandon(writer);
    store_close(masks);
    return status;
}
