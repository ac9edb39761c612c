// ranks: 1 3
// wrap: store_open sealed_json_read
// The files that a unit says it reads, against those that the stage opens: all of them, and no others. A
// unit waits for them, and they are checked when something is damaged.
#include "io/file/run/run_directory.h"
#include "io/file/sealed_json.h"
#include "io/store/store.h"
#include "pipeline/plan/unit.h"
#include "pipeline/plan/unit_input.h"
#include "stages/budget/trials.h"
#include "stages/compensate/compensate.h"
#include "stages/evaluate/perplexity.h"
#include "stages/export/export.h"
#include "stages/layer/calibrate.h"
#include "stages/prune/curves.h"
#include "stages/prune/median_scores.h"
#include "stages/prune/outlier_counts.h"
#include "stages/prune/prune.h"
#include "tests/support/small_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// ---- what is opened ---------------------------------------------------------------------------------------

enum { MOST = 64 };
static char opened[MOST][PATH_SIZE];
static size_t num_opened;

// Hidden states are not inputs: a unit makes those that are missing itself.
static void note(const char *path)
{
    size_t i = 0;
    if (strstr(path, "/activations/") != NULL)
        return;
    while (i < num_opened && strcmp(opened[i], path) != 0)
        i++;
    if (i < num_opened)
        return;
    assert_in_range(num_opened, 0, MOST - 1);
    snprintf(opened[num_opened++], PATH_SIZE, "%s", path);
}

__typeof__(store_open) __real_store_open, __wrap_store_open;
enum status __wrap_store_open(struct store_reader **reader, const char *path, MPI_Comm comm,
                              struct error *err)
{
    note(path);
    return __real_store_open(reader, path, comm, err);
}

__typeof__(sealed_json_read) __real_sealed_json_read, __wrap_sealed_json_read;
enum status __wrap_sealed_json_read(json_t **json, const char *path, struct error *err)
{
    if (strstr(path, "/coppice.json") == NULL) // of an export that may be there already
        note(path);
    return __real_sealed_json_read(json, path, err);
}

// Collective. By any rank: some files are read by one for all.
static bool was_opened(const char *path)
{
    int mine = 0, any = 0;
    for (size_t i = 0; i < num_opened; i++)
        mine |= strcmp(opened[i], path) == 0;
    assert_int_equal(MPI_Allreduce(&mine, &any, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD), MPI_SUCCESS);
    return any != 0;
}

// ---- what is named ----------------------------------------------------------------------------------------

static bool is_named(const char *path, const struct unit *unit, const struct small_model *small)
{
    char input[PATH_SIZE];
    const size_t layers = small->model->config.num_hidden_layers;
    for (size_t i = 0; unit_input(input, unit, &small->settings, layers, i); i++)
        if (strcmp(input, path) == 0)
            return true;
    return false;
}

// After the stage has done the unit.
static void assert_inputs(const struct small_model *small, struct unit unit)
{
    char path[PATH_SIZE];
    const size_t layers = small->model->config.num_hidden_layers;

    for (size_t i = 0; i < num_opened; i++)
        if (!is_named(opened[i], &unit, small))
            fail_msg("%s opens %s and does not say so", stage_name(unit.stage), opened[i]);
    for (size_t i = 0; unit_input(path, &unit, &small->settings, layers, i); i++) {
        assert_true(store_exists(path));
        if (!was_opened(path))
            fail_msg("%s does not open %s", stage_name(unit.stage), path);
    }
    num_opened = 0;
}

// ---- the stages -------------------------------------------------------------------------------------------

static void begin(struct small_model *small)
{
    const struct small_model_shape shape = small_model_shape();
    small_model_open(small, &shape);
    num_opened = 0;
}

static void score(struct small_model *small, const struct variant *variant, size_t layer)
{
    struct error err = {0};
    num_opened = 0;
    assert_ok(prune_layer(&small->stage, &small->weights, &variant, 1, layer, &err), err);
}

