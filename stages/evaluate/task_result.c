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

// sqrt(sum of (n_i - 1) s_i^2 n_i / (n - subjects) / n), with s_i the standard error of subject i. NaN where
// every subject has one example.
static double pooled_stderr(const struct task_share *subjects, size_t category)
{
    double sum = 0, examples = 0, count = 0;

    for (size_t i = 0; i < MMLU_SUBJECTS; i++) {
        const double n = (double)subjects[i].examples;
        if (n == 0 || (category < MMLU_CATEGORIES && mmlu_category(i) != category))
            continue;
        const double share = (double)subjects[i].right / n;
        sum += share * (1 - share) * n; // (n - 1) s^2 n
        examples += n;
        count++;
    }
    return examples > count ? sqrt(sum / (examples - count) / examples) : NAN;
}

static void score_subjects(struct task_result *result, const struct task_tokens *tokens,
                           const double *log_likelihood)
{
    size_t subjects = 0;
    for (size_t e = 0; e < tokens->num_examples; e++) {
        struct task_share *subject = &result->subjects[tokens->group[e]];
        subjects += subject->examples++ == 0;
        subject->right += choose(log_likelihood, NULL, tokens->first_option[e],
                                 tokens->first_option[e + 1]) == tokens->gold[e];
    }
    if (subjects > 1)
        result->acc_stderr = pooled_stderr(result->subjects, MMLU_CATEGORIES);
}

void task_score(struct task_result *result, const struct task_tokens *tokens, enum task_format format,
                const double *log_likelihood, const uint8_t *greedy)
{
    *result = (struct task_result){.examples = tokens->num_examples,
                                   .truncated = tokens->truncated,
                                   .acc_norm = NAN,
                                   .acc_norm_stderr = NAN,
                                   .acc_norm_characters = NAN,
                                   .perplexity = NAN,
                                   .perplexity_stderr = NAN,
                                   .format = format};
    if (task_has_choices(format)) {
        result->acc = share_right(tokens, log_likelihood, NULL);
        result->acc_norm = share_right(tokens, log_likelihood, tokens->bytes);
        result->acc_norm_stderr = share_stderr(result->acc_norm, tokens->num_examples);
        result->acc_norm_characters = share_right(tokens, log_likelihood, tokens->characters);
    } else {
        score_continuations(result, tokens, log_likelihood, greedy);
    }
    result->acc_stderr = share_stderr(result->acc, tokens->num_examples);
    if (format == TASK_MMLU)
        score_subjects(result, tokens, log_likelihood);
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

static json_t *share_to_json(uint64_t examples, uint64_t right, double stderr_)
{
    json_t *json =
        json_pack("{s:I, s:f}", "examples", (json_int_t)examples, "acc", (double)right / (double)examples);
    return json == NULL || add_number(json, "acc_stderr", stderr_) != 0 ? NULL : json;
}

// "subjects" and "categories" of MMLU.
static int add_subjects(json_t *json, const struct task_share *subjects)
{
    json_t *all = json_object(), *categories = json_object();
    struct task_share of[MMLU_CATEGORIES] = {{0, 0}};
    int failed = 0;

    for (size_t i = 0; i < MMLU_SUBJECTS; i++) {
        struct task_share *category = &of[mmlu_category(i)];
        if (subjects[i].examples == 0)
            continue;
        category->examples += subjects[i].examples;
        category->right += subjects[i].right;
        const double share = (double)subjects[i].right / (double)subjects[i].examples;
        failed |= json_object_set_new(all, mmlu_subject(i),
                                      share_to_json(subjects[i].examples, subjects[i].right,
                                                    share_stderr(share, subjects[i].examples)));
    }
    for (size_t c = 0; c < MMLU_CATEGORIES; c++)
        if (of[c].examples > 0)
            failed |=
                json_object_set_new(categories, mmlu_category_name(c),
                                    share_to_json(of[c].examples, of[c].right, pooled_stderr(subjects, c)));
    failed |= json_object_set_new(json, "categories", categories);
    return failed | json_object_set_new(json, "subjects", all);
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
    if (task->measured_with != 0)
        failed |= json_object_set_new(json, "measured_with",
                                      json_sprintf("%016llx", (unsigned long long)task->measured_with));
    if (task->shots > 0)
        failed |= json_object_set_new(json, "shots", json_integer((json_int_t)task->shots));
    if (result->format == TASK_MMLU)
        failed |= add_subjects(json, result->subjects);
    const enum status status = failed == 0
                                   ? sealed_json_write_from(path, json, settings_origin(settings), err)
                                   : error_set(err, STATUS_MEMORY, "out of memory for %s", path);
    json_decref(json);
    return status;
}
