// The store: what is written is read, by any number of ranks, as the same bytes.
// ranks: 1 2 3 4
#include "io/file/copy.h"
#include "io/store/format.h"
#include "io/store/store.h"
#include "tests/support/known_store.h"
#include "tests/support/mpi_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void what_is_written_is_read(void **state)
{
    (void)state;
    const char *path = in_directory("folder/of/folders/known.h5");
    struct error err = {0};
    if (mpi_rank() == 0)
        assert_false(store_exists(path));
    enum status status = write_known(path, MPI_COMM_WORLD, 0, &err);
    if (status != STATUS_OK)
        fail_msg("%s", err.message);
    assert_true(store_exists(path));
    check_known(path, MPI_COMM_WORLD);
    check_known(path, MPI_COMM_SELF);
    status = store_verify(path, &err);
    if (status != STATUS_OK)
        fail_msg("%s", err.message);
}

static void the_bytes_do_not_depend_on_ranks_or_pieces(void **state)
{
    (void)state;
    const uint64_t pieces[] = {0, 1, 9, 40};
    struct error err = {0};
    unsigned char *expected, *bytes;
    size_t expected_size, size;

    mpi_test_directory();
    char reference[64];
    snprintf(reference, sizeof reference, "alone-%d.h5", mpi_rank());
    assert_int_equal(write_known(in_directory(reference), MPI_COMM_SELF, 0, &err), STATUS_OK);
    expected = slurp(in_directory(reference), &expected_size);
    for (int ranks = 1; ranks <= mpi_size(); ranks++) {
        MPI_Comm comm;
        MPI_Comm_split(MPI_COMM_WORLD, mpi_rank() < ranks, 0, &comm);
        for (size_t p = 0; p < sizeof pieces / sizeof pieces[0]; p++) {
            char name[64];
            snprintf(name, sizeof name, "by-%d-%d-%zu.h5", mpi_rank() < ranks, ranks, p);
            assert_int_equal(write_known(in_directory(name), comm, pieces[p], &err), STATUS_OK);
            bytes = slurp(in_directory(name), &size);
            assert_int_equal(size, expected_size);
            assert_memory_equal(bytes, expected, size);
            free(bytes);
        }
        MPI_Comm_free(&comm);
    }
    free(expected);
}

// ---- wrong use: the same error on every rank, before anything is written ----------------------------------

static struct store_writer *started(const char *path)
{
    struct store_writer *writer;
    struct error err = {0};
    assert_int_equal(store_create(&writer, path, NO_ORIGIN, MPI_COMM_WORLD, &err), STATUS_OK);
    assert_int_equal(store_declare(writer, "/a/x",
                                   &(struct store_shape){.type = STORE_U8, .rank = 2, .dims = {4, 3}}, &err),
                     STATUS_OK);
    assert_int_equal(
        store_declare(writer, "/v", &(struct store_shape){.type = STORE_F64, .rank = 1, .dims = {2}}, &err),
        STATUS_OK);
    return writer;
}

static void assert_says(enum status status, const struct error *err, const char *words)
{
    if (status != STATUS_FAILED || err->status != STATUS_FAILED || strstr(err->message, words) == NULL)
        fail_msg("status %d, '%s', not '%s'", (int)status, err->message, words);
}

// Everything after a failure is refused, and the folder is empty in the end.
static void assert_refuses(struct store_writer *writer)
{
    struct error err = {0};
    assert_says(store_declare(writer, "/later",
                              &(struct store_shape){.type = STORE_U8, .rank = 1, .dims = {1}}, &err),
                &err, "earlier step");
    assert_says(store_attribute_u64(writer, "/", "x", 1, &err), &err, "earlier step");
    assert_says(store_write(writer, "/v", 0, 0, NULL, &err), &err, "earlier step");
    assert_says(store_commit(writer, &err), &err, "earlier step");
    assert_int_equal(entries_in_directory(), 0);
}

