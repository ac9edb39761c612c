// team_share.h: which units are a team's, which of them can be done, and which are done together.
// ranks: 1 3
#include "io/file/run_paths.h"
#include "pipeline/run/work/team_share.h"
#include "tests/support/small_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct fixture {
    struct small_model small;
    struct plan plan;
    struct team_share share; // of the phase in which masks are made
};

// A job with dense propagation: statistics in phase 0, masks in phase 1, a chain for each layer.
static void open_fixture(struct fixture *f, const char *const *names, const enum method *methods,
                         size_t count)
{
    struct small_model_shape shape = small_model_shape();
    struct error err = {0};

    small_model_open(&f->small, &shape);
    for (size_t v = 0; v < count; v++)
        small_model_add(&f->small, names[v], methods[v])->sparsity = 0.1 * (double)(v + 1);
    assert_ok(plan_create(&f->plan, f->small.model, &f->small.settings, &err), err);
    f->share = (struct team_share){
        .plan = &f->plan, .stage = &f->small.stage, .phase = 1, .stages = (1U << STAGE_COUNT) - 1};
}

static void close_fixture(struct fixture *f)
{
    plan_free(&f->plan);
    small_model_close(&f->small);
}

static size_t index_of(const struct fixture *f, enum stage_kind stage, const char *variant, long layer)
{
    for (size_t i = 0; i < f->plan.num_units; i++) {
        const struct unit *unit = &f->plan.units[i];
        const char *name = unit->variant != NULL ? unit->variant->name : "dense";
        if (unit->stage == stage && unit->layer == layer && strcmp(name, variant) == 0)
            return i;
    }
    fail_msg("no such unit");
    return 0;
}

// Collective. A file that holds no more than its name, which is all that is looked at.
static void put(const struct fixture *f, enum run_folder folder, const char *stream, size_t layer)
{
    const char *run = f->small.settings.run;
    char path[PATH_SIZE];
    if (mpi_rank() == 0) {
        run_folder_path(path, run, folder);
        (void)mkdir(path, 0777);
        run_subfolder_path(path, run, folder, stream);
        (void)mkdir(path, 0777);
        run_layer_path(path, run, folder, stream, layer);
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        assert_int_equal(fclose(file), 0);
    }
    MPI_Barrier(MPI_COMM_WORLD);
}

static enum verdict verdict_of(const struct fixture *f, size_t index, char *waiting)
{
    struct error err = {0};
    enum verdict verdict = UNIT_WAITS;
    assert_ok(judge_unit(&verdict, waiting, &f->share, &f->plan.units[index], &err), err);
    return verdict;
}

// ---- the share -------------------------------------------------------------------------------------------

static void chains_go_round_the_teams(void **state)
{
    const struct settings settings = {.num_variants = 0};
    (void)state;
    for (int teams = 1; teams <= 3; teams++)
        for (size_t chain = 0; chain < 7; chain++) {
            size_t owners = 0;
            for (int team = 0; team < teams; team++) {
                const struct team self = {.index = team, .count = teams};
                const struct stage stage = {.team = &self, .settings = &settings};
                const struct team_share share = {.stage = &stage, .phase = 2, .stages = 1U << STAGE_SCORE};
                const struct unit unit = {.stage = STAGE_SCORE, .phase = 2, .chain = chain};
                struct unit other = unit;
                owners += share_has(&share, &unit);
                assert_int_equal(share_has(&share, &unit), (int)chain % teams == team);
                other.phase = 1;
                assert_false(share_has(&share, &other));
                other = unit;
                other.stage = STAGE_COMPENSATE; // the command does not ask for it
                assert_false(share_has(&share, &other));
            }
            assert_int_equal(owners, 1);
        }
}

// ---- what can be done ------------------------------------------------------------------------------------

