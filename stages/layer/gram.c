#include "stages/layer/gram.h"

#include "kernels/pruning/gram.h"
#include "stages/layer/hessian.h"
#include "stages/layer/wave_inputs.h"
#include "stages/work.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

uint64_t gram_shared_bytes(size_t widest, bool two_streams)
{
    return ((two_streams ? 2 : 1) * (uint64_t)widest * widest + widest) * sizeof(double);
}

uint64_t gram_rank_bytes(size_t widest, bool two_streams, size_t tokens, size_t ranks)
{
    // Its own inputs and those of another rank; such buffers grow by a quarter more than is asked for.
    const uint64_t inputs = (two_streams ? 2 : 1) * (uint64_t)tokens * widest * sizeof(float);
    return (ranks > 1 ? 2 : 1) * (inputs + inputs / 4) + (uint64_t)GRAM_TILE * GRAM_TILE * sizeof(float);
}

enum status gram_create(struct gram *gram, const struct stage *stage, size_t widest, bool two_streams,
                        struct error *err)
{
    *gram = (struct gram){.stage = stage, .widest = widest, .two_streams = two_streams};
    FORWARD_IF_ERROR(shared_block_allocate(&gram->memory, stage->team, gram_shared_bytes(widest, two_streams),
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
    *gram = (struct gram){.stage = NULL};
}

// ---- tiles: number k belongs to rank k % size -----------------------------------------------------------

// A tile of G or of C.
struct part {
    bool is_c;
    struct gram_tile tile;
};

// One rank's buffers while a source is gathered.
struct gatherer {
    struct gram *gram;
    const struct gram_input *input;
    bool paired;        // both streams are passed
    struct part *parts; // [num_parts] the tiles of G on and above the diagonal, then those of C
    size_t num_parts;
    float *product; // one tile
    struct forward_buffers buffers;
    struct wave_inputs inputs;
    double work; // of the passes of one sequence
};

static void list_parts(struct gatherer *gatherer)
{
    const size_t in = gatherer->gram->in, tiles = gram_tiles(in);
    struct part *part = gatherer->parts;

    for (size_t i = 0; i < tiles; i++)
        for (size_t j = i; j < tiles; j++)
            *part++ = (struct part){false, gram_tile_at(in, i, j)};
    for (size_t i = 0; i < tiles && gatherer->paired; i++)
        for (size_t j = 0; j < tiles; j++)
            *part++ = (struct part){true, gram_tile_at(in, i, j)};
    gatherer->num_parts = (size_t)(part - gatherer->parts);
}

// A tile of G on the diagonal; the sums of its channels go with it.
static bool is_diagonal(const struct part *part)
{
    return !part->is_c && part->tile.row == part->tile.column;
}

static double *matrix_of(const struct gram *gram, const struct part *part)
{
    return part->is_c ? gram->c : gram->g;
}

static double *first_of(const struct gram *gram, const struct part *part)
{
    return matrix_of(gram, part) + part->tile.row * gram->in + part->tile.column;
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

static enum status gatherer_create(struct gatherer *gatherer, struct gram *gram,
                                   const struct gram_input *input, struct error *err)
{
    const struct stage *stage = gram->stage;
    const size_t in = input->map->source_channels[input->source], tokens = stage->settings->length;
    const bool paired = input->dense.layer != NULL && !is_expert(input->map, input->source);
    double *memory = gram->memory.data;

    *gatherer = (struct gatherer){.gram = gram, .input = input, .paired = paired};
    RETURN_ERROR_IF(in > gram->widest || (paired && !gram->two_streams), err, STATUS_FAILED,
                    "%zu input channels of %s: there is room for %zu of %s", in,
                    paired ? "two streams" : "one stream", gram->widest, gram->two_streams ? "two" : "one");
    gram->in = in;
    gram->tokens = 0;
    gram->g = memory;
    gram->c = paired ? memory + in * in : NULL;
    gram->sum = memory + (paired ? 2 : 1) * in * in;
    gatherer->work = (paired ? 2 : 1) * source_forward_work(stage->model, input->map, input->source, tokens);
    FORWARD_IF_ERROR(allocate(&gatherer->parts, 2 * gram_tiles(in) * gram_tiles(in), sizeof *gatherer->parts,
                              "the tiles of a matrix", err));
    list_parts(gatherer);
    FORWARD_IF_ERROR(allocate_aligned(&gatherer->product, (size_t)GRAM_TILE * GRAM_TILE, sizeof(float),
                                      "a tile of a matrix", err));
    FORWARD_IF_ERROR(wave_inputs_create(&gatherer->inputs, stage->team, input->map, err));
    return forward_buffers_create(&gatherer->buffers, stage->model, tokens, err);
}

// ---- one sequence ---------------------------------------------------------------------------------------

static void keep_input(void *context, size_t source, const float *x, size_t tokens, size_t channels)
{
    struct gatherer *gatherer = context;
    (void)channels;
    if (source == gatherer->input->source)
        wave_inputs_keep(&gatherer->inputs, source, x, tokens);
}

static enum status pass(struct gatherer *gatherer, const struct gram_stream *stream, size_t sequence,
                        struct error *err)
{
    const struct stage *stage = gatherer->gram->stage;
    struct forward_buffers *buffers = &gatherer->buffers;
    const struct decoder_observer observer = {
        .context = gatherer, .input = keep_input, .stops = true, .last = gatherer->input->source};

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

// x: xhat, with two streams followed by x.
static void add_input(void *context, const struct wave_input *input, const float *x)
{
    struct gatherer *gatherer = context;
    struct gram *gram = gatherer->gram;
    const struct team *team = gram->stage->team;
    const float *dense = x + input->tokens * gram->in;

    for (size_t k = (size_t)team->rank; k < gatherer->num_parts; k += (size_t)team->size) {
        const struct part *part = &gatherer->parts[k];
        gram_add(matrix_of(gram, part), gatherer->product, x, part->is_c ? dense : x, input->tokens, gram->in,
                 &part->tile);
        if (is_diagonal(part))
            gram_add_sums(gram->sum + part->tile.column, x, input->tokens, gram->in, &part->tile);
    }
    gram->tokens += input->tokens;
    stage_advance(gram->stage, gram_work((double)input->tokens, (double)gram->in, gatherer->paired));
}

static enum status add_sequences(struct gatherer *gatherer, struct error *err)
{
    const struct stage *stage = gatherer->gram->stage;
    const size_t ranks = (size_t)stage->team->size, end = gatherer->input->end;

    for (size_t wave = gatherer->input->first; wave < end; wave += ranks) {
        const size_t sequence = wave + (size_t)stage->team->rank;
        const size_t in_wave = end - wave < ranks ? end - wave : ranks;
        const enum status status = sequence < end ? pass_both(gatherer, sequence, err) : STATUS_OK;
        FORWARD_IF_ERROR(stage_safe_point(stage, status, 0, err));
        stage_advance(stage, gatherer->work * (double)in_wave);
        FORWARD_IF_ERROR(wave_inputs_visit(&gatherer->inputs, add_input, gatherer, err));
    }
    return STATUS_OK;
}

// ---- all of the matrices --------------------------------------------------------------------------------

static void clear_own(const struct gatherer *gatherer)
{
    const struct gram *gram = gatherer->gram;
    const struct team *team = gram->stage->team;

    for (size_t k = (size_t)team->rank; k < gatherer->num_parts; k += (size_t)team->size) {
        const struct part *part = &gatherer->parts[k];
        for (size_t i = 0; i < part->tile.rows; i++)
            memset(first_of(gram, part) + i * gram->in, 0, part->tile.columns * sizeof(double));
        if (is_diagonal(part))
            memset(gram->sum + part->tile.column, 0, part->tile.columns * sizeof(double));
    }
}

static enum status send_parts(const struct gatherer *gatherer, struct error *err)
{
    const struct gram *gram = gatherer->gram;

    for (size_t k = 0; k < gatherer->num_parts; k++) {
        const struct part *part = &gatherer->parts[k];
        const int owner = (int)(k % (size_t)gram->stage->team->size);
        const struct double_rows rows = {first_of(gram, part), part->tile.rows, part->tile.columns, gram->in};
        const struct double_rows sums = {gram->sum + part->tile.column, 1, part->tile.columns, gram->in};
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
            gram_mirror(gram->g, gram->in, &gatherer->parts[k].tile);
    shared_block_sync(&gram->memory, team);
    return STATUS_OK;
}

// This rank's share of a matrix's rows; NULL: there is no such matrix.
static enum status check_finite(const struct gatherer *gatherer, const double *matrix, struct error *err)
{
    const struct layer_map *map = gatherer->input->map;
    const struct team *team = gatherer->gram->stage->team;
    const size_t in = gatherer->gram->in;
    size_t first, count;

    share_of(matrix != NULL ? in : 0, (size_t)team->node_rank, (size_t)team->node_size, &first, &count);
    // The first one to be found is in the column of the channel that is not finite, or whose squares are not.
    for (size_t k = first * in; k < (first + count) * in; k++)
        RETURN_ERROR_IF(!isfinite(matrix[k]), err, STATUS_INPUT,
                        "layers.%zu.%s: the products of input channel %zu are not finite over the "
                        "calibration sequences",
                        map->layer, hessian_name(map, gatherer->input->source), k % in);
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
    status = check_finite(&gatherer, gram->g, err);
    if (status == STATUS_OK)
        status = check_finite(&gatherer, gram->c, err);
    status = team_agree(team, status, err);
done:
    gatherer_free(&gatherer);
    return status;
}
