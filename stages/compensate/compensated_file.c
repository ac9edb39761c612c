#include "stages/compensate/compensated_file.h"

#include "io/file/run_paths.h"
#include "stages/layer/layer_overlay.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// A vector of the file, as one of a linear's datasets.
struct named_vector {
    enum dataset dataset;
    const char *meaning;
    const double *values; // [length]
    size_t length;
};

// Where a linear's datasets go, and what is done to each.
struct target {
    const struct pruned_linear *linear;
    struct store_writer *writer;
    size_t layer;
    bool declares, writes; // at most one of them
};

// What `step` does to datasets that are declared in the step `declaring`.
static struct target target_of(const struct pruned_linear *linear, size_t layer, struct store_writer *writer,
                               enum linear_step step, enum linear_step declaring)
{
    return (struct target){linear, writer, layer, step == declaring, step == WRITE_LINEAR};
}

static enum status put_vector(const struct target *target, const struct named_vector *vector,
                              struct error *err)
{
    const struct store_shape shape = {
        .type = STORE_F64, .rank = 1, .dims = {vector->length}, .meaning = vector->meaning};
    char name[DATASET_PATH_SIZE];
    dataset_path(name, target->linear->tensor->linear, vector->dataset);
    if (target->declares)
        FORWARD_IF_ERROR(store_declare(target->writer, name, &shape, err));
    if (!target->writes)
        return STATUS_OK;
    return store_write(target->writer, name, 0, target->linear->stage->team->rank == 0 ? vector->length : 0,
                       vector->values, err);
}

// The final rows of a linear, and their energies and factors.
struct made_rows {
    double *energy[3], *gamma; // [out] each, of all rows
    void *rows;                // [count, in] in the model's dtype: this rank's
    size_t first, count;
};

static void made_rows_free(struct made_rows *result)
{
    for (size_t k = 0; k < 3; k++)
        free(result->energy[k]);
    free(result->gamma);
    free(result->rows);
}

static enum status compute_rows(struct made_rows *result, struct pruned_linear *linear, size_t layer,
                                struct error *err)
{
    const struct team *team = linear->stage->team;
    const size_t out = linear->tensor->out, in = linear->tensor->in;
    const enum dtype dtype = linear->tensor->tensor->dtype;
    enum status status = STATUS_OK;

    *result = (struct made_rows){0};
    share_of(out, (size_t)team->rank, (size_t)team->size, &result->first, &result->count);
    for (size_t k = 0; k < 3 && status == STATUS_OK; k++)
        status = allocate(&result->energy[k], out, sizeof(double), "row energies", err);
    if (status == STATUS_OK)
        status = allocate(&result->gamma, out, sizeof(double), "row factors", err);
    if (status == STATUS_OK)
        status = allocate_aligned(&result->rows, result->count, in * dtype_size(dtype),
                                  "rows of a pruned weight", err);
    FORWARD_IF_ERROR(team_agree(team, status, err));
    const struct final_rows own = {result->rows,
                                   {result->energy[0] + result->first, result->energy[1] + result->first,
                                    result->energy[2] + result->first},
                                   result->gamma + result->first};
    pruned_linear_final(&own, linear, result->first, result->count);
    const size_t bad = dtype_find_non_finite(result->rows, dtype, result->count * in);
    if (bad < result->count * in)
        status = pruned_linear_refuse(linear, layer, result->first + bad / in, bad % in, err);
    FORWARD_IF_ERROR(team_agree(team, status, err));
    for (size_t k = 0; k < 3; k++)
        FORWARD_IF_ERROR(team_allgather(team, result->energy[k], out, sizeof(double), err));
    return team_allgather(team, result->gamma, out, sizeof(double), err);
}