static void a_mask_waits_for_its_statistics_is_to_do_and_is_done(void **state)
{
    static const char *const names[] = {"w"};
    static const enum method methods[] = {METHOD_WANDA};
    struct fixture f;
    char waiting[WAITING_SIZE] = "";

    (void)state;
    open_fixture(&f, names, methods, 1);
    const size_t mask = index_of(&f, STAGE_SCORE, "w", 1);
    char *statistics = small_path(&f.small, RUN_STATISTICS, "dense", 1);
    put(&f, RUN_STATISTICS, "dense", 0); // another layer's
    assert_int_equal(verdict_of(&f, mask, waiting), UNIT_WAITS);
    if (mpi_rank() == 0) {
        assert_true(strncmp(waiting, "score waits for ", 16) == 0);
        assert_string_equal(waiting + 16, statistics);
    } else {
        assert_string_equal(waiting, "");
    }
    put(&f, RUN_STATISTICS, "dense", 1);
    assert_int_equal(verdict_of(&f, mask, waiting), UNIT_TODO);
    put(&f, RUN_MASKS, "w", 1);
    assert_int_equal(verdict_of(&f, mask, waiting), UNIT_DONE);
    free(statistics);
    close_fixture(&f);
}

static void what_needs_no_statistics_does_not_wait(void **state)
{
    static const char *const names[] = {"m", "s"};
    static const enum method methods[] = {METHOD_MAGNITUDE, METHOD_SPARSEGPT};
    struct fixture f;
    char waiting[WAITING_SIZE] = "";

    (void)state;
    open_fixture(&f, names, methods, 2);
    assert_int_equal(verdict_of(&f, index_of(&f, STAGE_SCORE, "m", 0), waiting), UNIT_TODO);
    put(&f, RUN_STATISTICS, "dense", 0); // of no use to sparsegpt
    assert_int_equal(verdict_of(&f, index_of(&f, STAGE_SCORE, "s", 0), waiting), UNIT_WAITS);
    put(&f, RUN_HESSIANS, "dense", 0);
    assert_int_equal(verdict_of(&f, index_of(&f, STAGE_SCORE, "s", 0), waiting), UNIT_TODO);
    close_fixture(&f);
}

static void all_ranks_do_as_the_first_one_sees(void **state)
{
    static const char *const names[] = {"w"};
    static const enum method methods[] = {METHOD_WANDA};
    struct fixture f;
    char waiting[WAITING_SIZE] = "";
    char elsewhere[] = "/nowhere/run";

    (void)state;
    open_fixture(&f, names, methods, 1);
    put(&f, RUN_STATISTICS, "dense", 0);
    char *run = f.small.settings.run;
    if (mpi_rank() != 0)
        f.small.settings.run = elsewhere; // a file system that does not show the file yet
    assert_int_equal(verdict_of(&f, index_of(&f, STAGE_SCORE, "w", 0), waiting), UNIT_TODO);
    f.small.settings.run = run;
    close_fixture(&f);
}

// ---- what is done together -------------------------------------------------------------------------------

static struct unit_batch take(const struct fixture *f, bool *taken, size_t first)
{
    struct unit_batch batch;
    struct error err = {0};
    assert_ok(batch_take(&batch, taken, &f->share, first, &err), err);
    return batch;
}

static void masks_of_a_layer_that_share_their_scores_are_made_together(void **state)
{
    static const char *const names[] = {"wanda", "ria", "more", "done", "taken", "late"};
    static const enum method methods[] = {METHOD_WANDA, METHOD_RIA,   METHOD_WANDA,
                                          METHOD_WANDA, METHOD_WANDA, METHOD_WANDA};
    struct fixture f;

    (void)state;
    open_fixture(&f, names, methods, 6);
    bool *taken = calloc(f.plan.num_units, sizeof *taken);
    assert_non_null(taken);
    put(&f, RUN_STATISTICS, "dense", 0);
    put(&f, RUN_STATISTICS, "dense", 1);
    put(&f, RUN_MASKS, "done", 0);
    const size_t gone = index_of(&f, STAGE_SCORE, "taken", 0), first = index_of(&f, STAGE_SCORE, "wanda", 0);
    taken[gone] = true;

    const struct unit_batch batch = take(&f, taken, first);
    assert_int_equal(batch.count, 3);
    assert_string_equal(batch.units[0]->variant->name, "wanda");
    assert_string_equal(batch.units[1]->variant->name, "more");
    assert_string_equal(batch.units[2]->variant->name, "late");
    for (size_t k = 0; k < batch.count; k++) {
        assert_int_equal(batch.units[k]->layer, 0);
        assert_int_equal(batch.units[k]->stage, STAGE_SCORE);
    }
    // Only the others are marked: the first is past.
    for (size_t i = 0; i < f.plan.num_units; i++)
        assert_int_equal(taken[i], i == gone || i == index_of(&f, STAGE_SCORE, "more", 0) ||
                                       i == index_of(&f, STAGE_SCORE, "late", 0));
    free(taken);
    close_fixture(&f);
}

