// The formats of tasks, one function each. The prompts are in format.h.
#include "io/tasks/formats.h"

#include "io/tasks/lines.h"
#include "io/tasks/members.h"
#include "io/tasks/mmlu.h"
#include "io/tasks/text.h"

#include <stdlib.h>
#include <string.h>

// ---- examples -------------------------------------------------------------------------------------------

// As task_add_choices, with the choices as a JSON list of texts.
static enum status add_list(struct task_builder *builder, const char *const *context, const json_t *list,
                            size_t gold, struct error *err)
{
    struct task_span span;
    size_t i;
    json_t *choice;

    FORWARD_IF_ERROR(task_join(&span, builder, context, err));
    FORWARD_IF_ERROR(task_add_example(builder, gold, err));
    json_array_foreach(list, i, choice)
    {
        FORWARD_IF_ERROR(task_add_option(builder, span, builder->delimiter, json_string_value(choice), err));
    }
    return STATUS_OK;
}

static enum status add_boolq(struct task_builder *builder, const json_t *object, struct error *err)
{
    static const char *const choices[] = {"no", "yes"};
    const char *passage, *question;
    const json_t *label = json_object_get(object, "label");
    const char *const name = label != NULL ? "label" : "answer"; // of SuperGLUE, of the original

    FORWARD_IF_ERROR(task_get_text(&passage, builder, object, "passage", err));
    FORWARD_IF_ERROR(task_get_text(&question, builder, object, "question", err));
    label = json_object_get(object, name);
    if (label == NULL)
        return task_refuse(builder, err, "the example has no \"label\" and no \"answer\"");
    if (!json_is_boolean(label))
        return task_refuse(builder, err, "\"%s\" is not true or false", name);
    const char *const context[] = {passage, "\nQuestion: ", question, "?\nAnswer:", NULL};
    return task_add_choices(builder, context, choices, 2, json_is_true(label), err);
}

static enum status add_rte(struct task_builder *builder, const json_t *object, struct error *err)
{
    const char *premise, *hypothesis, *label;

    FORWARD_IF_ERROR(task_get_text(&premise, builder, object, "premise", err));
    FORWARD_IF_ERROR(task_get_text(&hypothesis, builder, object, "hypothesis", err));
    FORWARD_IF_ERROR(task_get_text(&label, builder, object, "label", err));
    return task_add_entailment(builder, premise, hypothesis, label, err);
}

// The reference's texts go through a function of its own (lm_eval/tasks/hellaswag/utils.py).
static enum status add_cleaned(struct task_builder *builder, const char *query, const json_t *endings,
                               size_t gold, struct error *err)
{
    const char *const context[] = {query, NULL};
    struct task_span span;
    size_t i;
    json_t *ending;

    FORWARD_IF_ERROR(task_join(&span, builder, context, err));
    FORWARD_IF_ERROR(task_add_example(builder, gold, err));
    json_array_foreach(endings, i, ending)
    {
        char *text = strdup(json_string_value(ending));
        RETURN_ERROR_IF(text == NULL, err, STATUS_MEMORY, "out of memory for %s", builder->path);
        clean_hellaswag(text);
        const enum status status = task_add_option(builder, span, builder->delimiter, text, err);
        free(text);
        FORWARD_IF_ERROR(status);
    }
    return STATUS_OK;
}

static enum status add_hellaswag(struct task_builder *builder, const json_t *object, struct error *err)
{
    const char *activity, *first, *second;
    const json_t *endings;
    size_t gold;

    FORWARD_IF_ERROR(task_get_text(&activity, builder, object, "activity_label", err));
    FORWARD_IF_ERROR(task_get_text(&first, builder, object, "ctx_a", err));
    FORWARD_IF_ERROR(task_get_text(&second, builder, object, "ctx_b", err));
    FORWARD_IF_ERROR(task_get_list(&endings, builder, object, "endings", err));
    FORWARD_IF_ERROR(task_get_answer(&gold, builder, object, "label", 0, json_array_size(endings), err));
    char *capital = capitalised(second);
    json_t *query = capital != NULL ? json_sprintf("%s: %s %s", activity, first, capital) : NULL;
    char *text = query != NULL ? strdup(json_string_value(query)) : NULL;
    enum status status = STATUS_OK;
    if (text == NULL) {
        status = error_set(err, STATUS_MEMORY, "out of memory for %s", builder->path);
    } else {
        clean_hellaswag(text);
        status = add_cleaned(builder, text, endings, gold, err);
    }
    free(text);
    json_decref(query);
    free(capital);
    return status;
}

static enum status add_winogrande(struct task_builder *builder, const json_t *object, struct error *err)
{
    const char *sentence, *options[2];
    size_t gold;

