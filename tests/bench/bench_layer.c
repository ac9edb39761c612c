// bench_layer.c - pruning a layer of LLaMA-7B's sizes, calibrated with 128 sequences of 2048 tokens, beside
// the two passes of these sequences through the layer that every method makes; in processor time.
// The seconds are extrapolated. The program times one sequence, or one block of 256 rows, and multiplies by
// how many there are. Products and solving are timed for 4096 channels only. For the 11008 channels that the
// linear `down` reads, products and rows count as those of 4096 channels times the square of the ratio of the
// sizes, the factor and the inverses as those of 4096 times its cube. ALPS counts as 33 steps and 9 inverses,
// as many as linears of a small model took. Two rounds are timed, and the seconds are their mean. No method's
// seconds include the two passes; those of least squares and ALPS include the further passes that they make.
// The guard is left out, and so is reading and writing files.
#include "kernels/pruning/solving/gram.h"
#include "tests/bench/llama_layer.h"
#include "tests/bench/solving.h"

enum { SEQUENCES = 128, LENGTH = 2048 };
enum { ROUNDS = 2 };
// Rows that read inputs of each width: query, key, value, output, gate and up; down.
enum { HIDDEN_ROWS = 4 * HIDDEN + 2 * INTERMEDIATE, INTERMEDIATE_ROWS = HIDDEN };
// Inputs of each width: of query, key and value; of output; of gate and up. Of down.
enum { HIDDEN_INPUTS = 3, INTERMEDIATE_INPUTS = 1 };

struct layer {
    struct decoder_config config;
    struct decoder_layer layer;
    struct rotary_table rotary;
    float *weights, *states, *workspace;
    size_t last; // the source at which a pass stops; SIZE_MAX: none
};

static void observe(void *context, size_t source, const float *x, size_t tokens, size_t channels)
{
    (void)context;
    (void)source;
    (void)x;
    (void)tokens;
    (void)channels;
}

static void pass(void *context)
{
    struct layer *l = context;
    const struct decoder_observer observer = {
        .input = observe, .stops = l->last != SIZE_MAX, .last = l->last};

    for (size_t k = 0; k < (size_t)LENGTH * HIDDEN; k++)
        l->states[k] = (float)(k % 1021) * 0x1p-10F - 0.5F;
    decoder_layer_forward(&l->config, &l->layer, &l->rotary, l->states, LENGTH, l->workspace, &observer);
}

static void layer_create(struct layer *l)
{
    struct random_state random = random_seed(3);
    const size_t pairs = HEAD_DIM / 2;
    float *ones = memory(HIDDEN, sizeof(float)), *angles = memory((size_t)LENGTH * pairs, sizeof(float));

    for (size_t j = 0; j < HIDDEN; j++)
        ones[j] = 1;
    l->weights = memory((size_t)INTERMEDIATE * HIDDEN, sizeof(float)); // of all linears
    random_fill(&random, l->weights, (size_t)INTERMEDIATE * HIDDEN, 0.02);
    random_fill(&random, angles, (size_t)LENGTH * pairs, 0.5);
    llama_layer(&l->config, &l->layer, l->weights, ones);
    l->rotary = (struct rotary_table){.tokens = LENGTH, .cosine = angles, .sine = angles};
    l->states = memory((size_t)LENGTH * HIDDEN, sizeof(float));
    l->workspace = memory(decoder_workspace_size(&l->config, LENGTH), sizeof(float));
}

// The passes of one sequence: the whole layer, then up to the inputs of its last three groups of linears.
enum pass_kind { WHOLE, TO_OUTPUT, TO_GATE, TO_DOWN, NUM_PASSES };
static void time_passes(struct bench_times times[NUM_PASSES])
{
    static const enum decoder_source sources[NUM_PASSES] = {
        [TO_OUTPUT] = SOURCE_ATTENTION_OUTPUT, [TO_GATE] = SOURCE_MLP, [TO_DOWN] = SOURCE_MLP_DOWN};
    static struct layer layers[NUM_PASSES];
    struct bench_work works[NUM_PASSES];

    layer_create(&layers[WHOLE]);
    for (size_t i = 0; i < NUM_PASSES; i++) {
        layers[i] = layers[WHOLE];
        layers[i].last = i == WHOLE ? SIZE_MAX : source_number(&layers[i].config, sources[i]);
        works[i] = (struct bench_work){pass, &layers[i]};
    }
    bench_rounds(times, works, NUM_PASSES, ROUNDS);
}

