#include "stages/compensate/pruned_linear.h"

#include "io/file/run_paths.h"
#include "kernels/pruning/energy.h"
#include "kernels/pruning/masks/select.h"
#include "kernels/threads.h"
#include "stages/layer/layer_overlay.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// Columns run over all rows, and so do measurements; without them this rank's rows are enough.
static enum status read_update(struct pruned_linear *linear, const struct store_reader *masks,
                               const char *name, struct error *err)
{
    const struct team *team = linear->stage->team;
    const size_t out = linear->tensor->out, in = linear->tensor->in;
    size_t first = 0, count = out;

    if (!linear->variant->energy_columns && !linear->kind.measures)
        share_of(out, (size_t)team->rank, (size_t)team->size, &first, &count);
    FORWARD_IF_ERROR(allocate(&linear->update, out * in, sizeof *linear->update, "corrected weights", err));
    linear->updated = linear->update;
    return store_read(masks, name, STORE_F32, first, count, linear->update + first * in, err);
}

struct compensation_kind compensation_kind_of(const struct variant *variant)
{
    return (struct compensation_kind){.solves = variant_solves(variant) && !variant_is_joint(variant),
                                      .matches = variant_matches(variant),
                                      .measures = variant_measures(variant),
                                      .shifts = variant->bias};
}

enum kept_weights kept_at_first(const struct variant *variant)
{
    return variant->energy_columns || variant->energy_rows ? KEPT_ENERGY : KEPT_PLAIN;
}

void pruned_linear_free(struct pruned_linear *linear)
{
    free(linear->mask);
    free(linear->update);
    free(linear->column_mean);
    free(linear->column_gamma);
    free(linear->row);
    free(linear->rounded);
    free(linear->gamma);
    free(linear->shift);
    shared_block_free(&linear->solution.memory);
    memset(linear, 0, sizeof *linear);
}

enum status pruned_linear_create(struct pruned_linear *linear, const struct stage *stage,
                                 const struct variant *variant, const struct compensation_kind *kind,
                                 const struct layer_weights *weights, const struct layer_tensor *tensor,
                                 struct error *err)
{
    const struct layer_tensor *bias = layer_map_bias(tensor);

    *linear = (struct pruned_linear){.stage = stage,
                                     .variant = variant,
                                     .kind = *kind,
                                     .tensor = tensor,
                                     .weight = layer_weights_of(weights, tensor),
                                     .updated = layer_weights_of(weights, tensor),
                                     .bias = bias != NULL ? layer_weights_of(weights, bias) : NULL,
                                     .kept = kept_at_first(variant),
                                     .layer_error_pruned = NAN,
                                     .layer_error_compensated = NAN};
    FORWARD_IF_ERROR(allocate(&linear->mask, tensor->out, mask_row_bytes(tensor->in), "mask", err));
    if (variant->energy_columns) {
        FORWARD_IF_ERROR(allocate(&linear->column_mean, tensor->in, sizeof(double), "column means", err));
        FORWARD_IF_ERROR(allocate(&linear->column_gamma, tensor->in, sizeof(double), "column factors", err));
    }
    if (kind->matches) {
        FORWARD_IF_ERROR(allocate(&linear->gamma, tensor->out, sizeof(double), "output factors", err));
        FORWARD_IF_ERROR(allocate(&linear->shift, tensor->out, sizeof(double), "output means", err));
    }
    FORWARD_IF_ERROR(
        allocate_aligned(&linear->row, threads_count() * tensor->in, sizeof(double), "one row", err));
    return allocate_aligned(&linear->rounded, threads_count() * tensor->in, sizeof(float), "one row", err);
}

enum status pruned_linear_read(struct pruned_linear *linear, const struct store_reader *masks,
                               struct error *err)
{
    const struct layer_tensor *tensor = linear->tensor;
    char name[DATASET_PATH_SIZE];
    bool has_update;

    dataset_path(name, tensor->linear, DATASET_UPDATE);
    FORWARD_IF_ERROR(store_find(masks, name, &has_update, err));
    if (has_update)
        FORWARD_IF_ERROR(read_update(linear, masks, name, err));
    dataset_path(name, tensor->linear, DATASET_MASK);
    return store_read(masks, name, STORE_U8, 0, tensor->out, linear->mask, err);
}

static struct linear_view view_of(const struct pruned_linear *linear)
{
    return (struct linear_view){.out = linear->tensor->out,
                                .in = linear->tensor->in,
                                .weight = linear->weight,
                                .updated = linear->updated,
                                .mask = linear->mask};
}

// Columns run over all rows: each rank computes a share of them.
enum status pruned_linear_columns(struct pruned_linear *linear, struct error *err)
{
    const struct team *team = linear->stage->team;
    const size_t in = linear->tensor->in;
    double *energy = NULL, *pruned = NULL;
    size_t first, count;
    enum status status;

    if (linear->column_gamma == NULL)
        return STATUS_OK;
    share_of(in, (size_t)team->rank, (size_t)team->size, &first, &count);
    status = allocate(&energy, count, sizeof *energy, "column energies", err);
    if (status == STATUS_OK)
        status = allocate(&pruned, count, sizeof *pruned, "column energies", err);
    GOTO_IF_ERROR(team_agree(team, status, err), done);
    const struct column_energies columns = {.mean = linear->column_mean + first,
                                            .energy = energy,
                                            .pruned = pruned,
                                            .gamma = linear->column_gamma + first};
    const struct linear_view view = view_of(linear);
    energy_columns(&columns, &view, first, count, &linear->variant->clamp);
    GOTO_IF_ERROR(team_allgather(team, linear->column_mean, in, sizeof(double), err), done);
    status = team_allgather(team, linear->column_gamma, in, sizeof(double), err);
done:
    free(energy);
    free(pruned);
    return status;
}

