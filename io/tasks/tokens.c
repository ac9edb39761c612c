#include "io/tasks/tokens.h"

#include "io/file/json.h"
#include "io/file/run_paths.h"
#include "io/tasks/text.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// ---- arrays ---------------------------------------------------------------------------------------------

static uint64_t *take(uint64_t **rest, size_t count)
{
    uint64_t *part = *rest;
    *rest += count;
    return part;
}

enum status task_tokens_allocate(struct task_tokens *tokens, struct error *err)
{
    const size_t examples = tokens->num_examples, options = tokens->num_options;
    uint64_t *rest;

    tokens->num_numbers = 5 * examples + 2 + 4 * options;
    FORWARD_IF_ERROR(
        allocate(&tokens->numbers, tokens->num_numbers, sizeof *tokens->numbers, "a task's examples", err));
    rest = tokens->numbers;
    tokens->first_option = take(&rest, examples + 1);
    tokens->first_id = take(&rest, examples + 1);
    tokens->gold = take(&rest, examples);
    tokens->prefix = take(&rest, examples);
    tokens->group = take(&rest, examples);
    tokens->branch = take(&rest, options);
    tokens->scored = take(&rest, options);
    tokens->bytes = take(&rest, options);
    tokens->characters = take(&rest, options);
    return allocate(&tokens->ids, tokens->num_ids, sizeof *tokens->ids, "a task's tokens", err);
}

void task_tokens_free(struct task_tokens *tokens)
{
    free(tokens->numbers);
    free(tokens->ids);
    memset(tokens, 0, sizeof *tokens);
}

// ---- the token that begins a text -----------------------------------------------------------------------

// A special token's text: written as such, or as an object that has it as "content".
static const char *token_text(const json_t *config, const char *key)
{
    const json_t *token = json_object_get(config, key);
    return json_string_value(json_is_object(token) ? json_object_get(token, "content") : token);
}

static enum status read_if_there(json_t **json, const char *model, const char *name, struct error *err)
{
    char path[PATH_SIZE];

    *json = NULL;
    path_format(path, sizeof path, "%s/%s", model, name);
    return access(path, F_OK) == 0 ? json_read(json, path, err) : STATUS_OK;
}

// As the reference does: the beginning of a text, or else its end.
static enum status look_up_beginning(struct task_encoder *encoder, struct error *err)
{
    static const char *const texts[] = {"bos_token", "eos_token"};
    static const char *const ids[] = {"bos_token_id", "eos_token_id"};
    json_t *tokenizer = NULL, *model = NULL;
    enum status status = read_if_there(&tokenizer, encoder->model, "tokenizer_config.json", err);

    if (status == STATUS_OK)
        status = read_if_there(&model, encoder->model, "config.json", err);
    for (size_t i = 0; i < 2 && status == STATUS_OK && !encoder->knows_beginning; i++) {
        const char *text = token_text(tokenizer, texts[i]);
        int32_t *found = NULL;
        size_t count = 0;
        if (text != NULL)
            status = tokenizer_encode(encoder->tokenizer, text, strlen(text), false, &found, &count, err);
        if (status == STATUS_OK && count == 1) {
            encoder->beginning = found[0];
            encoder->knows_beginning = true;
        }
        free(found);
    }
    for (size_t i = 0; i < 2 && status == STATUS_OK && !encoder->knows_beginning; i++) {
        const json_t *id = json_object_get(model, ids[i]);
        encoder->knows_beginning = json_is_integer(id);
        encoder->beginning = (int32_t)json_integer_value(id);
    }
    json_decref(tokenizer);
    json_decref(model);
    return status;
}

// ---- one option -----------------------------------------------------------------------------------------

struct sequence {
    int32_t *ids; // context, then continuation
    size_t count, scored;
};

struct option_place {
    const char *path;
    size_t line, option; // option from 0
};

static enum status refuse(const struct option_place *place, struct error *err, const char *what)
{
    return error_set(err, STATUS_INPUT, "%s:%zu: choice %zu %s", place->path, place->line, place->option,
                     what);
}

