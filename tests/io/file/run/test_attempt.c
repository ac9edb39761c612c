// attempt.h: layers of the attempts of a search are told apart.
#include "io/file/run/attempt.h"
#include "io/file/run_paths.h"
#include "io/file/sealed_json.h"
#include "kernels/pruning/allocation/budget.h"
#include "tests/support/temporary_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

// Attempts of a search are made from different things, and the variant from what its verdict says.
static void layers_of_attempts_differ(void **state)
{
    static const char *const apart[] = {"statistics", "hessians", "activations", "masks", "weights"};
    const struct file_origin origin = {1234, temporary_folder_create()};
    char path[PATH_SIZE], other[PATH_SIZE];
    struct error err = {0};
    uint64_t made_from[BUDGET_ATTEMPTS + 1];
    (void)state;

    for (size_t f = 0; f < sizeof apart / sizeof *apart; f++) {
        path_format(other, sizeof other, "%s/%s/v/layer-000.h5", origin.run, apart[f]);
        made_from[0] = attempt_made_from(origin, other);
        assert_int_equal(made_from[0], 1234); // no search that is known of
        for (size_t a = 1; a <= BUDGET_ATTEMPTS; a++) {
            path_format(path, sizeof path, "%s/%s/v~%zu/layer-000.h5", origin.run, apart[f], a);
            made_from[a] = attempt_made_from(origin, path);
            for (size_t b = 0; b < a; b++)
                assert_int_not_equal(made_from[a], made_from[b]);
            assert_int_equal(attempt_fit(made_from[a], origin, path), ATTEMPT_FITS);
            assert_int_equal(attempt_fit(1234, origin, path), ATTEMPT_FITS); // of an earlier version
            assert_int_equal(attempt_fit(4321, origin, path), ATTEMPT_FOREIGN);
            assert_int_equal(attempt_fit(made_from[a], origin, other), ATTEMPT_FITS); // it may be chosen
            if (a > 1)
                assert_int_equal(attempt_fit(made_from[a - 1], origin, path), ATTEMPT_OTHER);
        }
    }
    for (size_t f = 0; f < 3; f++) {
        static const char *const names[] = {"results/v/perplexity.json", "curves/v~3/layer-000.json",
                                            "sequences.h5"};
        path_format(path, sizeof path, "%s/%s", origin.run, names[f]);
        assert_int_equal(attempt_made_from(origin, path), 1234);
        assert_int_equal(attempt_fit(made_from[3], origin, path), ATTEMPT_OTHER);
    }

    json_t *verdict = json_pack("{s:i}", "attempt", 3);
    run_budget_path(path, origin.run, "v", 0);
    assert_ok(sealed_json_write(path, verdict, &err), err);
    json_decref(verdict);
    path_format(path, sizeof path, "%s/masks/v/layer-000.h5", origin.run);
    assert_int_equal(attempt_made_from(origin, path), made_from[3]);
    assert_int_equal(attempt_fit(made_from[3], origin, path), ATTEMPT_FITS);
    assert_int_equal(attempt_fit(made_from[2], origin, path), ATTEMPT_OTHER);
    assert_int_equal(attempt_fit(1234, origin, path), ATTEMPT_FITS);
    path_format(path, sizeof path, "%s/masks/w/layer-000.h5", origin.run);
    assert_int_equal(attempt_made_from(origin, path), 1234);
    temporary_folder_remove((char *)origin.run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layers_of_attempts_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
