#include "tests/support/small_model.h"

#include "io/model/open.h"
#include "io/store/store.h"
#include "stages/compensate/compensate.h"
#include "stages/layer/calibrate.h"
#include "stages/layer/sequences.h"
#include "stages/prune/prune.h"
#include "tests/support/random.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct small_model_shape small_model_shape(void)
{
    struct small_model_shape shape = {
        .checkpoint = random_checkpoint_defaults(), .sequences = 5, .length = 12};
    shape.checkpoint.hidden = 20;
    shape.checkpoint.intermediate = 36;
    shape.checkpoint.heads = 2;
    shape.checkpoint.kv_heads = 1;
    shape.checkpoint.vocab = 258;
    return shape;
}

// ---- opening and closing ---------------------------------------------------------------------------------

static void count_notice(void *context, const char *text)
{
    struct small_model *small = context;
    small->num_notices++;
    snprintf(small->notice, sizeof small->notice, "%s", text);
}

static char *copy(const char *text)
{
    char *own = strdup(text);
    assert_non_null(own);
    return own;
}

// Collective over the team.
static void write_ids(const struct small_model *small)
{
    const struct store_shape shape = {
        .type = STORE_I32, .rank = 2, .dims = {small->settings.sequences, small->settings.length}};
    const bool root = small->team.rank == 0;
    struct store_writer *writer;
    struct error err = {0};
    char path[PATH_SIZE];

    sequences_path(path, &small->settings);
    if (root)
        remove(path);
    assert_ok(store_create(&writer, path, NO_ORIGIN, small->team.comm, &err), err);
    assert_ok(store_declare(writer, TOKENS_DATASET, &shape, &err), err);
    assert_ok(store_write(writer, TOKENS_DATASET, 0, root ? shape.dims[0] : 0, small->ids, &err), err);
    assert_ok(store_commit(writer, &err), err);
}

// `run`: the name of the run directory; teams: into how many the ranks are split.
static void open_job(struct small_model *small, const struct small_model_shape *shape, const char *run,
                     int teams)
{
    const size_t ids = shape->sequences * shape->length;
    struct random_state random = random_seed(1);
    struct error err = {0};
    char output[64];

    snprintf(output, sizeof output, "%s-output", run);
    memset(small, 0, sizeof *small);
    small->shape = *shape;
    small->settings = (struct settings){.model = copy(in_directory("model")),
                                        .run = copy(in_directory(run)),
                                        .output = copy(in_directory(output)),
                                        .sequences = shape->sequences,
                                        .length = shape->length,
                                        .propagation = PROPAGATION_DENSE,
                                        .variants = small->variants};
    assert_ok(model_open(&small->model, small->settings.model, &err), err);
    assert_ok(team_create(&small->team, MPI_COMM_WORLD, teams, &err), err);
    small->stage = (struct stage){.team = &small->team,
                                  .model = small->model,
                                  .settings = &small->settings,
                                  .hooks = {.context = small, .notice = count_notice}};
    assert_ok(layer_weights_create(&small->weights, &small->stage, &err), err);
    small->ids = malloc(ids * sizeof *small->ids);
    assert_non_null(small->ids);
    for (size_t i = 0; i < ids; i++)
        small->ids[i] = (int32_t)random_below(&random, shape->checkpoint.vocab);
}

void small_model_open(struct small_model *small, const struct small_model_shape *shape)
{
    assert_null(random_checkpoint_problem(&shape->checkpoint));
    if (mpi_rank() == 0)
        random_checkpoint_write(&shape->checkpoint, in_directory("model"));
    MPI_Barrier(MPI_COMM_WORLD);
    open_job(small, shape, "run", 1);
    write_ids(small);
}

void small_model_open_alone(struct small_model *alone, const struct small_model *small)
{
    char run[32];

    snprintf(run, sizeof run, "run-alone-%d", mpi_rank());
    open_job(alone, &small->shape, run, mpi_size());
    memcpy(alone->variants, small->variants, sizeof alone->variants);
    // All but what open_job made for this rank.
    const struct settings own = alone->settings;
    alone->settings = small->settings;
    alone->settings.model = own.model;
    alone->settings.run = own.run;
    alone->settings.output = own.output;
    alone->settings.variants = alone->variants;
    small_model_set_ids(alone, small->ids);
}