static enum status encode(struct task_encoder *encoder, const char *text, size_t size, int32_t **ids,
                          size_t *count, const struct option_place *place, struct error *err)
{
    if (tokenizer_encode(encoder->tokenizer, text, size, encoder->special_tokens, ids, count, err) !=
        STATUS_OK)
        return error_prefix(err, "%s:%zu", place->path, place->line);
    return STATUS_OK;
}

// first[first_count] and then second[second_count], in one new array.
static enum status concatenate(struct sequence *sequence, const int32_t *first, size_t first_count,
                               const int32_t *second, size_t second_count, struct error *err)
{
    sequence->count = first_count + second_count;
    sequence->scored = second_count;
    FORWARD_IF_ERROR(
        allocate(&sequence->ids, sequence->count, sizeof *sequence->ids, "a task's tokens", err));
    if (first_count > 0)
        memcpy(sequence->ids, first, first_count * sizeof *first);
    if (second_count > 0)
        memcpy(sequence->ids + first_count, second, second_count * sizeof *second);
    return STATUS_OK;
}

// text[size] is context and continuation, the first `split` bytes the context without blanks at its end.
static enum status encode_pair(struct sequence *sequence, struct task_encoder *encoder, const char *text,
                               size_t size, size_t split, const struct option_place *place, struct error *err)
{
    int32_t *whole = NULL, *context = NULL;
    size_t whole_count = 0, count = 0;
    enum status status;

    GOTO_IF_ERROR(encode(encoder, text, size, &whole, &whole_count, place, err), done);
    if (split == 0) {
        if (!encoder->knows_beginning)
            GOTO_IF_ERROR(look_up_beginning(encoder, err), done);
        status = encoder->knows_beginning
                     ? concatenate(sequence, &encoder->beginning, 1, whole, whole_count, err)
                     : refuse(place, err,
                              "has an empty context, and the tokenizer has no token that begins a text");
        goto done;
    }
    GOTO_IF_ERROR(encode(encoder, text, split, &context, &count, place, err), done);
    if (count >= whole_count) {
        status = refuse(place, err, "has no tokens of its own");
        goto done;
    }
    status = concatenate(sequence, context, count, whole + count, whole_count - count, err);
done:
    free(whole);
    free(context);
    return status;
}

static enum status encode_option(struct sequence *sequence, uint64_t *truncated, struct task_encoder *encoder,
                                 const struct task_examples *task, const struct task_option *option,
                                 const struct option_place *place, struct error *err)
{
    const size_t context = option->context.size, size = context + option->continuation.size;
    char *text = NULL;

    FORWARD_IF_ERROR(allocate(&text, size + 1, 1, "a task's text", err));
    memcpy(text, task->text + option->context.offset, context);
    memcpy(text + context, task->text + option->continuation.offset, option->continuation.size);
    const size_t split = context - blank_at_end(text, context);
    const enum status status = encode_pair(sequence, encoder, text, size, split, place, err);
    free(text);
    FORWARD_IF_ERROR(status);
    if (sequence->scored == 0)
        return refuse(place, err, "has no tokens");
    if (sequence->scored > encoder->max_length)
        return refuse(place, err, "is longer than the model's positions");
    for (size_t i = 0; i < sequence->count; i++)
        RETURN_ERROR_IF(sequence->ids[i] < 0 || (size_t)sequence->ids[i] >= encoder->vocab_size, err,
                        STATUS_INPUT, "%s:%zu: token id %ld is outside the model's vocabulary of %zu",
                        place->path, place->line, (long)sequence->ids[i], encoder->vocab_size);
    // The last token is no input: so many fit.
    if (sequence->count > encoder->max_length + 1) {
        const size_t cut = sequence->count - (encoder->max_length + 1);
        sequence->count -= cut;
        memmove(sequence->ids, sequence->ids + cut, sequence->count * sizeof *sequence->ids);
        ++*truncated;
    }
    return STATUS_OK;
}

// ---- examples -------------------------------------------------------------------------------------------