// ---- one sequence's products of HIDDEN channels ---------------------------------------------------------

struct source {
    float *pruned, *dense, *product;
    double *g, *c;
};

static void gather(void *context)
{
    const struct source *source = context;

    for (size_t i = 0; i < gram_tiles(HIDDEN); i++)
        for (size_t j = 0; j < gram_tiles(HIDDEN); j++) {
            const struct gram_tile tile = gram_tile_at(HIDDEN, i, j);
            if (j >= i)
                gram_add(source->g, source->product, source->pruned, source->pruned, LENGTH, HIDDEN, &tile);
            gram_add(source->c, source->product, source->pruned, source->dense, LENGTH, HIDDEN, &tile);
        }
}

static void add_hessian(void *context)
{
    const struct source *source = context;

    for (size_t first = 0; first < HIDDEN; first += HESSIAN_ROWS)
        hessian_add(source->g + first * HIDDEN, source->product, source->pruned, LENGTH, HIDDEN, first,
                    HESSIAN_ROWS);
}

enum gathering { GRAM, HESSIAN, NUM_GATHERINGS };
static void time_gathering(struct bench_times times[NUM_GATHERINGS])
{
    struct random_state random = random_seed(5);
    struct source source = {
        .pruned = memory((size_t)LENGTH * HIDDEN, sizeof(float)),
        .dense = memory((size_t)LENGTH * HIDDEN, sizeof(float)),
        .product = memory((size_t)HIDDEN * HIDDEN, sizeof(float)),
        .g = memory((size_t)HIDDEN * HIDDEN, sizeof(double)),
        .c = memory((size_t)HIDDEN * HIDDEN, sizeof(double)),
    };
    const struct bench_work works[NUM_GATHERINGS] = {
        [GRAM] = {gather, &source}, [HESSIAN] = {add_hessian, &source}};

    random_fill(&random, source.pruned, (size_t)LENGTH * HIDDEN, 1);
    random_fill(&random, source.dense, (size_t)LENGTH * HIDDEN, 1);
    bench_rounds(times, works, NUM_GATHERINGS, ROUNDS);
}

int main(int argc, char **argv)
{
    const struct bench bench = bench_begin(argc, argv);
    const double ratio = (double)INTERMEDIATE / HIDDEN;
    // In terms of what one input of HIDDEN channels costs: by its square, by its cube.
    const double squares = HIDDEN_INPUTS + INTERMEDIATE_INPUTS * ratio * ratio;
    const double cubes = HIDDEN_INPUTS + INTERMEDIATE_INPUTS * ratio * ratio * ratio;
    const double blocks = (HIDDEN_ROWS + INTERMEDIATE_ROWS * ratio * ratio) / ROWS;
    struct bench_times passes[NUM_PASSES], gathering[NUM_GATHERINGS], pieces[NUM_PIECES];
    struct bench_times two = {0}, solving = {0}, alps = {0}, sparsegpt = {0};
    struct problem p = problem_create(HIDDEN);

    time_passes(passes);
    time_gathering(gathering);
    time_pieces(pieces, &p, NUM_PIECES, ROUNDS);
    bench_add(&two, &passes[WHOLE], 2 * SEQUENCES);
    // Two streams up to each input, and their products; then the drift is corrected, and the rest solved for.
    for (size_t i = TO_OUTPUT; i < NUM_PASSES; i++)
        bench_add(&solving, &passes[i], 2 * SEQUENCES);
    bench_add(&solving, &gathering[GRAM], SEQUENCES * squares);
    bench_add(&solving, &pieces[SOLVE], 2 * blocks);
    bench_add(&alps, &solving, 1);
    bench_add(&alps, &pieces[INVERSE], INVERSES * cubes);
    bench_add(&alps, &pieces[STEP], STEPS * blocks);
    bench_add(&sparsegpt, &gathering[HESSIAN], SEQUENCES * squares);
    bench_add(&sparsegpt, &pieces[FACTOR], cubes);
    bench_add(&sparsegpt, &pieces[CORRECT], blocks);
    bench_print_times(&bench, "7B layer: least squares / two passes", &solving, &two, 3, false);
    bench_print_times(&bench, "7B layer: alps / two passes", &alps, &two, 10, false);
    bench_print_times(&bench, "7B layer: sparsegpt / two passes", &sparsegpt, &two, NAN, false);
    problem_free(&p);
    return 0;
}