static void calibration_reads_the_sequences(void **state)
{
    struct small_model small;
    struct error err = {0};
    (void)state;
    begin(&small);
    assert_ok(calibrate_layer(&small.stage, &small.weights, "dense", 0, CALIBRATE_OUTPUTS | CALIBRATE_HESSIAN,
                              &err),
              err);
    assert_inputs(&small, (struct unit){.stage = STAGE_CALIBRATE, .layer = 0});
    small_model_close(&small);
}

static void propagation_reads_the_sequences_and_the_pruned_layer(void **state)
{
    struct small_model small;
    struct error err = {0};
    (void)state;
    begin(&small);
    struct variant *masked = small_model_add(&small, "masked", METHOD_MAGNITUDE);
    struct variant *written = small_model_add(&small, "written", METHOD_MAGNITUDE);
    written->energy_columns = written->energy_rows = true;
    written->output = MATCHING_REGRESSION;

    assert_ok(propagate_layer(&small.stage, &small.weights, "dense", 0, NULL, &err), err);
    assert_inputs(&small, (struct unit){.stage = STAGE_PROPAGATE, .layer = 0});
    score(&small, masked, 0);
    num_opened = 0;
    assert_ok(propagate_layer(&small.stage, &small.weights, "masked", 0, masked, &err), err);
    assert_inputs(&small, (struct unit){.stage = STAGE_PROPAGATE, .variant = masked, .layer = 0});

    score(&small, written, 0);
    assert_ok(compensate_layer(&small.stage, &small.weights, written, 0, &err), err);
    num_opened = 0;
    assert_ok(propagate_layer(&small.stage, &small.weights, "written", 0, written, &err), err);
    assert_inputs(&small, (struct unit){.stage = STAGE_PROPAGATE, .variant = written, .layer = 0});
    small_model_close(&small);
}

static void masks_read_what_their_method_needs(void **state)
{
    static const enum method methods[] = {METHOD_MAGNITUDE, METHOD_WANDA, METHOD_CVR, METHOD_SPARSEGPT};
    struct small_model small;
    (void)state;
    begin(&small);
    for (size_t m = 0; m < sizeof methods / sizeof *methods; m++)
        small_model_add(&small, method_name(methods[m]), methods[m]);
    // Sparsegpt orders its columns by statistics.
    struct variant *ordered = small_model_add(&small, "ordered", METHOD_SPARSEGPT);
    ordered->is_pattern = ordered->permute = true;
    ordered->keep = 2;
    ordered->of = 4;
    small_model_calibrate(&small, true);
    for (size_t m = 0; m < sizeof methods / sizeof *methods + 1; m++) {
        score(&small, &small.variants[m], 1);
        assert_inputs(&small, (struct unit){.stage = STAGE_SCORE, .variant = &small.variants[m], .layer = 1});
    }
    small_model_close(&small);
}

// auto tries with the hidden states of the layer, those of the first come from the sequences.
static void a_mask_that_is_chosen_reads_statistics(void **state)
{
    struct small_model small;
    (void)state;
    begin(&small);
    struct variant *chosen = small_model_add(&small, "auto", METHOD_AUTO);
    small_model_calibrate(&small, false);
    score(&small, chosen, 1);
    assert_inputs(&small, (struct unit){.stage = STAGE_SCORE, .variant = chosen, .layer = 1});
    small_model_close(&small);
}

static void outliers_read_the_dense_statistics_and_masks_read_all_outliers(void **state)
{
    struct small_model small;
    struct error err = {0};
    (void)state;
    begin(&small);
    struct variant *owl = small_model_add(&small, "owl", METHOD_WANDA);
    owl->allocation = ALLOCATION_OWL;
    owl->owl_threshold = 5;
    owl->owl_range = 0.08;
    small_model_calibrate(&small, false);
    for (size_t layer = 0; layer < 2; layer++) {
        num_opened = 0;
        assert_ok(outliers_layer(&small.stage, &small.weights, owl, layer, &err), err);
        assert_inputs(&small, (struct unit){.stage = STAGE_OUTLIERS, .variant = owl, .layer = (long)layer});
    }
    score(&small, owl, 0);
    assert_inputs(&small, (struct unit){.stage = STAGE_SCORE, .variant = owl, .layer = 0});
    small_model_close(&small);
}