// row[in] <- row i, pruned, with these weights kept; not yet scaled by gamma or rounded.
static double compensated_row(double *row, double energies[3], const struct pruned_linear *linear, size_t i,
                              enum kept_weights kept)
{
    const bool energy = kept == KEPT_ENERGY;
    struct linear_view view = view_of(linear);
    if (kept == KEPT_SOLVED)
        view.updated = linear->solution.memory.data;
    const struct row_compensation how = {.column_mean = energy ? linear->column_mean : NULL,
                                         .column_gamma = energy ? linear->column_gamma : NULL,
                                         .rows = energy && linear->variant->energy_rows,
                                         .clamp = &linear->variant->clamp};
    return energy_row(row, energies, &view, i, &how);
}

// row[in] <- row i with all compensation that is kept, not yet rounded. Returns energy compensation's factor.
static double final_row(double *row, double energies[3], const struct pruned_linear *linear, size_t i)
{
    double gamma, solved[3];

    if (linear->kept == KEPT_SOLVED) { // `energies` compare it with the dense weights under the mask
        compensated_row(row, energies, linear, i, KEPT_PLAIN);
        gamma = compensated_row(row, solved, linear, i, KEPT_SOLVED);
        energies[2] = solved[2];
    } else {
        gamma = compensated_row(row, energies, linear, i, linear->kept);
    }
    for (size_t j = 0; j < linear->tensor->in && linear->output; j++)
        row[j] *= linear->gamma[i];
    return gamma;
}

// Rows of a linear that are asked for.
struct asked {
    const struct pruned_linear *linear;
    size_t first;
    bool is_final;
    enum kept_weights kept;          // where it is not
    float *target;                   // [count, in], or
    const struct final_rows *result; // of final rows
};

static void make_rows(const void *context, size_t first, size_t count, size_t thread)
{
    const struct asked *asked = context;
    const struct pruned_linear *linear = asked->linear;
    const struct final_rows *result = asked->result;
    const enum dtype dtype = linear->tensor->tensor->dtype;
    const size_t in = linear->tensor->in;
    double *row = linear->row + thread * in, energies[3], gamma = 1;
    float *rounded = linear->rounded + thread * in;

    for (size_t i = first; i < first + count; i++) {
        if (asked->is_final)
            gamma = final_row(row, energies, linear, asked->first + i);
        else
            compensated_row(row, energies, linear, asked->first + i, asked->kept);
        if (result == NULL) {
            dtype_from_f64(rounded, row, dtype, in);
            dtype_to_f32(asked->target + i * in, rounded, dtype, in);
            continue;
        }
        dtype_from_f64((char *)result->rows + i * in * dtype_size(dtype), row, dtype, in);
        for (size_t k = 0; k < 3; k++)
            result->energy[k][i] = energies[k];
        result->gamma[i] = gamma;
    }
}

static void share_rows(const struct asked *asked, size_t count)
{
    threads_share(count, threads_grain(4 * asked->linear->tensor->in), make_rows, asked);
}

void pruned_linear_rounded(const struct pruned_linear *linear, size_t first, size_t count,
                           enum kept_weights kept, float *target)
{
    share_rows(&(struct asked){.linear = linear, .first = first, .kept = kept, .target = target}, count);
}

void pruned_linear_final_f32(const struct pruned_linear *linear, size_t first, size_t count, float *target)
{
    share_rows(&(struct asked){.linear = linear, .first = first, .is_final = true, .target = target}, count);
}

void pruned_linear_final(const struct final_rows *result, const struct pruned_linear *linear, size_t first,
                         size_t count)
{
    share_rows(&(struct asked){.linear = linear, .first = first, .is_final = true, .result = result}, count);
}

enum status pruned_linear_refuse(const struct pruned_linear *linear, size_t layer, size_t i, size_t j,
                                 struct error *err)
{
    const struct layer_tensor *tensor = linear->tensor;
    double energies[3];

    final_row(linear->row, energies, linear, i);
    RETURN_ERROR(err, STATUS_FAILED,
                 "layers.%zu.%s: weight [%zu, %zu] becomes %g, which %s cannot hold: %sleave the linear "
                 "dense with prune.skip",
                 layer, tensor->linear, i, j, linear->row[j], dtype_name(tensor->tensor->dtype),
                 linear->kept == KEPT_SOLVED ? "" : "narrow compensate.clamp, or ");
}

// One element, rounded.
static void round_bias(const struct pruned_linear *linear, size_t i, void *target)
{
    const double bias = (double)linear->bias[i] + (linear->output ? linear->shift[i] : 0);
    dtype_from_f64(target, &bias, bias_dtype(linear->tensor), 1);
}

void pruned_linear_bias(const struct pruned_linear *linear, void *target)
{
    const size_t element = dtype_size(bias_dtype(linear->tensor));
    for (size_t i = 0; i < linear->tensor->out; i++)
        round_bias(linear, i, (char *)target + i * element);
}

void pruned_linear_bias_f32(const struct pruned_linear *linear, float *target)
{
    for (size_t i = 0; i < linear->tensor->out; i++) {
        float rounded;
        round_bias(linear, i, &rounded);
        dtype_to_f32(target + i, &rounded, bias_dtype(linear->tensor), 1);
    }
}
