#include "stages/layer/hessian.h"

#include "io/file/run_paths.h"
#include "kernels/pruning/solving/second_order.h"
#include "stages/layer/wave_inputs.h"
#include "stages/work.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

// A source of inputs.
struct wanted {
    bool is_wanted; // reaches a pruned linear
    bool is_routed; // is an expert's: of the tokens that it is given
};

struct hessian_sum {
    const struct stage *stage;
    const struct layer_map *map;
    struct wanted *wanted; // [num_sources]
    double **rows;         // [num_sources] this rank's blocks, one after the other, each [HESSIAN_ROWS, in]
    float *product;        // [HESSIAN_ROWS, widest]
    struct wave_inputs inputs;
};

bool stream_needs_hessian(const struct settings *settings, const struct variant *variant)
{
    if (variant != NULL && settings->propagation == PROPAGATION_PRUNED)
        return (method_needs(variant->method) & NEEDS_HESSIAN) != 0;
    for (size_t v = 0; v < settings->num_variants; v++)
        if (method_needs(settings->variants[v].method) & NEEDS_HESSIAN ||
            curves_are_solved(&settings->variants[v]))
            return true;
    return false;
}

void hessian_path(char path[PATH_SIZE], const struct settings *settings, const char *stream, size_t layer)
{
    run_layer_path(path, settings->run, RUN_HESSIANS, stream, layer);
}

const char *hessian_name(const struct layer_map *map, size_t source)
{
    size_t i = 0;
    while (map->tensors[i].linear[0] == '\0' || map->tensors[i].source != source)
        i++;
    return map->tensors[i].linear;
}

// ---- blocks of rows: block b belongs to rank b % size ---------------------------------------------------

static size_t num_blocks(size_t in)
{
    return (in + HESSIAN_ROWS - 1) / HESSIAN_ROWS;
}

static size_t own_blocks(const struct team *team, size_t in)
{
    const size_t rank = (size_t)team->rank, size = (size_t)team->size;
    return (num_blocks(in) + size - 1 - rank) / size;
}

static size_t block_rows(size_t in, size_t block)
{
    const size_t first = block * HESSIAN_ROWS;
    return in - first < HESSIAN_ROWS ? in - first : HESSIAN_ROWS;
}

// ---- what is gathered -----------------------------------------------------------------------------------

static void find_wanted(struct wanted *wanted, const struct settings *settings, const struct layer_map *map)
{
    for (size_t i = 0; i < map->num_tensors; i++) {
        if (!tensor_is_pruned(settings, map->layer, &map->tensors[i]))
            continue;
        wanted[map->tensors[i].source] = (struct wanted){true, map->tensors[i].expert};
    }
}

// Of all inputs that are kept of one sequence. A token goes to num_experts_per_tok of the experts, whose
// inputs are as wide.
static size_t floats_of_sequence(const struct wanted *wanted, const struct settings *settings,
                                 const struct model *model, const struct layer_map *map)
{
    size_t all = 0, routed = 0;
    for (size_t s = 0; s < map->num_sources; s++) {
        all += wanted[s].is_wanted && !wanted[s].is_routed ? map->source_channels[s] : 0;
        routed += wanted[s].is_routed ? map->source_channels[s] : 0;
    }
    if (routed > 0)
        all += (routed * model->config.decoder.num_experts_per_tok + model->config.decoder.num_experts - 1) /
               model->config.decoder.num_experts;
    return all * settings->length;
}

uint64_t hessian_rank_bytes(const struct settings *settings, const struct model *model,
                            const struct layer_map *map, size_t ranks)
{
    const double share = routed_share(&model->config.decoder), length = (double)settings->length;
    struct wanted *wanted = calloc(map->num_sources, sizeof *wanted);
    uint64_t rows = 0, widest = 0;
    double most = 0;

    if (wanted == NULL)
        return 0; // an estimate, like all of these
    find_wanted(wanted, settings, map);
    for (size_t s = 0; s < map->num_sources; s++) {
        const uint64_t in = map->source_channels[s];
        if (!wanted[s].is_wanted)
            continue;
        rows += (num_blocks(in) + ranks - 1) / ranks * HESSIAN_ROWS * in;
        widest = in > widest ? in : widest;
        most = fmax(most, (wanted[s].is_routed ? share : 1) * length * (double)in);
    }
    const uint64_t own = floats_of_sequence(wanted, settings, model, map);
    const uint64_t other = ranks > 1 ? (uint64_t)(1.25 * most) : 0; // wave_inputs.c lets it grow by that
    free(wanted);
    return rows * sizeof(double) + (own + other + HESSIAN_ROWS * widest) * sizeof(float);
}

// ---- making and freeing ---------------------------------------------------------------------------------

static enum status create_rows(struct hessian_sum *sum, struct error *err)
{
    const struct layer_map *map = sum->map;
    const struct team *team = sum->stage->team;
    size_t widest = 0;

    FORWARD_IF_ERROR(allocate(&sum->wanted, map->num_sources, sizeof *sum->wanted, "a Hessian", err));
    FORWARD_IF_ERROR(allocate(&sum->rows, map->num_sources, sizeof *sum->rows, "a Hessian", err));
    FORWARD_IF_ERROR(wave_inputs_create(&sum->inputs, team, map, err));
    find_wanted(sum->wanted, sum->stage->settings, map);
    FORWARD_IF_ERROR(wave_inputs_reserve(
        &sum->inputs, floats_of_sequence(sum->wanted, sum->stage->settings, sum->stage->model, map), err));
    for (size_t s = 0; s < map->num_sources; s++) {
        const size_t in = map->source_channels[s];
        if (!sum->wanted[s].is_wanted)
            continue;
        widest = in > widest ? in : widest;
        FORWARD_IF_ERROR(allocate_aligned(&sum->rows[s], own_blocks(team, in) * HESSIAN_ROWS * in,
                                          sizeof(double), "rows of a Hessian", err));
        memset(sum->rows[s], 0, own_blocks(team, in) * HESSIAN_ROWS * in * sizeof(double));
    }
    return allocate_aligned(&sum->product, HESSIAN_ROWS * widest, sizeof(float), "rows of a Hessian", err);
}

