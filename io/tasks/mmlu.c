#include "io/tasks/mmlu.h"

#include "io/tasks/members.h"
#include "io/tasks/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

// ---- subjects -------------------------------------------------------------------------------------------

enum category { STEM, OTHER, SOCIAL_SCIENCES, HUMANITIES };
static const char *const category_names[MMLU_CATEGORIES] = {"stem", "other", "social_sciences", "humanities"};

static const struct {
    const char *name;
    enum category category;
} subjects[] = {
    {"abstract_algebra", STEM},
    {"anatomy", STEM},
    {"astronomy", STEM},
    {"business_ethics", OTHER},
    {"clinical_knowledge", OTHER},
    {"college_biology", STEM},
    {"college_chemistry", STEM},
    {"college_computer_science", STEM},
    {"college_mathematics", STEM},
    {"college_medicine", OTHER},
    {"college_physics", STEM},
    {"computer_security", STEM},
    {"conceptual_physics", STEM},
    {"econometrics", SOCIAL_SCIENCES},
    {"electrical_engineering", STEM},
    {"elementary_mathematics", STEM},
    {"formal_logic", HUMANITIES},
    {"global_facts", OTHER},
    {"high_school_biology", STEM},
    {"high_school_chemistry", STEM},
    {"high_school_computer_science", STEM},
    {"high_school_european_history", HUMANITIES},
    {"high_school_geography", SOCIAL_SCIENCES},
    {"high_school_government_and_politics", SOCIAL_SCIENCES},
    {"high_school_macroeconomics", SOCIAL_SCIENCES},
    {"high_school_mathematics", STEM},
    {"high_school_microeconomics", SOCIAL_SCIENCES},
    {"high_school_physics", STEM},
    {"high_school_psychology", SOCIAL_SCIENCES},
    {"high_school_statistics", STEM},
    {"high_school_us_history", HUMANITIES},
    {"high_school_world_history", HUMANITIES},
    {"human_aging", OTHER},
    {"human_sexuality", SOCIAL_SCIENCES},
    {"international_law", HUMANITIES},
    {"jurisprudence", HUMANITIES},
    {"logical_fallacies", HUMANITIES},
    {"machine_learning", STEM},
    {"management", OTHER},
    {"marketing", OTHER},
    {"medical_genetics", OTHER},
    {"miscellaneous", OTHER},
    {"moral_disputes", HUMANITIES},
    {"moral_scenarios", HUMANITIES},
    {"nutrition", OTHER},
    {"philosophy", HUMANITIES},
    {"prehistory", HUMANITIES},
    {"professional_accounting", OTHER},
    {"professional_law", HUMANITIES},
    {"professional_medicine", OTHER},
    {"professional_psychology", SOCIAL_SCIENCES},
    {"public_relations", SOCIAL_SCIENCES},
    {"security_studies", SOCIAL_SCIENCES},
    {"sociology", SOCIAL_SCIENCES},
    {"us_foreign_policy", SOCIAL_SCIENCES},
    {"virology", OTHER},
    {"world_religions", HUMANITIES},
};
_Static_assert(sizeof subjects / sizeof *subjects == MMLU_SUBJECTS, "57 subjects");

const char *mmlu_subject(size_t subject)
{
    return subjects[subject].name;
}

size_t mmlu_category(size_t subject)
{
    return subjects[subject].category;
}

const char *mmlu_category_name(size_t category)
{
    return category_names[category];
}

const char *mmlu_description(size_t subject, char *text, size_t size)
{
    static const char before[] = "The following are multiple choice questions (with answers) about ";
    snprintf(text, size, "%s%s.\n\n", before, subjects[subject].name);
    for (char *c = text + sizeof before - 1; *c != '\0'; c++)
        if (*c == '_')
            *c = ' ';
    return text;
}

static size_t find_subject(const char *name)
{
    size_t subject = 0;
    while (subject < MMLU_SUBJECTS && strcmp(subjects[subject].name, name) != 0)
        subject++;
    return subject;
}

// ---- one example ----------------------------------------------------------------------------------------

enum { CHOICES = 4 };
static const char *const letters[CHOICES] = {"A", "B", "C", "D"};

// The options are the letters; the question without blanks around it.
static enum status add_question(struct task_builder *builder, size_t subject, const char *question,
                                const char *const choices[CHOICES], size_t gold, struct error *err)
{
    const size_t begin = blank_at_start(question, strlen(question));
    char *bare = strdup(question + begin);

    RETURN_ERROR_IF(bare == NULL, err, STATUS_MEMORY, "out of memory for %s", builder->path);
    bare[strlen(bare) - blank_at_end(bare, strlen(bare))] = '\0';
    const char *const context[] = {bare,       "\nA. ", choices[0], "\nB. ",     choices[1], "\nC. ",
                                   choices[2], "\nD. ", choices[3], "\nAnswer:", NULL};
    const enum status status = task_add_choices(builder, context, letters, CHOICES, gold, err);
    free(bare);
    if (status == STATUS_OK)
        builder->task->examples[builder->task->num_examples - 1].group = subject;
    return status;
}

static bool is_full(struct task_builder *builder, size_t subject)
{
    return builder->limit > 0 && builder->of_group[subject]++ >= builder->limit;
}

