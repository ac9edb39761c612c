// An exported folder but for its tensors: side files, chat templates, the card, coppice.json.
// ranks: 1 3
#include "io/file/commit.h"
#include "stages/export/export.h"
#include "stages/export/exported_files.h"
#include "stages/export/partial.h"
#include "stages/export/side_files.h"
#include "tests/support/exported.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void put_file(const char *directory, const char *name, const char *text)
{
    if (mpi_rank() == 0)
        write_text(directory, name, text);
    MPI_Barrier(MPI_COMM_WORLD);
}

static bool is_in(const char *directory, const char *name)
{
    char *path = path_below(directory, name);
    const bool found = access(path, F_OK) == 0;
    free(path);
    return found;
}

static void side_files_are_copied_and_other_weights_are_not(void **state)
{
    static const char *const copied[] = {"config.json", "tokenizer.json", "tokenizer_config.json",
                                         "notes.md"};
    static const char *const left_out[] = {"pytorch_model.bin",
                                           "model.PTH",
                                           ".hidden",
                                           "old.safetensors",
                                           "model.onnx_data",
                                           "model.onnx_data_1",
                                           "consolidated.safetensors.index.json",
                                           "weights.npz",
                                           "model.ckpt",
                                           CHECKPOINT_INDEX}; // beside the one file that counts
    const struct small_model_shape shape = small_model_shape();
    struct small_model small;
    (void)state;

    small_model_open(&small, &shape);
    put_file(small.settings.model, "notes.md", "Made by hand.\n");
    for (size_t i = 0; i < sizeof left_out / sizeof *left_out; i++)
        put_file(small.settings.model, left_out[i], "the dense weights, in another format");
    small.settings.keep_weights = true;
    const struct variant *variant = small_model_add(&small, "half", METHOD_MAGNITUDE);
    small_model_prune(&small, variant);
    export_pruned(&small, variant);
    for (size_t i = 0; i < 4; i++) {
        char *from = path_below(small.settings.model, copied[i]);
        char *to = path_below(small.settings.output, copied[i]);
        assert_same_file(from, to);
        free(from);
        free(to);
    }
    for (size_t i = 0; i < sizeof left_out / sizeof *left_out; i++)
        assert_false(is_in(small.settings.output, left_out[i]));
    assert_int_equal(count_entries(small.settings.output), 7); // with weights, card and coppice.json
    assert_int_equal(entries_in_directory(), 3); // model, run, run-output: nothing hidden is left
    small_model_close(&small);
}

static void folders_of_a_model(const char *model)
{
    char *folders[] = {path_below(model, "additional_chat_templates"),
                       path_below(model, "additional_chat_templates/old"), path_below(model, "onnx")};

    for (size_t i = 0; i < 3; i++) {
        if (mpi_rank() == 0)
            assert_int_equal(mkdir(folders[i], 0777), 0);
        free(folders[i]);
    }
    put_file(model, "additional_chat_templates/tool_use.jinja", "{{ tools }}");
    put_file(model, "additional_chat_templates/.hidden", "no template");
    put_file(model, "onnx/config.json", "{}");
}

