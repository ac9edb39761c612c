#include "stages/export/card.h"

#include "io/file/commit.h"
#include "io/file/json_memory.h"
#include "io/file/run_paths.h"
#include "io/model/card_metadata.h"
#include "io/model/hub.h"
#include "io/text/printable.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

// The last part of a path, or "" of none.
static const char *base_of(const char *path)
{
    const char *slash = path != NULL ? strrchr(path, '/') : NULL;
    return path == NULL ? "" : slash != NULL && slash[1] != '\0' ? slash + 1 : path;
}

// Text in Markdown, in a table too: what would be markup is escaped. Character by character, as a name that
// there is no memory for must not be missing.
static void write_text(FILE *out, const char *text)
{
    char shown[PRINTABLE_CHARACTER];
    size_t size = strlen(text);

    for (size_t taken; (taken = printable_next(shown, text, size)) > 0; text += taken, size -= taken)
        fprintf(out, "%s%s", strchr("\\`*_[]<>|#", shown[0]) != NULL ? "\\" : "", shown);
}

// As code, in a table too.
static void write_code(FILE *out, const char *text)
{
    char shown[PRINTABLE_CHARACTER];
    size_t size = strlen(text);

    fputc('`', out);
    for (size_t taken; (taken = printable_next(shown, text, size)) > 0; text += taken, size -= taken)
        fputs(shown[0] == '`' || shown[0] == '|' ? " " : shown, out);
    fputc('`', out);
}

// ---- the source -----------------------------------------------------------------------------------------

// Its id on the Hub: as the job names it, or as the folders of the Hub's cache are called. False: not known.
static bool hub_id(char *id, size_t size, const struct settings *settings)
{
    if (settings->hub_id == NULL)
        return hub_id_of_path(id, size, settings->model);
    snprintf(id, size, "%s", settings->hub_id);
    return true;
}

static const char *name_of(char *name, size_t size, const struct settings *settings)
{
    if (!hub_id(name, size, settings))
        snprintf(name, size, "%s", base_of(settings->model));
    return name;
}

// ---- metadata -------------------------------------------------------------------------------------------

static void add_tag(json_t *tags, const char *tag)
{
    size_t i;
    json_t *other;

    json_array_foreach(tags, i, other)
    {
        if (json_is_string(other) && strcmp(json_string_value(other), tag) == 0)
            return;
    }
    json_array_append_new(tags, json_string(tag));
}

// The source's tags, and ours. New reference.
static json_t *tags_of(const json_t *source, const struct variant *variant)
{
    static const char *const ours[] = {"pruned", "sparse", "coppice"};
    json_t *theirs = json_object_get(source, "tags"), *tags = json_array(), *tag;
    char pattern[48];
    size_t i;

    if (json_is_string(theirs))
        add_tag(tags, json_string_value(theirs));
    json_array_foreach(theirs, i, tag)
    {
        add_tag(tags, json_string_value(tag));
    }
    for (i = 0; i < sizeof ours / sizeof *ours; i++)
        add_tag(tags, ours[i]);
    if (variant->is_pattern) {
        snprintf(pattern, sizeof pattern, "%zu:%zu", variant->keep, variant->of);
        add_tag(tags, pattern);
    }
    return tags;
}

// JSON texts and lists are YAML as well.
static void write_member(FILE *out, const char *key, const json_t *value)
{
    fprintf(out, "%s: ", key);
    json_dumpf(value, out, JSON_ENCODE_ANY);
    fputc('\n', out);
}