// The verdicts on the attempts before, and for the variant the end of the search.
static void masks_of_a_search_read_what_decides_their_sparsity(void **state)
{
    const struct budget_measured dense = {2.5, 32, 12}, first = {2.9, 32, 12};
    struct budget_trials search;
    struct small_model small;
    struct error err = {0};
    (void)state;
    begin(&small);
    struct variant *searched = small_model_add(&small, "searched", METHOD_MAGNITUDE);
    searched->budget = 1.1;
    struct variant second = *searched, one;
    second.base = searched;
    second.attempt = 2;
    snprintf(second.name, sizeof second.name, "searched~2");
    one = second;
    one.attempt = 1;
    if (mpi_rank() == 0) {
        assert_ok(budget_measured_write(&dense, &small.settings, NULL, 0, &err), err);
        assert_ok(budget_measured_write(&first, &small.settings, &one, 0.3, &err), err);
    }
    MPI_Barrier(MPI_COMM_WORLD);
    score(&small, &second, 0);
    assert_inputs(&small, (struct unit){.stage = STAGE_SCORE, .variant = &second, .layer = 0});
    if (mpi_rank() == 0) {
        budget_trials_read(&search, &small.settings, searched, BUDGET_ATTEMPTS);
        assert_ok(budget_result_write(&search, &small.settings, searched, &err), err);
    }
    MPI_Barrier(MPI_COMM_WORLD);
    score(&small, searched, 0);
    assert_inputs(&small, (struct unit){.stage = STAGE_SCORE, .variant = searched, .layer = 0});
    small_model_close(&small);
}

static void curves_read_sequences_and_dense_statistics_and_masks_read_all_curves(void **state)
{
    struct small_model small;
    struct error err = {0};
    (void)state;
    begin(&small);
    struct variant *measured = small_model_add(&small, "measured", METHOD_WANDA);
    measured->allocation = ALLOCATION_MEASURED;
    measured->measured_sequences = 2;
    small_model_calibrate(&small, false);
    for (size_t layer = 0; layer < 2; layer++) {
        num_opened = 0;
        assert_ok(curves_layer(&small.stage, &small.weights, measured, layer, &err), err);
        assert_inputs(&small,
                      (struct unit){.stage = STAGE_CURVES, .variant = measured, .layer = (long)layer});
    }
    score(&small, measured, 0);
    assert_inputs(&small, (struct unit){.stage = STAGE_SCORE, .variant = measured, .layer = 0});

    measured->output = MATCHING_LEAST_SQUARES;
    small_model_calibrate(&small, true);
    num_opened = 0;
    assert_ok(curves_layer(&small.stage, &small.weights, measured, 1, &err), err);
    assert_inputs(&small, (struct unit){.stage = STAGE_CURVES, .variant = measured, .layer = 1});
    measured->output = MATCHING_OFF;

    struct variant *magnitude = small_model_add(&small, "magnitude", METHOD_MAGNITUDE);
    magnitude->allocation = ALLOCATION_MEASURED;
    magnitude->measured_sequences = 2;
    num_opened = 0;
    assert_ok(curves_layer(&small.stage, &small.weights, magnitude, 1, &err), err);
    assert_inputs(&small, (struct unit){.stage = STAGE_CURVES, .variant = magnitude, .layer = 1});
    small_model_close(&small);
}

static void medians_read_the_dense_statistics_and_masks_read_all_medians(void **state)
{
    struct small_model small;
    struct error err = {0};
    (void)state;
    begin(&small);
    struct variant *dlp = small_model_add(&small, "dlp", METHOD_WANDA);
    dlp->allocation = ALLOCATION_DLP;
    dlp->dlp_alpha = 0.15;
    small_model_calibrate(&small, false);
    for (size_t layer = 0; layer < 2; layer++) {
        num_opened = 0;
        assert_ok(medians_layer(&small.stage, &small.weights, layer, &err), err);
        assert_inputs(&small, (struct unit){.stage = STAGE_MEDIANS, .variant = dlp, .layer = (long)layer});
    }
    score(&small, dlp, 0);
    assert_inputs(&small, (struct unit){.stage = STAGE_SCORE, .variant = dlp, .layer = 0});
    small_model_close(&small);
}

