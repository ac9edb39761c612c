#include "pipeline/plan/costs/sizes.h"

#include "io/corpus/text_kind.h"
#include "io/file/text/file_set.h"
#include "io/model/weights/coded.h"
#include "io/tasks/mmlu.h"
#include "io/tasks/source.h"
#include "io/text/file_name.h"
#include "kernels/pruning/masks/candidates.h"
#include "kernels/pruning/masks/select.h"
#include "stages/export/side_files.h"
#include "stages/layer/gram_batches.h"
#include "stages/layer/linear_groups.h"
#include "stages/layer/sequences.h"
#include "stages/prune/curve_file.h"
#include "stages/stage.h"
#include "stages/work.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// WikiText-2 has some 300 thousand tokens in its test set, and so have most others.
static const double usual_test_tokens = 300000;
// Of English text, and of its files *.gz.
static const double bytes_of_a_token = 4, packed_bytes_of_a_token = 1.5;

// The orders of `cost`, which is of groups of one, in groups of `of`.
static void add_orders(struct order_cost *sum, const struct order_cost *cost, double of)
{
    sum->gains += cost->gains / of;
    sum->exchanges += cost->exchanges / (of * of);
}

// That the file has of an element.
static double stored_bytes(const struct safetensors_tensor *tensor)
{
    return tensor->coding != NULL ? code_bits(tensor->coding->format) / 8.0
                                  : (double)dtype_size(tensor->dtype);
}

static void add_tensor(struct layer_size *size, const struct sizes *sizes, const struct layer_map *map,
                       const struct layer_tensor *tensor)
{
    const double out = (double)tensor->out, in = (double)tensor->in;

    if (tensor->tensor != NULL)
        size->checkpoint += out * in * stored_bytes(tensor->tensor);
    size->expanded += out * in * (double)sizeof(float);
    size->packed +=
        out * in * (double)(tensor->tensor != NULL && tensor->tensor->dtype == DTYPE_BF16 ? 2 : 4);
    if (tensor->linear[0] != '\0') {
        size->statistics += (4 * in + 1) * sizeof(double);
        size->inputs++;
    }
    if (!tensor_is_pruned(sizes->settings, map->layer, tensor))
        return;
    size->linears++;
    size->pruned += out * in;
    size->rows += out;
    size->columns += in;
    size->weights += out * in * (double)dtype_size(tensor->tensor->dtype);
    size->masks += out * (double)mask_row_bytes(tensor->in);
    size->updates += out * in * sizeof(float);
    size->correcting += correct_work(out, in);
    size->solving += solve_work(out, in);
    size->stepping += split_step_work(out, in);
    size->products += product_work(sizes->model, tensor, sizes->settings->length);
    if (tensor->expert)
        size->expert_products += product_work(sizes->model, tensor, sizes->settings->length);
    const struct order_cost order = order_cost(tensor, sizes->model, 1);
    size->orders += order.bytes > 0 ? in * sizeof(uint32_t) : 0;
    add_orders(tensor->role == ROLE_DOWN ? &size->inner_order : &size->value_order, &order, 1);
}

struct order_cost ordering_of(const struct sizes *sizes, size_t layer, const struct variant *variant)
{
    struct order_cost sum = {0};

    if (!variant->permute)
        return sum;
    add_orders(&sum, &sizes->layers[layer].inner_order, (double)variant->of);
    const struct decoder_config config = layer_config(&sizes->model->config, layer);
    if (value_head_dim(&config) % variant->of == 0)
        add_orders(&sum, &sizes->layers[layer].value_order, (double)variant->of);
    return sum;
}

// An input of linears; only where one of them is pruned it has a Hessian.
static void add_source(struct layer_size *size, const struct sizes *sizes, const struct layer_map *map,
                       size_t source)
{
    const double channels = (double)map->source_channels[source];
    double tokens = (double)sizes->settings->sequences * (double)sizes->settings->length;
    bool is_routed = false, is_pruned = false;

    size->channels += channels;
    for (size_t i = 0; i < map->num_tensors; i++) {
        const struct layer_tensor *tensor = &map->tensors[i];
        if (tensor->source != source || tensor->linear[0] == '\0')
            continue;
        is_routed = is_routed || tensor->expert;
        is_pruned = is_pruned || tensor_is_pruned(sizes->settings, map->layer, tensor);
    }
    if (!is_pruned)
        return;
    if (is_routed)
        tokens *= routed_share(&sizes->model->config.decoder);
    size->hessian += channels * channels * sizeof(double);
    size->hessians++;
    size->gathering += hessian_work(tokens, channels);
    size->factoring += factor_work(channels);
    size->inverting += inverse_work(channels);
    size->equations += gram_work(tokens, channels, !is_routed);
}

// The passes in which the equations are gathered, of one stream or both.
static enum status add_passes(struct layer_size *size, const struct sizes *sizes, const struct layer_map *map,
                              struct error *err)
{
    const struct layer_tensor **linears = NULL;
    const size_t length = sizes->settings->length;
    size_t count, batch;

