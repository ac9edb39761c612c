// The calibration's token ids: drawn once from a text, or taken as they are given, and never again.
// ranks: 1 3
#include "stages/layer/sequences.h"
#include "tests/support/small_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// The ids of sequences.h5, as every rank reads them; the caller frees.
static int32_t *stored_ids(const struct small_model *small)
{
    const size_t sequences = small->settings.sequences;
    struct store_reader *reader;
    struct error err = {0};
    int32_t *ids = calloc(sequences * small->settings.length, sizeof *ids);

    assert_non_null(ids);
    assert_ok(sequences_open(&reader, &small->stage, &err), err);
    assert_ok(store_read(reader, "/tokens", STORE_I32, 0, sequences, ids, &err), err);
    store_close(reader);
    return ids;
}

// Draws and commits; returns whether there was anything to do.
static bool draw(const struct small_model *small, bool again)
{
    struct sequences_draft draft;
    struct error err = {0};

    assert_ok(sequences_draw(&draft, &small->stage, again, &err), err);
    const bool needed = draft.needed;
    assert_ok(sequences_commit(&draft, &small->stage, &err), err);
    sequences_draft_free(&draft);
    return needed;
}

static void remove_sequences(const struct small_model *small)
{
    char path[PATH_SIZE];

    sequences_path(path, &small->settings);
    MPI_Barrier(MPI_COMM_WORLD);
    if (mpi_rank() == 0)
        remove(path);
    MPI_Barrier(MPI_COMM_WORLD);
}

