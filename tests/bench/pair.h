// pair.h - a kernel beside a peer, in turn on one core: rates, and the spread of their quotients.
#pragma once
#include "tests/bench/bench.h"

enum { FEW_REPETITIONS = 3, LONG_SECONDS = 1 }; // for what takes long

struct bench_pair {
    const char *name;
    struct bench_work work, peer;
    double operations, peer_operations; // floating-point operations of one run of each
    double aim;                         // the least quotient of rates, or NAN
};

// Seconds that this process computed: what other programs take of the core does not count.
static inline double bench_own_seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static inline double bench_rate(struct bench_work work, double operations)
{
    const double start = bench_own_seconds();

    work.run(work.context);
    return 1e-9 * operations / (bench_own_seconds() - start);
}

// Runs both in turn and prints a line: median rates, their quotient, and the least and the largest quotient
// of a turn ("low" and "high" with --json).
static inline void bench_pair(const struct bench *bench, const struct bench_pair *pair)
{
    double rates[BENCH_REPETITIONS], peer_rates[BENCH_REPETITIONS], ratios[BENCH_REPETITIONS];

    const double start = bench_own_seconds();

    pair->work.run(pair->work.context);
    const size_t turns = bench_own_seconds() - start < LONG_SECONDS ? BENCH_REPETITIONS : FEW_REPETITIONS;
    for (size_t i = 0; i < turns; i++) {
        peer_rates[i] = bench_rate(pair->peer, pair->peer_operations);
        rates[i] = bench_rate(pair->work, pair->operations);
        ratios[i] = rates[i] / peer_rates[i];
    }
    (void)bench_median(ratios, turns); // sorts them
    const double value = bench_median(rates, turns), beside = bench_median(peer_rates, turns);
    const double ratio = value / beside, low = ratios[0], high = ratios[turns - 1];
    const bool has_aim = !isnan(pair->aim), met = has_aim && ratio >= pair->aim;

    if (bench->json) {
        char aim[32] = "null";
        if (has_aim)
            snprintf(aim, sizeof aim, "%g", pair->aim);
        printf("{\"name\": \"%s\", \"value\": %.6g, \"unit\": \"GF/s\", \"beside\": %.6g, \"ratio\": %.4g, "
               "\"low\": %.4g, \"high\": %.4g, \"aim\": %s, \"met\": %s}\n",
               pair->name, value, beside, ratio, low, high, aim,
               !has_aim ? "null"
               : met    ? "true"
                        : "false");
    } else {
        printf("%-58s %12.4g %-5s %12.4g %8.3f", pair->name, value, "GF/s", beside, ratio);
        if (has_aim)
            printf(" >=%6g%s", pair->aim, met ? "" : "  missed");
        printf("  [%.3f %.3f]\n", low, high);
    }
    fflush(stdout);
}