// `result` is there when something is written.
static enum status put_energy(const struct target *sure, const struct target *decided,
                              const struct made_rows *result, struct error *err)
{
    static const enum dataset energies[3] = {DATASET_ENERGY_BEFORE, DATASET_ENERGY_PRUNED,
                                             DATASET_ENERGY_COMPENSATED};
    static const char *const meanings[3] = {
        "centred energy of each row around its original mean, of the dense weight",
        "the same of the pruned weight, zeros included", "the same after energy compensation"};
    const struct pruned_linear *linear = sure->linear;
    const struct layer_tensor *tensor = linear->tensor;
    const struct named_vector rows = {DATASET_ROW_GAMMA, "factor of each row", result->gamma, tensor->out};
    const struct named_vector columns = {DATASET_COLUMN_GAMMA, "factor of each column", linear->column_gamma,
                                         tensor->in};
    char group[DATASET_PATH_SIZE];

    group_path(group, tensor->linear);
    for (size_t k = 0; k < 3; k++) {
        const struct named_vector energy = {energies[k], meanings[k], result->energy[k], tensor->out};
        double total = 0;
        for (size_t i = 0; sure->writes && i < tensor->out; i++)
            total += result->energy[k][i];
        FORWARD_IF_ERROR(put_vector(sure, &energy, err));
        if (sure->writes)
            FORWARD_IF_ERROR(store_attribute_f64(sure->writer, group, dataset_name(energies[k]), total, err));
    }
    if (linear->kept == KEPT_ENERGY && linear->variant->energy_rows)
        FORWARD_IF_ERROR(put_vector(decided, &rows, err));
    if (linear->kept == KEPT_ENERGY && linear->variant->energy_columns)
        FORWARD_IF_ERROR(put_vector(decided, &columns, err));
    return STATUS_OK;
}

static enum status declare_bias(const struct target *target, const char *name, struct error *err)
{
    const struct layer_tensor *tensor = target->linear->tensor;
    const enum dtype dtype = bias_dtype(tensor);
    const struct store_shape shape = {.type = dtype == DTYPE_F32 ? STORE_F32 : STORE_U16,
                                      .rank = 1,
                                      .dims = {tensor->out},
                                      .meaning = "bias, [out]"};
    FORWARD_IF_ERROR(store_declare(target->writer, name, &shape, err));
    return store_attribute_string(target->writer, name, "dtype", dtype_name(dtype), err);
}

static enum status put_bias(const struct target *target, struct error *err)
{
    const struct pruned_linear *linear = target->linear;
    const struct layer_tensor *tensor = linear->tensor;
    const enum dtype dtype = bias_dtype(tensor);
    char name[DATASET_PATH_SIZE];
    void *bias = NULL;
    enum status status = STATUS_OK;

    dataset_path(name, tensor->linear, DATASET_BIAS);
    if (!target->writes)
        return target->declares ? declare_bias(target, name, err) : STATUS_OK;
    status = allocate(&bias, tensor->out, sizeof(float), "a bias", err);
    GOTO_IF_ERROR(team_agree(linear->stage->team, status, err), done);
    pruned_linear_bias(linear, bias);
    const size_t i = dtype_find_non_finite(bias, dtype, tensor->out);
    if (i < tensor->out) { // the same on every rank
        status =
            error_set(err, STATUS_FAILED,
                      "layers.%zu.%s: bias [%zu] becomes more than %s can hold: narrow compensate.clamp, "
                      "or switch compensate.bias off",
                      target->layer, tensor->linear, i, dtype_name(dtype));
        goto done;
    }
    status =
        store_write(target->writer, name, 0, linear->stage->team->rank == 0 ? tensor->out : 0, bias, err);
done:
    free(bias);
    return status;
}

enum status measurement_write(const struct pruned_linear *linear, struct store_writer *writer,
                              struct error *err)
{
    const struct variant *variant = linear->variant;
    char group[DATASET_PATH_SIZE];

