#include "pipeline/report/plots/drawing.h"

#include <string.h>

bool begin_plot(struct drawing *d, const char *id, const char *title, const char *note)
{
    if (d->count == MOST_PLOTS)
        return false;
    struct plot *plot = &d->plots[d->count];
    *plot = (struct plot){.width = PLOT_WIDTH, .height = 360};
    d->out = open_memstream(&plot->script, &d->size);
    d->has_failed |= d->out == NULL;
    if (d->out == NULL)
        return false;
    json_array_append_new(
        d->list, json_pack("{s:s, s:s, s:s, s:[]}", "id", id, "title", title, "note", note, "legend"));
    d->count++;
    return true;
}

void end_plot(struct drawing *d)
{
    d->has_failed |= fclose(d->out) != 0;
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

// Marks by their names on the page and gnuplot's numbers; open ones last.
static const struct {
    const char *name;
    int pointtype;
} marks[] = {{"circle", 7},   {"square", 5},      {"triangle", 9},    {"down", 11},
             {"diamond", 13}, {"open-circle", 6}, {"open-square", 4}, {"open-triangle", 8}};
static const char *const dashes[] = {"", "8 5", "2 4", "9 4 2 4", "9 4 2 4 2 4"}; // pixels drawn and left out
enum { NUM_MARKS = sizeof marks / sizeof *marks, NUM_DASHES = sizeof dashes / sizeof *dashes };

void write_look(struct drawing *d, const struct look *look, const char *name)
{
    const char *colour = look->colour == PALE ? "#7c858f" : gnuplot_colour(look->colour);
    const char *dash = dashes[look->dash % NUM_DASHES];
    const char *mark = look->mark == NO_MARK     ? "none"
                       : look->mark == ONLY_FILL ? "fill"
                                                 : marks[look->mark % NUM_MARKS].name;

    json_array_append_new(
        json_object_get(json_array_get(d->list, d->count - 1), "legend"),
        json_pack("{s:s, s:s, s:s, s:s}", "name", name, "colour", colour, "dash", dash, "mark", mark));
    fprintf(d->out, " linecolor rgb '%s'", colour);
    if (look->mark != ONLY_FILL) {
        fprintf(d->out, " linewidth 1.8 dashtype %s", dash[0] == '\0' ? "solid" : "(");
        for (const char *c = dash; *c != '\0'; c++)
            fputc(*c == ' ' ? ',' : *c, d->out);
        fputs(dash[0] == '\0' ? "" : ")", d->out);
    }
    if (look->mark < NO_MARK)
        fprintf(d->out, " pointtype %d pointsize 0.7", marks[look->mark % NUM_MARKS].pointtype);
    fputs(" notitle, ", d->out);
}

void end_looks(struct drawing *d)
{
    fputs("NaN notitle\n", d->out);
}

// The method of a series, and its length; the number of a run in front does not count.
static const char *method_of(const char *series, size_t *length)
{
    if (series[0] == '[')
        series += strcspn(series, " ") + 1;
    *length = strcspn(series, "-");
    return series;
}

static bool same_method(const char *a, const char *b)
{
    size_t n, m;
    const char *x = method_of(a, &n), *y = method_of(b, &m);
    return n == m && strncmp(x, y, n) == 0;
}

struct look series_look(const struct names *series, size_t index)
{
    size_t within = 0, colour = 0, colours = 0;

    for (size_t i = 0; i < series->count; i++) {
        const char *other = series->items[i];
        const bool same = same_method(other, series->items[index]);
        bool first = true;
        within += same && i < index;
        for (size_t j = 0; j < i && first; j++)
            first = !same_method(series->items[j], other);
        if (first && same)
            colour = colours;
        colours += first;
    }
    return (struct look){colour, within, within};
}
