// The candidates of the method auto: what their names say, the named methods among them, and the choice.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernels/pruning/masks/candidates.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// The number after `key` in a name such as "wanda-alpha0.125-exponent0.375"; without it, `own`.
static double number_after(const char *name, const char *key, double own)
{
    const char *found = strstr(name, key);
    return found != NULL ? strtod(found + strlen(key), NULL) : own;
}

// The names go into files, where a reader has nothing else to go by.
static void a_name_says_the_method_and_every_parameter_that_is_not_its_own(void **state)
{
    size_t count;
    const struct importance_candidate *candidates = importance_candidates(&count);
    (void)state;
    for (size_t i = 0; i < count; i++) {
        const struct importance_candidate *c = &candidates[i];
        char method_part[80];
        snprintf(method_part, sizeof method_part, "%.*s", (int)strcspn(c->name, "-"), c->name);
        assert_string_equal(method_part, method_name(c->method));
        const struct importance_parameters own = importance_defaults(c->method);
        assert_true(number_after(c->name, "-alpha", own.alpha) == c->alpha);
        assert_true(number_after(c->name, "-exponent", own.exponent) == c->exponent);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(c->name, candidates[k].name);
    }
}

static void the_named_methods_are_among_them(void **state)
{
    static const enum method methods[] = {METHOD_MAGNITUDE, METHOD_WANDA, METHOD_RIA, METHOD_CVR};
    size_t count;
    const struct importance_candidate *candidates = importance_candidates(&count);
    (void)state;
    for (size_t m = 0; m < sizeof methods / sizeof *methods; m++) {
        const struct importance_parameters own = importance_defaults(methods[m]);
        size_t found = 0;
        for (size_t i = 0; i < count; i++)
            found += candidates[i].method == methods[m] && candidates[i].exponent == own.exponent &&
                     candidates[i].alpha == own.alpha;
        assert_int_equal(found, 1);
    }
    assert_string_equal(candidates[CANDIDATE_DEFAULT].name, "wanda");
}

static void none_of_them_needs_more_than_first_order_statistics(void **state)
{
    size_t count;
    const struct importance_candidate *candidates = importance_candidates(&count);
    (void)state;
    for (size_t i = 0; i < count; i++) {
        const struct importance_parameters parameters = {.alpha = candidates[i].alpha,
                                                         .exponent = candidates[i].exponent};
        const unsigned needs = importance_needs(candidates[i].method, &parameters);
        assert_int_equal(needs & (NEEDS_HESSIAN | NEEDS_OUTPUTS), 0);
        assert_int_equal(needs & ~method_needs(METHOD_AUTO), 0); // auto has gathered it
    }
}

static void the_smallest_error_is_chosen_the_first_among_equals(void **state)
{
    const double one[] = {3, 2, 2, 4}, unknown[] = {NAN, NAN, NAN}, some[] = {NAN, 5, 1};
    (void)state;
    assert_int_equal(choose_candidate(one, 4), 1);
    assert_int_equal(choose_candidate(some, 3), 2);
    assert_int_equal(choose_candidate(unknown, 3), CANDIDATE_DEFAULT);
    assert_int_equal(choose_candidate(one, 0), CANDIDATE_DEFAULT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_says_the_method_and_every_parameter_that_is_not_its_own),
        cmocka_unit_test(the_named_methods_are_among_them),
        cmocka_unit_test(none_of_them_needs_more_than_first_order_statistics),
        cmocka_unit_test(the_smallest_error_is_chosen_the_first_among_equals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