    FORWARD_IF_ERROR(task_get_text(&sentence, builder, object, "sentence", err));
    FORWARD_IF_ERROR(task_get_text(&options[0], builder, object, "option1", err));
    FORWARD_IF_ERROR(task_get_text(&options[1], builder, object, "option2", err));
    if (json_object_get(object, "answer") != NULL)
        FORWARD_IF_ERROR(task_get_answer(&gold, builder, object, "answer", 1, 2, err));
    else
        FORWARD_IF_ERROR(task_get_label(&gold, builder, 1, 2, "answer", err));
    const char *gap = strchr(sentence, '_');
    if (gap == NULL)
        return task_refuse(builder, err, "\"sentence\" has no gap, a _");

    char *before = strndup(sentence, (size_t)(gap - sentence)), *after = strdup(gap + 1);
    enum status status = before != NULL && after != NULL
                             ? task_add_example(builder, gold, err)
                             : error_set(err, STATUS_MEMORY, "out of memory for %s", builder->path);
    if (status == STATUS_OK)
        after[strlen(after) - blank_at_end(after, strlen(after))] = '\0';
    for (size_t i = 0; i < 2 && status == STATUS_OK; i++) {
        struct task_span span;
        const char *const context[] = {before, options[i], NULL};
        status = task_join(&span, builder, context, err);
        if (status == STATUS_OK)
            status = task_add_option(builder, span, builder->delimiter,
                                     after + blank_at_start(after, strlen(after)), err);
    }
    free(before);
    free(after);
    return status;
}

// ARC and OpenBookQA: {"question": {"stem", "choices": [{"text", "label"}]}, "answerKey"}.
static enum status add_question(struct task_builder *builder, const json_t *object, const char *before,
                                const char *after, struct error *err)
{
    const json_t *question = json_object_get(object, "question");
    const json_t *list = json_object_get(question, "choices");
    const char *stem, *key, *text = NULL, *label = NULL;
    size_t gold = SIZE_MAX, i;
    json_t *choice, *texts;

    if (!json_is_object(question))
        return task_refuse(builder, err, "the example has no object \"question\"");
    FORWARD_IF_ERROR(task_get_text(&stem, builder, question, "stem", err));
    FORWARD_IF_ERROR(task_get_text(&key, builder, object, "answerKey", err));
    if (!json_is_array(list) || json_array_size(list) == 0)
        return task_refuse(builder, err, "the question has no \"choices\"");
    texts = json_array();
    enum status status = STATUS_OK;
    json_array_foreach(list, i, choice)
    {
        if (status == STATUS_OK)
            status = task_get_text(&text, builder, choice, "text", err);
        if (status == STATUS_OK)
            status = task_get_text(&label, builder, choice, "label", err);
        if (status == STATUS_OK && json_array_append_new(texts, json_string(text)) != 0)
            status = error_set(err, STATUS_MEMORY, "out of memory for %s", builder->path);
        if (status != STATUS_OK)
            break;
        if (gold == SIZE_MAX && strcmp(label, key + blank_at_start(key, strlen(key))) == 0)
            gold = i;
    }
    if (status == STATUS_OK && gold == SIZE_MAX)
        status = task_refuse(builder, err, "\"answerKey\" is the label of none of the %zu choices",
                             json_array_size(list));
    if (status == STATUS_OK) {
        const char *const context[] = {before, stem, after, NULL};
        status = add_list(builder, context, texts, gold, err);
    }
    json_decref(texts);
    return status;
}

static enum status add_arc(struct task_builder *builder, const json_t *object, struct error *err)
{
    return add_question(builder, object, "Question: ", "\nAnswer:", err);
}

static enum status add_openbookqa(struct task_builder *builder, const json_t *object, struct error *err)
{
    return add_question(builder, object, "", "", err);
}

static enum status add_piqa(struct task_builder *builder, const json_t *object, struct error *err)
{
    const char *goal, *choices[2];
    size_t gold;

    FORWARD_IF_ERROR(task_get_text(&goal, builder, object, "goal", err));
    FORWARD_IF_ERROR(task_get_text(&choices[0], builder, object, "sol1", err));
    FORWARD_IF_ERROR(task_get_text(&choices[1], builder, object, "sol2", err));
    if (json_object_get(object, "label") != NULL)
        FORWARD_IF_ERROR(task_get_answer(&gold, builder, object, "label", 0, 2, err));
    else
        FORWARD_IF_ERROR(task_get_label(&gold, builder, 0, 2, "label", err));
    const char *const context[] = {"Question: ", goal, "\nAnswer:", NULL};
    return task_add_choices(builder, context, choices, 2, gold, err);
}

static enum status add_lambada(struct task_builder *builder, const json_t *object, struct error *err)
{
    const char *text;
    FORWARD_IF_ERROR(task_get_text(&text, builder, object, "text", err));
    return task_add_text(builder, text, err);
}

static enum status add_multiple_choice(struct task_builder *builder, const json_t *object, struct error *err)
{
    const char *query;
    const json_t *choices;
    size_t gold;

