// sample.h: files of tokens, which of their rows are read, and what is not read at all.
#include "io/corpus/sample.h"
#include "io/file/interrupt.h"
#include "tests/support/temporary_folder.h"

#include <hdf5.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int set_up(void **state)
{
    *state = temporary_folder_create();
    return 0;
}

static int tear_down(void **state)
{
    temporary_folder_remove(*state);
    return 0;
}

// Writes dataset `name` of `rank` dimensions in FOLDER/tokens.h5.
static const char *write_dataset(const char *folder, const char *name, hid_t stored, hid_t given, int rank,
                                 const hsize_t *dims, const void *values)
{
    const char *path = path_in(folder, "tokens.h5");
    const hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    const hid_t space = H5Screate_simple(rank, dims, NULL);
    const hid_t dataset = H5Dcreate2(file, name, stored, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(dataset >= 0);
    if (values != NULL)
        assert_true(H5Dwrite(dataset, given, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
    H5Dclose(dataset);
    H5Sclose(space);
    H5Fclose(file);
    return path;
}

static void test_token_files_of_any_integer_type_are_read(void **state)
{
    const hsize_t dims[] = {3, 2};
    const int64_t values[] = {1, 2, 3, 40, 50, 127};
    const hid_t types[] = {H5T_STD_I8LE,  H5T_STD_U8LE,  H5T_STD_I16BE, H5T_STD_U16LE,
                           H5T_STD_I32LE, H5T_STD_U32BE, H5T_STD_I64LE, H5T_STD_U64LE};

    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        struct error err = {0};
        int32_t *ids;
        size_t sequences;
        const char *path = write_dataset(*state, "tokens", types[i], H5T_NATIVE_INT64, 2, dims, values);

        assert_ok(sample_load_tokens(&ids, &sequences, path, &(struct token_request){2, 3, 9}, &err), err);
        assert_int_equal(sequences, 3);
        for (size_t j = 0; j < 6; j++)
            assert_int_equal(ids[j], values[j]);
        free(ids);
    }
}

static void test_long_token_files_are_read_in_batches(void **state)
{
    const hsize_t dims[] = {700, 1000}; // more than one batch, the last one shorter
    struct error err = {0};
    int32_t *ids, *values = malloc(700 * 1000 * sizeof *values);
    size_t sequences;

    assert_non_null(values);
    for (int32_t i = 0; i < 700 * 1000; i++)
        values[i] = i;
    const char *path = write_dataset(*state, "tokens", H5T_STD_I32LE, H5T_NATIVE_INT32, 2, dims, values);
    assert_ok(sample_load_tokens(&ids, &sequences, path, &(struct token_request){1000, 700, 700}, &err), err);
    assert_memory_equal(ids, values, 700 * 1000 * sizeof *values);
    free(ids);
    free(values);
}

// Writes "tokens", [2, 2] in chunks of one row, with the first row only.
static const char *write_half(const char *folder)
{
    const hsize_t dims[] = {2, 2}, row[] = {1, 2}, start[] = {0, 0};
    const int32_t values[] = {1, 2};
    const char *path = path_in(folder, "half.h5");
    const hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    const hid_t space = H5Screate_simple(2, dims, NULL), memory = H5Screate_simple(2, row, NULL);
    const hid_t create = H5Pcreate(H5P_DATASET_CREATE);
    assert_true(H5Pset_chunk(create, 2, row) >= 0);
    const hid_t dataset = H5Dcreate2(file, "tokens", H5T_STD_I32LE, space, H5P_DEFAULT, create, H5P_DEFAULT);
    assert_true(H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, row, NULL) >= 0);
    assert_true(H5Dwrite(dataset, H5T_NATIVE_INT32, memory, space, H5P_DEFAULT, values) >= 0);
    H5Dclose(dataset);
    H5Pclose(create);
    H5Sclose(memory);
    H5Sclose(space);
    H5Fclose(file);
    return path;
}

// Writes a dataset of [2, 2], 32 bytes at 2048, whose header says that it has 8 bytes.
static const char *write_short(const char *folder)
{
    static const unsigned char place[16] = {0, 8, 0, 0, 0, 0, 0, 0, 32};
    const hsize_t dims[] = {2, 2};
    const int64_t values[] = {1, 2, 3, 4};
    const char *path = write_dataset(folder, "tokens", H5T_STD_I64LE, H5T_NATIVE_INT64, 2, dims, values);
    char bytes[4096];
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    const size_t size = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    char *found = memmem(bytes, size, place, sizeof place);
    assert_non_null(found);
    found[8] = 8;
    return write_file(folder, "short.h5", bytes, size);
}

static herr_t count_prints(hid_t stack, void *count)
{
    (void)stack;
    ++*(size_t *)count;
    return 0;
}

static void test_unfit_token_files_are_bad_input(void **state)
{
    const hsize_t dims[] = {2, 2, 1}, none[] = {0, 2};
    const int64_t negative[] = {1, 2, -3, 4}, large[] = {1, 2, 3, INT64_C(1) << 31};
    const uint64_t enormous[] = {1, UINT64_MAX, 3, 4};
    const double fractions[] = {1, 2, 3, 4};
    const struct token_request two = {2, 2, 2};
    struct error err = {0};
    int32_t *ids;
    size_t sequences, prints = 0;

    H5Eset_auto2(H5E_DEFAULT, count_prints, &prints); // nothing may reach HDF5's own error printing
#define REFUSED(path, complaint)                                                                  \
    do {                                                                                          \
        assert_int_equal(sample_load_tokens(&ids, &sequences, (path), &two, &err), STATUS_INPUT); \
        assert_error(err, STATUS_INPUT, complaint);                                               \
        assert_null(ids);                                                                         \
    } while (0)
    REFUSED(path_in(*state, "absent.h5"), "absent.h5: No such file or directory");
    REFUSED(write_text(*state, "text.h5", "not HDF5 at all"), "text.h5: not an HDF5 file");
    REFUSED(write_dataset(*state, "ids", H5T_STD_I32LE, H5T_NATIVE_INT64, 2, dims, negative),
            "there is no dataset \"tokens\"");
    REFUSED(write_dataset(*state, "tokens", H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, 2, dims, fractions),
            "does not hold integers");
    REFUSED(write_dataset(*state, "tokens", H5T_STD_I32LE, H5T_NATIVE_INT64, 1, dims, negative),
            "two dimensions");
    REFUSED(write_dataset(*state, "tokens", H5T_STD_I32LE, H5T_NATIVE_INT64, 3, dims, negative),
            "two dimensions");
    REFUSED(write_dataset(*state, "tokens", H5T_STD_I32LE, H5T_NATIVE_INT64, 2, none, NULL), "is empty");
    REFUSED(write_dataset(*state, "tokens", H5T_STD_I32LE, H5T_NATIVE_INT64, 2, dims, negative),
            "\"tokens\" [1, 0] is -3, not a token id");
    REFUSED(write_dataset(*state, "tokens", H5T_STD_I64LE, H5T_NATIVE_INT64, 2, dims, large),
            "\"tokens\" [1, 1] is 2147483648, not a token id");
    REFUSED(write_dataset(*state, "tokens", H5T_STD_U64LE, H5T_NATIVE_UINT64, 2, dims, enormous),
            "\"tokens\" [0, 1] is 9223372036854775807, not a token id"); // the largest that HDF5 converts to
    REFUSED(write_dataset(*state, "tokens", H5T_STD_I32LE, H5T_NATIVE_INT64, 2, dims, NULL),
            "does not hold all the data"); // would be read as zeros
    REFUSED(write_half(*state), "does not hold all the data");
    REFUSED(write_short(*state), "does not hold all the data"); // HDF5 1.10 reads past its buffer
    assert_int_equal(prints, 0);

    H5E_auto2_t print;
    void *data;
    H5Eget_auto2(H5E_DEFAULT, &print, &data);
    assert_true(print == count_prints && data == &prints);                  // put back
    assert_int_equal(H5Fget_obj_count((hid_t)H5F_OBJ_ALL, H5F_OBJ_ALL), 0); // nothing left open
}

// ---- token files that point elsewhere ---------------------------------------------------------------------

static const struct token_request two_of_two = {2, 2, 2};

// Made before anything is opened: from then on HDF5 knows no links to other files, not even to make them.
static char *link_folder;
static const char *external_link;

static int make_external_link(void **state)
{
    const hsize_t dims[] = {2, 2};
    const int32_t values[] = {1, 2, 3, 4};
    (void)state;

    link_folder = temporary_folder_create();
    const char *whole =
        write_dataset(link_folder, "tokens", H5T_STD_I32LE, H5T_NATIVE_INT32, 2, dims, values);
    external_link = strdup(path_in(link_folder, "link.h5"));
    const hid_t file = H5Fcreate(external_link, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    const bool made = H5Lcreate_external(whole, "/tokens", file, "tokens", H5P_DEFAULT, H5P_DEFAULT) >= 0;
    H5Fclose(file);
    return made ? 0 : -1;
}

static int remove_external_link(void **state)
{
    (void)state;
    free((char *)(uintptr_t)external_link);
    temporary_folder_remove(link_folder);
    return 0;
}

static void refuse_tokens(const char *path, const char *complaint)
{
    struct error err = {0};
    int32_t *ids;
    size_t sequences;

    assert_int_equal(sample_load_tokens(&ids, &sequences, path, &two_of_two, &err), STATUS_INPUT);
    assert_error(err, STATUS_INPUT, complaint);
    assert_null(ids);
    assert_int_equal(H5Fget_obj_count((hid_t)H5F_OBJ_ALL, H5F_OBJ_ALL), 0);
}

// FOLDER/NAME with the dataset "tokens" [2, 2] that `creation` makes, its values where they are in this file.
static const char *write_made(const char *folder, const char *name, hid_t creation)
{
    const char *path = path_in(folder, name);
    const hsize_t dims[] = {2, 2};
    const hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    const hid_t space = H5Screate_simple(2, dims, NULL);
    const hid_t dataset =
        H5Dcreate2(file, "tokens", H5T_STD_I32LE, space, H5P_DEFAULT, creation, H5P_DEFAULT);
    const int32_t values[] = {1, 2, 3, 4};
    assert_true(dataset >= 0);
    if (H5Pget_layout(creation) == H5D_CHUNKED)
        assert_true(H5Dwrite(dataset, H5T_NATIVE_INT32, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
    H5Dclose(dataset);
    H5Sclose(space);
    H5Fclose(file);
    H5Pclose(creation);
    return path;
}

static void test_tokens_of_other_files_are_not_read(void **state)
{
    const hsize_t dims[] = {2, 2};
    const int32_t values[] = {1, 2, 3, 4};
    const char *whole = write_dataset(*state, "tokens", H5T_STD_I32LE, H5T_NATIVE_INT32, 2, dims, values);
    const char *path = path_in(*state, "points.h5");

    // Values in a plain file.
    hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
    assert_true(H5Pset_external(creation, write_text(*state, "other", "0123456789abcdef"), 0, 16) >= 0);
    refuse_tokens(write_made(*state, "external.h5", creation), "has its values in another file");

    // A dataset that is put together from another file, and from itself.
    const char *const sources[] = {whole, "."};
    for (size_t i = 0; i < 2; i++) {
        const hid_t space = H5Screate_simple(2, dims, NULL);
        creation = H5Pcreate(H5P_DATASET_CREATE);
        assert_true(H5Pset_virtual(creation, space, sources[i], "tokens", space) >= 0);
        H5Sclose(space);
        refuse_tokens(write_made(*state, "virtual.h5", creation), "is a virtual dataset");
    }

    refuse_tokens(external_link, "\"tokens\" is a link, to another file");

    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(H5Lcreate_soft("/elsewhere", file, "tokens", H5P_DEFAULT, H5P_DEFAULT) >= 0);
    H5Fclose(file);
    refuse_tokens(path, "\"tokens\" is a link, to another name");

    file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    H5Gclose(H5Gcreate2(file, "tokens", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    H5Fclose(file);
    refuse_tokens(path, "\"tokens\" is not a dataset");
}

static size_t pass_through(unsigned flags, size_t count, const unsigned values[], size_t size,
                           size_t *buffer_size, void **buffer)
{
    (void)flags, (void)count, (void)values, (void)buffer_size, (void)buffer;
    return size;
}

static void test_chunks_of_any_size_and_plugins_are_not_unpacked(void **state)
{
    const H5Z_class2_t plugin = {H5Z_CLASS_T_VERS, 32099, 1, 1, "plug\x1b[in", NULL, NULL, pass_through};
    const hsize_t small[] = {1, 2}, large[] = {1 << 18, 1 << 10};
    struct error err = {0};
    int32_t *ids;
    size_t sequences;

    assert_true(H5Zregister(&plugin) >= 0); // also one that is there is not used
    hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(creation, 2, small);
    H5Pset_filter(creation, plugin.id, 0, 0, NULL);
    refuse_tokens(write_made(*state, "plugin.h5", creation), "filter 32099, plug?[in, a plugin");
    H5Zunregister(plugin.id);

    const char *path = path_in(*state, "chunk.h5");
    const hsize_t dims[] = {2, 2}, most[] = {H5S_UNLIMITED, H5S_UNLIMITED};
    const hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    const hid_t space = H5Screate_simple(2, dims, most);
    creation = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(creation, 2, large);
    H5Pset_deflate(creation, 1);
    H5Dclose(H5Dcreate2(file, "tokens", H5T_STD_I32LE, space, H5P_DEFAULT, creation, H5P_DEFAULT));
    H5Sclose(space);
    H5Pclose(creation);
    H5Fclose(file);
    refuse_tokens(path, "has chunks of 1073741824 bytes");

    // HDF5's own filters are fine.
    creation = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(creation, 2, small);
    H5Pset_shuffle(creation);
    H5Pset_deflate(creation, 6);
    H5Pset_fletcher32(creation);
    path = write_made(*state, "packed.h5", creation);
    assert_ok(sample_load_tokens(&ids, &sequences, path, &two_of_two, &err), err);
    free(ids);
}

static bool is_told(const void *context)
{
    (void)context;
    return true;
}

static void test_reading_tokens_stops_when_told(void **state)
{
    const hsize_t dims[] = {2, 2};
    const int32_t values[] = {1, 2, 3, 4};
    const char *path = write_dataset(*state, "tokens", H5T_STD_I32LE, H5T_NATIVE_INT32, 2, dims, values);
    struct error err = {0};
    int32_t *ids;
    size_t sequences;

    interrupt_set(is_told, NULL);
    assert_int_equal(sample_load_tokens(&ids, &sequences, path, &two_of_two, &err), STATUS_STOPPED);
    interrupt_set(NULL, NULL);
    assert_null(ids);
}

static void test_only_rows_that_are_asked_for_are_read(void **state)
{
    const hsize_t dims[] = {UINT64_C(1) << 40, 4}; // 16 TiB that nobody wrote; row 3 has what is no token
    const hsize_t start[] = {3, 0}, one[] = {1, 4};
    const int32_t negative[] = {-1, -1, -1, -1};
    const char *path = write_dataset(*state, "tokens", H5T_STD_I32LE, H5T_NATIVE_INT32, 2, dims, NULL);
    struct error err = {0};
    int32_t *ids;
    size_t sequences;

    const hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    const hid_t dataset = H5Dopen2(file, "tokens", H5P_DEFAULT), space = H5Dget_space(dataset);
    const hid_t memory = H5Screate_simple(2, one, NULL);
    H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, one, NULL);
    assert_true(H5Dwrite(dataset, H5T_NATIVE_INT32, memory, space, H5P_DEFAULT, negative) >= 0);
    H5Sclose(memory);
    H5Sclose(space);
    H5Dclose(dataset);
    H5Fclose(file);

    assert_ok(sample_load_tokens(&ids, &sequences, path, &(struct token_request){4, 2, 3}, &err), err);
    assert_int_equal(sequences, 3);
    free(ids);
    assert_int_equal(sample_load_tokens(&ids, &sequences, path, &(struct token_request){4, 2, 4}, &err),
                     STATUS_INPUT);
    assert_error(err, STATUS_INPUT, "\"tokens\" [3, 0] is -1");
    assert_int_equal(sample_load_tokens(&ids, &sequences, path, &(struct token_request){5, 2, 2}, &err),
                     STATUS_INPUT);
    assert_error(err, STATUS_INPUT, "sequences of 4 tokens, the job asks for 2 of 5");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_token_files_of_any_integer_type_are_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_long_token_files_are_read_in_batches, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_unfit_token_files_are_bad_input, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_tokens_of_other_files_are_not_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_chunks_of_any_size_and_plugins_are_not_unpacked, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_reading_tokens_stops_when_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_only_rows_that_are_asked_for_are_read, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, make_external_link, remove_external_link);
}
