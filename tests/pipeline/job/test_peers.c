// Words of other programs: what the table says of them is true of our keys, and stands in
// docs/from-other-tools.md.
#include "pipeline/job/job.h"
#include "pipeline/job/keys.h"
#include "pipeline/job/peers.h"
#include "tests/support/source_path.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void words_are_found_however_they_are_written(void **state)
{
    char text[200];
    (void)state;
    assert_string_equal(peer_word_find("--num-calibration-samples")->ours, "calibration.sequences");
    assert_string_equal(peer_word_find("Num_Calibration_Samples")->ours, "calibration.sequences");
    assert_null(peer_word_find("num_calibration_sample"));
    assert_null(peer_word_find("num_calibration_samples_"));
    assert_null(peer_word_find(""));
    assert_string_equal(peer_word_answer(peer_word_find("--save"), text, sizeof text),
                        "save (Wanda and SparseGPT) is output in coppice: the pruned model goes there; "
                        "results are printed, with "
                        "--json for machines");
    assert_string_equal(peer_word_answer(peer_word_find("wbits"), text, sizeof text),
                        "wbits (SparseGPT) has no counterpart in coppice: there is no quantisation");
}

// A word of ours must never be taken for somebody else's.
static void each_word_leads_to_a_key_and_is_none(void **state)
{
    size_t count;
    const struct peer_word *words = peer_words(&count);
    (void)state;
    for (size_t i = 0; i < count; i++) {
        const struct peer_word *word = &words[i];
        if (peer_word_find(word->word) != word)
            fail_msg("%s is there twice", word->word);
        if (job_key_of_word(word->word) != NUM_JOB_KEYS || job_is_section(word->word))
            fail_msg("%s is a key of ours", word->word);
        if (word->ours != NULL && job_key_named(word->ours) == NUM_JOB_KEYS && !job_is_section(word->ours))
            fail_msg("%s: %s is no key of ours", word->word, word->ours);
        assert_true(word->ours != NULL || word->note != NULL);
    }
}

static void job_files_with_them_are_answered(void **state)
{
    static const struct {
        const char *line, *message;
    } cases[] = {
        {"pruning: {sparsity: 0.5}\n",
         "job.yaml:3: pruning: unknown key: pruning (other programs) is prune in coppice"},
        {"prune: {sparsity_type: 2:4}\n",
         "job.yaml:3: prune.sparsity_type: unknown key: sparsity_type (Wanda) "
         "is prune.pattern in coppice: 2:4 keeps 2 "
         "of 4; for unstructured, prune.sparsity alone"},
        {"prune: {targets: [Linear]}\n", "job.yaml:3: prune.targets: unknown key: targets (llm-compressor) "
                                         "is prune.skip in coppice: which names the "
                                         "linears that stay dense instead; all others are pruned"},
        {"calibration: {dampening_frac: 0.1}\n",
         "job.yaml:3: calibration.dampening_frac: unknown key: "
         "dampening_frac (llm-compressor) has no counterpart in coppice: it is "
         "always 0.01"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[200];
        struct settings *settings;
        struct error err = {0};
        snprintf(text, sizeof text, "model: /m\nrun: /r\n%s", cases[i].line);
        assert_int_equal(job_parse(&settings, text, strlen(text), "job.yaml", &err), STATUS_USAGE);
        assert_string_equal(err.message, cases[i].message);
    }
}

// Whether `word` stands in the line as a whole word.
static bool has_word(const char *line, const char *word)
{
    static const char part[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_";
    const size_t length = strlen(word);
    for (const char *at = strstr(line, word); at != NULL; at = strstr(at + 1, word))
        if ((at == line || strchr(part, at[-1]) == NULL) &&
            (at[length] == '\0' || strchr(part, at[length]) == NULL))
            return true;
    return false;
}

// Whether a row of the document's tables has the word on the left, and the last word of our key on the right.
static bool is_in_document(char *document, const struct peer_word *word)
{
    const char *dot = word->ours != NULL ? strrchr(word->ours, '.') : NULL;
    const char *ours = dot != NULL ? dot + 1 : word->ours;
    char dashed[64]; // as some of them write it
    bool found = false;

    snprintf(dashed, sizeof dashed, "%s", word->word);
    for (char *c = dashed; *c != '\0'; c++)
        *c = *c == '_' ? '-' : *c;

    for (char *line = document; *line != '\0' && !found;) {
        char *end = strchr(line, '\n');
        *end = '\0';
        char *middle = line[0] == '|' ? strchr(line + 1, '|') : NULL;
        if (middle != NULL) {
            *middle = '\0';
            found = (has_word(line, word->word) || has_word(line, dashed)) &&
                    (ours == NULL || has_word(middle + 1, ours));
            *middle = '|';
        }
        *end = '\n';
        line = end + 1;
    }
    return found;
}

static char *read_document(const char *path)
{
    char *text = calloc(1, 1 << 16);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_non_null(text);
    assert_in_range(fread(text, 1, (1 << 16) - 1, file), 1000, (1 << 16) - 2);
    fclose(file);
    return text;
}

static void the_document_says_the_same(void **state)
{
    size_t count, missing = 0;
    const struct peer_word *words = peer_words(&count);
    char *path = source_path("docs/from-other-tools.md"), *text = read_document(path);
    (void)state;
    for (size_t i = 0; i < count; i++)
        if (!is_in_document(text, &words[i])) {
            print_error("%s: no row with %s and %s\n", path, words[i].word,
                        words[i].ours != NULL ? words[i].ours : "why it is not here");
            missing++;
        }
    free(text);
    free(path);
    assert_int_equal(missing, 0);
}

// Whether a name is one of ours, or answered by one.
static bool is_known(const char *name)
{
    return job_key_of_word(name) != NUM_JOB_KEYS || job_is_section(name) || peer_word_find(name) != NULL;
}

// The other way round: every name on the left of the document's tables, "`--name value`", "`name=...`".
static void each_name_of_the_document_is_answered(void **state)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
    // Values of the name before them, and an argument that has no name.
    static const char *const values[] = {"sparsegpt", "4",   "MODEL",
                                         "wikitext2", "ptb", "max_position_embeddings"};
    char *path = source_path("docs/from-other-tools.md"), *text = read_document(path), *lines = text;
    size_t names = 0, unknown = 0;
    (void)state;

    for (char *line; (line = strsep(&lines, "\n")) != NULL;) {
        char *end = line[0] == '|' ? strchr(line + 1, '|') : NULL;
        if (end == NULL)
            continue;
        *end = '\0';
        strsep(&line, "`");
        for (char *span; (span = strsep(&line, "`")) != NULL; strsep(&line, "`")) {
            span += strspn(span, "-");
            span[strspn(span, letters)] = '\0';
            bool is_value = false;
            for (size_t i = 0; i < sizeof values / sizeof *values; i++)
                is_value = is_value || strcmp(span, values[i]) == 0;
            names++;
            if (!is_value && !is_known(span)) {
                print_error("%s: %s is not answered\n", path, span);
                unknown++;
            }
        }
    }
    free(text);
    free(path);
    assert_in_range(names, 60, 200);
    assert_int_equal(unknown, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_found_however_they_are_written),
        cmocka_unit_test(each_word_leads_to_a_key_and_is_none),
        cmocka_unit_test(job_files_with_them_are_answered),
        cmocka_unit_test(the_document_says_the_same),
        cmocka_unit_test(each_name_of_the_document_is_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