    FORWARD_IF_ERROR(task_get_text(&query, builder, object, "query", err));
    FORWARD_IF_ERROR(task_get_list(&choices, builder, object, "choices", err));
    FORWARD_IF_ERROR(task_get_answer(&gold, builder, object, "gold", 0, json_array_size(choices), err));
    const char *const context[] = {query, builder->prompt_end, NULL};
    return add_list(builder, context, choices, gold, err);
}

static enum status add_context_options(struct task_builder *builder, const json_t *object, struct error *err)
{
    const char *continuation;
    const json_t *contexts;
    size_t gold, i;
    json_t *item;

    FORWARD_IF_ERROR(task_get_list(&contexts, builder, object, "context_options", err));
    FORWARD_IF_ERROR(task_get_text(&continuation, builder, object, "continuation", err));
    FORWARD_IF_ERROR(task_get_answer(&gold, builder, object, "gold", 0, json_array_size(contexts), err));
    FORWARD_IF_ERROR(task_add_example(builder, gold, err));
    json_array_foreach(contexts, i, item)
    {
        const char *const context[] = {json_string_value(item), builder->prompt_end, NULL};
        struct task_span span;
        FORWARD_IF_ERROR(task_join(&span, builder, context, err));
        FORWARD_IF_ERROR(task_add_option(builder, span, builder->delimiter, continuation, err));
    }
    return STATUS_OK;
}

static enum status add_continuation(struct task_builder *builder, const json_t *object, struct error *err)
{
    const char *text, *continuation;
    struct task_span span;

    FORWARD_IF_ERROR(task_get_text(&text, builder, object, "context", err));
    FORWARD_IF_ERROR(task_get_text(&continuation, builder, object, "continuation", err));
    const char *const context[] = {text, builder->prompt_end, NULL};
    FORWARD_IF_ERROR(task_add_example(builder, 0, err));
    FORWARD_IF_ERROR(task_join(&span, builder, context, err));
    return task_add_option(builder, span, builder->delimiter, continuation, err);
}

// ---- the table ------------------------------------------------------------------------------------------

static const struct task_reader readers[] = {
    [TASK_BOOLQ] = {{"passage", "question"}, add_boolq, true, true, true, ""},
    [TASK_RTE] = {{"premise", "hypothesis"}, add_rte, true, true, true, ""},
    [TASK_HELLASWAG] = {{"activity_label", "ctx_a", "endings"}, add_hellaswag, true, true, true, ""},
    [TASK_WINOGRANDE] = {{"sentence", "option1", "option2"}, add_winogrande, true, true, false, ""},
    [TASK_ARC] = {{"question", "answerKey"}, add_arc, true, false, true, ""},
    [TASK_OPENBOOKQA] = {{"question", "answerKey"}, add_openbookqa, true, false, true, ""},
    [TASK_PIQA] = {{"goal", "sol1", "sol2"}, add_piqa, true, true, false, ""},
    [TASK_MMLU] = {{"question", "subject", "choices"}, mmlu_add_json, true, false, false, ""},
    // The answer begins with a blank of its own there, and the delimiter is another.
    [TASK_LAMBADA] = {{"text"}, add_lambada, true, false, false, " "},
    [TASK_MULTIPLE_CHOICE] = {{"query", "choices"}, add_multiple_choice, false, false, false, ""},
    [TASK_CONTEXT_OPTIONS] =
        {{"context_options", "continuation"}, add_context_options, false, false, false, ""},
    [TASK_CONTINUATION] = {{"context", "continuation"}, add_continuation, false, false, false, ""},
};
_Static_assert(sizeof readers / sizeof *readers == TASK_RECOGNISED, "every format has a row");

const struct task_reader *task_reader(enum task_format format)
{
    return &readers[format];
}

static bool has_members(const struct task_reader *reader, const json_t *object)
{
    for (size_t m = 0; m < sizeof reader->members / sizeof *reader->members && reader->members[m] != NULL;
         m++)
        if (json_object_get(object, reader->members[m]) == NULL)
            return false;
    return true;
}

// OpenBookQA's examples look like ARC's, but are numbered as in "8-343"; ARC's ids begin with an exam's name.
static bool is_openbookqa(const json_t *object)
{
    const char *id = json_string_value(json_object_get(object, "id"));
    const size_t length = id != NULL ? strspn(id, "0123456789") : 0;
    return length > 0 && id[length] == '-' && id[length + 1] != '\0' &&
           id[length + 1 + strspn(id + length + 1, "0123456789")] == '\0';
}

enum task_format task_recognise(const json_t *object)
{
    for (size_t f = 0; f < TASK_RECOGNISED; f++)
        if (has_members(&readers[f], object))
            return f == TASK_ARC && is_openbookqa(object) ? TASK_OPENBOOKQA : (enum task_format)f;
    return TASK_RECOGNISED;
}