static void slices_of_the_text_are_drawn_once(void **state)
{
    // Letters that no merge joins: each is the token of its byte and two (random_checkpoint.c), after <s>, 0.
    static const char text[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJKLMNOPQRSTUVWXYZ";
    const struct small_model_shape shape = small_model_shape();
    struct small_model small;
    (void)state;

    small_model_open(&small, &shape);
    remove_sequences(&small);
    if (mpi_rank() == 0)
        write_text(mpi_test_directory(), "corpus.txt", text);
    MPI_Barrier(MPI_COMM_WORLD);
    small.settings.corpus = (char *)in_directory("corpus.txt");
    assert_true(draw(&small, false));
    int32_t *ids = stored_ids(&small);
    for (size_t s = 0; s < shape.sequences; s++) // every one is a slice of "<s>ABC..."
        for (size_t t = 1; t < shape.length; t++) {
            const int32_t before = ids[s * shape.length + t - 1], id = ids[s * shape.length + t];
            assert_int_equal(id, before == 0 || before == 'Z' + 2 ? 'A' + 2 : before + 1);
        }

    // A second start finds them; what is drawn again is the same.
    assert_false(draw(&small, false));
    assert_true(draw(&small, true));
    int32_t *again = stored_ids(&small);
    assert_memory_equal(ids, again, shape.sequences * shape.length * sizeof *ids);
    free(ids);
    free(again);
    small_model_close(&small);
}

// Whether sequences.h5 says that documents were joined, and how many.
static uint64_t stored_packed(const struct small_model *small)
{
    struct store_reader *reader;
    struct error err = {0};
    uint64_t packed = 0;
    bool is_there;

    assert_ok(sequences_open(&reader, &small->stage, &err), err);
    assert_ok(store_find_attribute(reader, "/tokens", "packed", &is_there, &err), err);
    if (is_there)
        assert_ok(store_read_attribute_u64(reader, "/tokens", "packed", &packed, &err), err);
    store_close(reader);
    return packed;
}

// The oracle: the text joined by hand, each of its letters the token of its byte and two, after <s>, 0.
static void assert_slices_of(const char *joined, const int32_t *ids, const struct small_model_shape *shape,
                             uint64_t seed)
{
    const size_t tokens = 1 + strlen(joined);
    struct generator generator;

    generator_seed(&generator, seed);
    for (size_t s = 0; s < shape->sequences; s++) {
        const size_t start = (size_t)generator_below(&generator, tokens - shape->length);
        for (size_t t = 0; t < shape->length; t++) {
            const size_t at = start + t;
            assert_int_equal(ids[s * shape->length + t], at == 0 ? 0 : joined[at - 1] + 2);
        }
    }
}

static void short_documents_are_joined_and_that_is_on_record(void **state)
{
    const struct small_model_shape shape = small_model_shape();
    struct small_model small;
    struct sequences_draft draft;
    struct error err = {0};
    char notices[SEQUENCES_NOTICES][SEQUENCES_NOTICE_SIZE];
    (void)state;

    // Given a text of lines, of which the longest has as many tokens as a sequence
    assert_int_equal(shape.length, 12);
    small_model_open(&small, &shape);
    remove_sequences(&small);
    if (mpi_rank() == 0)
        write_text(mpi_test_directory(), "lines.raw", "ABC\n \nDEFGHIJKLM\nNOP\nQRSTU\nVWXYZ");
    MPI_Barrier(MPI_COMM_WORLD);
    small.settings.corpus = (char *)in_directory("lines.raw");
    small.settings.seed = 4;

    // Then they are joined without being asked for, as the user is told
    assert_ok(sequences_draw(&draft, &small.stage, false, &err), err);
    if (mpi_rank() == 0) {
        sequences_notice(notices, &draft, &small.settings);
        assert_string_equal(notices[0],
                            "calibration.pack: the longest document has 12 tokens, so 6 documents were "
                            "joined and sequences of 12 cut anywhere");
        // 40 characters, and the token that begins every text
        assert_string_equal(
            notices[1], "calibration.corpus: has 41 tokens to draw from, fewer than the 60 of 5 sequences "
                        "of 12: they overlap");
    }
    assert_ok(sequences_commit(&draft, &small.stage, &err), err);
    sequences_draft_free(&draft);
    int32_t *ids = stored_ids(&small);
    assert_slices_of("ABC\n\n\n\n\nDEFGHIJKLM\n\n\nNOP\n\n\nQRSTU\n\n\nVWXYZ", ids, &shape, 4);
    assert_int_equal(stored_packed(&small), 6);

    // and that is the same when it is asked for, and nothing to be told
    small.settings.pack = PACK_TRUE;
    assert_ok(sequences_draw(&draft, &small.stage, true, &err), err);
    if (mpi_rank() == 0) {
        assert_memory_equal(draft.ids, ids, shape.sequences * shape.length * sizeof *ids);
        sequences_notice(notices, &draft, &small.settings);
        assert_string_equal(notices[0], "");
    }
    sequences_draft_free(&draft);

    // and refused by name when it is forbidden.
    small.settings.pack = PACK_FALSE;
    assert_int_equal(sequences_draw(&draft, &small.stage, true, &err), STATUS_INPUT);
    assert_error(err, STATUS_INPUT, "lines.raw: no document of the corpus is longer than a sequence of 12");
    assert_error(err, STATUS_INPUT, "calibration.pack: true joins them");
    free(ids);
    small_model_close(&small);
}

static void long_documents_are_joined_only_when_that_is_asked_for(void **state)
{
    const struct small_model_shape shape = small_model_shape();
    struct small_model small;
    (void)state;

    small_model_open(&small, &shape);
    remove_sequences(&small);
    if (mpi_rank() == 0)
        write_text(mpi_test_directory(), "lines.raw", "ABC\nDEFGHIJKLMNOP\nQ");
    MPI_Barrier(MPI_COMM_WORLD);
    small.settings.corpus = (char *)in_directory("lines.raw");

    assert_true(draw(&small, false));
    assert_int_equal(stored_packed(&small), 0);
    small.settings.pack = PACK_TRUE;
    assert_true(draw(&small, true));
    assert_int_equal(stored_packed(&small), 3);
    int32_t *ids = stored_ids(&small);
    assert_slices_of("ABC\n\n\nDEFGHIJKLMNOP\n\n\nQ", ids, &shape, small.settings.seed);
    free(ids);
    small_model_close(&small);
}

static void ids_that_are_given_are_taken_as_they_are(void **state)
{
    const struct small_model_shape shape = small_model_shape();
    struct small_model small;
    char path[PATH_SIZE];
    struct sequences_draft draft;
    struct error err = {0};
    (void)state;

    // Given a file of token ids: the fixture's own, under another name
    small_model_open(&small, &shape);
    sequences_path(path, &small.settings);
    if (mpi_rank() == 0)
        assert_int_equal(rename(path, in_directory("tokens.h5")), 0);
    MPI_Barrier(MPI_COMM_WORLD);
    small.settings.corpus = (char *)in_directory("tokens.h5");
    assert_true(sequences_are_given(&small.settings));

    assert_true(draw(&small, false));
    int32_t *ids = stored_ids(&small);
    assert_memory_equal(ids, small.ids, shape.sequences * shape.length * sizeof *ids);
    free(ids);

    // Fewer are fine; more, or longer ones, are not there.
    remove_sequences(&small);
    small.settings.sequences--;
    assert_true(draw(&small, false));
    small.settings.sequences += 2;
    assert_int_equal(sequences_draw(&draft, &small.stage, true, &err), STATUS_INPUT);
    assert_error(err, STATUS_INPUT, "holds 5 sequences of 12 tokens, the job asks for 6 of 12");
    small_model_close(&small);
}

static void ids_outside_the_vocabulary_are_refused(void **state)
{
    const struct small_model_shape shape = small_model_shape();
    struct small_model small;
    char path[PATH_SIZE];
    struct sequences_draft draft;
    struct error err = {0};
    (void)state;

    small_model_open(&small, &shape);
    small.ids[17] = 258;
    small_model_set_ids(&small, small.ids);
    sequences_path(path, &small.settings);
    if (mpi_rank() == 0)
        assert_int_equal(rename(path, in_directory("tokens.h5")), 0);
    MPI_Barrier(MPI_COMM_WORLD);
    small.settings.corpus = (char *)in_directory("tokens.h5");
    assert_int_equal(sequences_draw(&draft, &small.stage, false, &err), STATUS_INPUT);
    assert_error(err, STATUS_INPUT, "258");
    small_model_close(&small);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        mpi_unit_test(slices_of_the_text_are_drawn_once),
        mpi_unit_test(short_documents_are_joined_and_that_is_on_record),
        mpi_unit_test(long_documents_are_joined_only_when_that_is_asked_for),
        mpi_unit_test(ids_that_are_given_are_taken_as_they_are),
        mpi_unit_test(ids_outside_the_vocabulary_are_refused),
    };
    return mpi_test_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
