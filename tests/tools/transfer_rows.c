// transfer_rows - what it takes the ranks to write a file's rows with HDF5, each its own share:
// independently, as the store does, and collectively. Called under mpirun, with the MPI-IO that its
// environment chooses.
//
//     transfer_rows FILE
//
// In turn, a few rounds of both. Prints a line for each round: the seconds of the slowest rank, independent
// and collective. Nothing is synced: the file's disk is not what is measured. FILE is removed.
#include <hdf5.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROWS = 128, ROW_BYTES = 1 << 20, ROUNDS = 7 }; // 128 MiB

static void stop_if(int failed, const char *what)
{
    if (failed) {
        fprintf(stderr, "transfer_rows: %s\n", what);
        MPI_Abort(MPI_COMM_WORLD, 1);
    }
}

// Seconds of the slowest rank, on rank 0.
static double write_rows(hid_t dataset, H5FD_mpio_xfer_t how, const char *rows, hsize_t first, hsize_t count)
{
    const hsize_t start[] = {first, 0}, size[] = {count, ROW_BYTES};
    const hid_t list = H5Pcreate(H5P_DATASET_XFER), space = H5Dget_space(dataset);
    const hid_t memory = H5Screate_simple(2, size, NULL);
    double seconds, slowest = 0;

    stop_if(H5Pset_dxpl_mpio(list, how) < 0, "cannot choose the transfer");
    stop_if(H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, size, NULL) < 0, "cannot select rows");
    MPI_Barrier(MPI_COMM_WORLD);
    seconds = MPI_Wtime();
    stop_if(H5Dwrite(dataset, H5T_NATIVE_UCHAR, memory, space, list, rows) < 0, "cannot write");
    seconds = MPI_Wtime() - seconds;
    MPI_Reduce(&seconds, &slowest, 1, MPI_DOUBLE, MPI_MAX, 0, MPI_COMM_WORLD);
    H5Sclose(memory);
    H5Sclose(space);
    H5Pclose(list);
    return slowest;
}

static void run_rounds(const char *path, int rank, int size)
{
    const hsize_t dims[] = {ROWS, ROW_BYTES};
    const hsize_t first = (hsize_t)(ROWS * rank / size), count = (hsize_t)(ROWS * (rank + 1) / size) - first;
    const hid_t access = H5Pcreate(H5P_FILE_ACCESS), space = H5Screate_simple(2, dims, NULL);
    char *rows = malloc(count * ROW_BYTES);

    stop_if(rows == NULL, "out of memory");
    memset(rows, rank + 1, count * ROW_BYTES);
    stop_if(H5Pset_fapl_mpio(access, MPI_COMM_WORLD, MPI_INFO_NULL) < 0, "cannot use MPI-IO");
    const hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, access);
    stop_if(file < 0, "cannot make the file");
    const hid_t dataset =
        H5Dcreate2(file, "rows", H5T_NATIVE_UCHAR, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    stop_if(dataset < 0, "cannot make the dataset");
    for (int round = -1; round < ROUNDS; round++) { // the first is not counted
        const double alone = write_rows(dataset, H5FD_MPIO_INDEPENDENT, rows, first, count);
        const double together = write_rows(dataset, H5FD_MPIO_COLLECTIVE, rows, first, count);
        if (rank == 0 && round >= 0)
            printf("%.6f %.6f\n", alone, together);
    }
    H5Dclose(dataset);
    H5Fclose(file);
    H5Sclose(space);
    H5Pclose(access);
    free(rows);
}

int main(int argc, char **argv)
{
    int rank, size;

    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    stop_if(argc != 2, "usage: transfer_rows FILE");
    run_rounds(argv[1], rank, size);
    if (rank == 0)
        unlink(argv[1]);
    MPI_Finalize();
    return 0;
}