// As tokenizer.save_pretrained writes them where there are several.
static void chat_templates_with_names_are_copied_and_other_folders_are_named(void **state)
{
    static const char name[] = "additional_chat_templates/tool_use.jinja";
    const struct small_model_shape shape = small_model_shape();
    char text[SIDE_FOLDERS_SIZE];
    struct small_model small;
    struct error err = {0};
    (void)state;

    small_model_open(&small, &shape);
    assert_string_equal(side_folders_left_out(text, small.model, small.settings.model), "");
    const uint64_t before = side_files_bytes(small.model, small.settings.model);
    MPI_Barrier(MPI_COMM_WORLD);
    folders_of_a_model(small.settings.model);
    assert_true(side_files_bytes(small.model, small.settings.model) > before);
    small.settings.keep_weights = true;
    const struct variant *variant = small_model_add(&small, "half", METHOD_MAGNITUDE);
    small_model_prune(&small, variant);
    export_pruned(&small, variant);
    char *from = path_below(small.settings.model, name), *to = path_below(small.settings.output, name);
    char *templates = path_below(small.settings.output, "additional_chat_templates");
    char *path = path_below(small.settings.output, "coppice.json");
    json_t *record = json_load_file(path, 0, NULL);
    const json_t *entry = json_object_get(json_object_get(record, "files"), name);

    assert_same_file(from, to);
    assert_int_equal(count_entries(templates), 1);
    assert_false(is_in(small.settings.output, "onnx"));
    assert_ok(exported_files_check(record, small.settings.output, &err), err);
    assert_ok(exported_file_check(small.settings.output, name, entry, true, &err), err);
    side_folders_left_out(text, small.model, small.settings.model);
    assert_non_null(strstr(text, "onnx/"));
    assert_non_null(strstr(text, "additional_chat_templates/old/"));
    MPI_Barrier(MPI_COMM_WORLD);
    if (mpi_rank() == 0) {
        assert_int_equal(truncate(to, 3), 0);
        assert_int_equal(exported_files_check(record, small.settings.output, &err), STATUS_DAMAGED);
        assert_non_null(strstr(err.message, "additional_chat_templates/tool_use.jinja: has 3 bytes"));
        partial_remove(small.settings.output);
        assert_int_equal(access(small.settings.output, F_OK), -1);
    }
    MPI_Barrier(MPI_COMM_WORLD);
    json_decref(record);
    free(from);
    free(to);
    free(templates);
    free(path);
    small_model_close(&small);
}

static void what_an_export_cannot_copy_is_refused_before(void **state)
{
    const struct small_model_shape shape = small_model_shape();
    struct small_model small;
    struct error err = {0};
    (void)state;

    small_model_open(&small, &shape);
    char *card = path_below(small.settings.model, "README.md"),
         *pipe = path_below(small.settings.model, "notes.md");
    char *folder = path_below(small.settings.model, "original");
    if (mpi_rank() == 0) {
        assert_int_equal(mkdir(folder, 0777), 0); // folders are left out
        assert_ok(side_files_check(small.model, small.settings.model, &err), err);
        assert_int_equal(mkdir(card, 0777), 0);
        assert_int_equal(side_files_check(small.model, small.settings.model, &err), STATUS_INPUT);
        assert_non_null(strstr(err.message, "README.md: not a regular file"));
        assert_int_equal(rmdir(card), 0);
        assert_int_equal(mkfifo(pipe, 0666), 0);
        assert_int_equal(side_files_check(small.model, small.settings.model, &err), STATUS_INPUT);
        assert_non_null(strstr(err.message, "notes.md: not a regular file"));
        assert_int_equal(unlink(pipe), 0);
    }
    free(card);
    free(pipe);
    free(folder);
    small_model_close(&small);
}

static char *text_of_file(const char *directory, const char *name)
{
    char *path = path_below(directory, name), *text = NULL;
    struct error err = {0};
    assert_ok(read_file(&text, NULL, path, &err), err);
    free(path);
    return text;
}