static void compensation_reads_the_mask(void **state)
{
    struct small_model small;
    struct error err = {0};
    (void)state;
    begin(&small);
    struct variant *energy = small_model_add(&small, "energy", METHOD_WANDA);
    energy->energy_columns = true;
    small_model_calibrate(&small, false);
    score(&small, energy, 1);
    num_opened = 0;
    assert_ok(compensate_layer(&small.stage, &small.weights, energy, 1, &err), err);
    assert_inputs(&small, (struct unit){.stage = STAGE_COMPENSATE, .variant = energy, .layer = 1});
    small_model_close(&small);
}

// Weights have files of their own, or are the mask over the dense ones.
static void an_evaluation_reads_all_layers_of_the_pruned_model(void **state)
{
    struct small_model small;
    struct error err = {0};
    (void)state;
    begin(&small);
    small.settings.evaluate_length = small.settings.length;
    small_model_add(&small, "masked", METHOD_MAGNITUDE);
    small_model_add(&small, "written", METHOD_MAGNITUDE)->energy_rows = true;
    for (size_t v = 0; v < 2; v++) {
        const struct variant *variant = &small.variants[v];
        const struct evaluation_windows windows = {
            .ids = small.ids, .count = 2, .length = small.settings.length};
        struct perplexity result;
        for (size_t layer = 0; layer < 2; layer++) {
            score(&small, variant, layer);
            if (v == 1)
                assert_ok(compensate_layer(&small.stage, &small.weights, variant, layer, &err), err);
        }
        num_opened = 0;
        assert_ok(evaluate_perplexity(&result, &small.stage, &small.weights, &windows, variant, &err), err);
        assert_inputs(&small, (struct unit){.stage = STAGE_EVALUATE, .variant = variant, .layer = NO_LAYER});
    }
    const struct evaluation_windows windows = {.ids = small.ids, .count = 2, .length = small.settings.length};
    struct perplexity result;
    num_opened = 0;
    assert_ok(evaluate_perplexity(&result, &small.stage, &small.weights, &windows, NULL, &err), err);
    assert_inputs(&small, (struct unit){.stage = STAGE_EVALUATE, .layer = NO_LAYER});
    small_model_close(&small);
}

// A job that exports keeps the weights of all variants.
static void an_export_reads_all_layers_of_the_pruned_model(void **state)
{
    struct small_model small;
    struct error err = {0};
    (void)state;
    begin(&small);
    small.settings.keep_weights = true;
    struct variant *variant = small_model_add(&small, "pruned", METHOD_MAGNITUDE);
    for (size_t layer = 0; layer < 2; layer++) {
        score(&small, variant, layer);
        assert_ok(compensate_layer(&small.stage, &small.weights, variant, layer, &err), err);
    }
    num_opened = 0;
    free(small.settings.output);
    small.settings.output = strdup(in_directory("models"));
    json_t *provenance = json_object();
    assert_ok(export_variant(&small.stage, variant, "identity", provenance, &err), err);
    assert_inputs(&small, (struct unit){.stage = STAGE_EXPORT, .variant = variant, .layer = NO_LAYER});
    json_decref(provenance);
    free(small.settings.output);
    small.settings.output = NULL;
    small_model_close(&small);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        mpi_unit_test(calibration_reads_the_sequences),
        mpi_unit_test(propagation_reads_the_sequences_and_the_pruned_layer),
        mpi_unit_test(masks_read_what_their_method_needs),
        mpi_unit_test(a_mask_that_is_chosen_reads_statistics),
        mpi_unit_test(masks_of_a_search_read_what_decides_their_sparsity),
        mpi_unit_test(curves_read_sequences_and_dense_statistics_and_masks_read_all_curves),
        mpi_unit_test(medians_read_the_dense_statistics_and_masks_read_all_medians),
        mpi_unit_test(outliers_read_the_dense_statistics_and_masks_read_all_outliers),
        mpi_unit_test(compensation_reads_the_mask),
        mpi_unit_test(an_evaluation_reads_all_layers_of_the_pruned_model),
        mpi_unit_test(an_export_reads_all_layers_of_the_pruned_model),
    };
    return mpi_test_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