    FORWARD_IF_ERROR(allocate(&linears, map->num_tensors, sizeof *linears, "a layer's linears", err));
    count = linears_by_depth(linears, sizes->settings, map);
    for (size_t i = 0; i < count; i += batch) {
        batch = gram_batch(linears + i, count - i, map, gram_limit(map));
        size->equations += (linears[i]->expert ? 1 : 2) * (double)sizes->settings->sequences *
                           source_forward_work(sizes->model, map, linears[i + batch - 1]->source, length);
        size->gatherings++;
    }
    free(linears);
    return STATUS_OK;
}

// Passes of one sequence up to the inputs of linears that are measured together.
struct passes {
    double work, batches;
};

// With room for the masks of some experts in a pass, or, `most` 0, those of one input.
static struct passes measured_passes(const struct sizes *sizes, const struct layer_map *map,
                                     const struct layer_tensor *const *linears, size_t count, size_t masks,
                                     uint64_t most)
{
    struct passes passes = {0};
    size_t together;
    for (size_t i = 0; i < count; i += together) {
        together = most > 0 ? linears_together(linears + i, count - i, masks, most)
                            : linears_of_source(linears + i, count - i);
        // In the order of the sources the last one has the latest input.
        const size_t last = linears[i + together - 1]->source;
        passes.work += source_forward_work(sizes->model, map, last, sizes->settings->length);
        passes.batches++;
    }
    return passes;
}

static enum status add_measuring(struct layer_size *size, const struct sizes *sizes,
                                 const struct layer_map *map, struct error *err)
{
    const struct layer_tensor **linears = NULL;
    size_t count, experts = 0, candidates;

    importance_candidates(&candidates);
    FORWARD_IF_ERROR(allocate(&linears, map->num_tensors, sizeof *linears, "a layer's linears", err));
    count = linears_by_source(linears, sizes->settings, map);
    while (experts < count && !linears[experts]->expert)
        experts++;
    const struct passes groups = measured_passes(sizes, map, linears, experts, 1, 0);
    size->groups = groups.batches;
    size->group_passes = groups.work;
    const struct layer_tensor *const *first = linears + experts;
    count -= experts;
    const struct passes solved = measured_passes(sizes, map, first, count, 1, 0);
    const struct passes compensated = measured_passes(sizes, map, first, count, 1, COMPENSATED_AT_ONCE);
    size->solved_passes = solved.work;
    size->solved_batches = solved.batches;
    size->compensated_passes = compensated.work;
    size->compensated_batches = compensated.batches;
    size->chosen_passes = measured_passes(sizes, map, first, count, candidates, CHOSEN_AT_ONCE).work;
    free(linears);
    return STATUS_OK;
}

static enum status add_curves(struct layer_size *size, const struct sizes *sizes, const struct layer_map *map,
                              struct error *err)
{
    struct layer_curves curves;
    const enum status status = layer_curves_create(&curves, sizes->settings, map, err);

    size->curves = curves.count > 0 ? (double)curves.count + 1 : 0;
    for (size_t i = 0; i < curves.count; i++)
        size->curved += (double)curves.curves[i].weights;
    layer_curves_free(&curves);
    return status;
}

static enum status measure_layer(struct layer_size *size, const struct sizes *sizes,
                                 const struct layer_map *map, struct error *err)
{
    size->forward = layer_forward_work(sizes->model, map, sizes->settings->length);
    size->window = layer_forward_work(sizes->model, map, sizes->settings->evaluate_length);
    for (size_t i = 0; i < map->num_tensors; i++)
        add_tensor(size, sizes, map, &map->tensors[i]);
    for (size_t source = 0; source < map->num_sources; source++)
        add_source(size, sizes, map, source);
    FORWARD_IF_ERROR(add_passes(size, sizes, map, err));
    FORWARD_IF_ERROR(add_measuring(size, sizes, map, err));
    return add_curves(size, sizes, map, err);
}

enum status sizes_measure(struct sizes *sizes, const struct model *model, const struct settings *settings,
                          struct error *err)
{
    const size_t layers = model->config.num_hidden_layers;
    enum status status = STATUS_OK;

    *sizes = (struct sizes){.settings = settings, .model = model, .num_layers = layers};
    FORWARD_IF_ERROR(allocate(&sizes->layers, layers, sizeof *sizes->layers, "the sizes of layers", err));
    for (size_t layer = 0; layer < layers && status == STATUS_OK; layer++) {
        struct layer_map map;
        status = layer_map_create(&map, model, layer, err);
        if (status != STATUS_OK)
            break;
        status = measure_layer(&sizes->layers[layer], sizes, &map, err);
        layer_map_free(&map);
    }
    if (settings->output != NULL)
        sizes->side_files = side_files_bytes(model, settings->model);
    if (status != STATUS_OK)
        sizes_free(sizes);
    return status;
}

void sizes_free(struct sizes *sizes)
{
    free(sizes->layers);
    memset(sizes, 0, sizeof *sizes);
}