static void declarations_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    const char *path = in_directory("x.h5");
    const char *const names[] = {"", "/", "x", "/a/", "/a//b", "//a", "/a/x", "/a/x/y", "/a", "/a/./b"};
    struct error err = {0};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct store_writer *writer = started(path);
        assert_says(store_declare(writer, names[i],
                                  &(struct store_shape){.type = STORE_U8, .rank = 1, .dims = {1}}, &err),
                    &err, names[i]);
        assert_refuses(writer);
    }
    struct store_writer *writer = started(path);
    assert_says(store_declare(writer, "/huge",
                              &(struct store_shape){.type = STORE_U8,
                                                    .rank = 2,
                                                    .dims = {UINT64_C(1) << 40, UINT64_C(1) << 40}},
                              &err),
                &err, "too large");
    store_abandon(writer);
    writer = started(path);
    assert_says(store_declare(writer, "/many",
                              &(struct store_shape){.type = STORE_U8,
                                                    .rank = 5,
                                                    .dims = {UINT64_C(1) << 40, UINT64_C(1) << 40}},
                              &err),
                &err, "5 dimensions");
    store_abandon(writer);
    writer = started(path);
    assert_says(store_declare(writer, "/none",
                              &(struct store_shape){.type = STORE_U8,
                                                    .rank = 0,
                                                    .dims = {UINT64_C(1) << 40, UINT64_C(1) << 40}},
                              &err),
                &err, "0 dimensions");
    store_abandon(writer);
    assert_int_equal(entries_in_directory(), 0);
}

static void attributes_need_an_object(void **state)
{
    (void)state;
    struct store_writer *writer = started(in_directory("x.h5"));
    struct error err = {0};
    assert_int_equal(store_attribute_u64(writer, "/", "x", 1, &err), STATUS_OK);
    assert_int_equal(store_attribute_u64(writer, "/a", "x", 1, &err), STATUS_OK);
    assert_int_equal(store_attribute_u64(writer, "/a/x", "x", 1, &err), STATUS_OK);
    assert_says(store_attribute_u64(writer, "/b", "x", 1, &err), &err, "/b");
    assert_refuses(writer);
}

static void an_attribute_that_is_set_again_has_its_last_value(void **state)
{
    (void)state;
    const char *path = in_directory("x.h5");
    struct store_writer *writer = started(path);
    struct store_reader *reader;
    struct error err = {0};
    double value;
    const double v[2] = {1, 2};
    const int rank = mpi_rank();
    assert_int_equal(store_attribute_u64(writer, "/a/x", "x", 1, &err), STATUS_OK);
    assert_int_equal(store_write(writer, "/a/x", 0, rank == 0 ? 4 : 0, "abcdefghijkl", &err), STATUS_OK);
    assert_int_equal(store_write(writer, "/v", 0, rank == 0 ? 2 : 0, v, &err), STATUS_OK);
    assert_int_equal(store_attribute_f64(writer, "/a/x", "x", 2.5, &err), STATUS_OK);
    assert_int_equal(store_commit(writer, &err), STATUS_OK);
    assert_int_equal(store_open(&reader, path, MPI_COMM_WORLD, &err), STATUS_OK);
    assert_int_equal(store_read_attribute_f64(reader, "/a/x", "x", &value, &err), STATUS_OK);
    assert_true(value == 2.5);
    store_close(reader);
}

