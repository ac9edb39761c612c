#include "pipeline/doctor/installation.h"
#include "kernels/bf16_unit.h"
#include "kernels/blas.h"

#include "version.h"

#include <hdf5.h>
#include <mpi.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void look_at_program(struct findings *findings)
{
    char path[256] = "";
    const ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);

    path[length > 0 ? length : 0] = '\0';
    findings_add(findings, "coppice", VERDICT_FACT, "%s, built by %s%s%s", COPPICE_VERSION, COPPICE_COMPILER,
                 path[0] != '\0' ? ", " : "", path);
}

static void look_at_mpi(struct findings *findings)
{
    char library[MPI_MAX_LIBRARY_VERSION_STRING] = "unknown";
    int length, standard, minor;

    MPI_Get_library_version(library, &length);
    for (char *c = library; *c != '\0'; c++) // some are a page of lines
        if (*c == '\t')
            *c = ' ';
    library[strcspn(library, "\n,")] = '\0';
    MPI_Get_version(&standard, &minor);
    findings_add(findings, "MPI", standard == MPI_VERSION ? VERDICT_FACT : VERDICT_CAREFUL,
                 "%s, standard %d.%d%s", library, standard, minor,
                 standard == MPI_VERSION ? "" : "; the program was built with another");
}

static void look_at_hdf5(struct findings *findings)
{
    const char *locking = getenv("HDF5_USE_FILE_LOCKING");
    unsigned major, minor, release;

    H5get_libversion(&major, &minor, &release);
    findings_add(findings, "HDF5",
                 major == H5_VERS_MAJOR && minor == H5_VERS_MINOR ? VERDICT_FACT : VERDICT_WRONG,
                 "%u.%u.%u%s%s%s", major, minor, release,
                 major == H5_VERS_MAJOR && minor == H5_VERS_MINOR
                     ? ""
                     : ", but the program was built with " H5_VERS_INFO ": build it again",
                 locking != NULL ? "; HDF5_USE_FILE_LOCKING=" : "", locking != NULL ? locking : "");
}

static void look_at_bf16(struct findings *findings)
{
    struct error why = {0};
    char name[BF16_UNIT_NAME_SIZE];

    bf16_unit_name(name, sizeof name);
    if (bf16_unit_prepare(1, &why) == STATUS_OK)
        findings_add(findings, "bfloat16", VERDICT_FACT, "by %s", name);
    else
        findings_add(findings, "bfloat16", VERDICT_FACT, "compute: bf16 is refused: %s", why.message);
}

void installation_look(struct findings *findings)
{
    char blas[BLAS_NAME_SIZE];

    look_at_program(findings);
    look_at_mpi(findings);
    look_at_hdf5(findings);
    blas_name(blas, sizeof blas);
    findings_add(findings, "BLAS", VERDICT_FACT, "%s%s", blas,
                 blas_keeps_bits()
                     ? ""
                     : ": with another number of ranks or threads results may differ in the last bits, "
                       "which BLIS's do not");
    look_at_bf16(findings);
}