struct team small_team_on_nodes(const struct small_model *small, int color)
{
    struct team other = small->team;

    assert_int_equal(MPI_Comm_split(other.comm, color, other.rank, &other.node), MPI_SUCCESS);
    MPI_Comm_rank(other.node, &other.node_rank);
    MPI_Comm_size(other.node, &other.node_size);
    return other;
}

void small_model_close(struct small_model *small)
{
    layer_weights_free(&small->weights);
    team_free(&small->team);
    model_close(small->model);
    free(small->settings.model);
    free(small->settings.run);
    free(small->settings.output);
    free(small->ids);
}

struct variant *small_model_add(struct small_model *small, const char *name, enum method method)
{
    assert_true(small->settings.num_variants < SMALL_MODEL_VARIANTS);
    struct variant *variant = &small->variants[small->settings.num_variants++];

    *variant = (struct variant){.method = method,
                                .parameters = importance_defaults(method),
                                .sparsity = 0.5,
                                .clamp = {.low = 0.1, .high = 10, .epsilon = 1e-8}};
    snprintf(variant->name, sizeof variant->name, "%s", name);
    return variant;
}

void small_set_pattern(struct variant *variant, size_t keep, size_t of)
{
    variant->is_pattern = true;
    variant->keep = keep;
    variant->of = of;
}

void small_model_set_ids(struct small_model *small, const int32_t *ids)
{
    memmove(small->ids, ids, small->settings.sequences * small->settings.length * sizeof *ids);
    write_ids(small);
}

void small_model_calibrate(struct small_model *small, bool hessian)
{
    const size_t layers = small->model->config.num_hidden_layers;
    struct error err = {0};

    for (size_t layer = 0; layer < layers; layer++) {
        const unsigned also =
            (hessian ? CALIBRATE_HESSIAN : 0) | (layer + 1 < layers ? CALIBRATE_OUTPUTS : 0);
        assert_ok(calibrate_layer(&small->stage, &small->weights, "dense", layer, also, &err), err);
    }
}

void small_model_prune(struct small_model *small, const struct variant *variant)
{
    const size_t layers = small->model->config.num_hidden_layers;
    struct error err = {0};

    for (size_t layer = 0; layer < layers; layer++) {
        assert_ok(prune_layer(&small->stage, &small->weights, &variant, 1, layer, &err), err);
        assert_ok(compensate_layer(&small->stage, &small->weights, variant, layer, &err), err);
        if (variant_matches(variant) && layer + 1 < layers)
            assert_ok(propagate_layer(&small->stage, &small->weights, variant->name, layer, variant, &err),
                      err);
    }
}

// ---- readers ---------------------------------------------------------------------------------------------

char *small_path(const struct small_model *small, enum run_folder folder, const char *stream, size_t layer)
{
    char path[PATH_SIZE];
    run_layer_path(path, small->settings.run, folder, stream, layer);
    return copy(path);
}

// By this rank alone.
static struct store_reader *open_file(const struct small_model *small, enum run_folder folder,
                                      const char *stream, size_t layer)
{
    struct store_reader *reader;
    struct error err = {0};
    char *path = small_path(small, folder, stream, layer);

    assert_ok(store_open(&reader, path, MPI_COMM_SELF, &err), err);
    free(path);
    return reader;
}

// All of "/OBJECT/what", or "/what" when object is NULL, whose elements have `element` bytes; the caller
// frees. *count: elements.
static void *read_all(const struct store_reader *reader, const char *object, const char *what,
                      enum store_type type, size_t element, size_t *count)
{
    uint64_t dims[STORE_MAX_RANK];
    size_t rank;
    struct error err = {0};
    char name[200];

    if (object != NULL)
        snprintf(name, sizeof name, "/%s/%s", object, what);
    else
        snprintf(name, sizeof name, "/%s", what);
    assert_ok(store_dims(reader, name, &rank, dims, &err), err);
    *count = 1;
    for (size_t k = 0; k < rank; k++)
        *count *= dims[k];
    void *values = malloc(*count * element + 1);
    assert_non_null(values);
    assert_ok(store_read(reader, name, type, 0, dims[0], values, &err), err);
    return values;
}