enum status hessian_sum_begin(struct hessian_sum **sum, const struct stage *stage,
                              const struct layer_map *map, struct error *err)
{
    struct hessian_sum *new = NULL;
    enum status status = allocate(&new, 1, sizeof *new, "a Hessian", err);

    *sum = NULL;
    if (status == STATUS_OK) {
        *new = (struct hessian_sum){.stage = stage, .map = map};
        status = create_rows(new, err);
    }
    status = team_agree(stage->team, status, err);
    if (status == STATUS_OK)
        *sum = new;
    else
        hessian_sum_free(new);
    return status;
}

void hessian_sum_free(struct hessian_sum *sum)
{
    if (sum == NULL)
        return;
    for (size_t s = 0; sum->rows != NULL && s < sum->map->num_sources; s++)
        free(sum->rows[s]);
    free(sum->rows);
    free(sum->wanted);
    free(sum->product);
    wave_inputs_free(&sum->inputs);
    free(sum);
}

// ---- gathering ------------------------------------------------------------------------------------------

void hessian_sum_observe(struct hessian_sum *sum, size_t source, const float *x, size_t tokens)
{
    if (sum->wanted[source].is_wanted && tokens != 0)
        wave_inputs_keep(&sum->inputs, source, x, tokens);
}

static void add_input(void *context, const struct wave_input *input, const float *x)
{
    struct hessian_sum *sum = context;
    const struct team *team = sum->stage->team;
    const size_t in = sum->map->source_channels[input->source];
    double *rows = sum->rows[input->source];

    for (size_t block = (size_t)team->rank; block < num_blocks(in); block += (size_t)team->size) {
        hessian_add(rows, sum->product, x, input->tokens, in, block * HESSIAN_ROWS, block_rows(in, block));
        rows += HESSIAN_ROWS * in;
    }
    stage_advance(sum->stage, hessian_work((double)input->tokens, (double)in));
}

enum status hessian_sum_add(struct hessian_sum *sum, struct error *err)
{
    return wave_inputs_visit(&sum->inputs, add_input, sum, err);
}

// ---- the file -------------------------------------------------------------------------------------------

static enum status declare_source(const struct hessian_sum *sum, struct store_writer *writer, size_t source,
                                  uint64_t tokens, struct error *err)
{
    const size_t in = sum->map->source_channels[source];
    const struct store_shape shape = {
        .type = STORE_F64,
        .rank = 2,
        .dims = {in, in},
        .meaning = "upper triangle of 2 / sequences times the sum of x x^T over all inputs x"};
    char name[DATASET_PATH_SIZE];

    dataset_path(name, hessian_name(sum->map, source), DATASET_HESSIAN);
    FORWARD_IF_ERROR(store_declare(writer, name, &shape, err));
    return store_attribute_u64(writer, name, "tokens", tokens, err);
}

static enum status write_source(struct hessian_sum *sum, struct store_writer *writer, size_t source,
                                struct error *err)
{
    const struct team *team = sum->stage->team;
    const size_t in = sum->map->source_channels[source], size = (size_t)team->size;
    const double scale = 2.0 / (double)sum->stage->settings->sequences;
    double *rows = sum->rows[source];
    char name[DATASET_PATH_SIZE];

    for (size_t k = 0; k < own_blocks(team, in) * HESSIAN_ROWS * in; k++)
        rows[k] *= scale;
    // A block's products start at its first column: clear what they left below the diagonal.
    for (size_t b = 0; b < own_blocks(team, in); b++)
        for (size_t i = 1; i < HESSIAN_ROWS; i++)
            for (size_t j = 0, first = (b * size + (size_t)team->rank) * HESSIAN_ROWS;
                 j < i && first + j < in; j++)
                rows[(b * HESSIAN_ROWS + i) * in + first + j] = 0;
    dataset_path(name, hessian_name(sum->map, source), DATASET_HESSIAN);
    for (size_t wave = 0; wave < num_blocks(in); wave += size) {
        const size_t block = wave + (size_t)team->rank;
        const bool mine = block < num_blocks(in);
        FORWARD_IF_ERROR(store_write(writer, name, mine ? block * HESSIAN_ROWS : 0,
                                     mine ? block_rows(in, block) : 0, rows, err));
        rows += mine ? HESSIAN_ROWS * in : 0;
    }
    return STATUS_OK;
}

enum status hessian_sum_commit(struct hessian_sum *sum, const char *stream, const uint64_t *tokens,
                               struct error *err)
{
    const struct stage *stage = sum->stage;
    struct store_writer *writer = NULL;
    char path[PATH_SIZE];
    enum status status;

    hessian_path(path, stage->settings, stream, sum->map->layer);
    FORWARD_IF_ERROR(store_create(&writer, path, settings_origin(stage->settings), stage->team->comm, err));
    for (size_t s = 0; s < sum->map->num_sources; s++)
        if (sum->wanted[s].is_wanted)
            GOTO_IF_ERROR(declare_source(sum, writer, s, tokens[s], err), done);
    for (size_t s = 0; s < sum->map->num_sources; s++)
        if (sum->wanted[s].is_wanted)
            GOTO_IF_ERROR(write_source(sum, writer, s, err), done);
    status = store_commit(writer, err);
    writer = NULL;
done:
    store_abandon(writer);
    return status;
}