static void the_card_is_the_exports_own(void **state)
{
    static const char source[] =
        "---\nlicense: [apache-2.0, null]\nlanguage:\n- en\n- \"no\"\nbase_model: Someone/Else\n"
        "tags: [llama, pruned]\nmodel-index:\n- name: theirs\n---\n# Their card\n";
    static const char expected[] =
        "---\n"
        "license: [\"apache-2.0\"]\n"
        "language: [\"en\", \"no\"]\n"
        "library_name: transformers\n"
        "pipeline_tag: text-generation\n"
        "base_model: \"Org/Tiny-1\"\n"
        "tags: [\"llama\", \"pruned\", \"sparse\", \"coppice\"]\n"
        "---\n\n"
        "# Org/Tiny-1, pruned: half\n\n"
        "Org/Tiny-1 (commit `abc`), pruned after training, without gradients: 50 % sparsity.\n\n"
        "## What was pruned\n\n"
        "3360 of the 6720 weights of 14 linears are zero (50.00 %). Embeddings, norms and the output layer "
        "are those "
        "of the source, and so are the linears that fit `head`. `coppice.json` has the numbers of every "
        "linear.\n\n"
        "| setting | |\n|---|---|\n| `method` | `magnitude` |\n| `sparsity` | `0.5` |\n"
        "| calibration | 4 sequences of 8 tokens, seed 7, from c4\\_1  .jsonl |\n"
        "| hidden states | of the dense model |\n\n"
        "## What was measured\n\n"
        "| | source | this model |\n|---|---|---|\n"
        "| perplexity on wiki.raw, 3 windows of 9 tokens | 2.0000 | 2.5000 |\n"
        "| accuracy on rte, per cent ± standard error | 75.00 ± 5.00 | 50.00 ± 6.00 |\n\n"
        "## How to load it\n";
    const struct small_model_shape shape = small_model_shape();
    struct skip skip[] = {{(char *)"head", 0}};
    struct text_settings text = {.data = (char *)"/data/wiki.raw"};
    struct small_model small;
    struct error err = {0};
    (void)state;

    // Given a source with a card, and results
    small_model_open(&small, &shape);
    put_file(small.settings.model, "README.md", source);
    small.settings.keep_weights = true;
    small.settings.hub_id = (char *)"Org/Tiny-1";
    small.settings.hub_commit = (char *)"abc";
    small.settings.skip = skip;
    small.settings.num_skip = 1;
    small.settings.corpus = (char *)"/data/c4_1\x7f\xc2\x85.jsonl";
    small.settings.texts = &text;
    small.settings.num_texts = 1;
    small.settings.sequences = 4;
    small.settings.length = 8;
    small.settings.seed = 7;
    struct variant *variant = small_model_add(&small, "half", METHOD_MAGNITUDE);
    small_model_prune(&small, variant);
    json_t *provenance = json_pack(
        "{s:{s:s, s:s, s:f, s:[]}, s:{s:{s:f}, s:{s:f, s:i, s:i}}, s:{s:{s:{s:f, s:f}}, s:{s:{s:f, s:f}}}}",
        "variant", "name", "half", "method", "magnitude", "sparsity", 0.5, "energy", "perplexity", "dense",
        "perplexity", 2.0, "pruned", "perplexity", 2.5, "length", 9, "windows", 3, "tasks", "dense", "rte",
        "acc", 0.75, "acc_stderr", 0.05, "pruned", "rte", "acc", 0.5, "acc_stderr", 0.06);
    assert_non_null(provenance);
    assert_ok(export_variant(&small.stage, variant, EXPORT_IDENTITY, provenance, &err), err);
    json_decref(provenance);

    // Then the export has its own card, with what holds of the source, and the source's under another name
    char *card = text_of_file(small.settings.output, "README.md");
    char *theirs = text_of_file(small.settings.output, "README-source.md");
    assert_non_null(strstr(card, "\nAs the source's: apache-2.0. "));
    card[strlen(expected) < strlen(card) ? strlen(expected) : strlen(card)] = '\0';
    assert_string_equal(card, expected);
    assert_string_equal(theirs, source);
    free(card);
    free(theirs);
    small.settings.skip = NULL;
    small.settings.num_skip = 0;
    small.settings.hub_id = small.settings.hub_commit = small.settings.corpus = NULL;
    small.settings.texts = NULL;
    small.settings.num_texts = 0;
    small_model_close(&small);
}

static void the_card_says_why_fewer_are_zero(void **state)
{
    const struct small_model_shape shape = small_model_shape();
    struct small_model small;
    struct error err = {0};
    (void)state;

    // Rows of 20 and 36 weights lose 6 and 11 of them
    small_model_open(&small, &shape);
    small.settings.keep_weights = true;
    struct variant *variant = small_model_add(&small, "third", METHOD_MAGNITUDE);
    variant->sparsity = 0.33;
    small_model_prune(&small, variant);
    json_t *provenance = json_object();
    assert_ok(export_variant(&small.stage, variant, EXPORT_IDENTITY, provenance, &err), err);
    json_decref(provenance);
    char *card = text_of_file(small.settings.output, "README.md");
    assert_non_null(strstr(card, "(30.12 %: numbers of weights to prune are rounded down)"));
    free(card);
    small_model_close(&small);
}

