// bench_weights.c - reading the weights of a layer of LLaMA-7B's size, 405 MB in bfloat16, beside pread of
// the same bytes into memory that is there. The program makes float32 of them, twice as many bytes, and looks
// for NaN and infinity. "From the disk" the file was put out of the page cache before; "from memory" it is
// in it. "Expected" comes from the disk as well, but the layer was named before, and then three times as much
// time has passed as pread takes, as while the layer before is computed with. Rates are those of the clock
// from the disk, and of processor time from memory.
//
// Under mpirun all ranks read their share, in both. The file is made in $TMPDIR, or /tmp; on a file system
// that lives in memory nothing comes from the disk, and that row is left out.
#include "io/model/open.h"
#include "io/store/store.h"
#include "stages/layer/layer_weights.h"
#include "tests/bench/bench.h"
#include "tests/support/random_checkpoint.h"
#include "tests/support/temporary_folder.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

enum { LAYERS = 2 }; // in turn: a layer that is loaded already is not read

struct reading {
    struct stage stage;
    struct layer_weights weights;
    const struct safetensors_file *file;
    int fd;
    unsigned char *buffer; // for pread
    size_t layer;
};

static void stop_if(bool failed, const char *what)
{
    if (failed) {
        fprintf(stderr, "bench_weights: %s\n", what);
        MPI_Abort(MPI_COMM_WORLD, 1);
    }
}

static void read_ours(void *context)
{
    struct reading *r = context;
    struct error err = {0};
    r->layer = (r->layer + 1) % LAYERS;
    stop_if(layer_weights_load(&r->weights, &r->stage, r->layer, NULL, &err) != STATUS_OK, err.message);
}

// This rank's share of the bytes of each tensor of the layer that is loaded; how many bytes the layer has.
static size_t read_share(const struct reading *r, const struct layer_map *map)
{
    unsigned char *to = r->buffer;
    size_t all = 0;
    for (size_t i = 0; i < map->num_tensors; i++) {
        const struct safetensors_tensor *tensor = map->tensors[i].tensor;
        const size_t bytes = (size_t)(tensor->end - tensor->begin);
        size_t first, count;
        share_of(bytes, (size_t)r->stage.team->rank, (size_t)r->stage.team->size, &first, &count);
        const off_t place = (const uint8_t *)tensor->data - r->file->mapping + (off_t)first;
        for (size_t done = 0; done < count;) {
            const ssize_t got = pread(r->fd, to + done, count - done, place + (off_t)done);
            stop_if(got <= 0, "cannot read");
            done += (size_t)got;
        }
        to += count;
        all += bytes;
    }
    return all;
}

static void read_plainly(void *context)
{
    struct reading *r = context;
    (void)read_share(r, &r->weights.map);
    team_barrier(r->stage.team);
}

// Puts the file out of the page cache; false where it stays there.
static bool forget(const struct reading *r)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), pages = (size_t)(r->file->file_bytes / page);
    unsigned char *in_memory = malloc(pages);
    size_t count = 0;

    team_barrier(r->stage.team);
    stop_if(in_memory == NULL || posix_fadvise(r->fd, 0, 0, POSIX_FADV_DONTNEED) != 0 ||
                mincore((void *)(uintptr_t)r->file->mapping, pages * page, in_memory) != 0,
            "cannot ask what is in memory");
    for (size_t i = 0; i < pages; i++)
        count += in_memory[i] & 1;
    free(in_memory);
    return !team_any(r->stage.team, count > pages / 20);
}

enum from { FROM_DISK, EXPECTED, FROM_MEMORY };

static double timed(struct reading *r, void (*run)(void *), enum from from)
{
    stop_if(from != FROM_MEMORY && !forget(r), "the file does not leave the page cache");
    team_barrier(r->stage.team);
    double (*const clock)(void) = from == FROM_MEMORY ? bench_processor_seconds : bench_seconds;
    const double start = clock();
    run(r);
    return clock() - start;
}

