// Perplexity against the cross entropy of a whole model in plain loops.
// ranks: 1 3
#include "stages/evaluate/parts.h"
#include "stages/evaluate/perplexity.h"
#include "tests/support/naive.h"
#include "tests/support/naive_layer.h"
#include "tests/support/random.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WINDOWS = 7, LENGTH = 9 }; // windows: not a multiple of the ranks

// Cross entropies of float32 logits of size 1 to 6, over 258 tokens: 2^-24 * 6 * 200.
static const double tolerance = 7e-5;

// `count` windows: WINDOWS random ones, over and over.
static struct evaluation_windows random_windows(size_t vocab, size_t count)
{
    struct random_state random = random_seed(5);
    struct evaluation_windows evaluation = {.count = count, .length = LENGTH};

    evaluation.ids = calloc(count * LENGTH, sizeof *evaluation.ids);
    assert_non_null(evaluation.ids);
    for (size_t i = 0; i < count * LENGTH; i++)
        evaluation.ids[i] = i < WINDOWS * LENGTH ? (int32_t)random_below(&random, vocab)
                                                 : evaluation.ids[i - WINDOWS * LENGTH];
    return evaluation;
}

// variant NULL: dense; else its weights are read from weights/VARIANT. windows: gets each window's mean.
static double naive_nll(const struct small_model *small, const struct variant *variant, const int32_t *ids,
                        double windows[WINDOWS])
{
    struct naive_layer layers[2];
    double sum = 0, log_likelihoods[LENGTH];

    for (size_t l = 0; l < 2; l++) {
        naive_layer_read(&layers[l], small, l);
        for (size_t i = 0; i < layers[l].num_linears && variant != NULL; i++) {
            const char *name = layers[l].linears[i].name;
            const struct small_matrix pruned = small_pruned_weight(small, variant, l, name);
            naive_layer_put(&layers[l], name, pruned.values);
            free(pruned.values);
        }
    }
    for (size_t w = 0; w < WINDOWS; w++) {
        naive_log_likelihoods(log_likelihoods, small, layers, ids + w * LENGTH, LENGTH);
        windows[w] = 0;
        for (size_t t = 0; t < LENGTH - 1; t++)
            windows[w] -= log_likelihoods[t] / (LENGTH - 1);
        sum += windows[w];
    }
    for (size_t l = 0; l < 2; l++)
        naive_layer_free(&layers[l]);
    return sum / WINDOWS;
}

static void check_perplexity(struct small_model *small, const struct variant *variant)
{
    struct evaluation_windows evaluation = random_windows(small->shape.checkpoint.vocab, WINDOWS);
    struct perplexity found;
    double windows[WINDOWS];
    struct error err = {0};

    evaluation.nll = calloc(WINDOWS, sizeof *evaluation.nll);
    assert_ok(evaluate_perplexity(&found, &small->stage, &small->weights, &evaluation, variant, &err), err);
    const double expected = naive_nll(small, variant, evaluation.ids, windows);
    for (size_t w = 0; w < WINDOWS; w++)
        assert_close(evaluation.nll[w], windows[w], tolerance);
    assert_close(found.mean_nll, expected, tolerance);
    assert_close(found.perplexity, exp(expected), tolerance * exp(expected));
    assert_int_equal(found.windows, WINDOWS);
    assert_int_equal(found.length, LENGTH);
    assert_int_equal(found.tokens, WINDOWS * LENGTH);
    evaluation_windows_free(&evaluation);
}

static void perplexity_of_the_dense_model_is_its_cross_entropy(void **state)
{
    struct small_model_shape shape = small_model_shape();
    struct small_model small;
    (void)state;

    for (int tied = 0; tied < 2; tied++) {
        shape.checkpoint.tied = tied != 0;
        small_model_open(&small, &shape);
        check_perplexity(&small, NULL);
        small_model_close(&small);
    }
}

static void perplexity_of_a_mixture_of_experts_is_its_cross_entropy(void **state)
{
    struct small_model_shape shape = small_model_shape();
    struct small_model small;
    (void)state;

    shape.checkpoint.experts = 3;
    small_model_open(&small, &shape);
    check_perplexity(&small, NULL);
    small_model_close(&small);
}

static void perplexity_of_a_variant_is_that_of_its_weights(void **state)
{
    const struct small_model_shape shape = small_model_shape();
    struct small_model small;
    (void)state;

    small_model_open(&small, &shape);
    struct variant *variant = small_model_add(&small, "half", METHOD_MAGNITUDE);
    variant->energy_rows = true;
    small_model_prune(&small, variant);
    check_perplexity(&small, variant);
    small_model_close(&small);
}