static void write_metadata(FILE *out, const struct settings *settings, const struct variant *variant,
                           const json_t *source)
{
    const char *key;
    json_t *value, *tags = tags_of(source, variant);
    char id[256];

    fputs("---\n", out);
    json_object_foreach((json_t *)source, key, value)
    {
        if (strcmp(key, "tags") != 0)
            write_member(out, key, value);
    }
    if (json_object_get(source, "library_name") == NULL)
        fputs("library_name: transformers\n", out);
    if (json_object_get(source, "pipeline_tag") == NULL)
        fputs("pipeline_tag: text-generation\n", out);
    if (hub_id(id, sizeof id, settings)) {
        char clean[3 * sizeof id + PRINTABLE_CHARACTER], *to = clean;
        const char *text = id;
        for (size_t size = strlen(id), taken; (taken = printable_next(to, text, size)) > 0;
             text += taken, size -= taken)
            to += strlen(to);
        json_t *base = json_string(clean);
        write_member(out, "base_model", base);
        json_decref(base);
    } else {
        fputs("# base_model: the id on the Hub of the model that was pruned\n", out);
    }
    write_member(out, "tags", tags);
    fputs("---\n\n", out);
    json_decref(tags);
}

// ---- what was done --------------------------------------------------------------------------------------

static void write_amount(FILE *out, const struct variant *variant)
{
    if (variant->is_pattern)
        fprintf(out, "%zu of every %zu neighbouring weights kept", variant->keep, variant->of);
    else if (variant->budget > 0)
        fprintf(out, "as sparse as at most %.6g times the dense model's perplexity on held-out text allows",
                variant->budget);
    else
        fprintf(out, "%.6g %% sparsity", 100 * variant->sparsity);
}

// Whether every row, or matrix, was to lose the same share: what is missing of it in the end is rounding.
static bool is_one_share(const struct settings *settings, const struct variant *variant)
{
    return !variant->is_pattern && variant->budget == 0 && variant->allocation == ALLOCATION_UNIFORM &&
           settings->num_ratios == 0;
}

// The share of zeros among the weights of the linears that were pruned.
static void write_found(FILE *out, const struct settings *settings, const struct variant *variant,
                        const json_t *linears)
{
    const char *name;
    json_t *linear;
    double kept = 0, total = 0;

    json_object_foreach((json_t *)linears, name, linear)
    {
        kept += json_number_value(json_object_get(linear, "kept"));
        total += json_number_value(json_object_get(linear, "total"));
    }
    const double found = total > 0 ? 1 - kept / total : 0;
    const bool is_rounded = is_one_share(settings, variant) && variant->sparsity - found >= 0.00005;
    if (total > 0)
        fprintf(out, "%.0f of the %.0f weights of %zu linears are zero (%.2f %%%s). ", total - kept, total,
                json_object_size(linears), 100 * found,
                is_rounded ? ": numbers of weights to prune are rounded down" : "");
}

// The variant's settings as coppice.json has them.
static void write_choice(FILE *out, const json_t *variant)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)variant, key, value)
    {
        if (strcmp(key, "name") == 0 || (json_is_array(value) && json_array_size(value) == 0))
            continue;
        char *text =
            json_is_string(value) ? NULL : json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(12));
        fputs("| ", out);
        write_code(out, key);
        fputs(" | ", out);
        write_code(out, text != NULL ? text : json_is_string(value) ? json_string_value(value) : "");
        fputs(" |\n", out);
        free(text);
    }
}

static void write_pruning(FILE *out, const struct settings *settings, const struct variant *variant,
                          const json_t *record)
{
    fputs("## What was pruned\n\n", out);
    write_found(out, settings, variant, json_object_get(record, "linears"));
    fputs("Embeddings, norms and the output layer are those of the source", out);
    for (size_t i = 0; i < settings->num_skip; i++) {
        fputs(i == 0 ? ", and so are the linears that fit " : ", ", out);
        write_code(out, settings->skip[i].pattern);
    }
    fputs(". `coppice.json` has the numbers of every linear.\n\n| setting | |\n|---|---|\n", out);
    write_choice(out, json_object_get(record, "variant"));
    fputs("| calibration | ", out);
    fprintf(out, "%zu sequences of %zu tokens, seed %llu", settings->sequences, settings->length,
            (unsigned long long)settings->seed);
    if (settings->corpus != NULL) {
        fputs(", from ", out);
        write_text(out, base_of(settings->corpus));
    }
    fprintf(out, " |\n| hidden states | of the %s model |\n\n",
            settings->propagation == PROPAGATION_DENSE ? "dense" : "pruned");
}

