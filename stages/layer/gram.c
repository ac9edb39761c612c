#include "stages/layer/gram.h"

#include "kernels/pruning/solving/gram.h"
#include "stages/layer/hessian.h"
#include "stages/layer/wave_inputs.h"
#include "stages/team/waves.h"
#include "stages/work.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

uint64_t gram_shared_bytes(size_t channels, bool two_streams)
{
    return ((two_streams ? 2 : 1) * (uint64_t)channels * channels + channels) * sizeof(double);
}

uint64_t gram_rank_bytes(size_t channels, size_t widest, size_t tokens, size_t ranks)
{
    // Its own inputs and one of another rank; such buffers grow by a quarter more than is asked for.
    const uint64_t own = (uint64_t)tokens * channels * sizeof(float);
    const uint64_t other = ranks > 1 ? (uint64_t)tokens * widest * sizeof(float) : 0;
    return own + own / 4 + other + other / 4 + (uint64_t)GRAM_TILE * GRAM_TILE * sizeof(float);
}

enum status gram_create(struct gram *gram, const struct stage *stage, uint64_t bytes, struct error *err)
{
    *gram = (struct gram){.stage = stage, .bytes = bytes};
    FORWARD_IF_ERROR(shared_block_allocate(&gram->memory, stage->team, bytes,
                                           "the products of a layer's input channels", err));
    const enum status status = nodes_create(&gram->nodes, stage->team, err);
    if (status != STATUS_OK)
        gram_free(gram);
    return status;
}

void gram_free(struct gram *gram)
{
    nodes_free(&gram->nodes);
    shared_block_free(&gram->memory);
    free(gram->gathered);
    *gram = (struct gram){.stage = NULL};
}

static void take(struct gram *gram, const struct gram_products *products)
{
    gram->in = products->in;
    gram->tokens = products->tokens;
    gram->g = products->g;
    gram->c = products->c;
    gram->sum = products->sum;
}

bool gram_select(struct gram *gram, size_t source)
{
    for (size_t i = 0; i < gram->count; i++)
        if (gram->gathered[i].source == source) {
            take(gram, &gram->gathered[i]);
            return true;
        }
    return false;
}

// ---- tiles: number k belongs to rank k % size -----------------------------------------------------------

// A tile of G or of C.
struct part {
    const struct gram_products *of;
    bool is_c;
    struct gram_tile tile;
};

// One rank's buffers while sources are gathered.
struct gatherer {
    struct gram *gram;
    const struct gram_input *input;
    bool paired;        // both streams are passed
    size_t last;        // of the sources
    struct part *parts; // [num_parts] of each source the tiles of G on and above the diagonal, those of C
    size_t num_parts;
    float *product; // one tile
    struct forward_buffers buffers;
    struct wave_inputs inputs;
    double work; // of the passes of one sequence
    bool is_stopped;
};

static void list_parts(struct gatherer *gatherer)
{
    struct part *part = gatherer->parts;

    for (size_t p = 0; p < gatherer->gram->count; p++) {
        const struct gram_products *of = &gatherer->gram->gathered[p];
        const size_t tiles = gram_tiles(of->in);
        for (size_t i = 0; i < tiles; i++)
            for (size_t j = i; j < tiles; j++)
                *part++ = (struct part){of, false, gram_tile_at(of->in, i, j)};
        for (size_t i = 0; i < tiles && of->c != NULL; i++)
            for (size_t j = 0; j < tiles; j++)
                *part++ = (struct part){of, true, gram_tile_at(of->in, i, j)};
    }
    gatherer->num_parts = (size_t)(part - gatherer->parts);
}

// A tile of G on the diagonal; the sums of its channels go with it.
static bool is_diagonal(const struct part *part)
{
    return !part->is_c && part->tile.row == part->tile.column;
}

static double *matrix_of(const struct part *part)
{
    return part->is_c ? part->of->c : part->of->g;
}