static void coppice_json_says_whose_it_is_and_what_is_kept(void **state)
{
    const struct small_model_shape shape = small_model_shape();
    struct skip skip[] = {{(char *)"mlp.up_proj", 0}};
    struct small_model small;
    json_error_t where;
    struct error err = {0};
    (void)state;

    export_shape(&small, &shape, skip);
    char *path = path_below(small.settings.output, "coppice.json");
    json_t *json = json_load_file(path, 0, &where);
    assert_non_null(json);
    assert_string_equal(json_string_value(json_object_get(json, "identity")), EXPORT_IDENTITY);
    assert_string_equal(json_string_value(json_object_get(json, "job")), "the job");
    const json_t *linears = json_object_get(json, "linears");
    assert_int_equal(json_object_size(linears), 12); // two layers of seven, but the one that is skipped
    const json_t *down = json_object_get(linears, "layers.1.mlp.down_proj");
    assert_int_equal(json_integer_value(json_object_get(down, "total")), 20 * 36);
    assert_int_equal(json_integer_value(json_object_get(down, "kept")), 20 * 36 / 2);
    assert_true(json_real_value(json_object_get(down, "sparsity")) == 0.5);
    json_decref(json);
    free(path);

    assert_int_equal(export_state_of(small.settings.output, EXPORT_IDENTITY, &err), EXPORT_DONE);
    assert_int_equal(export_state_of(small.settings.output, "another", &err), EXPORT_FOREIGN);
    assert_int_equal(export_state_of(small.settings.model, EXPORT_IDENTITY, &err), EXPORT_FOREIGN);
    assert_int_equal(export_state_of(in_directory("nowhere"), EXPORT_IDENTITY, &err), EXPORT_ABSENT);
    small_model_close(&small);
}

static void a_file_that_is_gone_short_or_changed_is_seen(void **state)
{
    const struct small_model_shape shape = small_model_shape();
    struct small_model small;
    struct error err = {0};
    (void)state;

    export_shape(&small, &shape, NULL);
    const char *output = small.settings.output;
    char *path = path_below(output, "coppice.json"), *card = path_below(output, "README.md"),
         *config = path_below(output, "config.json");
    json_t *record = json_load_file(path, 0, NULL);
    const json_t *entry = json_object_get(json_object_get(record, "files"), "config.json");

    assert_ok(exported_files_check(record, output, &err), err);
    assert_ok(exported_file_check(output, "config.json", entry, true, &err), err);
    team_barrier(&small.team);
    if (small.team.rank == 0) {
        assert_int_equal(unlink(card), 0); // is the user's
        assert_ok(exported_files_check(record, output, &err), err);
        FILE *file = fopen(config, "r+");
        assert_non_null(file);
        fputc('[', file);
        fclose(file);
        assert_ok(exported_files_check(record, output, &err), err); // has its size
        assert_int_equal(exported_file_check(output, "config.json", entry, true, &err), STATUS_DAMAGED);
        assert_non_null(strstr(err.message, "config.json: does not match its checksum"));
        assert_int_equal(truncate(config, 3), 0);
        assert_int_equal(exported_files_check(record, output, &err), STATUS_DAMAGED);
        assert_non_null(strstr(err.message, "config.json: has 3 bytes, and was exported with "));
        assert_non_null(strstr(err.message, "; remove "));
        assert_int_equal(unlink(config), 0);
        assert_int_equal(exported_files_check(record, output, &err), STATUS_DAMAGED);
        assert_non_null(strstr(err.message, "config.json: is gone; remove "));
        json_object_del(record, "files"); // as an earlier version wrote it
        assert_ok(exported_files_check(record, output, &err), err);
    }
    team_barrier(&small.team);
    json_decref(record);
    free(path);
    free(card);
    free(config);
    small_model_close(&small);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        mpi_unit_test(side_files_are_copied_and_other_weights_are_not),
        mpi_unit_test(chat_templates_with_names_are_copied_and_other_folders_are_named),
        mpi_unit_test(what_an_export_cannot_copy_is_refused_before),
        mpi_unit_test(the_card_says_why_fewer_are_zero),
        mpi_unit_test(the_card_is_the_exports_own),
        mpi_unit_test(coppice_json_says_whose_it_is_and_what_is_kept),
        mpi_unit_test(a_file_that_is_gone_short_or_changed_is_seen),
    };
    return mpi_test_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
