// HDF5: token ids from a stranger, and committed files.
#include "io/corpus/sample.h"
#include "io/store/format.h"
#include "tests/fuzz/parsers.h"
#include "tests/fuzz/promise.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#ifdef COPPICE_SANITIZE
#include <sanitizer/lsan_interface.h>
#define BEGIN_LEAKS() __lsan_disable()
#define END_LEAKS() __lsan_enable()
#else
#define BEGIN_LEAKS() ((void)0)
#define END_LEAKS() ((void)0)
#endif

bool fuzz_corpus_hdf5(const uint8_t *data, size_t size)
{
    const struct token_request request = {.length = 3, .fewest = 1, .most = 8};
    int32_t *ids;
    size_t sequences;
    struct error err = {0};

    const char *path = work_file("tokens.h5", data, size);
    if (!OUTCOME(sample_load_tokens(&ids, &sequences, path, &request, &err), err, MAY(STATUS_INPUT)))
        return false;
    PROMISE(sequences > 0 && sequences <= request.most);
    for (size_t i = 0; i < sequences * request.length; i++)
        PROMISE(ids[i] >= 0);
    free(ids);
    return true;
}

// In one piece and in chunks. No filters: how large a damaged file's compressed chunk becomes, HDF5 1.10 does
// not look at.
void make_tokens(const struct seed_sink *sink)
{
    static const int16_t ids[2][3] = {{1, 2, 3}, {4, 5, 6}};
    const hsize_t dims[2] = {2, 3};
    const char *path = work_path("seed.h5");
    size_t size;

    for (int chunked = 0; chunked < 2; chunked++) {
        const hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT),
                    space = H5Screate_simple(2, dims, NULL), create = H5Pcreate(H5P_DATASET_CREATE);
        if (chunked)
            PROMISE(H5Pset_chunk(create, 2, dims) >= 0);
        const hid_t dataset =
            H5Dcreate2(file, "tokens", H5T_STD_I16LE, space, H5P_DEFAULT, create, H5P_DEFAULT);
        PROMISE(H5Dwrite(dataset, H5T_NATIVE_INT16, H5S_ALL, H5S_ALL, H5P_DEFAULT, ids) >= 0);
        PROMISE(H5Dclose(dataset) >= 0 && H5Pclose(create) >= 0 && H5Sclose(space) >= 0 &&
                H5Fclose(file) >= 0);
        void *bytes = file_bytes(path, &size);
        sink->add(sink->context, bytes, size);
        free(bytes);
    }
}

// ---- the store -------------------------------------------------------------------------------------------

static const struct {
    const char *name;
    enum store_type type;
    size_t rank;
    uint64_t dims[2];
} datasets[] = {
    {"/a.b/mask", STORE_U8, 2, {3, 2}}, {"/a.b/mean", STORE_F64, 1, {2}}, {"/ids", STORE_I32, 2, {1, 4}}};
enum { NUM_DATASETS = 3 };

static void end_mpi(void)
{
    MPI_Finalize();
}

// Writing needs MPI, for one process alone; reading does not.
static void begin_mpi(void)
{
    int is_there;

    MPI_Initialized(&is_there);
    if (is_there)
        return;
    store_before_mpi();
    PROMISE(MPI_Init(NULL, NULL) == MPI_SUCCESS);
    PROMISE(atexit(end_mpi) == 0);
}

static void write_store(const char *path)
{
    struct store_writer *writer;
    struct error err;
    static const uint8_t values[32] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

    // Open MPI keeps what it allocates.
    BEGIN_LEAKS();
    begin_mpi();
    PROMISE(store_create(&writer, path, (struct file_origin){0x0123456789abcdef, NULL}, MPI_COMM_SELF,
                         &err) == STATUS_OK);
    for (size_t i = 0; i < NUM_DATASETS; i++) {
        const struct store_shape shape = {.type = datasets[i].type,
                                          .rank = datasets[i].rank,
                                          .dims = {datasets[i].dims[0], datasets[i].dims[1]},
                                          .meaning = "a seed"};
        PROMISE(store_declare(writer, datasets[i].name, &shape, &err) == STATUS_OK);
        PROMISE(store_write(writer, datasets[i].name, 0, shape.dims[0], values, &err) == STATUS_OK);
    }
    PROMISE(store_attribute_u64(writer, "/a.b", "kept", 5, &err) == STATUS_OK);
    PROMISE(store_attribute_string(writer, "/ids", "method", "wanda", &err) == STATUS_OK);
    PROMISE(store_commit(writer, &err) == STATUS_OK);
    END_LEAKS();
}

