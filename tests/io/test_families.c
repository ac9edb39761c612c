// Every model family against Hugging Face transformers: tiny random checkpoints that it wrote, and the logits
// that it computed from them in float32 (tests/golden/make_families.py).
#include "tests/support/golden.h"
#include "io/model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

// What the project promises; transformers' own logits move by about 1e-6 when it computes in another order.
static const double tolerance = 1e-4;

static void assert_parity(const char *name, const char *file)
{
    struct golden_result result;
    char relative[256];
    snprintf(relative, sizeof relative, "tests/golden/families/%s", name);
    char *directory = source_path(relative);
    snprintf(relative, sizeof relative, "tests/golden/families/%s/%s", name, file);
    char *golden = source_path(relative);
    golden_compare(&result, directory, golden);
    print_message("%-20s relative logit error %.2g, log-likelihood error %.2g\n", name, result.logit_error,
                  result.log_likelihood_error);
    assert_true(result.logit_error < tolerance);
    assert_true(result.log_likelihood_error < tolerance);
    free(directory);
    free(golden);
}

static void parity(void **state)
{
    assert_parity(*state, "golden.json");
}

static void phi3_takes_other_factors_for_short_sequences(void **state)
{
    (void)state;
    assert_parity("phi3", "golden-short.json");
}

#define FAMILY(text)                                                                    \
    {                                                                                   \
        .name = "parity of " text, .test_func = parity, .initial_state = (void *)(text) \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        FAMILY("llama3"),
        FAMILY("llama-linear"),
        FAMILY("llama-dynamic"),
        FAMILY("llama-yarn"),
        FAMILY("mistral"),
        FAMILY("qwen2"),
        FAMILY("qwen3"),
        FAMILY("phi3"),
        cmocka_unit_test(phi3_takes_other_factors_for_short_sequences),
        FAMILY("gemma2"),
        FAMILY("gemma3"),
        FAMILY("gemma3-old"),
        FAMILY("gpt-neox"),
        FAMILY("gpt-neox-sequential"),
        FAMILY("opt"),
        FAMILY("opt-norm-after"),
        FAMILY("mixtral"),
        FAMILY("qwen2-moe"),
        FAMILY("qwen3-moe"),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