static void perplexity_has_the_same_bits_from_one_rank_and_from_all(void **state)
{
    const struct small_model_shape shape = small_model_shape();
    struct small_model small, alone;
    struct perplexity together, by_one;
    struct error err = {0};
    (void)state;

    small_model_open(&small, &shape);
    small_model_open_alone(&alone, &small);
    struct evaluation_windows evaluation = random_windows(shape.checkpoint.vocab, WINDOWS);
    assert_ok(evaluate_perplexity(&together, &small.stage, &small.weights, &evaluation, NULL, &err), err);
    assert_ok(evaluate_perplexity(&by_one, &alone.stage, &alone.weights, &evaluation, NULL, &err), err);
    assert_memory_equal(&together, &by_one, sizeof together);
    evaluation_windows_free(&evaluation);
    small_model_close(&alone);
    small_model_close(&small);
}

static void more_windows_than_memory_holds_go_through_in_groups(void **state)
{
    struct small_model_shape shape = small_model_shape();
    struct small_model small;
    struct perplexity found;
    double windows[WINDOWS];
    struct error err = {0};
    (void)state;

    // Given windows for one group, rounded to whole repetitions, and one repetition more
    shape.checkpoint.hidden = 480;
    small_model_open(&small, &shape);
    const size_t ranks = (size_t)small.team.size;
    const size_t in_memory = perplexity_windows_in_memory(small.model, SIZE_MAX / 2, LENGTH, ranks);
    const size_t count = (in_memory * ranks / WINDOWS + 1) * WINDOWS;
    struct evaluation_windows evaluation = random_windows(shape.checkpoint.vocab, count);

    assert_ok(evaluate_perplexity(&found, &small.stage, &small.weights, &evaluation, NULL, &err), err);

    // Then the mean is that of one repetition
    assert_close(found.mean_nll, naive_nll(&small, NULL, evaluation.ids, windows), tolerance);
    evaluation_windows_free(&evaluation);
    small_model_close(&small);
}

// Says stop when asked for the n-th time; counts the work that is reported.
struct listener {
    int questions, stop_at, notices, kept;
    double advanced, skipped;
};

static bool listener_stops(void *context, double fraction)
{
    struct listener *listener = context;
    (void)fraction;
    return ++listener->questions == listener->stop_at;
}

static void listener_advance(void *context, double work)
{
    ((struct listener *)context)->advanced += work;
}

static void listener_skip(void *context, double work)
{
    ((struct listener *)context)->skipped += work;
}

static void listener_notice(void *context, const char *text)
{
    (void)text;
    ((struct listener *)context)->notices++;
}

static void listener_kept(void *context)
{
    ((struct listener *)context)->kept++;
}

static enum status evaluate_with(struct listener *listener, struct perplexity *result,
                                 struct small_model *small, const struct evaluation_windows *windows)
{
    struct error err = {0};
    small->stage.hooks = (struct stage_hooks){.context = listener,
                                              .should_stop = listener_stops,
                                              .advance = listener_advance,
                                              .skip = listener_skip,
                                              .notice = listener_notice,
                                              .kept = listener_kept};
    return evaluate_perplexity(result, &small->stage, &small->weights, windows, NULL, &err);
}

