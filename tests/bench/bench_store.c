// The cost of the store compared with plain writing of the same bytes: pwrite, fsync, rename, fsync of the
// folder by one process; and reading a file with every checksum compared with pread of the same bytes. Under
// mpirun all ranks write their share, in both.
//
// The files are made in $BENCH_FOLDER, or the current one.
#include "io/file/commit.h"
#include "io/store/store.h"
#include "tests/bench/bench.h"

#include <fcntl.h>
#include <limits.h>
#include <mpi.h>
#include <unistd.h>

enum { ROWS = 256, ROW_BYTES = 2 << 20 }; // 512 MiB

struct place {
    char path[PATH_MAX], folder[PATH_MAX - 32];
    int rank, size;
    unsigned char *data; // the rows of this rank
    uint64_t first, count;
};

static void stop_if(bool failed, const char *what)
{
    if (failed) {
        fprintf(stderr, "bench_store: %s\n", what);
        MPI_Abort(MPI_COMM_WORLD, 1);
    }
}

static void write_store(void *context)
{
    struct place *place = context;
    const struct store_shape shape = {.type = STORE_U8, .rank = 2, .dims = {ROWS, ROW_BYTES}};
    struct store_writer *writer;
    struct error err = {0};
    stop_if(store_create(&writer, place->path, NO_ORIGIN, MPI_COMM_WORLD, &err) != STATUS_OK, err.message);
    stop_if(store_declare(writer, "/a/rows", &shape, &err) != STATUS_OK, err.message);
    stop_if(store_write(writer, "/a/rows", place->first, place->count, place->data, &err) != STATUS_OK,
            err.message);
    stop_if(store_commit(writer, &err) != STATUS_OK, err.message);
}

static void write_plainly(void *context)
{
    const struct place *place = context;
    char temporary[PATH_MAX];
    struct error err = {0};
    snprintf(temporary, sizeof temporary, "%s/.bench-plain", place->folder);
    int fd = place->rank == 0 ? open(temporary, O_RDWR | O_CREAT | O_TRUNC, 0600) : -1;
    MPI_Barrier(MPI_COMM_WORLD);
    if (place->rank != 0)
        fd = open(temporary, O_RDWR);
    stop_if(fd < 0, "cannot open");
    const uint64_t end = (place->first + place->count) * ROW_BYTES;
    for (uint64_t at = place->first * ROW_BYTES; at < end;) {
        const ssize_t put = pwrite(fd, place->data + (at - place->first * ROW_BYTES), end - at, (off_t)at);
        stop_if(put <= 0, "cannot write");
        at += (uint64_t)put;
    }
    stop_if(fsync(fd) != 0, "cannot fsync");
    close(fd);
    MPI_Barrier(MPI_COMM_WORLD);
    if (place->rank == 0) {
        stop_if(rename(temporary, place->path) != 0, "cannot rename");
        stop_if(sync_directory(place->folder, &err) != STATUS_OK, err.message);
    }
    MPI_Barrier(MPI_COMM_WORLD);
}

// A unit's usual file: seven linears with three vectors each.
enum { LINEARS = 7, VECTORS = 3, CHANNELS = 512 };

static void write_small_store(void *context)
{
    const struct place *place = context;
    const struct store_shape shape = {.type = STORE_F64, .rank = 1, .dims = {CHANNELS}, .unit = "1"};
    struct store_writer *writer;
    struct error err = {0};
    char name[64];
    stop_if(store_create(&writer, place->path, NO_ORIGIN, MPI_COMM_WORLD, &err) != STATUS_OK, err.message);
    for (int i = 0; i < LINEARS * VECTORS; i++) {
        snprintf(name, sizeof name, "/linear-%d/vector-%d", i / VECTORS, i % VECTORS);
        stop_if(store_declare(writer, name, &shape, &err) != STATUS_OK, err.message);
    }
    for (int i = 0; i < LINEARS * VECTORS; i++) {
        snprintf(name, sizeof name, "/linear-%d/vector-%d", i / VECTORS, i % VECTORS);
        const uint64_t count = i % place->size == place->rank ? CHANNELS : 0;
        stop_if(store_write(writer, name, 0, count, place->data, &err) != STATUS_OK, err.message);
    }
    stop_if(store_commit(writer, &err) != STATUS_OK, err.message);
}

