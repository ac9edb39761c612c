#include "stages/team/alarm.h"

#include <stdlib.h>
#include <string.h>

enum { ALARM_TAG = 1 };

enum status alarm_create(struct alarm *alarm, const struct team *world, struct error *err)
{
    memset(alarm, 0, sizeof *alarm);
    alarm->comm = MPI_COMM_NULL;
    enum status status = allocate(&alarm->requests, (size_t)world->size, sizeof *alarm->requests,
                                  "the alarm between teams", err);
    status = team_agree(world, status, err); // the next call needs all ranks
    if (status == STATUS_OK && MPI_Comm_dup(world->comm, &alarm->comm) != MPI_SUCCESS)
        status = error_set(err, STATUS_FAILED, "MPI_Comm_dup failed");
    alarm->rank = world->rank;
    alarm->size = world->size;
    status = team_agree(world, status, err);
    if (status != STATUS_OK)
        alarm_free(alarm);
    return status;
}

void alarm_raise(struct alarm *alarm)
{
    if (alarm->raised)
        return;
    alarm->raised = true;
    int n = 0;
    for (int rank = 0; rank < alarm->size; rank++)
        if (rank != alarm->rank)
            MPI_Isend(NULL, 0, MPI_BYTE, rank, ALARM_TAG, alarm->comm, &alarm->requests[n++]);
}

bool alarm_heard(const struct alarm *alarm)
{
    int flag = 0;
    if (alarm->size > 1)
        MPI_Iprobe(MPI_ANY_SOURCE, ALARM_TAG, alarm->comm, &flag, MPI_STATUS_IGNORE);
    return flag != 0;
}

void alarm_settle(struct alarm *alarm)
{
    int raised = alarm->raised ? 1 : 0, all = 0;
    MPI_Allreduce(&raised, &all, 1, MPI_INT, MPI_SUM, alarm->comm);
    for (int i = 0; i < all - raised; i++)
        MPI_Recv(NULL, 0, MPI_BYTE, MPI_ANY_SOURCE, ALARM_TAG, alarm->comm, MPI_STATUS_IGNORE);
    if (alarm->raised)
        MPI_Waitall(alarm->size - 1, alarm->requests, MPI_STATUSES_IGNORE);
    alarm->raised = false;
}

void alarm_free(struct alarm *alarm)
{
    if (alarm->requests != NULL && alarm->comm != MPI_COMM_NULL)
        MPI_Comm_free(&alarm->comm);
    free(alarm->requests);
    memset(alarm, 0, sizeof *alarm);
}
