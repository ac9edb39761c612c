// alarm.h - how a team that fails tells the other teams before they have finished what they do.
//
// Teams work side by side without waiting for each other; an error in one must still end the whole job within
// seconds. The failing team's ranks send every other rank an empty message; everyone looks for one, without
// waiting, at its safe points.
#pragma once
#include "stages/team/team.h"

struct alarm {
    MPI_Comm comm; // not shared with other messages
    int rank, size;
    bool raised;
    MPI_Request *requests; // [size - 1] of the messages sent
};

// Collective over world. Freed with alarm_free.
enum status alarm_create(struct alarm *alarm, const struct team *world, struct error *err);
// One rank of the failing team, once; does not wait.
void alarm_raise(struct alarm *alarm);
// Not collective, cheap: whether an alarm has come in.
bool alarm_heard(const struct alarm *alarm);
// Collective over world, when all teams have stopped: receives all messages, so that the alarm can be raised
// again.
void alarm_settle(struct alarm *alarm);
void alarm_free(struct alarm *alarm); // collective; zeroed is fine
