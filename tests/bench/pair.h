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

static inline double bench_rate(struct bench_work work, double operations)
{
    const double start = bench_processor_seconds();

    work.run(work.context);
    return 1e-9 * operations / (bench_processor_seconds() - start);
}

// Runs both in turn and prints a line: median rates, their quotient, and the least and the largest quotient
// of a turn ("low" and "high" with --json).
static inline void bench_pair(const struct bench *bench, const struct bench_pair *pair)
{
    double rates[BENCH_REPETITIONS], peer_rates[BENCH_REPETITIONS], ratios[BENCH_REPETITIONS];

    const double start = bench_processor_seconds();

    pair->work.run(pair->work.context);
    const size_t turns =
        bench_processor_seconds() - start < LONG_SECONDS ? BENCH_REPETITIONS : FEW_REPETITIONS;
    for (size_t i = 0; i < turns; i++) {
        peer_rates[i] = bench_rate(pair->peer, pair->peer_operations);
        rates[i] = bench_rate(pair->work, pair->operations);
        ratios[i] = rates[i] / peer_rates[i];
    }
    (void)bench_median(ratios, turns); // sorts them
    bench_print_row(bench, &(struct bench_row){pair->name, "GF/s", bench_median(rates, turns),
                                               bench_median(peer_rates, turns), ratios[0], ratios[turns - 1],
                                               pair->aim, true});
}