// Returns how many tokens all sequences have in common at their beginning; each keeps its last.
static size_t common_prefix(const struct sequence *sequences, size_t count)
{
    size_t common = sequences[0].count - 1;
    for (size_t i = 1; i < count; i++) {
        size_t same = 0;
        while (same < common && same + 1 < sequences[i].count &&
               sequences[i].ids[same] == sequences[0].ids[same])
            same++;
        common = same;
    }
    return common;
}

// Appends the sequences of one example to the `used` ids; ids has room. Returns how many ids there are then.
static size_t pack(struct task_tokens *tokens, size_t example, const struct sequence *sequences, size_t first,
                   size_t count, int32_t *ids, size_t used)
{
    const size_t prefix = common_prefix(sequences, count);

    tokens->prefix[example] = prefix;
    tokens->first_id[example] = used;
    memcpy(ids + used, sequences[0].ids, prefix * sizeof *ids);
    used += prefix;
    for (size_t i = 0; i < count; i++) {
        const size_t own = sequences[i].count - prefix;
        tokens->branch[first + i] = own;
        tokens->scored[first + i] = sequences[i].scored;
        memcpy(ids + used, sequences[i].ids + prefix, own * sizeof *ids);
        used += own;
    }
    return used;
}

static enum status grow(int32_t **ids, size_t *capacity, size_t wanted, struct error *err)
{
    if (wanted <= *capacity)
        return STATUS_OK;
    const size_t larger = wanted + wanted / 2;
    int32_t *grown = realloc(*ids, larger * sizeof **ids);
    RETURN_ERROR_IF(grown == NULL, err, STATUS_MEMORY, "out of memory: %zu tokens of a task", larger);
    *ids = grown;
    *capacity = larger;
    return STATUS_OK;
}

static enum status tokenise_example(struct task_tokens *tokens, const struct task_examples *task,
                                    size_t index, struct task_encoder *encoder, size_t *capacity,
                                    const char *path, struct error *err)
{
    const struct task_example *example = &task->examples[index];
    struct sequence *sequences = NULL;
    size_t all = 0;
    enum status status =
        allocate(&sequences, example->num_options, sizeof *sequences, "a task's tokens", err);

    for (size_t i = 0; i < example->num_options && status == STATUS_OK; i++) {
        const struct option_place place = {path, example->line, i};
        status = encode_option(&sequences[i], &tokens->truncated, encoder, task,
                               &task->options[example->first_option + i], &place, err);
        all += sequences[i].count;
    }
    if (status == STATUS_OK)
        status = grow(&tokens->ids, capacity, tokens->num_ids + all, err);
    if (status == STATUS_OK)
        tokens->num_ids = pack(tokens, index, sequences, example->first_option, example->num_options,
                               tokens->ids, tokens->num_ids);
    for (size_t i = 0; sequences != NULL && i < example->num_options; i++)
        free(sequences[i].ids);
    free(sequences);
    return status;
}

enum status task_tokenise(struct task_tokens *tokens, const struct task_examples *task,
                          struct task_encoder *encoder, const char *path, struct error *err)
{
    size_t capacity = 0;
    enum status status;

    *tokens = (struct task_tokens){.num_examples = task->num_examples, .num_options = task->num_options};
    status = task_tokens_allocate(tokens, err);
    for (size_t e = 0; e < task->num_examples && status == STATUS_OK; e++) {
        tokens->first_option[e] = task->examples[e].first_option;
        tokens->gold[e] = task->examples[e].gold;
        tokens->group[e] = task->examples[e].group;
        status = tokenise_example(tokens, task, e, encoder, &capacity, path, err);
    }
    if (status != STATUS_OK) {
        task_tokens_free(tokens);
        return status;
    }
    tokens->first_option[task->num_examples] = task->num_options;
    tokens->first_id[task->num_examples] = tokens->num_ids;
    for (size_t o = 0; o < task->num_options; o++) {
        tokens->bytes[o] = task->options[o].bytes;
        tokens->characters[o] = task->options[o].characters;
    }
    return STATUS_OK;
}
