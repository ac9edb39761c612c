#include "tests/support/known_store.h"

#include "io/agree.h"
#include "io/store/writer.h"
#include "tests/support/mpi_test.h"

#include <stdlib.h>
#include <string.h>

enum { ROWS = 7, COLUMNS = 5, SEQUENCES = 6, LENGTH = 3, HIDDEN = 4 };

static void share(uint64_t total, int rank, int size, uint64_t *first, uint64_t *count)
{
    *first = total * (uint64_t)rank / (uint64_t)size;
    *count = total * (uint64_t)(rank + 1) / (uint64_t)size - *first;
}

enum status write_known(const char *path, MPI_Comm comm, uint64_t piece, struct error *err)
{
    struct store_writer *writer;
    double variance[COLUMNS];
    uint16_t weight[ROWS][COLUMNS];
    float states[SEQUENCES][LENGTH][HIDDEN];
    uint8_t mask[ROWS][1];
    int32_t ids[SEQUENCES][LENGTH];
    uint64_t first, count;
    int rank, size;

    comm_shape(comm, &rank, &size);
    for (int j = 0; j < COLUMNS; j++)
        variance[j] = 0.5 + j;
    for (int i = 0; i < ROWS; i++) {
        mask[i][0] = (uint8_t)(1 << i);
        for (int j = 0; j < COLUMNS; j++)
            weight[i][j] = (uint16_t)(100 * i + j);
    }
    for (int s = 0; s < SEQUENCES; s++)
        for (int t = 0; t < LENGTH; t++) {
            ids[s][t] = 10 * s + t;
            for (int h = 0; h < HIDDEN; h++)
                states[s][t][h] = (float)(s * 100 + t * 10 + h) + 0.25F;
        }

    FORWARD_IF_ERROR(store_create(&writer, path, NO_ORIGIN, comm, err));
    if (piece != 0)
        store_set_piece(writer, piece);
    enum status status;
#define STEP(call) GOTO_IF_ERROR(call, failed)
    STEP(store_declare(
        writer, "/mlp.down_proj/variance",
        &(struct store_shape){
            .type = STORE_F64, .rank = 1, .dims = {COLUMNS}, .unit = "1", .meaning = "of a channel"},
        err));
    STEP(store_declare(writer, "/mlp.down_proj/weight",
                       &(struct store_shape){.type = STORE_U16, .rank = 2, .dims = {ROWS, COLUMNS}}, err));
    STEP(store_attribute_string(writer, "/", "model", "a model \xc3\xa9", err));
    STEP(store_attribute_u64(writer, "/mlp.down_proj", "count", 1234567890123456789U, err));
    STEP(store_write(writer, "/mlp.down_proj/variance", 0, rank == size - 1 ? COLUMNS : 0, variance, err));
    share(ROWS, rank, size, &first, &count);
    STEP(store_write(writer, "/mlp.down_proj/weight", first, count, weight[first], err));
    // declared after the first write
    STEP(store_declare(
        writer, "/states",
        &(struct store_shape){.type = STORE_F32, .rank = 3, .dims = {SEQUENCES, LENGTH, HIDDEN}}, err));
    STEP(store_declare(
        writer, "/mlp.down_proj/mask",
        &(struct store_shape){.type = STORE_U8, .rank = 2, .dims = {ROWS, 1}, .meaning = "bits"}, err));
    STEP(store_declare(writer, "/ids",
                       &(struct store_shape){.type = STORE_I32, .rank = 2, .dims = {SEQUENCES, LENGTH}},
                       err));
    STEP(store_declare(writer, "/nothing",
                       &(struct store_shape){.type = STORE_U64, .rank = 2, .dims = {0, 3}}, err));
    STEP(store_attribute_f64(writer, "/states", "energy", 0.1, err));
    STEP(store_write(writer, "/mlp.down_proj/mask", first, count, mask[first], err));
    for (uint64_t half = 0; half < 2; half++) { // a few sequences at a time
        share(SEQUENCES / 2, rank, size, &first, &count);
        first += half * SEQUENCES / 2;
        STEP(store_write(writer, "/states", first, count, states[first], err));
    }
    share(SEQUENCES, rank, size, &first, &count);
    STEP(store_write(writer, "/ids", first, count, ids[first], err));
    STEP(store_write(writer, "/nothing", 0, 0, NULL, err));
    STEP(store_attribute_string(writer, "/mlp.down_proj/weight", "dtype", "BF16", err));
#undef STEP
    return store_commit(writer, err);
failed:
    store_abandon(writer);
    return status;
}