static void a_batch_has_its_limit_and_the_rest_follows(void **state)
{
    char names[SCORE_BATCH + 3][8];
    const char *pointers[SCORE_BATCH + 3];
    enum method methods[SCORE_BATCH + 3];
    struct fixture f;

    (void)state;
    for (size_t v = 0; v < SCORE_BATCH + 3; v++) {
        snprintf(names[v], sizeof names[v], "v%zu", v);
        pointers[v] = names[v];
        methods[v] = METHOD_WANDA;
    }
    open_fixture(&f, pointers, methods, SCORE_BATCH + 3);
    bool *taken = calloc(f.plan.num_units, sizeof *taken);
    assert_non_null(taken);
    put(&f, RUN_STATISTICS, "dense", 0);
    struct unit_batch batch = take(&f, taken, index_of(&f, STAGE_SCORE, "v0", 0));
    assert_int_equal(batch.count, SCORE_BATCH);
    assert_string_equal(batch.units[SCORE_BATCH - 1]->variant->name, names[SCORE_BATCH - 1]);
    batch = take(&f, taken, index_of(&f, STAGE_SCORE, names[SCORE_BATCH], 0));
    assert_int_equal(batch.count, 3);
    free(taken);
    close_fixture(&f);
}

// With pruned propagation all of a variant is one chain.
static void masks_of_different_layers_are_not_made_together(void **state)
{
    static const char *const names[] = {"a"};
    static const enum method methods[] = {METHOD_WANDA};
    struct fixture f;
    struct error err = {0};

    (void)state;
    open_fixture(&f, names, methods, 1);
    plan_free(&f.plan);
    f.small.settings.propagation = PROPAGATION_PRUNED;
    assert_ok(plan_create(&f.plan, f.small.model, &f.small.settings, &err), err);
    bool *taken = calloc(f.plan.num_units, sizeof *taken);
    assert_non_null(taken);
    put(&f, RUN_STATISTICS, "a", 0);
    put(&f, RUN_STATISTICS, "a", 1);
    const size_t first = index_of(&f, STAGE_SCORE, "a", 0), next = index_of(&f, STAGE_SCORE, "a", 1);
    assert_int_equal(f.plan.units[first].chain, f.plan.units[next].chain);
    assert_int_equal(take(&f, taken, first).count, 1);
    assert_false(taken[next]);
    free(taken);
    close_fixture(&f);
}

static void other_units_are_done_one_by_one(void **state)
{
    static const char *const names[] = {"a", "b"};
    static const enum method methods[] = {METHOD_WANDA, METHOD_WANDA};
    struct fixture f;

    (void)state;
    open_fixture(&f, names, methods, 2);
    bool *taken = calloc(f.plan.num_units, sizeof *taken);
    assert_non_null(taken);
    f.share.phase = 0;
    const size_t first = index_of(&f, STAGE_CALIBRATE, "dense", 0);
    const struct unit_batch batch = take(&f, taken, first);
    assert_int_equal(batch.count, 1);
    assert_ptr_equal(batch.units[0], &f.plan.units[first]);
    for (size_t i = 0; i < f.plan.num_units; i++)
        assert_false(taken[i]);
    free(taken);
    close_fixture(&f);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        mpi_unit_test(chains_go_round_the_teams),
        mpi_unit_test(a_mask_waits_for_its_statistics_is_to_do_and_is_done),
        mpi_unit_test(what_needs_no_statistics_does_not_wait),
        mpi_unit_test(all_ranks_do_as_the_first_one_sees),
        mpi_unit_test(masks_of_a_layer_that_share_their_scores_are_made_together),
        mpi_unit_test(a_batch_has_its_limit_and_the_rest_follows),
        mpi_unit_test(masks_of_different_layers_are_not_made_together),
        mpi_unit_test(other_units_are_done_one_by_one),
    };
    return mpi_test_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