bool states_are_carried(const struct sizes *sizes)
{
    return sizes->settings->states_every > 0;
}

bool states_are_stored(const struct sizes *sizes, const struct variant *owner)
{
    return sizes->settings->states_every == 0 || sizes->settings->keep_activations ||
           (owner == NULL && dense_stream_is_kept(sizes->settings));
}

double hidden_bytes(const struct sizes *sizes, double sequences)
{
    return sequences * (double)sizes->settings->length * (double)state_size(&sizes->model->config.decoder) *
           (double)sizeof(float);
}

double weights_file_bytes(const struct layer_size *layer, const struct variant *variant)
{
    // The energy of each row before, as pruned and as compensated.
    double values = 3 * layer->rows;
    values += variant->energy_rows ? layer->rows : 0;
    values += variant->energy_columns ? layer->columns : 0;
    values += variant->output != MATCHING_OFF && !variant_solves(variant) ? layer->rows : 0;
    return layer->weights + values * (double)sizeof(double);
}

double weights_file_datasets(const struct layer_size *layer, const struct variant *variant)
{
    const bool factors = variant->output != MATCHING_OFF && !variant_solves(variant);
    return layer->linears *
           (1 + 3 + (variant->energy_rows ? 1 : 0) + (variant->energy_columns ? 1 : 0) + (factors ? 1 : 0));
}

static double file_bytes(const char *path)
{
    struct file_set set = {0};
    const bool is_there = path != NULL && file_set_find(&set, path, UINT64_MAX, NULL) == STATUS_OK;
    const double bytes = is_there ? (double)set.total : 0;
    file_set_free(&set);
    return bytes;
}

// Of memory for each byte of a text that is tokenised whole: the text, joined and normalised, and its ids
// (measured, see docs/texts-and-tasks.md: 2.6 to 4.3).
static const double bytes_to_tokenise = 5;

static double text_bytes(const char *path, uint64_t enough)
{
    struct file_set set = {0};
    double bytes = 0;

    const bool is_there = path != NULL && file_set_find(&set, path, enough, NULL) == STATUS_OK;
    for (size_t i = 0; is_there && i < set.count; i++) {
        const bool is_packed = packing_of_name(set.paths[i]) != PACKING_NONE;
        bytes += (double)set.bytes[i] * (is_packed ? bytes_of_a_token / packed_bytes_of_a_token : 1);
    }
    file_set_free(&set);
    return bytes;
}

// Whether all of it is one document, which is tokenised whole: a single file that is no JSON and no .raw.
static bool is_one_document(const char *path)
{
    struct file_set set = {0};
    struct text_kind kind;
    const bool is_one = file_set_find(&set, path, UINT64_MAX, NULL) == STATUS_OK && set.count == 1 &&
                        text_kind_find(&kind, set.paths[0], NULL) == STATUS_OK && kind.format == TEXT_WHOLE;
    file_set_free(&set);
    return is_one;
}

double longest_text_bytes(const struct settings *settings)
{
    const bool is_whole =
        settings->corpus != NULL && !sequences_are_given(settings) && is_one_document(settings->corpus);
    double bytes =
        text_bytes(settings->corpus, calibration_bytes(settings)) * (is_whole ? bytes_to_tokenise : 1);
    for (size_t i = 0; i < settings->num_texts; i++)
        bytes = fmax(bytes, text_bytes(settings->texts[i].data, UINT64_MAX) * bytes_to_tokenise);
    return bytes;
}

double planned_windows(const struct settings *settings, size_t text)
{
    const bool known = text < settings->num_texts;
    const char *path = known ? settings->texts[text].data : NULL;
    const bool is_packed = path != NULL && packing_of_name(path) != PACKING_NONE;
    const double bytes = file_bytes(path), length = (double)settings->evaluate_length;

    if (known && settings->texts[text].tokens > 0)
        return fmax(1, floor(settings->texts[text].tokens / length));
    const double tokens =
        bytes > 0 ? bytes / (is_packed ? packed_bytes_of_a_token : bytes_of_a_token) : usual_test_tokens;
    return ceil(tokens / length);
}

double task_file_bytes(const struct task_settings *task)
{
    double bytes = task_is_folder(task->data) ? 0 : file_bytes(task->data);
    char path[PATH_SIZE];
    for (size_t s = 0; s < MMLU_SUBJECTS && task_is_folder(task->data); s++)
        if (mmlu_table_path(path, sizeof path, task->data, "test", s))
            bytes += file_bytes(path);
    return bytes * (double)(1 + task->shots); // shots are about as long as questions
}

double task_file_tokens(const struct task_settings *task)
{
    if (task->tokens > 0)
        return task->tokens;
    const double limited = (double)task->limit * (double)PLAN_USUAL_EXAMPLE_TOKENS;
    const double all = task_file_bytes(task) / bytes_of_a_token;
    return task->limit > 0 && limited < all ? limited : all;
}
