#include "stages/diagnose.h"

#include "kernels/pruning/diagnostics.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_PARTS = 8 };

struct part {
    const char *name;
    struct matrix_view matrix;
};

// A layer's linears by the parts they play in it; data NULL: absent.
struct anatomy {
    const struct decoder_config *config;
    struct matrix_view q, k, v, o, gate, up, down;
};

enum measure { MEASURE_ADJACENT, MEASURE_QUERY_KEY, MEASURE_VALUE_OUTPUT, MEASURE_COMMUTATOR };

// One number to be measured, by one rank.
struct measurement {
    enum measure measure;
    const char *a_name, *b_name;
    struct matrix_view a, b;
    enum singular_side b_side; // of an overlap; a's is left
    size_t k, dimension;
};

struct measurements {
    struct measurement *items;
    size_t count;
};

// ---- which matrices --------------------------------------------------------------------------------------

static struct matrix_view view_of(const struct linear *linear)
{
    return (struct matrix_view){linear->weight, linear->out, linear->in, linear->in};
}

static struct matrix_view rows_of(const struct matrix_view *matrix, size_t first, size_t count)
{
    if (matrix->data == NULL)
        return *matrix;
    return (struct matrix_view){matrix->data + first * matrix->stride, count, matrix->columns,
                                matrix->stride};
}

static void dissect(struct anatomy *anatomy, const struct decoder_layer *layer,
                    const struct decoder_config *config)
{
    const size_t query = config->num_attention_heads * config->head_dim;
    const size_t key = config->num_key_value_heads * config->head_dim;

    *anatomy = (struct anatomy){config,
                                view_of(&layer->q), // with gates, if the heads have them
                                view_of(&layer->k),
                                view_of(&layer->v),
                                view_of(&layer->o),
                                view_of(&layer->gate),
                                view_of(&layer->up),
                                view_of(&layer->down)};
    if (layer->qkv.weight != NULL && config->qkv_layout == QKV_BLOCKS) {
        const struct matrix_view all = view_of(&layer->qkv);
        anatomy->q = rows_of(&all, 0, query);
        anatomy->k = rows_of(&all, query, key);
        anatomy->v = rows_of(&all, query + key, key);
    }
    if (layer->gate_up.weight != NULL) {
        const struct matrix_view all = view_of(&layer->gate_up);
        anatomy->gate = rows_of(&all, 0, all.rows / 2);
        anatomy->up = rows_of(&all, all.rows / 2, all.rows / 2);
    }
}

// Rows of one head of q (which 0), k (1) or v (2).
static struct matrix_view head_of(const struct anatomy *anatomy, const struct decoder_layer *layer,
                                  size_t which, size_t head)
{
    const struct decoder_config *config = anatomy->config;
    const struct matrix_view *whole = which == 0 ? &anatomy->q : which == 1 ? &anatomy->k : &anatomy->v;

    if (which > 0)
        head /= config->num_attention_heads / config->num_key_value_heads;
    if (layer->qkv.weight != NULL) {
        const struct matrix_view all = view_of(&layer->qkv);
        return rows_of(&all, qkv_row(config, (enum qkv_part)which, head), config->head_dim);
    }
    if (which == 0 && config->gated_attention)
        head *= 2; // each query is followed by its gate
    return rows_of(whole, head * config->head_dim, config->head_dim);
}

// ---- which numbers ---------------------------------------------------------------------------------------

static size_t least_side(const struct matrix_view *a, const struct matrix_view *b)
{
    const size_t sides[] = {a->rows, a->columns, b->rows, b->columns};
    size_t least = sides[0];
    for (size_t i = 1; i < 4; i++)
        least = sides[i] < least ? sides[i] : least;
    return least;
}

static void add_adjacent(struct measurements *measurements, const struct part *from, const struct part *to)
{
    const struct matrix_view *a = &from->matrix, *b = &to->matrix;
    if (a->data == NULL || b->data == NULL || a->rows != b->columns)
        return;
    size_t k = least_side(a, b) / 4;
    k = k < 1 ? 1 : k > DIAGNOSE_MOST ? DIAGNOSE_MOST : k;
    measurements->items[measurements->count++] =
        (struct measurement){MEASURE_ADJACENT, from->name, to->name, *a, *b, SINGULAR_RIGHT, k, a->rows};
}