// Hashes of rows are put together in pieces, which begin and end inside datasets; some of these have no rows.
static void a_row_of_many_in_several_datasets_is_missed_by_its_place(void **state)
{
    enum { DATASETS = 4, ROWS = 50000 };
    static const char *const names[DATASETS] = {"/a", "/none", "/b", "/c"};
    (void)state;
    const char *path = in_directory("x.h5");
    const int rank = mpi_rank(), size = mpi_size();
    struct error err = {0};
    char *bytes = calloc(ROWS, 1);
    assert_non_null(bytes);
    for (size_t i = 0; i < ROWS; i++)
        bytes[i] = (char)(i * i % 251);

    for (size_t missing = 0; missing <= DATASETS; missing++) {
        struct store_writer *writer;
        assert_int_equal(store_create(&writer, path, NO_ORIGIN, MPI_COMM_WORLD, &err), STATUS_OK);
        for (size_t i = 0; i < DATASETS; i++) {
            const uint64_t rows = i == 1 ? 0 : ROWS;
            const struct store_shape shape = {.type = STORE_U8, .rank = 2, .dims = {rows, 1}};
            assert_int_equal(store_declare(writer, names[i], &shape, &err), STATUS_OK);
        }
        for (size_t i = 0; i < DATASETS; i++) {
            const uint64_t rows = i == 1 ? 0 : i == missing ? ROWS - 7 : ROWS;
            const uint64_t first = rows * (uint64_t)rank / (uint64_t)size;
            const uint64_t count = rows * (uint64_t)(rank + 1) / (uint64_t)size - first;
            assert_int_equal(store_write(writer, names[i], first, count, bytes + first, &err), STATUS_OK);
        }
        char what[64];
        snprintf(what, sizeof what, "row 49993 of %s was never written", names[missing % DATASETS]);
        if (missing == 1 || missing == DATASETS) {
            assert_int_equal(store_commit(writer, &err), STATUS_OK);
            assert_int_equal(rank == 0 ? store_verify(path, &err) : STATUS_OK, STATUS_OK);
        } else
            assert_says(store_commit(writer, &err), &err, what);
        err = (struct error){0};
    }
    free(bytes);
}

static void rows_are_written_exactly_once(void **state)
{
    (void)state;
    const char *path = in_directory("x.h5");
    const int rank = mpi_rank(), last = mpi_size() - 1;
    const double v[2] = {1, 2};
    struct error err = {0};

    struct store_writer *writer = started(path); // a row that nobody writes
    assert_int_equal(store_write(writer, "/v", 0, rank == 0 ? 2 : 0, v, &err), STATUS_OK);
    assert_int_equal(store_write(writer, "/a/x", 0, rank == 0 ? 3 : 0, "abcdefghi", &err), STATUS_OK);
    assert_says(store_commit(writer, &err), &err, "row 3 of /a/x was never written");
    assert_int_equal(entries_in_directory(), 0);

    writer = started(path); // the same rank, twice
    assert_int_equal(store_write(writer, "/a/x", 0, rank == last ? 3 : 0, "abcdefghi", &err), STATUS_OK);
    assert_says(store_write(writer, "/a/x", 2, rank == last ? 1 : 0, "abc", &err), &err,
                "row 2 of /a/x was written before");
    assert_refuses(writer);

    if (mpi_size() > 1) { // two ranks
        writer = started(path);
        assert_int_equal(store_write(writer, "/v", 0, rank == 0 ? 2 : 0, v, &err), STATUS_OK);
        const uint64_t first = rank == 0 ? 0 : 2, count = rank == 0 ? 3 : rank == 1 ? 2 : 0;
        assert_int_equal(store_write(writer, "/a/x", first, count, "abcdefghi", &err), STATUS_OK);
        assert_says(store_commit(writer, &err), &err, "1 rows of /a/x were written by more than one rank");
        assert_int_equal(entries_in_directory(), 0);
    }

    writer = started(path); // nobody writes anything
    assert_says(store_commit(writer, &err), &err, "never written");
    assert_int_equal(entries_in_directory(), 0);
}

static void rows_that_do_not_exist_are_refused(void **state)
{
    (void)state;
    const char *path = in_directory("x.h5");
    const int rank = mpi_rank(), last = mpi_size() - 1;
    struct error err = {0};
    const uint64_t wrong[][2] = {{0, 5}, {4, 1}, {5, 0}, {UINT64_MAX, 2}, {2, UINT64_MAX}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct store_writer *writer = started(path);
        const uint64_t first = rank == last ? wrong[i][0] : 0, count = rank == last ? wrong[i][1] : 0;
        assert_says(store_write(writer, "/a/x", first, count, "abcdefghijkl", &err), &err, "/a/x");
        assert_refuses(writer);
    }
    struct store_writer *writer = started(path);
    assert_says(store_write(writer, "/a/y", 0, 0, NULL, &err), &err, "/a/y was not declared");
    assert_refuses(writer);
    writer = started(path); // half of a 1-D dataset
    assert_says(store_write(writer, "/v", 0, rank == last ? 1 : 0, (double[]){1}, &err), &err,
                "one dimension");
    assert_refuses(writer);
}