    group_path(group, linear->tensor->linear);
    if (variant->energy_columns || variant->energy_rows)
        FORWARD_IF_ERROR(store_attribute_u64(writer, group, "energy_kept", linear->kept == KEPT_ENERGY, err));
    if (linear->kind.matches)
        FORWARD_IF_ERROR(store_attribute_u64(writer, group, "output_kept", linear->output, err));
    if (linear->kind.solves) {
        const struct solution *solution = &linear->solution;
        FORWARD_IF_ERROR(
            store_attribute_u64(writer, group, "solution_kept", linear->kept == KEPT_SOLVED, err));
        FORWARD_IF_ERROR(store_attribute_u64(writer, group, "solution_tokens", solution->tokens, err));
        FORWARD_IF_ERROR(
            store_attribute_u64(writer, group, "solution_steps", (uint64_t)solution->steps, err));
        FORWARD_IF_ERROR(store_attribute_f64(writer, group, "solution_residual", solution->residual, err));
    }
    FORWARD_IF_ERROR(store_attribute_f64(writer, group, "output_error_pruned", linear->error_pruned, err));
    FORWARD_IF_ERROR(
        store_attribute_f64(writer, group, "output_error_compensated", linear->error_compensated, err));
    FORWARD_IF_ERROR(
        store_attribute_u64(writer, group, "output_error_sequences", linear->measured_sequences, err));
    if (isnan(linear->layer_error_pruned))
        return STATUS_OK;
    FORWARD_IF_ERROR(
        store_attribute_f64(writer, group, "layer_error_pruned", linear->layer_error_pruned, err));
    return store_attribute_f64(writer, group, "layer_error_compensated", linear->layer_error_compensated,
                               err);
}

static enum status put_output(const struct target *sure, const struct target *decided, struct error *err)
{
    const struct pruned_linear *linear = sure->linear;
    const struct variant *variant = linear->variant;
    const struct named_vector gamma = {DATASET_OUTPUT_GAMMA, "factor of each row, from the outputs",
                                       linear->gamma, linear->tensor->out};

    if (variant->bias && layer_map_bias(linear->tensor) != NULL)
        FORWARD_IF_ERROR(put_bias(sure, err));
    if (!variant_measures(variant))
        return STATUS_OK;
    if (variant->output != MATCHING_OFF && linear->output && linear->kept != KEPT_SOLVED)
        FORWARD_IF_ERROR(put_vector(decided, &gamma, err));
    return sure->writes ? measurement_write(linear, sure->writer, err) : STATUS_OK;
}

enum status compensated_linear_put(struct pruned_linear *linear, size_t layer, struct store_writer *writer,
                                   enum linear_step step, struct error *err)
{
    // Without measuring and solving all is kept.
    const enum linear_step deciding =
        linear->kind.measures || linear->kind.solves ? DECLARE_DECIDED : DECLARE_SURE;
    const struct target sure = target_of(linear, layer, writer, step, DECLARE_SURE);
    const struct target decided = target_of(linear, layer, writer, step, deciding);
    const struct layer_tensor *tensor = linear->tensor;
    const enum dtype dtype = tensor->tensor->dtype;
    const struct store_shape shape = {.type = dtype == DTYPE_F32 ? STORE_F32 : STORE_U16,
                                      .rank = 2,
                                      .dims = {tensor->out, tensor->in},
                                      .meaning = "pruned and compensated weight, [out, in]"};
    struct made_rows result = {0};
    char name[DATASET_PATH_SIZE];
    enum status status = STATUS_OK;

    dataset_path(name, tensor->linear, DATASET_WEIGHT);
    if (sure.writes)
        GOTO_IF_ERROR(compute_rows(&result, linear, layer, err), done);
    if (sure.declares) {
        GOTO_IF_ERROR(store_declare(writer, name, &shape, err), done);
        GOTO_IF_ERROR(store_attribute_string(writer, name, "dtype", dtype_name(dtype), err), done);
    }
    if (sure.writes)
        GOTO_IF_ERROR(store_write(writer, name, result.first, result.count, result.rows, err), done);
    GOTO_IF_ERROR(put_energy(&sure, &decided, &result, err), done);
    status = put_output(&sure, &decided, err);
done:
    made_rows_free(&result);
    return status;
}