enum status mmlu_add_json(struct task_builder *builder, const json_t *object, struct error *err)
{
    const char *question, *name, *texts[CHOICES];
    const json_t *choices;
    size_t gold;

    FORWARD_IF_ERROR(task_get_text(&question, builder, object, "question", err));
    FORWARD_IF_ERROR(task_get_text(&name, builder, object, "subject", err));
    FORWARD_IF_ERROR(task_get_list(&choices, builder, object, "choices", err));
    if (json_array_size(choices) != CHOICES)
        return task_refuse(builder, err, "\"choices\" has %zu texts, not 4", json_array_size(choices));
    FORWARD_IF_ERROR(task_get_answer(&gold, builder, object, "answer", 0, CHOICES, err));
    for (size_t i = 0; i < CHOICES; i++)
        texts[i] = json_string_value(json_array_get(choices, i));
    const size_t subject = find_subject(name);
    if (subject == MMLU_SUBJECTS)
        return task_refuse(builder, err, "\"subject\" is none of MMLU's 57, such as abstract_algebra");
    return is_full(builder, subject) ? STATUS_OK : add_question(builder, subject, question, texts, gold, err);
}

// ---- tables ---------------------------------------------------------------------------------------------

bool mmlu_table_path(char *path, size_t size, const char *folder, const char *split, size_t subject)
{
    const int written = snprintf(path, size, "%s/%s/%s_%s.csv", folder, split, subjects[subject].name, split);
    return written > 0 && (size_t)written < size && access(path, R_OK) == 0;
}

// Takes the cell at *rest and ends it with a NUL; quotes around it go, doubled ones inside become one. *last:
// the row ends after it. Counts the lines that the cell ends. NULL: a quote is not closed.
static char *next_cell(char **rest, bool *last, size_t *lines)
{
    char *cell = *rest, *from = cell, *to = cell;

    if (*from == '"') {
        for (from++; *from != '\0' && (*from != '"' || from[1] == '"'); from++) {
            *lines += *from == '\n';
            from += *from == '"';
            *to++ = *from;
        }
        if (*from == '\0')
            return NULL;
        from++;
    }
    while (*from != ',' && *from != '\n' && *from != '\r' && *from != '\0')
        *to++ = *from++;
    *last = *from != ',';
    if (*from == '\r' && from[1] == '\n')
        from++;
    *lines += *from == '\n' || *from == '\r';
    *rest = *from != '\0' ? from + 1 : from;
    *to = '\0';
    return cell;
}

// The row at *rest.
static enum status add_row(struct task_builder *builder, size_t subject, char **rest, struct error *err)
{
    enum { CELLS = CHOICES + 2 };
    const char *cells[CELLS] = {NULL};
    size_t count = 0, lines = 0, gold = 0;
    bool last = false;

    for (; !last; count++) {
        const char *cell = next_cell(rest, &last, &lines);
        if (cell == NULL)
            return task_refuse(builder, err, "a quote is not closed");
        if (count < CELLS)
            cells[count] = cell;
    }
    if (count != CELLS)
        return task_refuse(builder, err, "the row has %zu cells, not 6: question, four choices, letter",
                           count);
    while (gold < CHOICES && strcmp(cells[CELLS - 1], letters[gold]) != 0)
        gold++;
    if (gold == CHOICES)
        return task_refuse(builder, err, "the last cell is not A, B, C or D");
    FORWARD_IF_ERROR(add_question(builder, subject, cells[0], cells + 1, gold, err));
    builder->line += lines;
    return STATUS_OK;
}

static enum status add_table(struct task_builder *builder, const char *path, size_t subject,
                             struct error *err)
{
    struct task_builder table = *builder;
    uint64_t hashes[2] = {builder->task->hash};
    char *text = NULL, *rest;
    size_t size;

    table.path = path;
    table.line = 1;
    enum status status = task_read_text(&text, &size, &hashes[1], &table, err);
    if (status == STATUS_OK)
        status = task_check_text(&table, text, size, err);
    for (rest = text; status == STATUS_OK && *rest != '\0' && !is_full(&table, subject);)
        status = add_row(&table, subject, &rest, err);
    builder->task->hash = XXH3_64bits(hashes, sizeof hashes);
    builder->text_size = table.text_size;
    builder->text_capacity = table.text_capacity;
    builder->examples_capacity = table.examples_capacity;
    builder->options_capacity = table.options_capacity;
    free(text);
    return status;
}

enum status mmlu_add_folder(struct task_builder *builder, const char *folder, const char *split,
                            struct error *err)
{
    char path[PATH_SIZE];

    for (size_t subject = 0; subject < MMLU_SUBJECTS; subject++)
        if (mmlu_table_path(path, sizeof path, folder, split, subject))
            FORWARD_IF_ERROR(add_table(builder, path, subject, err));
    RETURN_ERROR_IF(builder->task->num_examples == 0, err, STATUS_INPUT,
                    "%s: a folder is read as MMLU's, and has no table %s/SUBJECT_%s.csv, such as "
                    "%s/abstract_algebra_%s.csv",
                    folder, split, split, split, split);
    return STATUS_OK;
}
