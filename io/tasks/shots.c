#include "io/tasks/shots.h"

#include "io/tasks/formats.h"
#include "io/tasks/mmlu.h"
#include "io/tasks/python_random.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum { SEED = 1234 }; // of the reference: simple_evaluate(fewshot_random_seed)
static const char *const between = "\n\n";

// ---- where they are -------------------------------------------------------------------------------------

// The last of the words that name a split in the file's name. Returns its place, or NULL.
static const char *find_split(const char *base, size_t *length)
{
    static const char *const splits[] = {"validation", "valid", "test", "val", "dev"};
    for (const char *at = base + strlen(base); at-- > base;)
        for (size_t s = 0; s < sizeof splits / sizeof *splits; s++) {
            *length = strlen(splits[s]);
            if (strncasecmp(at, splits[s], *length) == 0)
                return at;
        }
    return NULL;
}

// The path with another word for the split, which is written as that was: Test, Train.
static bool sibling(char *path, size_t size, const char *data, const char *word)
{
    const char *slash = strrchr(data, '/'), *base = slash != NULL ? slash + 1 : data;
    size_t length;
    const char *split = find_split(base, &length);

    if (split == NULL)
        return false;
    const bool capital = split[0] >= 'A' && split[0] <= 'Z';
    const int written = snprintf(path, size, "%.*s%c%s%s", (int)(split - data), data,
                                 capital ? (char)(word[0] - 'a' + 'A') : word[0], word + 1, split + length);
    return written > 0 && (size_t)written < size && access(path, R_OK) == 0;
}

enum status task_shots_path(char *path, size_t size, const struct task_source *source, struct error *err)
{
    // WinoGrande's largest set is that of the reference.
    static const char *const of_training[] = {"train_xl", "train"}, *const of_mmlu[] = {"dev"};
    const bool is_mmlu = source->format == TASK_MMLU;
    const char *const *words = is_mmlu ? of_mmlu : of_training;
    const size_t count = is_mmlu ? 1 : sizeof of_training / sizeof *of_training;

    if (source->shots_from != NULL || task_is_folder(source->path)) {
        snprintf(path, size, "%s", source->shots_from != NULL ? source->shots_from : source->path);
        return STATUS_OK;
    }
    for (size_t w = 0; w < count; w++)
        if (sibling(path, size, source->path, words[w]))
            return STATUS_OK;
    RETURN_ERROR(
        err, STATUS_INPUT,
        "%s: shots are drawn from training examples, and there is no file with \"%s\" in its name next "
        "to it: name one, {shots_from: ...}",
        source->path, words[count - 1]);
}

// ---- which of them --------------------------------------------------------------------------------------

static bool same_span(const struct task_examples *a, struct task_span x, const struct task_examples *b,
                      struct task_span y)
{
    return x.size == y.size && memcmp(a->text + x.offset, b->text + y.offset, x.size) == 0;
}

// Whether the reference takes the two for the same example: all that it knows of them is equal. Where data
// sets number their examples only an example of the same file is.
static bool is_same(const struct task_examples *task, const struct task_example *example,
                    const struct task_examples *pool, const struct task_example *other, bool same_file)
{
    if (task_reader(task->format)->is_numbered)
        return same_file && example->line == other->line;
    bool same = example->gold == other->gold && example->group == other->group &&
                example->num_options == other->num_options;
    for (size_t i = 0; i < example->num_options && same; i++) {
        const struct task_option *a = &task->options[example->first_option + i];
        const struct task_option *b = &pool->options[other->first_option + i];
        same = same_span(task, a->context, pool, b->context) &&
               same_span(task, a->continuation, pool, b->continuation);
    }
    return same;
}

struct drawer {
    const struct task_source *source;
    const struct task_examples *task, *pool;
    bool same_file;
    struct python_random random;
    size_t *drawn; // [wanted]
    size_t wanted; // of each draw
};

static enum status refuse_few(const struct drawer *d, size_t there, const char *whose, struct error *err)
{
    char path[PATH_SIZE];
    FORWARD_IF_ERROR(task_shots_path(path, sizeof path, d->source, err));
    RETURN_ERROR(err, STATUS_INPUT, "%s: %zu shots are to be drawn%s, and %s%s%zu examples in it", path,
                 d->source->shots,
                 d->wanted > d->source->shots ? ", from one example more, as one may be the question itself"
                                              : "",
                 whose, whose[0] != '\0' ? " has " : "there are ", there);
}

