// bench.h - what the bench programs share: time two things in turn, print one line about them.
//
// Every tests/bench/bench_*.c is a program of its own, found by the build and run by tests/bench.sh. It
// prints a table, or with --json one object a line: name, value, unit, beside, ratio, aim, aim_is, met.
// `value` is the median of what was measured, `beside` what its peer gave in the same run, `ratio` their
// quotient; `aim` is what the ratio should be, `aim_is` "at least" or "at most", and they are null where
// there is none. `low` and `high`, the least and the largest ratio of a round, are there for what ran in
// rounds of processor time; `x` where there is a picture (tests/bench/picture.sh). Nothing here fails when an
// aim is missed: machines are busy, and a person reads the numbers.
//
// The first paragraph of the comment at the head of a bench_*.c stands above its table in docs/speed.md.
//
// Products are computed by the kernels of BLIS that the program would choose.
#pragma once
#include "pipeline/run/process/kernel_choice.h"
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BENCH_REPETITIONS = 9 };

// What something took in each of a few rounds.
struct bench_times {
    size_t rounds; // at most BENCH_REPETITIONS
    double seconds[BENCH_REPETITIONS];
};

struct bench {
    bool json;
    double x; // where the rows that follow stand in a picture, "x" with --json; 0: nowhere
};

// One thing to be timed.
struct bench_work {
    void (*run)(void *context);
    void *context;
};

static inline struct bench bench_begin(int argc, char **argv)
{
    struct bench bench = {.json = argc == 2 && strcmp(argv[1], "--json") == 0};

    if (argc > 2 || (argc == 2 && !bench.json)) {
        fprintf(stderr, "usage: %s [--json]\n", argv[0]);
        exit(2);
    }
    struct kernel_survey survey;
    kernel_survey(&survey, NULL);
    if (survey.best[0] != '\0')
        (void)blas_kernel_set(survey.best, NULL);
    if (!bench.json)
        printf("%-58s %12s %-5s %12s %8s %8s\n", "", "value", "unit", "beside", "ratio", "aim");
    return bench;
}

static inline double bench_seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static inline int bench_compare(const void *left, const void *right)
{
    const double a = *(const double *)left, b = *(const double *)right;

    return (a > b) - (a < b);
}

static inline double bench_median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, bench_compare);
    return count % 2 != 0 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

// Median seconds of work and of its peer, run in turn after one run of each that is not counted.
static inline void bench_time(double *seconds, double *peer_seconds, struct bench_work work,
                              struct bench_work peer)
{
    double times[BENCH_REPETITIONS], peer_times[BENCH_REPETITIONS];

    work.run(work.context);
    peer.run(peer.context);
    for (size_t i = 0; i < BENCH_REPETITIONS; i++) {
        double start = bench_seconds();
        peer.run(peer.context);
        peer_times[i] = bench_seconds() - start;
        start = bench_seconds();
        work.run(work.context);
        times[i] = bench_seconds() - start;
    }
    *seconds = bench_median(times, BENCH_REPETITIONS);
    *peer_seconds = bench_median(peer_times, BENCH_REPETITIONS);
}

// Seconds of this process's processor time. On a quiet machine they are those of the clock, with one thread;
// on a busy one they are what of a ratio can be trusted.
static inline double bench_processor_seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

// Runs works[count] in turn, `rounds` times over, after one run of each that is not counted (of one round
// there is none); in processor time.
static inline void bench_rounds(struct bench_times *times, const struct bench_work *works, size_t count,
                                size_t rounds)
{
    for (size_t i = 0; i < count && rounds > 1; i++)
        works[i].run(works[i].context);
    for (size_t i = 0; i < count; i++)
        times[i].rounds = rounds;
    for (size_t round = 0; round < rounds; round++)
        for (size_t i = 0; i < count; i++) {
            const double start = bench_processor_seconds();
            works[i].run(works[i].context);
            times[i].seconds[round] = bench_processor_seconds() - start;
        }
}

// sum += factor * term, round by round. A sum that is zeroed has no rounds yet.
static inline void bench_add(struct bench_times *sum, const struct bench_times *term, double factor)
{
    sum->rounds = term->rounds;
    for (size_t i = 0; i < term->rounds; i++)
        sum->seconds[i] += factor * term->seconds[i];
}

static inline double bench_middle(const struct bench_times *times)
{
    struct bench_times sorted = *times;
    return bench_median(sorted.seconds, sorted.rounds);
}

// One line. ratio, of value to beside; low and high: the least and the largest of a round, NAN for none. aim:
// NAN for none; met when the ratio is at most aim (aim_is_least: at least).
struct bench_row {
    const char *name, *unit;
    double value, beside, low, high, aim;
    bool aim_is_least;
};

static inline void bench_print_row(const struct bench *bench, const struct bench_row *row)
{
    const double ratio = row->value / row->beside;
    const bool spread = !isnan(row->low), met = row->aim_is_least ? ratio >= row->aim : ratio <= row->aim;

    if (bench->json) {
        printf("{\"name\": \"%s\", \"value\": %.6g, \"unit\": \"%s\", \"beside\": %.6g, \"ratio\": %.4g, ",
               row->name, row->value, row->unit, row->beside, ratio);
        if (bench->x > 0)
            printf("\"x\": %.6g, ", bench->x);
        if (spread)
            printf("\"low\": %.4g, \"high\": %.4g, ", row->low, row->high);
        if (isnan(row->aim))
            printf("\"aim\": null, \"aim_is\": null, \"met\": null}\n");
        else
            printf("\"aim\": %g, \"aim_is\": \"%s\", \"met\": %s}\n", row->aim,
                   row->aim_is_least ? "at least" : "at most", met ? "true" : "false");
    } else {
        printf("%-58s %12.4g %-5s %12.4g %8.3f", row->name, row->value, row->unit, row->beside, ratio);
        if (!isnan(row->aim))
            printf(" %2s%6g%s", row->aim_is_least ? ">=" : "<=", row->aim, met ? "" : "  missed");
        if (spread)
            printf("  [%.3f %.3f]", row->low, row->high);
        putchar('\n');
    }
    fflush(stdout);
}

static inline void bench_print(const struct bench *bench, const char *name, double value, const char *unit,
                               double beside, double aim, bool aim_is_least)
{
    bench_print_row(bench, &(struct bench_row){name, unit, value, beside, NAN, NAN, aim, aim_is_least});
}

// The same for what was timed in rounds: the ratio is that of medians.
static inline void bench_print_times(const struct bench *bench, const char *name,
                                     const struct bench_times *times, const struct bench_times *beside,
                                     double aim, bool aim_is_least)
{
    struct bench_row row = {name, "s", bench_middle(times), bench_middle(beside), INFINITY,
                            0,    aim, aim_is_least};

    for (size_t i = 0; i < times->rounds; i++) {
        row.low = fmin(row.low, times->seconds[i] / beside->seconds[i]);
        row.high = fmax(row.high, times->seconds[i] / beside->seconds[i]);
    }
    bench_print_row(bench, &row);
}