static double *first_of(const struct part *part)
{
    return matrix_of(part) + part->tile.row * part->of->in + part->tile.column;
}

static double *sums_of(const struct part *part)
{
    return part->of->sum + part->tile.column;
}

// ---- making and freeing ---------------------------------------------------------------------------------

static void gatherer_free(struct gatherer *gatherer)
{
    free(gatherer->parts);
    free(gatherer->product);
    forward_buffers_free(&gatherer->buffers);
    wave_inputs_free(&gatherer->inputs);
}

static bool is_expert(const struct layer_map *map, size_t source)
{
    for (size_t i = 0; i < map->num_tensors; i++)
        if (map->tensors[i].linear[0] != '\0' && map->tensors[i].source == source)
            return map->tensors[i].expert;
    return false;
}

static size_t source_at(const struct gram_input *input, size_t i)
{
    return i == 0 ? input->source : input->others[i - 1];
}

// Lays the products of all sources out in the memory, one after the other.
static enum status lay_out(struct gatherer *gatherer, struct error *err)
{
    struct gram *gram = gatherer->gram;
    const struct gram_input *input = gatherer->input;
    double *next = gram->memory.data;
    uint64_t bytes = 0;

    free(gram->gathered);
    gram->gathered = NULL;
    gram->count = 0;
    FORWARD_IF_ERROR(
        allocate(&gram->gathered, 1 + input->num_others, sizeof *gram->gathered, "a list of inputs", err));
    for (size_t i = 0; i < 1 + input->num_others; i++) {
        const size_t source = source_at(input, i), in = input->map->source_channels[source];
        bytes += gram_shared_bytes(in, gatherer->paired);
        RETURN_ERROR_IF(bytes > gram->bytes, err, STATUS_FAILED,
                        "%zu input channels of %s: there is room for %llu bytes", in,
                        gatherer->paired ? "two streams" : "one stream", (unsigned long long)gram->bytes);
        double *c = gatherer->paired ? next + in * in : NULL, *sum = next + (c != NULL ? 2 : 1) * in * in;
        gram->gathered[gram->count++] = (struct gram_products){source, in, 0, next, c, sum};
        next = sum + in;
        gatherer->last = source > gatherer->last ? source : gatherer->last;
    }
    return STATUS_OK;
}

static enum status gatherer_create(struct gatherer *gatherer, struct gram *gram,
                                   const struct gram_input *input, struct error *err)
{
    const struct stage *stage = gram->stage;
    const size_t tokens = stage->settings->length;
    size_t most = 0;

    *gatherer =
        (struct gatherer){.gram = gram,
                          .input = input,
                          .paired = input->dense.layer != NULL && !is_expert(input->map, input->source)};
    FORWARD_IF_ERROR(lay_out(gatherer, err));
    gatherer->work =
        (gatherer->paired ? 2 : 1) * source_forward_work(stage->model, input->map, gatherer->last, tokens);
    for (size_t i = 0; i < gram->count; i++)
        most += 2 * gram_tiles(gram->gathered[i].in) * gram_tiles(gram->gathered[i].in);
    FORWARD_IF_ERROR(allocate(&gatherer->parts, most, sizeof *gatherer->parts, "the tiles of a matrix", err));
    list_parts(gatherer);
    FORWARD_IF_ERROR(allocate_aligned(&gatherer->product, (size_t)GRAM_TILE * GRAM_TILE, sizeof(float),
                                      "a tile of a matrix", err));
    FORWARD_IF_ERROR(wave_inputs_create(&gatherer->inputs, stage->team, input->map, err));
    return forward_buffers_create(&gatherer->buffers, stage->model, tokens, err);
}

// ---- one sequence ---------------------------------------------------------------------------------------

// What is gathered of the source; NULL: nothing.
static struct gram_products *products_of(const struct gram *gram, size_t source)
{
    for (size_t i = 0; i < gram->count; i++)
        if (gram->gathered[i].source == source)
            return &gram->gathered[i];
    return NULL;
}