// The folder of what was measured before a stop, and on rank 0 the files in it.
static size_t count_parts(char folder[PATH_SIZE], const struct small_model *small, char newest[PATH_SIZE])
{
    size_t count = 0;
    MPI_Barrier(MPI_COMM_WORLD);
    run_parts_path(folder, small->settings.run, "dense", "text-", NULL);
    DIR *directory = opendir(folder);
    const struct dirent *entry;
    while (directory != NULL && (entry = readdir(directory)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        count++;
        path_format(newest, PATH_SIZE, "%s/%s", folder, entry->d_name);
    }
    if (directory != NULL)
        closedir(directory);
    return count;
}

static void windows_that_were_measured_before_a_stop_are_not_measured_again(void **state)
{
    const struct small_model_shape shape = small_model_shape();
    struct small_model small;
    struct perplexity whole, found;
    struct listener first = {.stop_at = 0}, stopped = {0}, second = {.stop_at = 0};
    char folder[PATH_SIZE], file[PATH_SIZE];
    (void)state;

    // Given an evaluation that is told to stop when it asks for the last time: in the head, at its last
    // window
    small_model_open(&small, &shape);
    struct evaluation_windows evaluation = random_windows(shape.checkpoint.vocab, WINDOWS);
    evaluation.keep_parts = true;
    assert_int_equal(evaluate_with(&first, &whole, &small, &evaluation), STATUS_OK);
    assert_true(first.skipped == 0);
    assert_int_equal(first.kept, 0); // it took less than a minute
    // It asks at a safe point after each wave of each of two layers and of the head, and inside the head
    const int waves = (WINDOWS + mpi_size() - 1) / mpi_size();
    assert_true(first.questions > 3 * waves);
    stopped.stop_at = first.questions;
    assert_int_equal(evaluate_with(&stopped, &found, &small, &evaluation), STATUS_STOPPED);
    assert_int_equal(count_parts(folder, &small, file), 1);
    const double share = parts_share(folder); // all but the last wave
    assert_close(share, (double)((waves - 1) * mpi_size()) / WINDOWS, 1e-12);
    assert_int_equal(stopped.kept, mpi_rank() == 0 ? 1 : 0);

    // When it goes on
    assert_int_equal(evaluate_with(&second, &found, &small, &evaluation), STATUS_OK);

    // Then the bits are the same, most was taken over, and all work is reported
    assert_memory_equal(&found, &whole, sizeof found);
    assert_true(second.skipped > 0.5 * first.advanced);
    assert_close(second.advanced + second.skipped, first.advanced, 1e-9 * first.advanced);
    MPI_Barrier(MPI_COMM_WORLD);
    if (mpi_rank() == 0)
        parts_remove(folder);
    assert_true(mpi_rank() != 0 || parts_share(folder) == 0);
    evaluation_windows_free(&evaluation);
    small_model_close(&small);
}

// Stops an evaluation of `windows`, so that a part is left.
static void leave_a_part(struct small_model *small, const struct evaluation_windows *windows)
{
    struct listener all = {.stop_at = 0}, stopped = {0};
    struct perplexity result;

    assert_int_equal(evaluate_with(&all, &result, small, windows), STATUS_OK);
    stopped.stop_at = all.questions;
    assert_int_equal(evaluate_with(&stopped, &result, small, windows), STATUS_STOPPED);
}

static void a_damaged_part_is_named_and_measured_again(void **state)
{
    const struct small_model_shape shape = small_model_shape();
    struct small_model small;
    struct perplexity whole, found;
    struct listener first = {.stop_at = 0}, second = {.stop_at = 0};
    char folder[PATH_SIZE], file[PATH_SIZE];
    (void)state;

    small_model_open(&small, &shape);
    struct evaluation_windows evaluation = random_windows(shape.checkpoint.vocab, WINDOWS);
    evaluation.keep_parts = true;
    assert_int_equal(evaluate_with(&first, &whole, &small, &evaluation), STATUS_OK);
    leave_a_part(&small, &evaluation);
    assert_int_equal(count_parts(folder, &small, file), 1);
    MPI_Barrier(MPI_COMM_WORLD);
    if (mpi_rank() == 0) {
        FILE *part = fopen(file, "r+");
        assert_non_null(part);
        assert_int_equal(fseek(part, -60, SEEK_END), 0);
        fputc('8', part);
        fclose(part);
        assert_true(parts_share(folder) == 0);
    }
    MPI_Barrier(MPI_COMM_WORLD);
    assert_int_equal(evaluate_with(&second, &found, &small, &evaluation), STATUS_OK);
    assert_memory_equal(&found, &whole, sizeof found);
    assert_true(second.skipped == 0);
    assert_int_equal(second.notices, mpi_rank() == 0 ? 1 : 0);
    assert_int_equal(count_parts(folder, &small, file), 0);
    evaluation_windows_free(&evaluation);
    small_model_close(&small);
}

static void a_part_of_another_text_is_not_taken_over(void **state)
{
    const struct small_model_shape shape = small_model_shape();
    struct small_model small;
    struct perplexity found;
    struct listener listener = {.stop_at = 0};
    char folder[PATH_SIZE], file[PATH_SIZE];
    (void)state;

    small_model_open(&small, &shape);
    struct evaluation_windows evaluation = random_windows(shape.checkpoint.vocab, WINDOWS);
    evaluation.keep_parts = true;
    leave_a_part(&small, &evaluation);
    evaluation.corpus_hash++;
    assert_int_equal(evaluate_with(&listener, &found, &small, &evaluation), STATUS_OK);
    assert_true(listener.skipped == 0);
    assert_int_equal(listener.notices, 0);
    assert_int_equal(count_parts(folder, &small, file), 0);
    evaluation_windows_free(&evaluation);
    small_model_close(&small);
}

static void a_corpus_is_cut_into_windows_that_every_rank_has(void **state)
{
    // 40 letters that no merge joins, and <s> before them: 41 tokens, four windows of 9 and a tail
    static const char text[] = "QZQZQZQZQZQZQZQZQZQZQZQZQZQZQZQZQZQZQZQZ";
    const struct small_model_shape shape = small_model_shape();
    struct small_model small;
    struct evaluation_windows evaluation;
    struct error err = {0};
    (void)state;

    small_model_open(&small, &shape);
    if (mpi_rank() == 0)
        write_text(mpi_test_directory(), "corpus.txt", text);
    MPI_Barrier(MPI_COMM_WORLD);
    struct text_settings corpus = {.data = (char *)in_directory("corpus.txt"), .is_plain = true};
    small.settings.texts = &corpus;
    small.settings.num_texts = 1;
    small.settings.evaluate_length = LENGTH;
    assert_ok(evaluation_windows_create(&evaluation, &small.stage, 0, &err), err);
    assert_int_equal(evaluation.count, 4);
    assert_int_equal(evaluation.length, LENGTH);
    for (size_t i = 0; i < 4 * LENGTH; i++) // ids of bytes are the bytes and two: random_checkpoint.c
        assert_int_equal(evaluation.ids[i], i == 0 ? 0 : text[i - 1] + 2);
    evaluation_windows_free(&evaluation);

    // The same from a field of JSON's objects.
    if (mpi_rank() == 0) {
        char json[128];
        snprintf(json, sizeof json, "{\"text\": \"\", \"body\": \"%s\"}\n", text);
        write_text(mpi_test_directory(), "corpus.jsonl", json);
    }
    MPI_Barrier(MPI_COMM_WORLD);
    corpus = (struct text_settings){
        .data = (char *)in_directory("corpus.jsonl"), .field = (char *)"body", .is_plain = true};
    assert_ok(evaluation_windows_create(&evaluation, &small.stage, 0, &err), err);
    assert_int_equal(evaluation.count, 4);
    for (size_t i = 0; i < 4 * LENGTH; i++)
        assert_int_equal(evaluation.ids[i], i == 0 ? 0 : text[i - 1] + 2);
    evaluation_windows_free(&evaluation);
    small.settings.num_texts = 0;
    small.settings.texts = NULL;
    small_model_close(&small);
}

static void a_result_is_read_as_it_was_written(void **state)
{
    const struct perplexity written = {12.25, 2.5, 63, 7, 9};
    const double window_nll[] = {2.25, 2.75, 2.5, 2.375, 2.625, 2, 3};
    struct text_settings text = {.data = (char *)"wiki.txt", .is_plain = true};
    struct settings settings = {.num_texts = 1, .texts = &text};
    struct perplexity found;
    struct error err = {0};
    (void)state;

    if (mpi_rank() == 0) {
        const char *path = in_directory("perplexity.json");
        assert_ok(perplexity_write(&written, window_nll, path, &settings, 0, NULL, &err), err);
        assert_ok(perplexity_read(&found, path, &err), err);
        assert_memory_equal(&found, &written, sizeof found);
        json_t *json = NULL;
        assert_ok(json_read(&json, path, &err), err);
        const json_t *list = json_object_get(json, "window_nll");
        assert_int_equal(json_array_size(list), 7);
        for (size_t w = 0; w < 7; w++)
            assert_true(json_real_value(json_array_get(list, w)) == window_nll[w]);
        json_decref(json);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        mpi_unit_test(perplexity_of_the_dense_model_is_its_cross_entropy),
        mpi_unit_test(perplexity_of_a_mixture_of_experts_is_its_cross_entropy),
        mpi_unit_test(perplexity_of_a_variant_is_that_of_its_weights),
        mpi_unit_test(perplexity_has_the_same_bits_from_one_rank_and_from_all),
        mpi_unit_test(more_windows_than_memory_holds_go_through_in_groups),
        mpi_unit_test(windows_that_were_measured_before_a_stop_are_not_measured_again),
        mpi_unit_test(a_damaged_part_is_named_and_measured_again),
        mpi_unit_test(a_part_of_another_text_is_not_taken_over),
        mpi_unit_test(a_corpus_is_cut_into_windows_that_every_rank_has),
        mpi_unit_test(a_result_is_read_as_it_was_written),
    };
    return mpi_test_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