static void an_abandoned_file_leaves_nothing(void **state)
{
    (void)state;
    struct error err = {0};
    struct store_writer *writer = started(in_directory("x.h5"));
    store_abandon(writer);
    assert_int_equal(entries_in_directory(), 0);
    writer = started(in_directory("x.h5"));
    assert_int_equal(store_write(writer, "/a/x", 0, 0, NULL, &err), STATUS_OK);
    store_abandon(writer);
    assert_int_equal(entries_in_directory(), 0);
    store_abandon(NULL);
}

static void what_was_there_stays_until_the_commit(void **state)
{
    (void)state;
    const char *path = in_directory("known.h5");
    struct error err = {0};
    assert_int_equal(write_known(path, MPI_COMM_WORLD, 0, &err), STATUS_OK);
    struct store_writer *writer = started(path);
    assert_int_equal(store_write(writer, "/a/x", 0, 0, NULL, &err), STATUS_OK);
    assert_int_equal(entries_in_directory(),
                     2); // one temporary file, and nothing of MPI's that a kill would leave
    check_known(path, MPI_COMM_WORLD);
    MPI_Barrier(MPI_COMM_WORLD);
    store_abandon(writer);
    check_known(path, MPI_COMM_WORLD);
    assert_int_equal(write_known(path, MPI_COMM_WORLD, 0, &err), STATUS_OK); // replaced in one step
    check_known(path, MPI_COMM_WORLD);
    assert_int_equal(entries_in_directory(), 1);
}

