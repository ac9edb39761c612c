#include "tests/support/golden.h"
#include "io/model/open.h"
#include "tests/support/whole_model.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void *new_floats(size_t count)
{
    void *floats;
    struct error err;
    assert_int_equal(allocate_aligned(&floats, count, sizeof(float), "a test", &err), STATUS_OK);
    return floats;
}

float *hidden_after_layers(const struct model *model, const int32_t *ids, size_t tokens)
{
    struct error err = {0};
    float *hidden;

    if (whole_model_hidden(&hidden, model, ids, tokens, &err) != STATUS_OK)
        fail_msg("%s", err.message);
    return hidden;
}

static double largest(double a, double b)
{
    return a > b || isnan(a) ? a : b; // a NaN must not be forgotten
}

static double row_error(const float *logits, const json_t *golden)
{
    double error = 0.0, scale = 0.0;
    for (size_t i = 0; i < json_array_size(golden); i++) {
        const double expected = json_number_value(json_array_get(golden, i));
        error = largest(fabs((double)logits[i] - expected), error);
        scale = largest(fabs(expected), scale);
    }
    return error / scale;
}

void golden_compare(struct golden_result *result, const char *directory, const char *golden_path)
{
    struct model *model;
    struct lm_head head;
    struct error err = {0};
    json_t *golden = json_load_file(golden_path, 0, NULL);

    assert_non_null(golden);
    if (model_open(&model, directory, &err) != STATUS_OK)
        fail_msg("%s", err.message);
    const json_t *id_list = json_object_get(golden, "ids"), *positions = json_object_get(golden, "positions");
    const size_t tokens = json_array_size(id_list), vocabulary = model->config.vocab_size;
    int32_t *ids = calloc(tokens + 1, sizeof *ids);
    double *log_likelihood = calloc(tokens, sizeof *log_likelihood);
    assert_non_null(ids);
    assert_non_null(log_likelihood);
    for (size_t t = 0; t < tokens; t++)
        ids[t] = (int32_t)json_integer_value(json_array_get(id_list, t));
    ids[tokens] = -1;

    float *hidden = hidden_after_layers(model, ids, tokens);
    model_lm_head(&head, model);
    float *workspace = new_floats(lm_head_workspace_size(&head, tokens));
    float *logits;
    if (whole_model_logits(&logits, model, hidden, tokens, &err) != STATUS_OK)
        fail_msg("%s", err.message);
    lm_head_log_likelihood(log_likelihood, NULL, &head, hidden, ids + 1, tokens, workspace);

    *result = (struct golden_result){.tokens = tokens};
    for (size_t i = 0; i < json_array_size(positions); i++) {
        const size_t position = (size_t)json_integer_value(json_array_get(positions, i));
        const json_t *row = json_array_get(json_object_get(golden, "logits"), i);
        assert_int_equal(json_array_size(row), vocabulary);
        result->logit_error = largest(row_error(logits + position * vocabulary, row), result->logit_error);
    }
    const json_t *expected = json_object_get(golden, "log_likelihood");
    for (size_t t = 0; t + 1 < tokens; t++) {
        const double difference = fabs(log_likelihood[t] - json_number_value(json_array_get(expected, t)));
        result->log_likelihood_error = largest(difference, result->log_likelihood_error);
    }
    free(logits);
    free(workspace);
    free(hidden);
    free(log_likelihood);
    free(ids);
    model_close(model);
    json_decref(golden);
}