static double timed_expected(struct reading *r, double seconds)
{
    stop_if(!forget(r), "the file does not leave the page cache");
    layer_weights_expect(&r->weights, &r->stage, (r->layer + 1) % LAYERS, NULL);
    const double until = bench_seconds() + seconds;
    while (bench_seconds() < until)
        continue;
    team_barrier(r->stage.team);
    const double start = bench_seconds();
    read_ours(r);
    return bench_seconds() - start;
}

static void compare(const struct bench *bench, struct reading *r, size_t bytes, enum from from)
{
    static const char *const names[] = {[FROM_DISK] = "weights of a layer, from the disk / pread",
                                        [EXPECTED] = "weights of a layer, expected / pread",
                                        [FROM_MEMORY] = "weights of a layer, from memory / pread"};
    double rates[BENCH_REPETITIONS], peer_rates[BENCH_REPETITIONS], ratios[BENCH_REPETITIONS];

    if (from == FROM_MEMORY)
        read_ours(r), read_ours(r); // both layers are in the page cache
    for (size_t i = 0; i < BENCH_REPETITIONS; i++) {
        const double peer_seconds = timed(r, read_plainly, from);
        const double seconds =
            from == EXPECTED ? timed_expected(r, 3 * peer_seconds) : timed(r, read_ours, from);
        peer_rates[i] = (double)bytes / peer_seconds * 1e-9;
        rates[i] = (double)bytes / seconds * 1e-9;
        ratios[i] = rates[i] / peer_rates[i];
    }
    const double rate = bench_median(rates, BENCH_REPETITIONS),
                 peer = bench_median(peer_rates, BENCH_REPETITIONS);
    (void)bench_median(ratios, BENCH_REPETITIONS); // sorts them
    if (r->stage.team->rank == 0)
        bench_print_row(bench, &(struct bench_row){names[from], "GB/s", rate, peer, ratios[0],
                                                   ratios[BENCH_REPETITIONS - 1], 0.9, true});
}

int main(int argc, char **argv)
{
    struct random_checkpoint shape = random_checkpoint_defaults();
    const struct settings settings = {0};
    struct reading r = {.layer = 0};
    struct team team;
    struct model *model;
    struct bench bench = {.json = true};
    struct error err = {0};
    char folder[4096] = "";
    char *made = NULL;

    store_before_mpi();
    MPI_Init(&argc, &argv);
    stop_if(team_create(&team, MPI_COMM_WORLD, 1, &err) != STATUS_OK, err.message);
    if (team.rank == 0) {
        bench = bench_begin(argc, argv);
        made = temporary_folder_create();
        snprintf(folder, sizeof folder, "%s", made);
        shape.hidden = 4096, shape.intermediate = 11008, shape.heads = shape.kv_heads = 32;
        shape.layers = LAYERS, shape.tied = true;
        random_checkpoint_write(&shape, path_in(folder, "model"));
    }
    MPI_Bcast(folder, sizeof folder, MPI_CHAR, 0, team.comm);
    stop_if(model_open(&model, path_in(folder, "model"), &err) != STATUS_OK, err.message);
    r.stage = (struct stage){.team = &team, .model = model, .settings = &settings};
    r.file = model->checkpoint->shards[0];
    r.fd = open(r.file->path, O_RDONLY);
    stop_if(r.fd < 0 || fsync(r.fd) != 0, "cannot open the checkpoint");
    stop_if(layer_weights_create(&r.weights, &r.stage, &err) != STATUS_OK, err.message);
    r.buffer = malloc(r.weights.memory.bytes / 2 / (size_t)team.size + (1 << 20));
    stop_if(r.buffer == NULL, "out of memory");
    read_ours(&r);
    const size_t bytes = read_share(&r, &r.weights.map);

    if (forget(&r)) {
        compare(&bench, &r, bytes, FROM_DISK);
        compare(&bench, &r, bytes, EXPECTED);
    } else if (team.rank == 0)
        fprintf(stderr, "bench_weights: %s is on a file system in memory: no row for reading from the disk\n",
                folder);
    compare(&bench, &r, bytes, FROM_MEMORY);

    layer_weights_free(&r.weights);
    free(r.buffer);
    close(r.fd);
    model_close(model);
    if (team.rank == 0)
        temporary_folder_remove(made);
    team_free(&team);
    MPI_Finalize();
    return 0;
}