static void write_small_plainly(void *context)
{
    const struct place *place = context;
    struct error err = {0};
    if (place->rank == 0)
        stop_if(commit_bytes(place->path, place->data, LINEARS * VECTORS * CHANNELS * sizeof(double), &err) !=
                    STATUS_OK,
                err.message);
    MPI_Barrier(MPI_COMM_WORLD);
}

static void read_store(void *context)
{
    struct place *place = context;
    struct store_reader *reader;
    struct error err = {0};
    stop_if(store_open(&reader, place->path, MPI_COMM_WORLD, &err) != STATUS_OK, err.message);
    stop_if(store_read(reader, "/a/rows", STORE_U8, place->first, place->count, place->data, &err) !=
                STATUS_OK,
            err.message);
    store_close(reader);
    MPI_Barrier(MPI_COMM_WORLD);
}

static void read_plainly(void *context)
{
    struct place *place = context;
    const int fd = open(place->path, O_RDONLY);
    const uint64_t end = (place->first + place->count) * ROW_BYTES;
    for (uint64_t at = place->first * ROW_BYTES; at < end;) {
        const ssize_t got = pread(fd, place->data + (at - place->first * ROW_BYTES), end - at, (off_t)at);
        stop_if(got <= 0, "cannot read");
        at += (uint64_t)got;
    }
    close(fd);
    MPI_Barrier(MPI_COMM_WORLD);
}

int main(int argc, char **argv)
{
    const double bytes = (double)ROWS * ROW_BYTES;
    const char *folder = getenv("BENCH_FOLDER");
    struct place place = {.rank = 0};
    struct bench bench = {.json = true};
    double seconds, peer;

    store_before_mpi();
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &place.rank);
    MPI_Comm_size(MPI_COMM_WORLD, &place.size);
    if (place.rank == 0)
        bench = bench_begin(argc, argv);
    snprintf(place.folder, sizeof place.folder, "%s", folder != NULL ? folder : ".");
    snprintf(place.path, sizeof place.path, "%s/bench-store.h5", place.folder);
    place.first = (uint64_t)ROWS * (uint64_t)place.rank / (uint64_t)place.size;
    place.count = (uint64_t)ROWS * (uint64_t)(place.rank + 1) / (uint64_t)place.size - place.first;
    place.data = malloc(place.count * ROW_BYTES);
    stop_if(place.data == NULL, "out of memory");
    for (uint64_t i = 0; i < place.count * ROW_BYTES; i++)
        place.data[i] = (unsigned char)(i * 2654435761U >> 11);

    bench_time(&seconds, &peer, (struct bench_work){write_store, &place},
               (struct bench_work){write_plainly, &place});
    if (place.rank == 0)
        bench_print(&bench, "store: write and commit 512 MiB, compared with pwrite", bytes / seconds / 1e9,
                    "GB/s", bytes / peer / 1e9, 0.5, true);
    write_store(&place);
    bench_time(&seconds, &peer, (struct bench_work){read_store, &place},
               (struct bench_work){read_plainly, &place});
    if (place.rank == 0)
        bench_print(&bench, "store: check and read 512 MiB, compared with pread", bytes / seconds / 1e9,
                    "GB/s", bytes / peer / 1e9, 0.4, true);
    bench_time(&seconds, &peer, (struct bench_work){write_small_store, &place},
               (struct bench_work){write_small_plainly, &place});
    if (place.rank == 0)
        bench_print(&bench, "store: write and commit 21 vectors, compared with commit_bytes", seconds * 1e3,
                    "ms", peer * 1e3, NAN, false);
    if (place.rank == 0)
        unlink(place.path);
    free(place.data);
    MPI_Finalize();
    return 0;
}
