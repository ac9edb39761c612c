#include "version.h"
#include "kernels/blas.h"
#include "pipeline/cli/options.h"

#include <hdf5.h>
#include <mpi.h>
#include <string.h>

// Asks the libraries that are loaded: they may differ from those that the program was compiled with.
void options_print_version(FILE *out)
{
    char blas[BLAS_NAME_SIZE], mpi[MPI_MAX_LIBRARY_VERSION_STRING] = "unknown";
    int length, standard, minor;
    unsigned hdf5_major, hdf5_minor, hdf5_release;

    MPI_Get_library_version(mpi, &length);
    mpi[strcspn(mpi, "\n,")] = '\0'; // the packager's name follows
    MPI_Get_version(&standard, &minor);
    H5get_libversion(&hdf5_major, &hdf5_minor, &hdf5_release);
    fprintf(out, "coppice %s\n", COPPICE_VERSION);
    fprintf(out, "MPI %d.%d (%s)\n", standard, minor, mpi);
    fprintf(out, "HDF5 %u.%u.%u\n", hdf5_major, hdf5_minor, hdf5_release);
    blas_name(blas, sizeof blas);
    fprintf(out, "%s\n", blas);
}