static void keep_input(void *context, size_t source, const float *x, size_t tokens, size_t channels)
{
    struct gatherer *gatherer = context;
    (void)channels;
    if (products_of(gatherer->gram, source) != NULL)
        wave_inputs_keep(&gatherer->inputs, source, x, tokens);
}

static enum status pass(struct gatherer *gatherer, const struct gram_stream *stream, size_t sequence,
                        struct error *err)
{
    const struct stage *stage = gatherer->gram->stage;
    struct forward_buffers *buffers = &gatherer->buffers;
    const struct decoder_observer observer = {
        .context = gatherer, .input = keep_input, .stops = true, .last = gatherer->last};

    FORWARD_IF_ERROR(hidden_states_read(stream->states, stage, sequence, buffers->hidden, err));
    decoder_layer_forward(&stage->model->config.decoder, stream->layer, &buffers->rotary, buffers->hidden,
                          stage->settings->length, buffers->workspace, &observer);
    return STATUS_OK;
}

static enum status pass_both(struct gatherer *gatherer, size_t sequence, struct error *err)
{
    FORWARD_IF_ERROR(pass(gatherer, &gatherer->input->pruned, sequence, err));
    return gatherer->paired ? pass(gatherer, &gatherer->input->dense, sequence, err) : STATUS_OK;
}

// x: xhat, with two streams followed by x. A rank that is told to stop leaves its tiles as they are.
static void add_input(void *context, const struct wave_input *input, const float *x)
{
    struct gatherer *gatherer = context;
    const struct gram *gram = gatherer->gram;
    const struct team *team = gram->stage->team;
    struct gram_products *products = products_of(gram, input->source);
    const float *dense = x + input->tokens * products->in;

    for (size_t k = (size_t)team->rank; k < gatherer->num_parts; k += (size_t)team->size) {
        const struct part *part = &gatherer->parts[k];
        if (part->of != products)
            continue;
        gatherer->is_stopped = gatherer->is_stopped || stage_is_stopped(gram->stage, 0);
        if (gatherer->is_stopped)
            return;
        gram_add(matrix_of(part), gatherer->product, x, part->is_c ? dense : x, input->tokens, products->in,
                 &part->tile);
        if (is_diagonal(part))
            gram_add_sums(sums_of(part), x, input->tokens, products->in, &part->tile);
    }
    products->tokens += input->tokens;
    stage_advance(gram->stage, gram_work((double)input->tokens, (double)products->in, gatherer->paired));
}

static enum status add_sequences(struct gatherer *gatherer, struct error *err)
{
    const struct stage *stage = gatherer->gram->stage;
    const struct team *team = stage->team;
    const size_t first = gatherer->input->first, end = gatherer->input->end;

    for (size_t wave = waves_begin(team, first, stage->carried != NULL); wave < end;
         wave += (size_t)team->size) {
        size_t sequence;
        const bool mine = wave_sequence(&sequence, team, wave, first, end);
        const enum status status = mine ? pass_both(gatherer, sequence, err) : STATUS_OK;
        FORWARD_IF_ERROR(stage_safe_point(stage, status, 0, err));
        stage_advance(stage, gatherer->work * (double)wave_count(team, wave, first, end));
        FORWARD_IF_ERROR(wave_inputs_visit(&gatherer->inputs, add_input, gatherer, err));
        FORWARD_IF_ERROR(team_agree(
            team, gatherer->is_stopped ? error_set(err, STATUS_STOPPED, "told to stop") : STATUS_OK, err));
    }
    return STATUS_OK;
}

// ---- all of the matrices --------------------------------------------------------------------------------

static void clear_own(const struct gatherer *gatherer)
{
    const struct team *team = gatherer->gram->stage->team;

    for (size_t k = (size_t)team->rank; k < gatherer->num_parts; k += (size_t)team->size) {
        const struct part *part = &gatherer->parts[k];
        for (size_t i = 0; i < part->tile.rows; i++)
            memset(first_of(part) + i * part->of->in, 0, part->tile.columns * sizeof(double));
        if (is_diagonal(part))
            memset(sums_of(part), 0, part->tile.columns * sizeof(double));
    }
}

