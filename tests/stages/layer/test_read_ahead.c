// What is expected next comes into the page cache while something else is done, and changes no bits. Needs a
// file system on a disk: the tests take /var/tmp, and skip where that lives in memory.
// ranks: 1 3
#include "io/model/open.h"
#include "stages/layer/layer_weights.h"
#include "stages/layer/read_ahead.h"
#include "tests/support/mpi_test.h"
#include "tests/support/random_checkpoint.h"
#include "tests/support/temporary_folder.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { LAYERS = 3 };

struct on_disk {
    char folder[64];
    struct model *model;
    struct settings settings;
    struct team team;
    struct stage stage;
    struct layer_weights weights;
    const struct safetensors_file *file;
    int fd;
};

static void on_disk_open(struct on_disk *disk)
{
    struct random_checkpoint shape = random_checkpoint_defaults();
    struct error err = {0};

    memset(disk, 0, sizeof *disk);
    snprintf(disk->folder, sizeof disk->folder, "/var/tmp/coppice-test-XXXXXX");
    shape.hidden = 512, shape.intermediate = 2048, shape.layers = LAYERS; // 8 MB a layer
    if (mpi_rank() == 0) {
        assert_non_null(mkdtemp(disk->folder));
        random_checkpoint_write(&shape, path_in(disk->folder, "model"));
    }
    MPI_Bcast(disk->folder, sizeof disk->folder, MPI_CHAR, 0, MPI_COMM_WORLD);
    assert_ok(team_create(&disk->team, MPI_COMM_WORLD, 1, &err), err);
    assert_ok(model_open(&disk->model, path_in(disk->folder, "model"), &err), err);
    disk->stage = (struct stage){.team = &disk->team, .model = disk->model, .settings = &disk->settings};
    assert_ok(layer_weights_create(&disk->weights, &disk->stage, &err), err);
    disk->file = disk->model->checkpoint->shards[0];
    disk->fd = open(disk->file->path, O_RDONLY);
    assert_true(disk->fd >= 0);
    assert_int_equal(fsync(disk->fd), 0);
}

static void on_disk_close(struct on_disk *disk)
{
    layer_weights_free(&disk->weights);
    close(disk->fd);
    model_close(disk->model);
    MPI_Barrier(MPI_COMM_WORLD);
    team_free(&disk->team);
    if (mpi_rank() == 0)
        temporary_folder_remove(strdup(disk->folder));
}

// The share of the bytes [begin, end) of the file that is in the page cache.
static double cached_between(const struct on_disk *disk, uint64_t begin, uint64_t end)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), first = begin / page,
                 pages = (end - 1) / page + 1 - first;
    unsigned char *in_memory = malloc(pages);
    size_t count = 0;

    assert_non_null(in_memory);
    assert_int_equal(mincore((char *)(uintptr_t)disk->file->mapping + first * page, pages * page, in_memory),
                     0);
    for (size_t i = 0; i < pages; i++)
        count += in_memory[i] & 1;
    free(in_memory);
    return (double)count / (double)pages;
}

// Of the layer's largest tensor.
static double cached(const struct on_disk *disk, size_t layer)
{
    char name[80];
    size_t shard;

    snprintf(name, sizeof name, "model.layers.%zu.mlp.up_proj.weight", layer);
    const struct safetensors_tensor *tensor = checkpoint_find(disk->model->checkpoint, name, &shard);
    assert_non_null(tensor);
    const uint64_t begin = (uint64_t)((const uint8_t *)tensor->data - disk->file->mapping);
    return cached_between(disk, begin, begin + (tensor->end - tensor->begin));
}

// Puts the file out of the page cache, where there is one.
static void forget(const struct on_disk *disk)
{
    MPI_Barrier(MPI_COMM_WORLD);
    assert_int_equal(posix_fadvise(disk->fd, 0, 0, POSIX_FADV_DONTNEED), 0);
    MPI_Barrier(MPI_COMM_WORLD);
}

static bool is_forgotten(const struct on_disk *disk)
{
    int yes = cached_between(disk, 0, disk->file->file_bytes) < 0.1;
    MPI_Allreduce(MPI_IN_PLACE, &yes, 1, MPI_INT, MPI_LAND, MPI_COMM_WORLD);
    return yes != 0;
}

static void the_layer_that_is_expected_is_fetched_meanwhile(void **state)
{
    struct on_disk disk;
    double share = 0;
    (void)state;

    on_disk_open(&disk);
    forget(&disk);
    if (!is_forgotten(&disk)) {
        on_disk_close(&disk);
        skip();
    }
    layer_weights_expect(&disk.weights, &disk.stage, 1, NULL);
    assert_non_null(disk.weights.ahead);
    read_ahead_wait(disk.weights.ahead);
    MPI_Barrier(MPI_COMM_WORLD);
    for (int i = 0; i < 500 && share < 1; i++) { // of 20 ms
        share = cached(&disk, 1);
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
    assert_true(share == 1);
    assert_true(cached(&disk, 2) < 1);
    on_disk_close(&disk);
}

static void nothing_is_expected_behind_the_last_layer(void **state)
{
    struct on_disk disk;
    (void)state;

    on_disk_open(&disk);
    layer_weights_expect(&disk.weights, &disk.stage, LAYERS - 1, NULL);
    assert_non_null(disk.weights.ahead);
    layer_weights_expect(&disk.weights, &disk.stage, LAYERS, NULL);
    assert_null(disk.weights.ahead);
    on_disk_close(&disk);
}

static void expecting_changes_no_bits(void **state)
{
    struct on_disk disk;
    struct error err = {0};
    (void)state;

    on_disk_open(&disk);
    const size_t bytes = disk.weights.memory.bytes;
    void *plain = malloc(bytes);
    assert_non_null(plain);
    assert_ok(layer_weights_load(&disk.weights, &disk.stage, 1, NULL, &err), err);
    memcpy(plain, disk.weights.memory.data, bytes);
    forget(&disk);
    assert_ok(layer_weights_load(&disk.weights, &disk.stage, 0, NULL, &err), err);
    assert_memory_not_equal(plain, disk.weights.memory.data, bytes);
    MPI_Barrier(MPI_COMM_WORLD);
    layer_weights_expect(&disk.weights, &disk.stage, 1, NULL);
    assert_ok(layer_weights_load(&disk.weights, &disk.stage, 1, NULL, &err), err);
    assert_memory_equal(plain, disk.weights.memory.data, bytes);
    free(plain);
    on_disk_close(&disk);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        mpi_unit_test(the_layer_that_is_expected_is_fetched_meanwhile),
        mpi_unit_test(nothing_is_expected_behind_the_last_layer),
        mpi_unit_test(expecting_changes_no_bits),
    };
    return mpi_test_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