void check_known(const char *path, MPI_Comm comm)
{
    struct store_reader *reader;
    struct error err = {0};
    double variance[COLUMNS], energy;
    uint16_t weight[ROWS][COLUMNS];
    float states[SEQUENCES][LENGTH][HIDDEN];
    uint8_t mask[ROWS];
    int32_t ids[LENGTH];
    uint64_t dims[STORE_MAX_RANK], count;
    size_t rank;
    char *string;
    int rank_in_comm, size;

    comm_shape(comm, &rank_in_comm, &size);
    assert_int_equal(store_open(&reader, path, comm, &err), STATUS_OK);
    const struct {
        const char *name;
        bool is_there;
    } names[] = {{"/mlp.down_proj/weight", true},
                 {"/mlp.down_proj", false}, // a group
                 {"/mlp.down_proj/weights", false},
                 {"/no/such/thing", false},
                 {"/", false}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        bool is_there;
        assert_int_equal(store_find(reader, names[i].name, &is_there, NULL), STATUS_OK);
        assert_int_equal(is_there, names[i].is_there);
    }

    assert_int_equal(store_dims(reader, "/states", &rank, dims, &err), STATUS_OK);
    assert_int_equal(rank, 3);
    assert_int_equal(dims[0], SEQUENCES);
    assert_int_equal(dims[1], LENGTH);
    assert_int_equal(dims[2], HIDDEN);
    assert_int_equal(store_dims(reader, "/nothing", &rank, dims, &err), STATUS_OK);
    assert_int_equal(dims[0], 0);

    assert_int_equal(store_read(reader, "/mlp.down_proj/variance", STORE_F64, 0, COLUMNS, variance, &err),
                     STATUS_OK);
    for (int j = 0; j < COLUMNS; j++)
        assert_true(variance[j] == 0.5 + j);
    assert_int_equal(store_read(reader, "/mlp.down_proj/weight", STORE_U16, 0, ROWS, weight, &err),
                     STATUS_OK);
    assert_int_equal(store_read(reader, "/mlp.down_proj/mask", STORE_U8, 0, ROWS, mask, &err), STATUS_OK);
    for (int i = 0; i < ROWS; i++) {
        assert_int_equal(mask[i], (uint8_t)(1 << i));
        for (int j = 0; j < COLUMNS; j++)
            assert_int_equal(weight[i][j], 100 * i + j);
    }
    assert_int_equal(store_read(reader, "/states", STORE_F32, 0, SEQUENCES, states, &err), STATUS_OK);
    for (int s = 0; s < SEQUENCES; s++)
        for (int t = 0; t < LENGTH; t++)
            for (int h = 0; h < HIDDEN; h++)
                assert_true(states[s][t][h] == (float)(s * 100 + t * 10 + h) + 0.25F);
    // any rank reads any rows
    const uint64_t row = (uint64_t)rank_in_comm % SEQUENCES;
    assert_int_equal(store_read(reader, "/ids", STORE_I32, row, 1, ids, &err), STATUS_OK);
    for (int t = 0; t < LENGTH; t++)
        assert_int_equal(ids[t], 10 * (int)row + t);
    assert_int_equal(store_read(reader, "/ids", STORE_I32, SEQUENCES, 0, NULL, &err), STATUS_OK);

    assert_int_equal(store_read_attribute_string(reader, "/", "model", &string, &err), STATUS_OK);
    assert_string_equal(string, "a model \xc3\xa9");
    free(string);
    assert_int_equal(store_read_attribute_string(reader, "/mlp.down_proj/weight", "dtype", &string, &err),
                     STATUS_OK);
    assert_string_equal(string, "BF16");
    free(string);
    assert_int_equal(store_read_attribute_string(reader, "/mlp.down_proj/mask", "meaning", &string, &err),
                     STATUS_OK);
    assert_string_equal(string, "bits");
    free(string);
    assert_int_equal(store_read_attribute_u64(reader, "/mlp.down_proj", "count", &count, &err), STATUS_OK);
    assert_true(count == 1234567890123456789U);
    assert_int_equal(store_read_attribute_f64(reader, "/states", "energy", &energy, &err), STATUS_OK);
    assert_true(energy == 0.1);
    store_close(reader);
}