// The linear's entry in the layer's map; the tensor it points to belongs to the model.
static struct layer_tensor find_linear(const struct small_model *small, size_t layer, const char *linear)
{
    struct layer_map map;
    struct layer_tensor found = {.tensor = NULL};
    struct error err = {0};

    assert_ok(layer_map_create(&map, small->model, layer, &err), err);
    for (size_t i = 0; i < map.num_tensors; i++)
        if (strcmp(map.tensors[i].linear, linear) == 0)
            found = map.tensors[i];
    layer_map_free(&map);
    if (found.tensor == NULL)
        fail_msg("layer %zu has no linear %s", layer, linear);
    return found;
}

static struct small_matrix as_floats(const struct layer_tensor *tensor, const void *values)
{
    const size_t n = tensor->out * tensor->in;
    struct small_matrix matrix = {malloc(n * sizeof(float)), tensor->out, tensor->in};

    assert_non_null(matrix.values);
    dtype_to_f32(matrix.values, values, tensor->tensor->dtype, n);
    return matrix;
}

struct small_matrix small_dense_weight(const struct small_model *small, size_t layer, const char *linear)
{
    const struct layer_tensor tensor = find_linear(small, layer, linear);
    return as_floats(&tensor, tensor.tensor->data);
}

struct small_matrix small_pruned_weight(const struct small_model *small, const struct variant *variant,
                                        size_t layer, const char *linear)
{
    const struct layer_tensor tensor = find_linear(small, layer, linear);
    const bool single = tensor.tensor->dtype == DTYPE_F32;
    struct store_reader *reader = open_file(small, RUN_WEIGHTS, variant->name, layer);
    size_t count;
    void *values = read_all(reader, linear, "weight", single ? STORE_F32 : STORE_U16, single ? 4 : 2, &count);

    assert_int_equal(count, tensor.out * tensor.in);
    const struct small_matrix matrix = as_floats(&tensor, values);
    free(values);
    store_close(reader);
    return matrix;
}

struct small_matrix small_update(const struct small_model *small, const struct variant *variant, size_t layer,
                                 const char *linear)
{
    const struct layer_tensor tensor = find_linear(small, layer, linear);
    struct store_reader *reader = open_file(small, RUN_MASKS, variant->name, layer);
    struct small_matrix matrix = {NULL, tensor.out, tensor.in};
    size_t count;

    matrix.values = read_all(reader, linear, "update", STORE_F32, sizeof *matrix.values, &count);
    assert_int_equal(count, tensor.out * tensor.in);
    store_close(reader);
    return matrix;
}

uint8_t *small_mask(const struct small_model *small, const struct variant *variant, size_t layer,
                    const char *linear)
{
    const struct layer_tensor tensor = find_linear(small, layer, linear);
    const size_t row_bytes = (tensor.in + 7) / 8;
    struct store_reader *reader = open_file(small, RUN_MASKS, variant->name, layer);
    size_t count;
    uint8_t *bits = read_all(reader, linear, "mask", STORE_U8, 1, &count);
    uint8_t *mask = malloc(tensor.out * tensor.in);

    assert_non_null(mask);
    assert_int_equal(count, tensor.out * row_bytes);
    for (size_t i = 0; i < tensor.out; i++)
        for (size_t j = 0; j < 8 * row_bytes; j++) {
            const uint8_t bit = bits[i * row_bytes + j / 8] >> (j % 8) & 1;
            if (j < tensor.in)
                mask[i * tensor.in + j] = bit;
            else
                assert_int_equal(bit, 0);
        }
    free(bits);
    store_close(reader);
    return mask;
}