// ---- what was measured ----------------------------------------------------------------------------------

static bool number(double *value, const json_t *object, const char *key)
{
    const json_t *member = json_object_get(object, key);
    *value = json_number_value(member);
    return json_is_number(member);
}

static void write_share(FILE *out, const json_t *task, const char *key, const char *error_key)
{
    double share, error;

    if (!number(&share, task, key)) {
        fputs(" - |", out);
        return;
    }
    fprintf(out, " %.2f", 100 * share);
    if (number(&error, task, error_key))
        fprintf(out, " ± %.2f", 100 * error);
    fputs(" |", out);
}

// The table's head, before its first row.
static void begin_row(FILE *out, bool *any)
{
    if (!*any)
        fputs("| | source | this model |\n|---|---|---|\n", out);
    *any = true;
}

// A row for one text, if there is a result.
static void write_perplexity(FILE *out, bool *any, const char *text, const json_t *dense,
                             const json_t *pruned)
{
    double value, length = 0, windows = 0;

    if (!number(&value, pruned, "perplexity"))
        return;
    begin_row(out, any);
    (void)number(&length, pruned, "length");
    (void)number(&windows, pruned, "windows");
    fputs("| perplexity on ", out);
    write_text(out, text);
    fprintf(out, ", %.0f windows of %.0f tokens | ", windows, length);
    if (number(&length, dense, "perplexity"))
        fprintf(out, "%.4f", length);
    else
        fputs("-", out);
    fprintf(out, " | %.4f |\n", value);
}

static void write_perplexities(FILE *out, bool *any, const struct settings *settings,
                               const json_t *perplexity)
{
    const json_t *dense = json_object_get(perplexity, "dense"),
                 *pruned = json_object_get(perplexity, "pruned");
    json_t *texts = json_object_get(pruned, "texts"), *text;
    const char *name, *only = settings->num_texts > 0 ? settings->texts[0].data : NULL;

    if (texts == NULL)
        write_perplexity(out, any, base_of(only), dense, pruned);
    json_object_foreach(texts, name, text)
    {
        write_perplexity(out, any, name, json_object_get(json_object_get(dense, "texts"), name), text);
    }
}

static void write_tasks(FILE *out, bool *any, const json_t *tasks)
{
    const json_t *dense = json_object_get(tasks, "dense");
    json_t *pruned = json_object_get(tasks, "pruned"), *task;
    const char *name;

    json_object_foreach(pruned, name, task)
    {
        begin_row(out, any);
        fputs("| accuracy on ", out);
        write_text(out, name);
        fputs(", per cent ± standard error |", out);
        write_share(out, json_object_get(dense, name), "acc", "acc_stderr");
        write_share(out, task, "acc", "acc_stderr");
        fputs("\n", out);
    }
}

static void write_results(FILE *out, const struct settings *settings, const json_t *record)
{
    bool any = false;

    fputs("## What was measured\n\n", out);
    write_perplexities(out, &any, settings, json_object_get(record, "perplexity"));
    write_tasks(out, &any, json_object_get(record, "tasks"));
    fputs(any ? "\n" : "Nothing: the job that made this model had no evaluation.\n\n", out);
}

// ---- the whole ------------------------------------------------------------------------------------------

// A text, or a list of texts.
static void write_list(FILE *out, const json_t *texts)
{
    size_t i;
    json_t *text;

    if (json_is_string(texts))
        write_text(out, json_string_value(texts));
    json_array_foreach(texts, i, text)
    {
        fputs(i > 0 ? ", " : "", out);
        write_text(out, json_string_value(text));
    }
}

