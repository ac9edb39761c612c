// log.h - RUN/log.jsonl: one JSON object a line for every event, appended and never rewritten. Rank 0.
//
// Every line has "time" (UTC, ISO 8601 with milliseconds), "event", "version" (of coppice), "ranks",
// "process" ("HOST:PID" of the program's rank 0, which holds the locks), "slurm_job" (SLURM_JOB_ID, only
// inside Slurm), and what the event adds. Read back by pipeline/record/history.h. A line goes out in one
// write to a file opened with O_APPEND. A line torn by a kill stays, alone on its line: readers skip lines
// that are not JSON.
#pragma once
#include "kernels/error.h"

struct event_log;
enum { LOG_PROCESS_SIZE = 288 };

// Opens or creates RUN/log.jsonl; ends a torn last line first. ranks: size of the world. Closed with
// log_close.
enum status log_open(struct event_log **log, const char *run, int ranks, struct error *err);
void log_close(struct event_log *log); // NULL is fine
// "HOST:PID" of this process.
void log_process(char process[LOG_PROCESS_SIZE]);
// Which program this is, "HOST:PID", when the caller is not its rank 0. NULL log is fine.
void log_set_process(struct event_log *log, const char *process);

// Appends an event. format and the arguments after it are those of json_pack for one object, or format is
// NULL:
//   log_event(log, err, "unit", "{s:s, s:I, s:f}", "stage", "score", "layer", (json_int_t)3, "seconds", 1.5);
// log NULL does nothing (other ranks). STATUS_FAILED when the line could not be written whole, or format is
// wrong.
enum status log_event(struct event_log *log, struct error *err, const char *event, const char *format, ...);