struct small_order small_order(const struct small_model *small, const struct variant *variant, size_t layer,
                               const char *linear, size_t in)
{
    char *path = small_path(small, RUN_MASKS, variant->name, layer);
    struct small_order order = {NULL, 0, 0};
    struct store_reader *reader;
    char name[DATASET_PATH_SIZE];
    struct error err = {0};
    bool is_there;

    assert_ok(store_open(&reader, path, MPI_COMM_SELF, &err), err);
    dataset_path(name, linear, DATASET_ORDER);
    assert_ok(store_find(reader, name, &is_there, &err), err);
    if (is_there) {
        order.columns = malloc(in * sizeof *order.columns);
        assert_non_null(order.columns);
        assert_ok(store_read(reader, name, STORE_U32, 0, in, order.columns, &err), err);
        assert_ok(store_read_attribute_f64(reader, name, "kept_before", &order.kept_before, &err), err);
        assert_ok(store_read_attribute_f64(reader, name, "kept_after", &order.kept_after, &err), err);
    }
    store_close(reader);
    free(path);
    return order;
}

void small_statistics_read(struct small_statistics *statistics, const struct small_model *small,
                           const char *stream, size_t layer, const char *linear)
{
    struct store_reader *reader = open_file(small, RUN_STATISTICS, stream, layer);
    const struct {
        const char *name;
        double **values;
    } vectors[] = {{"mean", &statistics->mean},
                   {"variance", &statistics->variance},
                   {"second_moment", &statistics->second_moment},
                   {"max_abs", &statistics->max_abs}};
    size_t ones;
    uint64_t *count = read_all(reader, linear, "count", STORE_U64, sizeof *count, &ones);

    assert_int_equal(ones, 1);
    statistics->count = *count;
    statistics->channels = find_linear(small, layer, linear).in;
    free(count);
    for (size_t k = 0; k < sizeof vectors / sizeof vectors[0]; k++) {
        size_t channels;
        *vectors[k].values = read_all(reader, linear, vectors[k].name, STORE_F64, sizeof(double), &channels);
        assert_int_equal(channels, statistics->channels);
    }
    store_close(reader);
}

void small_statistics_free(struct small_statistics *statistics)
{
    free(statistics->mean);
    free(statistics->variance);
    free(statistics->second_moment);
    free(statistics->max_abs);
}

double *small_hessian(const struct small_model *small, const char *stream, size_t layer, const char *linear)
{
    const size_t in = find_linear(small, layer, linear).in;
    struct store_reader *reader = open_file(small, RUN_HESSIANS, stream, layer);
    size_t count;
    double *hessian = read_all(reader, linear, "hessian", STORE_F64, sizeof *hessian, &count);

    assert_int_equal(count, in * in);
    store_close(reader);
    return hessian;
}

static float *embedded_ids(const struct small_model *small)
{
    const struct safetensors_tensor *embedding = small->model->embedding;
    const size_t hidden = small->shape.checkpoint.hidden, element = dtype_size(embedding->dtype);
    const size_t tokens = small->settings.sequences * small->settings.length;
    float *states = malloc(tokens * hidden * sizeof *states);

    assert_non_null(states);
    for (size_t t = 0; t < tokens; t++)
        dtype_to_f32(states + t * hidden,
                     (const char *)embedding->data + (size_t)small->ids[t] * hidden * element,
                     embedding->dtype, hidden);
    return states;
}

float *small_hidden_states(const struct small_model *small, const char *stream, size_t layer)
{
    const struct settings *settings = &small->settings;
    size_t count;

    if (layer == 0)
        return embedded_ids(small);
    struct store_reader *reader = open_file(small, RUN_ACTIVATIONS, stream, layer);
    float *states = read_all(reader, NULL, "hidden_states", STORE_F32, sizeof *states, &count);
    assert_int_equal(count, settings->sequences * settings->length * small->shape.checkpoint.hidden);
    store_close(reader);
    return states;
}

void assert_same_file(const char *path, const char *other)
{
    size_t size, other_size;
    unsigned char *bytes = slurp(path, &size), *other_bytes = slurp(other, &other_size);

    if (size != other_size || memcmp(bytes, other_bytes, size) != 0)
        fail_msg("%s and %s differ", path, other);
    free(bytes);
    free(other_bytes);
}

size_t small_log_lines(const struct small_model *small, const char *part)
{
    char path[PATH_SIZE];
    size_t size, count = 0;
    run_file_path(path, small->settings.run, RUN_LOG);
    char *text = (char *)slurp(path, &size); // has room for one more
    text[size] = '\0';
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n"))
        count += strstr(line, part) != NULL;
    free(text);
    return count;
}