static void add_heads(struct measurements *measurements, const struct anatomy *anatomy,
                      const struct decoder_layer *layer)
{
    const struct decoder_config *config = anatomy->config;
    const size_t dim = config->head_dim;

    for (size_t head = 0; head < config->num_attention_heads; head++) {
        const struct matrix_view q = head_of(anatomy, layer, 0, head), k = head_of(anatomy, layer, 1, head);
        if (q.data != NULL && k.data != NULL)
            measurements->items[measurements->count++] = (struct measurement){
                MEASURE_QUERY_KEY, "q", "k", q, k, SINGULAR_LEFT, dim > 1 ? dim / 2 : 1, dim};
    }
    for (size_t head = 0; head < config->num_attention_heads; head++) {
        const struct matrix_view v = head_of(anatomy, layer, 2, head);
        if (v.data == NULL || anatomy->o.data == NULL)
            continue;
        const struct matrix_view o = {anatomy->o.data + head * dim, anatomy->o.rows, dim, anatomy->o.stride};
        measurements->items[measurements->count++] = (struct measurement){
            MEASURE_VALUE_OUTPUT, "v", "o", v, o, SINGULAR_RIGHT, dim > 1 ? dim / 2 : 1, dim};
    }
}

static enum status list_measurements(struct measurements *measurements, const struct anatomy *anatomy,
                                     const struct decoder_layer *layer, struct error *err)
{
    const struct matrix_view absent = {0};
    const struct part parts[] = {{"q", anatomy->config->gated_attention ? absent : anatomy->q},
                                 {"k", anatomy->k},
                                 {"v", anatomy->v},
                                 {"o", anatomy->o},
                                 {"gate", anatomy->gate},
                                 {"up", anatomy->up},
                                 {"down", anatomy->down}};
    enum { Q, K, V, O, GATE, UP, DOWN, PARTS };
    static const size_t adjacent[][2] = {{V, O}, {O, GATE}, {O, UP}, {GATE, DOWN}, {UP, DOWN}};
    enum { ADJACENT = sizeof adjacent / sizeof *adjacent };

    measurements->count = 0;
    FORWARD_IF_ERROR(allocate(&measurements->items,
                              ADJACENT + 2 * anatomy->config->num_attention_heads + MOST_PARTS * MOST_PARTS,
                              sizeof *measurements->items, "the diagnostics", err));
    for (size_t i = 0; i < ADJACENT; i++)
        add_adjacent(measurements, &parts[adjacent[i][0]], &parts[adjacent[i][1]]);
    add_heads(measurements, anatomy, layer);
    for (size_t i = 0; i < PARTS; i++)
        for (size_t j = i + 1; j < PARTS; j++) {
            const struct matrix_view *a = &parts[i].matrix, *b = &parts[j].matrix;
            if (a->data != NULL && b->data != NULL && a->rows == a->columns && b->rows == a->rows &&
                b->columns == a->rows)
                measurements->items[measurements->count++] =
                    (struct measurement){.measure = MEASURE_COMMUTATOR,
                                         .a_name = parts[i].name,
                                         .b_name = parts[j].name,
                                         .a = *a,
                                         .b = *b};
        }
    return STATUS_OK;
}

// ---- measuring -------------------------------------------------------------------------------------------

static enum status measure_overlap(double *value, const struct measurement *measurement, struct error *err)
{
    double *a = NULL, *b = NULL;
    size_t found_a, found_b;
    enum status status;

    GOTO_IF_ERROR(allocate(&a, measurement->k * measurement->dimension, sizeof *a, "singular vectors", err),
                  done);
    GOTO_IF_ERROR(allocate(&b, measurement->k * measurement->dimension, sizeof *b, "singular vectors", err),
                  done);
    GOTO_IF_ERROR(singular_basis(a, &found_a, &measurement->a, SINGULAR_LEFT, measurement->k, err), done);
    GOTO_IF_ERROR(singular_basis(b, &found_b, &measurement->b, measurement->b_side, measurement->k, err),
                  done);
    *value = subspace_overlap(a, found_a, b, found_b, measurement->dimension);
done:
    free(a);
    free(b);
    return status;
}