static void places_where_no_file_can_be_are_refused(void **state)
{
    (void)state;
    struct store_writer *writer;
    struct error err = {0};
    char long_name[400];
    memset(long_name, 'x', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    if (mpi_rank() == 0) {
        FILE *file = fopen(in_directory("file"), "w");
        assert_non_null(file);
        fclose(file);
    }
    MPI_Barrier(MPI_COMM_WORLD);
    const char *const paths[] = {in_directory("file/x.h5"), in_directory(long_name), in_directory("folder/"),
                                 "/proc/x.h5"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        const enum status status = store_create(&writer, paths[i], NO_ORIGIN, MPI_COMM_WORLD, &err);
        assert_says(status, &err, "/");
        assert_null(writer);
    }
    assert_true(entries_in_directory() <= 2); // "file", and on some ways "folder"
}

static void a_file_without_datasets_is_fine(void **state)
{
    (void)state;
    const char *path = in_directory("x.h5");
    struct store_writer *writer;
    struct store_reader *reader;
    struct error err = {0};
    uint64_t value = 0;
    assert_int_equal(store_create(&writer, path, NO_ORIGIN, MPI_COMM_WORLD, &err), STATUS_OK);
    assert_int_equal(store_attribute_u64(writer, "/", "x", 7, &err), STATUS_OK);
    assert_int_equal(store_commit(writer, &err), STATUS_OK);
    assert_int_equal(store_open(&reader, path, MPI_COMM_WORLD, &err), STATUS_OK);
    assert_int_equal(store_read_attribute_u64(reader, "/", "x", &value, &err), STATUS_OK);
    assert_int_equal(value, 7);
    store_close(reader);
    assert_int_equal(store_verify(path, &err), STATUS_OK);
}

static void a_file_says_what_it_was_made_from(void **state)
{
    (void)state;
    const char *path = in_directory("made.h5");
    static const uint64_t hashes[] = {0, 0xfedcba9876543210};
    struct error err = {0};

    for (size_t i = 0; i < 2; i++) {
        struct store_writer *writer;
        uint64_t made_from = 1;
        assert_int_equal(
            store_create(&writer, path, (struct file_origin){hashes[i], NULL}, MPI_COMM_WORLD, &err),
            STATUS_OK);
        assert_int_equal(store_commit(writer, &err), STATUS_OK);
        assert_int_equal(store_verify(path, &err), STATUS_OK);
        assert_int_equal(store_made_from(&made_from, path, &err), STATUS_OK);
        assert_int_equal(made_from, hashes[i]);
    }
}

// The bytes of `from` under the name `to`, by rank 0.
static void copy_to(const char *from, const char *to)
{
    int rank;
    struct error err = {0};
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    if (rank == 0)
        assert_int_equal(copy_file(from, to, NULL, NULL, &err), STATUS_OK);
    MPI_Barrier(MPI_COMM_WORLD);
}

static void a_file_is_refused_under_another_name(void **state)
{
    (void)state;
    const char *run = in_directory("named"), *path = in_directory("named/masks/a/layer-001.h5");
    const char *others[] = {in_directory("named/masks/a/layer-002.h5"),
                            in_directory("named/masks/layer-001.h5"), in_directory("layer-001.h5")};
    struct store_writer *writer;
    struct store_reader *reader;
    struct error err = {0};
    uint64_t made_from;

    assert_int_equal(store_create(&writer, path, (struct file_origin){7, run}, MPI_COMM_WORLD, &err),
                     STATUS_OK);
    assert_int_equal(store_commit(writer, &err), STATUS_OK);
    assert_int_equal(store_verify(path, &err), STATUS_OK);
    for (size_t i = 0; i < 3; i++) {
        copy_to(path, others[i]);
        assert_int_equal(store_open(&reader, others[i], MPI_COMM_WORLD, &err), STATUS_USAGE);
        assert_non_null(strstr(err.message, "is the file masks/a/layer-001.h5 of a run under another name"));
        assert_int_equal(store_look(&reader, others[i], &err), STATUS_USAGE);
        assert_int_equal(store_made_from(&made_from, others[i], &err), STATUS_USAGE);
    }
    // One that says nothing, as earlier versions wrote it, may be anywhere.
    assert_int_equal(store_create(&writer, path, (struct file_origin){7, NULL}, MPI_COMM_WORLD, &err),
                     STATUS_OK);
    assert_int_equal(store_commit(writer, &err), STATUS_OK);
    copy_to(path, others[0]);
    assert_int_equal(store_verify(others[0], &err), STATUS_OK);
}

static void reading_checks_type_range_and_name(void **state)
{
    (void)state;
    const char *path = in_directory("known.h5");
    struct store_reader *reader;
    struct error err = {0};
    int32_t ids[64];
    size_t rank;
    uint64_t dims[STORE_MAX_RANK], u64;
    double f64;
    char *string;
    assert_int_equal(write_known(path, MPI_COMM_WORLD, 0, &err), STATUS_OK);
    assert_int_equal(store_open(&reader, path, MPI_COMM_WORLD, &err), STATUS_OK);
    assert_says(store_read(reader, "/ids", STORE_F32, 0, 1, ids, &err), &err, "/ids does not have the type");
    assert_says(store_read(reader, "/ids", STORE_U64, 0, 1, ids, &err), &err, "/ids does not have the type");
    assert_says(store_read(reader, "/ids", STORE_I32, 6, 1, ids, &err), &err,
                "rows 6 + 1 of /ids, which has 6");
    assert_says(store_read(reader, "/ids", STORE_I32, UINT64_MAX, 2, ids, &err), &err, "/ids, which has 6");
    assert_says(store_read(reader, "/no", STORE_I32, 0, 1, ids, &err), &err, "there is no dataset \"/no\"");
    assert_says(store_read(reader, "/mlp.down_proj", STORE_I32, 0, 1, ids, &err), &err,
                "\"/mlp.down_proj\" is not a dataset");
    assert_says(store_dims(reader, "/no", &rank, dims, &err), &err, "there is no dataset \"/no\"");
    assert_says(store_read_attribute_f64(reader, "/", "no", &f64, &err), &err, "no attribute no");
    assert_says(store_read_attribute_f64(reader, "/no", "x", &f64, &err), &err, "/no");
    assert_says(store_read_attribute_f64(reader, "/mlp.down_proj", "count", &f64, &err), &err, "count");
    assert_says(store_read_attribute_u64(reader, "/states", "energy", &u64, &err), &err, "energy");
    assert_says(store_read_attribute_u64(reader, "/", "model", &u64, &err), &err, "model");
    assert_says(store_read_attribute_string(reader, "/states", "energy", &string, &err), &err, "energy");
    assert_null(string);
    store_close(reader);
}

static void h5dump_reads_it_with_plain_names(void **state)
{
    (void)state;
    const char *path = in_directory("known.h5");
    struct error err = {0};
    char command[3 * 4096], line[256];
    bool name = false, value = false, attribute = false;
    assert_int_equal(write_known(path, MPI_COMM_WORLD, 0, &err), STATUS_OK);
    if (mpi_rank() != 0)
        return;
    if (system("command -v h5dump >/dev/null 2>&1") != 0)
        skip();
    snprintf(command, sizeof command, "h5dump -d /mlp.down_proj/weight %s", path);
    FILE *dump = popen(command, "r");
    assert_non_null(dump);
    while (fgets(line, sizeof line, dump) != NULL) {
        name = name || strstr(line, "DATASET \"/mlp.down_proj/weight\"") != NULL;
        value = value || strstr(line, "(6,0): 600, 601, 602, 603, 604") != NULL;
        attribute = attribute || strstr(line, "(0): \"BF16\"") != NULL;
    }
    assert_int_equal(pclose(dump), 0);
    assert_true(name && value && attribute);
}

// Opt-in (takes 9 GB of disk and minutes): more than 2^31 bytes from one rank, more than 2^31 elements in
// all.
static void transfers_beyond_2_gib_work(void **state)
{
    (void)state;
    if (getenv("COPPICE_TEST_BIG") == NULL)
        skip();
    enum { ROW = 1 << 20 };
    const uint64_t rows = 2200 * (uint64_t)mpi_size(), own = 2200, first = own * (uint64_t)mpi_rank();
    const char *path = in_directory("big.h5");
    struct store_writer *writer;
    struct store_reader *reader;
    struct error err = {0};
    uint8_t *data = malloc(own * ROW);
    assert_non_null(data);
    mpi_test_limit(600);
    for (uint64_t i = 0; i < own; i++)
        memset(data + i * ROW, (int)((first + i) % 251), ROW);
    assert_int_equal(store_create(&writer, path, NO_ORIGIN, MPI_COMM_WORLD, &err), STATUS_OK);
    assert_int_equal(store_declare(writer, "/big",
                                   &(struct store_shape){.type = STORE_U8, .rank = 2, .dims = {rows, ROW}},
                                   &err),
                     STATUS_OK);
    assert_int_equal(store_write(writer, "/big", first, own, data, &err), STATUS_OK);
    assert_int_equal(store_commit(writer, &err), STATUS_OK);
    memset(data, 0xFF, own * ROW);
    assert_int_equal(store_open(&reader, path, MPI_COMM_WORLD, &err), STATUS_OK);
    const uint64_t other = (first + own) % rows; // another rank's
    assert_int_equal(store_read(reader, "/big", STORE_U8, other, own, data, &err), STATUS_OK);
    for (uint64_t i = 0; i < own * ROW; i++)
        if (data[i] != (other + i / ROW) % 251)
            fail_msg("byte %llu", (unsigned long long)i);
    store_close(reader);
    free(data);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        mpi_unit_test(what_is_written_is_read),
        mpi_unit_test(the_bytes_do_not_depend_on_ranks_or_pieces),
        mpi_unit_test(declarations_that_make_no_sense_are_refused),
        mpi_unit_test(attributes_need_an_object),
        mpi_unit_test(an_attribute_that_is_set_again_has_its_last_value),
        mpi_unit_test(a_row_of_many_in_several_datasets_is_missed_by_its_place),
        mpi_unit_test(rows_are_written_exactly_once),
        mpi_unit_test(rows_that_do_not_exist_are_refused),
        mpi_unit_test(an_abandoned_file_leaves_nothing),
        mpi_unit_test(what_was_there_stays_until_the_commit),
        mpi_unit_test(places_where_no_file_can_be_are_refused),
        mpi_unit_test(a_file_without_datasets_is_fine),
        mpi_unit_test(a_file_says_what_it_was_made_from),
        mpi_unit_test(a_file_is_refused_under_another_name),
        mpi_unit_test(reading_checks_type_range_and_name),
        mpi_unit_test(h5dump_reads_it_with_plain_names),
        mpi_unit_test(transfers_beyond_2_gib_work),
    };
    return mpi_test_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
