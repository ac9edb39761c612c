#include "pipeline/report/drawing.h"

#include <string.h>

bool begin_plot(struct drawing *d, const char *id, const char *title, const char *note)
{
    if (d->count == MOST_PLOTS)
        return false;
    struct plot *plot = &d->plots[d->count];
    *plot = (struct plot){.width = 860, .height = 380};
    d->out = open_memstream(&plot->script, &d->size);
    if (d->out == NULL)
        return false;
    json_array_append_new(d->list, json_pack("{s:s, s:s, s:s}", "id", id, "title", title, "note", note));
    d->count++;
    return true;
}

void end_plot(struct drawing *d)
{
    fclose(d->out);
    d->out = NULL;
}

size_t name_index(const struct names *names, const char *name)
{
    size_t i = 0;
    while (i < names->count && strcmp(names->items[i], name) != 0)
        i++;
    return i;
}

void add_name(struct names *names, const char *name)
{
    if (name_index(names, name) == names->count && names->count < MOST_LINES)
        names->items[names->count++] = name;
}

void series_look(char *look, size_t size, const struct names *series, size_t index)
{
    static const int marks[] = {7, 5, 9, 11, 13, 6, 4, 8};
    const char *name = series->items[index];
    const size_t method = strcspn(name, "-");
    struct names methods = {.count = 0};
    size_t within = 0, colour = 0;

    for (size_t i = 0; i < series->count; i++) {
        const char *other = series->items[i];
        const bool same = strcspn(other, "-") == method && strncmp(other, name, method) == 0;
        within += same && i < index;
        bool first = true;
        for (size_t j = 0; j < i && first; j++)
            first = strcspn(series->items[j], "-") != strcspn(other, "-") ||
                    strncmp(series->items[j], other, strcspn(other, "-")) != 0;
        if (first && same)
            colour = methods.count;
        if (first)
            methods.count++;
    }
    snprintf(look, size, "linecolor rgb '%s' dashtype %zu linewidth 1.8 pointtype %d pointsize 0.7",
             gnuplot_colour(colour), 1 + within % 5, marks[within % (sizeof marks / sizeof *marks)]);
}