static void write_licence(FILE *out, const struct settings *settings, const json_t *source,
                          const char *notice, bool has_source_card)
{
    static const char *const files[] = {"LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE", "COPYING"};
    const json_t *license = json_object_get(source, "license");
    char path[PATH_SIZE];
    struct stat info;

    fputs("## Licence\n\n", out);
    if (json_is_string(license) || json_array_size(license) > 0) {
        fputs("As the source's: ", out);
        write_list(out, license);
        fputs(". ", out);
    } else if (has_source_card) {
        fputs("The source's, whichever that is: its card names none that could be read here. ", out);
    } else {
        fputs("The source's, whichever that is: it came without a model card. ", out);
    }
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        path_format(path, sizeof path, "%s/%s", settings->model, files[i]);
        if (stat(path, &info) == 0)
            fprintf(out, "`%s` came with the source. ", files[i]);
    }
    if (has_source_card)
        fputs("The source's own card is `" SOURCE_CARD "`; what it measured is not of this model. ", out);
    if (notice != NULL) {
        fputs("Its metadata could not be read in full (", out);
        write_text(out, notice);
        fputs("). ", out);
    }
    fputs("\n", out);
}

static void write_card(FILE *out, const struct settings *settings, const struct variant *variant,
                       const json_t *record, const json_t *source, const char *notice)
{
    char name[256], path[PATH_SIZE];
    struct stat info;

    path_format(path, sizeof path, "%s/README.md", settings->model);
    const bool has_source_card = stat(path, &info) == 0;
    name_of(name, sizeof name, settings);
    write_metadata(out, settings, variant, source);
    fputs("# ", out);
    write_text(out, name);
    fputs(", pruned: ", out);
    write_text(out, variant->name);
    fputs("\n\n", out);
    write_text(out, name);
    if (settings->hub_commit != NULL)
        fprintf(out, " (commit `%s`)", settings->hub_commit);
    fputs(", pruned after training, without gradients: ", out);
    write_amount(out, variant);
    fputs(".\n\n", out);
    write_pruning(out, settings, variant, record);
    write_results(out, settings, record);
    fputs("## How to load it\n\n```python\nfrom transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
          "folder = \"path/to/this/folder\"\ntokenizer = AutoTokenizer.from_pretrained(folder)\nmodel = "
          "AutoModelForCausalLM.from_pretrained(folder)\n```\n\n",
          out);
    fputs(json_object_get(record, "dequantised") != NULL
              ? "The source is quantised; here are the weights that its codes stand for. Names and shapes "
                "are the "
                "source's. "
              : "Names, shapes and dtypes are those of the source. ",
          out);
    fputs("Zeros are stored like other weights: a program is faster only where it uses the zeros.\n\n", out);
    write_licence(out, settings, source, notice, has_source_card);
    fputs("\n## Provenance\n\nMade by coppice. `coppice.json` has the job, the hashes of all inputs, and the "
          "versions.\n",
          out);
}

static enum status read_back(const char *path, const char *bytes, size_t size, struct error *err)
{
    char *found = NULL;
    size_t count = 0;

    FORWARD_IF_ERROR(read_file(&found, &count, path, err));
    const bool same = count == size && memcmp(found, bytes, size) == 0;
    free(found);
    RETURN_ERROR_IF(!same, err, STATUS_FAILED, "%s: the file has other bytes than were written", path);
    return STATUS_OK;
}

enum status card_write(const struct stage *stage, const struct variant *variant, const json_t *record,
                       const char *folder, struct error *err)
{
    char path[PATH_SIZE], *notice = NULL, *bytes = NULL;
    json_t *source = NULL;
    size_t size = 0;
    FILE *out;
    enum status status;

    GOTO_IF_ERROR(card_metadata_read(&source, &notice, stage->settings->model, err), done);
    out = open_memstream(&bytes, &size);
    if (out != NULL)
        write_card(out, stage->settings, variant, record, source, notice);
    if (out == NULL || fclose(out) != 0) {
        status = error_set(err, STATUS_MEMORY, "out of memory for the model card");
        goto done;
    }
    GOTO_IF_ERROR(json_memory_check("the model card", err), done);
    path_format(path, sizeof path, "%s/README.md", folder);
    GOTO_IF_ERROR(commit_bytes(path, bytes, size, err), done);
    status = read_back(path, bytes, size, err);
done:
    free(bytes);
    free(notice);
    json_decref(source);
    return status;
}
