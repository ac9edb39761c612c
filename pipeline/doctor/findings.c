#include "pipeline/doctor/findings.h"

#include "io/text/printable.h"

#include <jansson.h>
#include <stdarg.h>
#include <string.h>

enum { TOPIC_WIDTH = 15 };

// As enum verdict.
static const char *const verdict_words[] = {"fact", "good", "careful", "wrong"};

void findings_add(struct findings *findings, const char *topic, enum verdict verdict, const char *format, ...)
{
    va_list values;

    if (findings->count == MOST_FINDINGS)
        return;
    struct finding *finding = &findings->list[findings->count++];
    finding->topic = topic;
    finding->verdict = verdict;
    va_start(values, format);
    vsnprintf(finding->text, sizeof finding->text, format, values);
    va_end(values);
    make_printable(finding->text);
}

size_t findings_count(const struct findings *findings, enum verdict verdict)
{
    size_t count = 0;
    for (size_t i = 0; i < findings->count; i++)
        count += findings->list[i].verdict == verdict;
    return count;
}

static bool print_json(const struct findings *findings, FILE *out)
{
    json_t *list = json_array();
    int failed = 0;

    for (size_t i = 0; i < findings->count; i++) {
        const struct finding *finding = &findings->list[i];
        failed |=
            json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "topic", finding->topic, "verdict",
                                                  verdict_words[finding->verdict], "text", finding->text));
    }
    json_t *whole =
        json_pack("{s:b, s:o}", "ok", findings_count(findings, VERDICT_WRONG) == 0, "findings", list);
    const bool printed = failed == 0 && whole != NULL && json_dumpf(whole, out, JSON_INDENT(2)) == 0;
    json_decref(whole);
    if (printed)
        fputc('\n', out);
    return printed;
}

bool findings_print(const struct findings *findings, bool json, FILE *out)
{
    const char *before = "";

    if (json)
        return print_json(findings, out);
    for (size_t i = 0; i < findings->count; i++) {
        const struct finding *finding = &findings->list[i];
        const bool is_judged = finding->verdict >= VERDICT_CAREFUL;
        const char *topic = strcmp(before, finding->topic) == 0 ? "" : finding->topic;
        fprintf(out, "%-*s%s%s%s\n", TOPIC_WIDTH, topic, is_judged ? verdict_words[finding->verdict] : "",
                is_judged ? ": " : "", finding->text);
        before = finding->topic;
    }
    return true;
}
