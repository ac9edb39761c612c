// findings.h - what the doctor found, in the order in which it looked.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum verdict {
    VERDICT_FACT,    // to be known, nothing to judge
    VERDICT_GOOD,    // tried, and it works
    VERDICT_CAREFUL, // works, and will be slow or may fail later
    VERDICT_WRONG    // does not work
};

enum { MOST_FINDINGS = 48, FINDING_SIZE = 400 };

struct findings {
    struct finding {
        const char *topic; // a literal
        enum verdict verdict;
        char text[FINDING_SIZE];
    } list[MOST_FINDINGS];
    size_t count;
};

// One more; those beyond MOST_FINDINGS are dropped. topic must outlive the findings.
void findings_add(struct findings *findings, const char *topic, enum verdict verdict, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

// How many have this verdict.
size_t findings_count(const struct findings *findings, enum verdict verdict);

// A line each for people, topics first; or {"ok": ..., "findings": [{"topic", "verdict", "text"}, ...]}.
// False when there was no memory for it.
bool findings_print(const struct findings *findings, bool json, FILE *out);
