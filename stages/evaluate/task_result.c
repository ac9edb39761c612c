#include "stages/evaluate/task_result.h"

#include "io/file/run_paths.h"
#include "io/file/sealed_json.h"
#include "stages/stage.h"

#include <math.h>
#include <string.h>

// Which option of an example has the largest sum over its length; lengths NULL: the largest sum. The first of
// equals.
static size_t choose(const double *log_likelihood, const uint64_t *lengths, size_t first, size_t end)
{
    size_t best = first;
    double most = -INFINITY;
    for (size_t o = first; o < end; o++) {
        const double value = lengths != NULL ? log_likelihood[o] / (double)lengths[o] : log_likelihood[o];
        if (value > most) {
            most = value;
            best = o;
        }
    }
    return best - first;
}

static double share_right(const struct task_tokens *tokens, const double *log_likelihood,
                          const uint64_t *lengths)
{
    size_t right = 0;
    for (size_t e = 0; e < tokens->num_examples; e++)
        right += choose(log_likelihood, lengths, tokens->first_option[e], tokens->first_option[e + 1]) ==
                 tokens->gold[e];
    return (double)right / (double)tokens->num_examples;
}

static double share_stderr(double share, size_t count)
{
    return count > 1 ? sqrt(share * (1 - share) / (double)(count - 1)) : NAN;
}

static void score_continuations(struct task_result *result, const struct task_tokens *tokens,
                                const double *log_likelihood, const uint8_t *greedy)
{
    const double n = (double)tokens->num_options;
    double sum = 0, squares = 0;
    size_t right = 0;

    for (size_t o = 0; o < tokens->num_options; o++) {
        right += greedy[o];
        sum += log_likelihood[o];
    }
    const double mean = sum / n;
    for (size_t o = 0; o < tokens->num_options; o++)
        squares += (log_likelihood[o] - mean) * (log_likelihood[o] - mean);
    result->acc = (double)right / n;
    result->perplexity = exp(-mean);
    result->perplexity_stderr = n > 1 ? result->perplexity * sqrt(squares / (n - 1) / n) : NAN;
}

void task_score(struct task_result *result, const struct task_tokens *tokens, bool choices,
                const double *log_likelihood, const uint8_t *greedy)
{
    *result = (struct task_result){.examples = tokens->num_examples,
                                   .truncated = tokens->truncated,
                                   .acc_norm = NAN,
                                   .acc_norm_stderr = NAN,
                                   .acc_norm_characters = NAN,
                                   .perplexity = NAN,
                                   .perplexity_stderr = NAN};
    if (choices) {
        result->acc = share_right(tokens, log_likelihood, NULL);
        result->acc_norm = share_right(tokens, log_likelihood, tokens->bytes);
        result->acc_norm_stderr = share_stderr(result->acc_norm, tokens->num_examples);
        result->acc_norm_characters = share_right(tokens, log_likelihood, tokens->characters);
    } else {
        score_continuations(result, tokens, log_likelihood, greedy);
    }
    result->acc_stderr = share_stderr(result->acc, tokens->num_examples);
}

// ---- files ----------------------------------------------------------------------------------------------

void task_result_path(char path[PATH_SIZE], const struct settings *settings, size_t index,
                      const struct variant *variant)
{
    run_task_result_path(path, settings->run, variant_name(variant), settings->tasks[index].name);
}

// A number that is not there (NaN) has no member.
static int add_number(json_t *json, const char *key, double value)
{
    return isfinite(value) ? json_object_set_new(json, key, json_real(value)) : 0;
}

enum status task_result_write(const struct task_result *result, const char *path,
                              const struct settings *settings, size_t index, const struct variant *variant,
                              struct error *err)
{
    const struct task_settings *task = &settings->tasks[index];
    size_t count;
    json_t *json = json_pack(
        "{s:s, s:s, s:s, s:s, s:o, s:I, s:I, s:b}", "task", task->name, "variant", variant_name(variant),
        "format", task_format_names(&count)[result->format], "data", task->data, "data_xxh3",
        json_sprintf("%016llx", (unsigned long long)result->hash), "examples", (json_int_t)result->examples,
        "truncated", (json_int_t)result->truncated, "special_tokens", (int)result->special_tokens);
    int failed = json == NULL;

    failed |= add_number(json, "acc", result->acc);
    failed |= add_number(json, "acc_stderr", result->acc_stderr);
    failed |= add_number(json, "acc_norm", result->acc_norm);
    failed |= add_number(json, "acc_norm_stderr", result->acc_norm_stderr);
    failed |= add_number(json, "acc_norm_characters", result->acc_norm_characters);
    failed |= add_number(json, "perplexity", result->perplexity);
    failed |= add_number(json, "perplexity_stderr", result->perplexity_stderr);
    const enum status status = failed == 0 ? sealed_json_write(path, json, err)
                                           : error_set(err, STATUS_MEMORY, "out of memory for %s", path);
    json_decref(json);
    return status;
}