// Every rank measures its share; afterwards all ranks know all numbers. A number that another rank measures
// is 0 as an integer, so that the sum over the ranks has the bits of the one that was measured.
static enum status measure_all(double *values, const struct stage *stage,
                               const struct measurements *measurements, struct error *err)
{
    const struct team *team = stage->team;
    uint64_t *bits = NULL;
    enum status status = allocate(&bits, measurements->count, sizeof *bits, "the diagnostics", err);

    for (size_t i = 0; i < measurements->count; i++) {
        const struct measurement *measurement = &measurements->items[i];
        if (status != STATUS_OK || i % (size_t)team->size != (size_t)team->rank)
            continue;
        values[i] = 0;
        status = measurement->measure == MEASURE_COMMUTATOR
                     ? commutator_magnitude(&values[i], &measurement->a, &measurement->b, err)
                     : measure_overlap(&values[i], measurement, err);
        if (status == STATUS_OK)
            memcpy(&bits[i], &values[i], sizeof *bits);
    }
    GOTO_IF_ERROR(stage_safe_point(stage, status, 1, err), done);
    GOTO_IF_ERROR(team_sum_u64(team, bits, measurements->count, err), done);
    memcpy(values, bits, measurements->count * sizeof *values);
done:
    free(bits);
    return status;
}

static json_t *to_json(const struct measurements *measurements, const double *values, size_t layer)
{
    json_t *adjacent = json_array(), *query_key = json_array(), *value_output = json_array();
    json_t *commutators = json_array(), *heads = json_object();

    for (size_t i = 0; i < measurements->count; i++) {
        const struct measurement *measurement = &measurements->items[i];
        const double chance =
            measurement->dimension > 0 ? (double)measurement->k / (double)measurement->dimension : 0;
        switch (measurement->measure) {
        case MEASURE_ADJACENT:
            json_array_append_new(
                adjacent, json_pack("{s:s, s:s, s:I, s:I, s:f, s:f}", "from", measurement->a_name, "to",
                                    measurement->b_name, "dimension", (json_int_t)measurement->dimension, "k",
                                    (json_int_t)measurement->k, "overlap", values[i], "chance", chance));
            break;
        case MEASURE_QUERY_KEY:
        case MEASURE_VALUE_OUTPUT:
            json_object_set_new(heads, "k", json_integer((json_int_t)measurement->k));
            json_object_set_new(heads, "chance", json_real(chance));
            json_array_append_new(measurement->measure == MEASURE_QUERY_KEY ? query_key : value_output,
                                  json_real(values[i]));
            break;
        case MEASURE_COMMUTATOR:
            json_array_append_new(commutators, json_pack("{s:s, s:s, s:f}", "a", measurement->a_name, "b",
                                                         measurement->b_name, "magnitude", values[i]));
            break;
        }
    }
    json_object_set_new(heads, "query_key", query_key);
    json_object_set_new(heads, "value_output", value_output);
    return json_pack("{s:I, s:o, s:o, s:o}", "layer", (json_int_t)layer, "adjacent", adjacent, "heads", heads,
                     "commutators", commutators);
}

enum status diagnose_layer(json_t **result, const struct stage *stage, struct layer_weights *weights,
                           const struct variant *variant, size_t layer, struct error *err)
{
    const struct decoder_config config = layer_config(&stage->model->config, layer);
    struct anatomy anatomy;
    struct measurements measurements = {NULL, 0};
    double *values = NULL;
    enum status status;

    *result = NULL;
    FORWARD_IF_ERROR(layer_weights_load(weights, stage, layer, variant, err));
    dissect(&anatomy, &weights->layer, &config);
    status = list_measurements(&measurements, &anatomy, &weights->layer, err);
    if (status == STATUS_OK)
        status = allocate(&values, measurements.count, sizeof *values, "the diagnostics", err);
    GOTO_IF_ERROR(team_agree(stage->team, status, err), done);
    GOTO_IF_ERROR(measure_all(values, stage, &measurements, err), done);
    *result = to_json(&measurements, values, layer);
    if (*result == NULL)
        status = error_set(err, STATUS_MEMORY, "out of memory for the diagnostics of layer %zu", layer);
    status = team_agree(stage->team, status, err);
done:
    free(measurements.items);
    free(values);
    return status;
}