static enum status send_parts(const struct gatherer *gatherer, struct error *err)
{
    const struct gram *gram = gatherer->gram;

    for (size_t k = 0; k < gatherer->num_parts; k++) {
        const struct part *part = &gatherer->parts[k];
        const int owner = (int)(k % (size_t)gram->stage->team->size);
        const struct double_rows rows = {first_of(part), part->tile.rows, part->tile.columns, part->of->in};
        const struct double_rows sums = {sums_of(part), 1, part->tile.columns, part->of->in};
        FORWARD_IF_ERROR(nodes_send_rows(&gram->nodes, &rows, owner, err));
        if (is_diagonal(part))
            FORWARD_IF_ERROR(nodes_send_rows(&gram->nodes, &sums, owner, err));
    }
    return STATUS_OK;
}

// From the ranks' tiles to whole matrices on every node.
static enum status complete(const struct gatherer *gatherer, struct error *err)
{
    const struct gram *gram = gatherer->gram;
    const struct team *team = gram->stage->team;

    shared_block_sync(&gram->memory, team);
    FORWARD_IF_ERROR(team_agree(team, send_parts(gatherer, err), err));
    shared_block_sync(&gram->memory, team);
    for (size_t k = (size_t)team->node_rank; k < gatherer->num_parts; k += (size_t)team->node_size)
        if (!gatherer->parts[k].is_c)
            gram_mirror(gatherer->parts[k].of->g, gatherer->parts[k].of->in, &gatherer->parts[k].tile);
    shared_block_sync(&gram->memory, team);
    return STATUS_OK;
}

// This rank's share of a matrix's rows; NULL: there is no such matrix.
static enum status check_finite(const struct gatherer *gatherer, const struct gram_products *products,
                                const double *matrix, struct error *err)
{
    const struct layer_map *map = gatherer->input->map;
    const struct team *team = gatherer->gram->stage->team;
    const size_t in = products->in;
    size_t first, count;

    share_of(matrix != NULL ? in : 0, (size_t)team->node_rank, (size_t)team->node_size, &first, &count);
    // The first one to be found is in the column of the channel that is not finite, or whose squares are not.
    for (size_t k = first * in; k < (first + count) * in; k++)
        RETURN_ERROR_IF(!isfinite(matrix[k]), err, STATUS_INPUT,
                        "layers.%zu.%s: the products of input channel %zu are not finite over the "
                        "calibration sequences",
                        map->layer, hessian_name(map, products->source), k % in);
    return STATUS_OK;
}

static enum status check_all(const struct gatherer *gatherer, struct error *err)
{
    for (size_t i = 0; i < gatherer->gram->count; i++) {
        const struct gram_products *products = &gatherer->gram->gathered[i];
        FORWARD_IF_ERROR(check_finite(gatherer, products, products->g, err));
        FORWARD_IF_ERROR(check_finite(gatherer, products, products->c, err));
    }
    return STATUS_OK;
}

enum status gram_gather(struct gram *gram, const struct gram_input *input, struct error *err)
{
    const struct team *team = gram->stage->team;
    struct gatherer gatherer;
    enum status status = gatherer_create(&gatherer, gram, input, err);

    GOTO_IF_ERROR(team_agree(team, status, err), done);
    // The others of the node may still read what was gathered before.
    shared_block_sync(&gram->memory, team);
    clear_own(&gatherer);
    GOTO_IF_ERROR(add_sequences(&gatherer, err), done);
    GOTO_IF_ERROR(complete(&gatherer, err), done);
    GOTO_IF_ERROR(team_agree(team, check_all(&gatherer, err), err), done);
    take(gram, &gram->gathered[0]);
done:
    gatherer_free(&gatherer);
    return status;
}
