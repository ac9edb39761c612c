#include "stages/team/reports.h"

#include <stdlib.h>
#include <string.h>

enum { TAG_REPORT = 1, TAG_LAST = 2 };

enum status reports_create(struct reports *reports, const struct team *world, struct error *err)
{
    memset(reports, 0, sizeof *reports);
    reports->comm = MPI_COMM_NULL;
    reports->request = MPI_REQUEST_NULL;
    reports->rank = world->rank;
    reports->size = world->size;
    enum status status = STATUS_OK;
    if (world->rank == 0)
        status = allocate(&reports->heard, (size_t)world->size, sizeof *reports->heard,
                          "reports of the teams", err);
    status = team_agree(world, status, err); // the next call needs all ranks
    if (status == STATUS_OK && MPI_Comm_dup(world->comm, &reports->comm) != MPI_SUCCESS)
        status = error_set(err, STATUS_FAILED, "MPI_Comm_dup failed");
    status = team_agree(world, status, err);
    if (status != STATUS_OK)
        reports_free(reports);
    return status;
}

void reports_free(struct reports *reports)
{
    if (reports->size > 0 && reports->comm != MPI_COMM_NULL)
        MPI_Comm_free(&reports->comm);
    free(reports->heard);
    memset(reports, 0, sizeof *reports);
}

static void send(struct reports *reports, const double amounts[REPORT_AMOUNTS], int tag)
{
    memcpy(reports->sent, amounts, sizeof reports->sent);
    MPI_Isend(reports->sent, REPORT_AMOUNTS, MPI_DOUBLE, 0, tag, reports->comm, &reports->request);
}

void reports_tell(struct reports *reports, const double amounts[REPORT_AMOUNTS])
{
    int done;
    MPI_Test(&reports->request, &done, MPI_STATUS_IGNORE);
    if (done)
        send(reports, amounts, TAG_REPORT);
}

void reports_tell_last(struct reports *reports, const double amounts[REPORT_AMOUNTS])
{
    MPI_Wait(&reports->request, MPI_STATUS_IGNORE);
    send(reports, amounts, TAG_LAST);
    MPI_Wait(&reports->request, MPI_STATUS_IGNORE);
}

int reports_hear(struct reports *reports, double sums[REPORT_AMOUNTS])
{
    int there = 1;
    while (reports->size > 1) {
        MPI_Status from;
        MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, reports->comm, &there, &from);
        if (!there)
            break;
        MPI_Recv(reports->heard[from.MPI_SOURCE], REPORT_AMOUNTS, MPI_DOUBLE, from.MPI_SOURCE, from.MPI_TAG,
                 reports->comm, MPI_STATUS_IGNORE);
        reports->num_last += from.MPI_TAG == TAG_LAST;
    }
    for (int a = 0; a < REPORT_AMOUNTS; a++) {
        sums[a] = 0;
        for (int rank = 0; rank < reports->size; rank++)
            sums[a] += reports->heard[rank][a];
    }
    return reports->num_last;
}

void reports_reset(struct reports *reports)
{
    reports->num_last = 0;
    if (reports->heard != NULL)
        memset(reports->heard, 0, (size_t)reports->size * sizeof *reports->heard);
}
