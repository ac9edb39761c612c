// A reader finds every flipped byte and every truncation, and says which file it is.
// ranks: 1 2 3 4
#include "io/file/commit.h"
#include "io/store/format.h"
#include "tests/support/known_store.h"
#include "tests/support/mpi_test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

static void write_bytes(const char *path, const void *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

// A file of this rank's own with the known contents; the caller frees *bytes.
static const char *own_known(unsigned char **bytes, size_t *size)
{
    struct error err = {0};
    char name[32];
    snprintf(name, sizeof name, "known-%d.h5", mpi_rank());
    const char *path = in_directory(name);
    assert_int_equal(write_known(path, MPI_COMM_SELF, 0, &err), STATUS_OK);
    *bytes = slurp(path, size);
    return path;
}

static void assert_damaged(const char *path, const char *what, size_t where)
{
    struct store_reader *reader;
    struct error err = {0};
    const enum status status = store_open(&reader, path, MPI_COMM_SELF, &err);
    if (status != STATUS_DAMAGED || reader != NULL || strstr(err.message, path) == NULL)
        fail_msg("%s at %zu: status %d, '%s'", what, where, (int)status, err.message);
}

// Each rank tries every size-th byte, with one of several patterns.
static void every_flipped_byte_is_found(void **state)
{
    (void)state;
    unsigned char *bytes;
    size_t size;
    const char *path = own_known(&bytes, &size);
    const int file = open(path, O_RDWR);
    assert_true(file >= 0);
    for (size_t at = (size_t)mpi_rank(); at < size; at += (size_t)mpi_size()) {
        const unsigned char flipped = (unsigned char)(bytes[at] ^ (at % 3 == 0 ? 0xFF : 1 << at % 8));
        assert_int_equal(pwrite(file, &flipped, 1, (off_t)at), 1);
        assert_damaged(path, "flipped", at);
        assert_int_equal(pwrite(file, &bytes[at], 1, (off_t)at), 1);
    }
    check_known(path, MPI_COMM_SELF); // restored: fine again
    close(file);
    free(bytes);
}

static void every_truncation_and_every_tail_is_found(void **state)
{
    (void)state;
    unsigned char *bytes;
    size_t size;
    const char *path = own_known(&bytes, &size);
    for (size_t length = (size_t)mpi_rank(); length < size; length += (size_t)mpi_size()) {
        write_bytes(path, bytes, length);
        assert_damaged(path, "cut", length);
    }
    unsigned char *longer = malloc(size + 100);
    memcpy(longer, bytes, size);
    memset(longer + size, 0, 100);
    for (size_t more = 1; more < 100; more += 33) {
        write_bytes(path, longer, size + more);
        assert_damaged(path, "longer", size + more);
    }
    free(longer);
    free(bytes);
}

// ---- files of several blocks, checked by all ranks together ----------------------------------------------

enum { BIG_ROWS = 37, BIG_ROW_BYTES = 100003 };

static void write_big(const char *path)
{
    struct store_writer *writer;
    struct error err = {0};
    const uint64_t first = (uint64_t)BIG_ROWS * (uint64_t)mpi_rank() / (uint64_t)mpi_size();
    const uint64_t count = (uint64_t)BIG_ROWS * (uint64_t)(mpi_rank() + 1) / (uint64_t)mpi_size() - first;
    unsigned char *data = malloc(count * BIG_ROW_BYTES + 1);

    for (uint64_t i = 0; i < count * BIG_ROW_BYTES; i++)
        data[i] = (unsigned char)((first * BIG_ROW_BYTES + i) * 2654435761U >> 13);
    assert_int_equal(store_create(&writer, path, NO_ORIGIN, MPI_COMM_WORLD, &err), STATUS_OK);
    assert_int_equal(
        store_declare(writer, "/big",
                      &(struct store_shape){.type = STORE_U8, .rank = 2, .dims = {BIG_ROWS, BIG_ROW_BYTES}},
                      &err),
        STATUS_OK);
    assert_int_equal(store_write(writer, "/big", first, count, data, &err), STATUS_OK);
    assert_int_equal(store_commit(writer, &err), STATUS_OK);
    free(data);
}

// Collective. The big file as all ranks made it, and its bytes, which each rank frees.
static const char *shared_big(unsigned char **bytes, size_t *size)
{
    const char *path = in_directory("big.h5");
    write_big(path);
    *bytes = slurp(path, size);
    return path;
}

// Collective. Rank 0 changes the file while no rank reads it.
static void overwrite(const char *path, const void *bytes, size_t size, size_t at)
{
    MPI_Barrier(MPI_COMM_WORLD);
    if (mpi_rank() == 0) {
        const int file = open(path, O_WRONLY);
        assert_int_equal(pwrite(file, bytes, size, (off_t)at), size);
        close(file);
    }
    MPI_Barrier(MPI_COMM_WORLD);
}

static void a_flipped_byte_in_any_block_is_found_by_all_ranks(void **state)
{
    (void)state;
    unsigned char *bytes;
    size_t size;
    struct store_reader *reader;
    struct error err = {0};
    const char *path = shared_big(&bytes, &size);

    assert_true(size > 3 * STORE_BLOCK);
    assert_int_equal(store_open(&reader, path, MPI_COMM_WORLD, &err), STATUS_OK);
    store_close(reader);
    // around every border of a block, and in the last byte
    for (size_t at = STORE_USER_BLOCK + STORE_BLOCK - 1; at < size + STORE_BLOCK; at += STORE_BLOCK)
        for (size_t side = 0; side < 2; side++) {
            const size_t where = at + side < size ? at + side : size - 1;
            const unsigned char flipped = bytes[where] ^ 0x10;
            overwrite(path, &flipped, 1, where);
            err.message[0] = '\0';
            assert_int_equal(store_open(&reader, path, MPI_COMM_WORLD, &err), STATUS_DAMAGED);
            assert_non_null(strstr(err.message, path));
            overwrite(path, &bytes[where], 1, where);
        }
    free(bytes);
}

static void two_blocks_that_change_places_are_found(void **state)
{
    (void)state;
    unsigned char *bytes, *swapped;
    size_t size;
    struct store_reader *reader;
    struct error err = {0};
    const char *path = shared_big(&bytes, &size);

    swapped = malloc(size);
    memcpy(swapped, bytes, size);
    memcpy(swapped + STORE_USER_BLOCK + STORE_BLOCK, bytes + STORE_USER_BLOCK + 2 * STORE_BLOCK, STORE_BLOCK);
    memcpy(swapped + STORE_USER_BLOCK + 2 * STORE_BLOCK, bytes + STORE_USER_BLOCK + STORE_BLOCK, STORE_BLOCK);
    overwrite(path, swapped, size, 0);
    assert_int_equal(store_open(&reader, path, MPI_COMM_WORLD, &err), STATUS_DAMAGED);
    free(swapped);
    free(bytes);
}

// The oracle: the hashes of FORMAT.md, computed from the whole file and from what was written.
static void the_hashes_are_what_the_manual_says(void **state)
{
    (void)state;
    struct store_reader *reader;
    struct error err = {0};
    uint64_t blocks[8], rows[BIG_ROWS], stored, length;
    size_t size, num_blocks = 0;
    unsigned char *bytes, *row = malloc(BIG_ROW_BYTES);
    const char *path = shared_big(&bytes, &size);

    assert_memory_equal(bytes, "coppice-store\r\n\x1a", 16);
    memcpy(&length, bytes + 24, sizeof length);
    assert_int_equal(length, size);
    for (size_t at = STORE_USER_BLOCK; at < size; at += 1048576)
        blocks[num_blocks++] = XXH3_64bits(bytes + at, size - at < 1048576 ? size - at : 1048576);
    memcpy(&stored, bytes + 32, sizeof stored);
    assert_true(stored == XXH3_64bits(blocks, num_blocks * 8));
    memcpy(&stored, bytes + 504, sizeof stored);
    assert_true(stored == XXH3_64bits(bytes, 504));

    for (uint64_t r = 0; r < BIG_ROWS; r++) {
        for (uint64_t i = 0; i < BIG_ROW_BYTES; i++)
            row[i] = (unsigned char)((r * BIG_ROW_BYTES + i) * 2654435761U >> 13);
        rows[r] = XXH3_64bits(row, BIG_ROW_BYTES);
    }
    assert_int_equal(store_open(&reader, path, MPI_COMM_WORLD, &err), STATUS_OK);
    assert_int_equal(store_read_attribute_u64(reader, "/big", "xxh3", &stored, &err), STATUS_OK);
    assert_true(stored == XXH3_64bits(rows, sizeof rows));
    store_close(reader);
    free(bytes);
    free(row);
}

// ---- other kinds of wrong files --------------------------------------------------------------------------

// Makes the header's checksums fit the bytes of a file of one block, as one who changed it on purpose would.
static void seal(unsigned char *bytes, size_t size)
{
    const uint64_t hash = XXH3_64bits(bytes + STORE_USER_BLOCK, size - STORE_USER_BLOCK);
    const struct store_header header = {.length = size, .blocks = XXH3_64bits(&hash, sizeof hash)};
    store_header_encode(bytes, &header);
}

static void verify_finds_a_dataset_that_does_not_match_its_own_checksum(void **state)
{
    (void)state;
    unsigned char *bytes;
    size_t size;
    struct error err = {0};
    const char *path = own_known(&bytes, &size);
    assert_int_equal(store_verify(path, &err), STATUS_OK);

    // A byte of /states changes, and the file's own checksum is made to fit again.
    const float element = 0.25F + 321; // of sequence 3, token 2, channel 1
    unsigned char *found = memmem(bytes, size, &element, sizeof element);
    assert_non_null(found);
    found[0] ^= 1;
    seal(bytes, size);
    write_bytes(path, bytes, size);

    struct store_reader *reader;
    assert_int_equal(store_open(&reader, path, MPI_COMM_SELF, &err), STATUS_OK);
    store_close(reader);
    assert_int_equal(store_verify(path, &err), STATUS_DAMAGED);
    assert_non_null(strstr(err.message, path));
    assert_non_null(strstr(err.message, "/states"));
    free(bytes);
}

static void a_later_format_version_is_named(void **state)
{
    (void)state;
    unsigned char *bytes;
    size_t size;
    struct error err = {0};
    struct store_reader *reader;
    const char *path = own_known(&bytes, &size);
    bytes[16] = 2;
    const uint64_t hash = XXH3_64bits(bytes, 504);
    memcpy(bytes + 504, &hash, 8);
    write_bytes(path, bytes, size);
    assert_int_equal(store_open(&reader, path, MPI_COMM_SELF, &err), STATUS_DAMAGED);
    assert_non_null(strstr(err.message, "version 2"));
    free(bytes);
}

static void what_is_no_store_is_refused_and_named(void **state)
{
    (void)state;
    struct error err = {0};
    struct store_reader *reader;
    char text[2000];
    const char *directory = mpi_test_directory(), *path = in_directory("other.h5");

    memset(text, 'x', sizeof text);
    for (size_t length = 0; length < sizeof text; length += 499) {
        MPI_Barrier(MPI_COMM_WORLD);
        if (mpi_rank() == 0)
            write_bytes(path, text, length);
        MPI_Barrier(MPI_COMM_WORLD);
        assert_int_equal(store_open(&reader, path, MPI_COMM_WORLD, &err), STATUS_DAMAGED);
        assert_non_null(strstr(err.message, path));
    }
    assert_int_equal(store_open(&reader, directory, MPI_COMM_WORLD, &err), STATUS_FAILED);
    assert_non_null(strstr(err.message, directory));
    assert_false(store_exists(directory));
    assert_int_equal(store_open(&reader, in_directory("absent.h5"), MPI_COMM_WORLD, &err), STATUS_FAILED);
    assert_non_null(strstr(err.message, "absent.h5"));
    assert_null(reader);
    store_close(NULL);
    if (mpi_rank() == 0) {
        const char *fifo = in_directory("fifo.h5");
        assert_int_equal(mkfifo(fifo, 0600), 0);
        assert_false(store_exists(fifo));
        assert_int_equal(store_open(&reader, fifo, MPI_COMM_SELF, &err), STATUS_FAILED); // and does not wait
    }
}

static void right_checksums_around_what_is_not_hdf5_are_an_error(void **state)
{
    (void)state;
    unsigned char *bytes;
    size_t size;
    struct error err = {0};
    struct store_reader *reader;
    const char *path = own_known(&bytes, &size);
    memset(bytes + STORE_USER_BLOCK, 'x', size - STORE_USER_BLOCK);
    seal(bytes, size);
    write_bytes(path, bytes, size);
    assert_int_equal(store_open(&reader, path, MPI_COMM_SELF, &err), STATUS_FAILED);
    assert_non_null(strstr(err.message, path));
    free(bytes);
}

// A store that somebody made by hand, with checksums that fit, and packed chunks.
static void chunks_are_refused_before_they_are_read(void **state)
{
    (void)state;
    const hsize_t dims[1] = {64}, chunk[1] = {16};
    const int32_t values[64] = {1, 2, 3};
    const char *path = in_directory("chunks.h5");
    int32_t found[64];
    struct error err = {0};
    struct store_reader *reader;

    for (int packed = 0; packed < 2 && mpi_rank() == 0; packed++) {
        const hid_t file_list = H5Pcreate(H5P_FILE_CREATE), list = H5Pcreate(H5P_DATASET_CREATE);
        H5Pset_userblock(file_list, STORE_USER_BLOCK);
        H5Pset_chunk(list, 1, chunk);
        if (packed)
            H5Pset_deflate(list, 1);
        const hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, file_list, H5P_DEFAULT);
        const hid_t space = H5Screate_simple(1, dims, NULL);
        const hid_t set = H5Dcreate2(file, "/ids", H5T_STD_I32LE, space, H5P_DEFAULT, list, H5P_DEFAULT);
        assert_true(H5Dwrite(set, H5T_NATIVE_INT32, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
        H5Dclose(set);
        H5Sclose(space);
        H5Pclose(list);
        H5Pclose(file_list);
        H5Fclose(file);
        size_t size;
        char *bytes;
        assert_int_equal(read_file(&bytes, &size, path, &err), STATUS_OK);
        seal((unsigned char *)bytes, size);
        write_bytes(path, bytes, size);
        free(bytes);
        assert_int_equal(store_open(&reader, path, MPI_COMM_SELF, &err), STATUS_OK);
        assert_int_equal(store_read(reader, "/ids", STORE_I32, 0, 64, found, &err), STATUS_FAILED);
        assert_non_null(strstr(err.message, "chunks.h5: /ids is in chunks or packed"));
        store_close(reader);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        mpi_unit_test(every_flipped_byte_is_found),
        mpi_unit_test(every_truncation_and_every_tail_is_found),
        mpi_unit_test(a_flipped_byte_in_any_block_is_found_by_all_ranks),
        mpi_unit_test(two_blocks_that_change_places_are_found),
        mpi_unit_test(the_hashes_are_what_the_manual_says),
        mpi_unit_test(verify_finds_a_dataset_that_does_not_match_its_own_checksum),
        mpi_unit_test(a_later_format_version_is_named),
        mpi_unit_test(what_is_no_store_is_refused_and_named),
        mpi_unit_test(chunks_are_refused_before_they_are_read),
        mpi_unit_test(right_checksums_around_what_is_not_hdf5_are_an_error),
    };
    return mpi_test_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