static enum status visit_group(void *context, const char *name, struct error *err)
{
    (void)err;
    *(size_t *)context += strlen(name);
    return STATUS_OK;
}

static void read_datasets(const struct store_reader *reader)
{
    const unsigned allowed = MAY(STATUS_FAILED) | MAY(STATUS_DAMAGED);
    struct error err = {0};
    size_t names = 0;
    uint64_t number;
    char *text;

    OUTCOME(store_groups(reader, visit_group, &names, &err), err, allowed);
    for (size_t i = 0; i < NUM_DATASETS; i++) {
        bool is_there;
        size_t rank = 0;
        uint64_t dims[STORE_MAX_RANK], elements = 1;
        if (!OUTCOME(store_find(reader, datasets[i].name, &is_there, &err), err, allowed) ||
            !OUTCOME(store_dims(reader, datasets[i].name, &rank, dims, &err), err, allowed))
            continue;
        // As every caller does: read only what has the shape that is expected.
        bool fits = rank == datasets[i].rank;
        for (size_t axis = 0; axis < datasets[i].rank && fits; axis++) {
            fits = dims[axis] == datasets[i].dims[axis];
            elements *= datasets[i].dims[axis];
        }
        void *values = fits ? malloc(elements * store_type_size(datasets[i].type)) : NULL;
        if (fits)
            OUTCOME(store_read(reader, datasets[i].name, datasets[i].type, 0, dims[0], values, &err), err,
                    allowed);
        free(values);
    }
    OUTCOME(store_read_attribute_u64(reader, "/a.b", "kept", &number, &err), err, allowed);
    if (OUTCOME(store_read_attribute_string(reader, "/ids", "method", &text, &err), err, allowed))
        free(text);
}

static bool read_store(const char *path)
{
    const unsigned allowed = MAY(STATUS_DAMAGED) | MAY(STATUS_FAILED);
    struct store_reader *reader;
    struct error err = {0};
    uint64_t made_from;

    OUTCOME(store_made_from(&made_from, path, &err), err, allowed);
    OUTCOME(store_verify(path, &err), err, allowed);
    if (!OUTCOME(store_open(&reader, path, MPI_COMM_SELF, &err), err, allowed))
        return false;
    read_datasets(reader);
    store_close(reader);
    return true;
}

// Any change is found.
bool fuzz_store(const uint8_t *data, size_t size)
{
    static void *seed;
    static size_t seed_size;

    if (seed == NULL) {
        write_store(work_path("seed.h5"));
        seed = file_bytes(work_path("seed.h5"), &seed_size);
    }
    const bool good = read_store(work_file("store.h5", data, size));
    PROMISE(!good || (size == seed_size && memcmp(data, seed, size) == 0));
    return good;
}

// A file of someone who knows the format: hashes are right, HDF5 is not.
bool fuzz_store_contents(const uint8_t *data, size_t size)
{
    const size_t whole = STORE_USER_BLOCK + size;
    uint8_t *bytes = malloc(whole);

    PROMISE(bytes != NULL);
    if (size == 0 || size > STORE_BLOCK) {
        free(bytes);
        return false;
    }
    const uint64_t hash = XXH3_64bits(data, size);
    const struct store_header header = {.length = whole, .blocks = XXH3_64bits(&hash, sizeof hash)};
    store_header_encode(bytes, &header);
    memcpy(bytes + STORE_USER_BLOCK, data, size);
    const bool good = read_store(work_file("store.h5", bytes, whole));
    free(bytes);
    return good;
}

void make_store(const struct seed_sink *sink)
{
    size_t size;

    write_store(work_path("seed.h5"));
    void *bytes = file_bytes(work_path("seed.h5"), &size);
    sink->add(sink->context, bytes, size);
    free(bytes);
}

void make_store_contents(const struct seed_sink *sink)
{
    size_t size;

    write_store(work_path("seed.h5"));
    uint8_t *bytes = file_bytes(work_path("seed.h5"), &size);
    sink->add(sink->context, bytes + STORE_USER_BLOCK, size - STORE_USER_BLOCK);
    free(bytes);
}