// The first ones of the example's subject.
static enum status draw_first(struct drawer *d, const struct task_example *example, struct error *err)
{
    size_t count = 0;
    for (size_t e = 0; e < d->pool->num_examples && count < d->wanted; e++)
        if (d->pool->examples[e].group == example->group)
            d->drawn[count++] = e;
    return count == d->wanted ? STATUS_OK : refuse_few(d, count, mmlu_subject(example->group), err);
}

static enum status draw(struct drawer *d, const struct task_example *example, struct error *err)
{
    return d->task->format == TASK_MMLU
               ? draw_first(d, example, err)
               : python_random_sample(d->drawn, &d->random, d->pool->num_examples, d->wanted, err);
}

// ---- as text --------------------------------------------------------------------------------------------

static void print_shot(FILE *out, const struct task_examples *pool, const struct task_example *shot)
{
    const struct task_option *option = &pool->options[shot->first_option + shot->gold];
    fwrite(pool->text + option->context.offset, 1, option->context.size, out);
    fputs(task_reader(pool->format)->before_shots_answer, out);
    fwrite(pool->text + option->continuation.offset, 1, option->continuation.size, out);
    fputs(between, out);
}

// All that stands before the example. The caller frees it.
static enum status print_before(char **text, struct drawer *d, const struct task_example *example,
                                struct error *err)
{
    char description[256];
    size_t size, count = 0;

    if (d->wanted > 0)
        FORWARD_IF_ERROR(draw(d, example, err));
    FILE *out = open_memstream(text, &size);
    RETURN_ERROR_IF(out == NULL, err, STATUS_MEMORY, "out of memory for %s", d->source->path);
    if (d->task->format == TASK_MMLU)
        fputs(mmlu_description(example->group, description, sizeof description), out);
    for (size_t i = 0; i < d->wanted && count < d->source->shots; i++) {
        const struct task_example *shot = &d->pool->examples[d->drawn[i]];
        if (is_same(d->task, example, d->pool, shot, d->same_file))
            continue;
        print_shot(out, d->pool, shot);
        count++;
    }
    const bool failed = ferror(out) != 0;
    RETURN_ERROR_IF(fclose(out) != 0 || failed, err, STATUS_MEMORY, "out of memory for %s", d->source->path);
    return STATUS_OK;
}

// Options that had the same context share the new one.
static enum status prepend(struct task_builder *builder, const struct task_example *example, const char *text,
                           struct error *err)
{
    struct task_examples *task = builder->task;
    struct task_span old = {0, 0}, new = {0, 0};

    for (size_t i = 0; i < example->num_options; i++) {
        struct task_option *option = &task->options[example->first_option + i];
        const struct task_span context = option->context;
        if (i == 0 || context.offset != old.offset || context.size != old.size) {
            char *copy = strndup(task->text + context.offset, context.size);
            RETURN_ERROR_IF(copy == NULL, err, STATUS_MEMORY, "out of memory for %s", builder->path);
            const char *const pieces[] = {text, copy, NULL};
            const enum status status = task_join(&new, builder, pieces, err);
            free(copy);
            FORWARD_IF_ERROR(status);
        }
        old = context;
        option->context = new;
    }
    return STATUS_OK;
}

static enum status add_all(struct task_builder *builder, struct drawer *d, struct error *err)
{
    enum status status = STATUS_OK;

    if (d->wanted > 0 && d->task->format != TASK_MMLU && d->pool->num_examples < d->wanted)
        return refuse_few(d, d->pool->num_examples, "", err);
    for (size_t e = 0; e < d->task->num_examples && status == STATUS_OK; e++) {
        char *text = NULL;
        status = print_before(&text, d, &d->task->examples[e], err);
        if (status == STATUS_OK)
            status = prepend(builder, &d->task->examples[e], text, err);
        free(text);
    }
    return status;
}

enum status task_add_shots(struct task_builder *builder, const struct task_source *source,
                           const struct task_examples *pool, bool same_file, struct error *err)
{
    struct drawer d = {.source = source, .task = builder->task, .pool = pool, .same_file = same_file};
    const enum task_format format = builder->task->format;

    // One more where the questions themselves may be drawn.
    d.wanted = source->shots;
    if (source->shots > 0 && (task_reader(format)->draws_one_more || (same_file && format >= TASK_READY)))
        d.wanted++;
    python_random_seed(&d.random, SEED);
    FORWARD_IF_ERROR(allocate(&d.drawn, d.wanted, sizeof *d.drawn, "shots", err));
    const enum status status = add_all(builder, &d, err);
    free(d.drawn);
    return status;
}
