#include "pipeline/report/plots/gnuplot.h"

#include "io/file/commit.h"
#include "io/file/run_paths.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

// gnuplot writes colours as numbers. This one, which nobody draws with, stands for the page's text colour.
static const char ink[] = "#010203";

// Style that makes gnuplot's SVG take the page's colours and keeps its names apart from other plots' (%zu:
// which).
static const struct {
    const char *from, *to;
} changes[] = {{"rgb(  1,   2,   3)", "currentColor"},
               {"rgb(1,2,3)", "currentColor"},
               {"rgb(0,0,0)", "currentColor"},
               {" color=\"black\"", ""},
               {" color='white'", " style='color:var(--paper)'"}, // behind marks, to set them off
               {"gpPt", "plot%zu_point"},
               {"gpDot", "plot%zu_dot"},
               {"\"gnuplot_canvas\"", "\"plot%zu_canvas\""},
               {"'textbox'", "'plot%zu_textbox'"},
               {"'greybox'", "'plot%zu_greybox'"}};

const char *gnuplot_colour(size_t index)
{
    // Contrast of at least 3 : 1 on #ffffff and on #14161a, so that one picture serves both.
    static const char *const colours[] = {"#3b82f6", "#d97706", "#16a34a", "#e5484d",
                                          "#a855f7", "#0d9488", "#db4b99", "#7c858f"};
    return colours[index % (sizeof colours / sizeof *colours)];
}

const char *gnuplot_quote(char *out, size_t size, const char *text)
{
    size_t used = 0;
    if (size < 3)
        return "''";
    out[used++] = '\'';
    for (; *text != '\0' && used + 3 < size; text++) {
        if (*text == '\'')
            out[used++] = '\'';
        out[used++] = (unsigned char)*text < ' ' ? ' ' : *text;
    }
    out[used++] = '\'';
    out[used] = '\0';
    return out;
}

// ---- the SVG, made fit for a page -----------------------------------------------------------------------

// Writes text[size] with every `from` replaced by `to`.
static void replace(FILE *out, const char *text, size_t size, const char *from, const char *to)
{
    const size_t length = strlen(from);
    const char *end = text + size, *found;
    while ((found = memmem(text, (size_t)(end - text), from, length)) != NULL) {
        fwrite(text, 1, (size_t)(found - text), out);
        fputs(to, out);
        text = found + length;
    }
    fwrite(text, 1, (size_t)(end - text), out);
}

static char *replaced(char *text, const char *from, const char *to)
{
    char *result = NULL;
    size_t size;
    FILE *out = text != NULL ? open_memstream(&result, &size) : NULL;
    if (out != NULL) {
        replace(out, text, strlen(text), from, to);
        if (fclose(out) != 0) {
            free(result);
            result = NULL;
        }
    }
    free(text);
    return result;
}

// `pattern` with its %zu, if it has one, replaced by the number.
static void numbered(char *out, size_t size, const char *pattern, size_t number)
{
    const char *mark = strstr(pattern, "%zu");
    if (mark == NULL)
        snprintf(out, size, "%s", pattern);
    else
        snprintf(out, size, "%.*s%zu%s", (int)(mark - pattern), pattern, number, mark + 3);
}

// From the XML file to the element; colours of the page; names that no other plot of the page has.
static enum status adopt(struct plot *plot, size_t index, const char *file, struct error *err)
{
    char *text, to[64], title[64];

    if (read_file(&text, NULL, file, err) != STATUS_OK)
        return err->status = STATUS_FAILED;
    char *start = strstr(text, "<svg");
    if (start == NULL) {
        free(text);
        RETURN_ERROR(err, STATUS_FAILED, "gnuplot: plot %zu is not an SVG", index);
    }
    memmove(text, start, strlen(start) + 1);
    for (size_t c = 0; c < sizeof changes / sizeof *changes; c++) {
        numbered(to, sizeof to, changes[c].to, index);
        text = replaced(text, changes[c].from, to);
    }
    numbered(title, sizeof title, "<title>plot%zu</title>", index);
    text = replaced(text, title, ""); // a browser would show it as a tool tip
    RETURN_ERROR_IF(text == NULL, err, STATUS_MEMORY, "out of memory for plot %zu", index);
    plot->svg = text;
    return STATUS_OK;
}

// ---- running it -----------------------------------------------------------------------------------------

static void write_script(FILE *out, const struct plot *plots, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        fprintf(out,
                "reset\nset terminal svg size %u,%u dynamic noenhanced font 'sans-serif,15' "
                "name 'plot%zu'\nset output '%zu.svg'\n",
                plots[i].width, plots[i].height, i, i);
        fprintf(
            out,
            "set border 3 linecolor rgb '%s'\nset tics nomirror textcolor rgb '%s'\nset xlabel textcolor rgb "
            "'%s'\nset ylabel textcolor rgb '%s'\nunset key\n"
            "set grid linecolor rgb '#7c858f' linewidth 0.4 dashtype 3\nset encoding utf8\n",
            ink, ink, ink, ink);
        fprintf(out, "%s\nunset output\n", plots[i].script);
    }
}

// Runs `gnuplot plots.gp` in `folder`, its messages into errors.txt there. *found as gnuplot_draw.
static enum status run(const char *folder, bool *found, struct error *err)
{
    char *const words[] = {"gnuplot", "plots.gp", NULL};
    posix_spawn_file_actions_t actions;
    pid_t pid;
    int state = 0;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addchdir_np(&actions, folder);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "errors.txt", O_WRONLY | O_CREAT | O_TRUNC,
                                     0600);
    const int failed = posix_spawnp(&pid, words[0], &actions, NULL, words, environ);
    posix_spawn_file_actions_destroy(&actions);
    *found = failed != ENOENT;
    if (!*found)
        return STATUS_OK;
    RETURN_ERROR_IF(failed != 0, err, STATUS_FAILED, "gnuplot: cannot start: %s", strerror(failed));
    while (waitpid(pid, &state, 0) < 0)
        RETURN_ERROR_IF(errno != EINTR, err, STATUS_FAILED, "gnuplot: %s", strerror(errno));
    // 127: posix_spawn itself may succeed where the program cannot be started.
    if (WIFEXITED(state) && WEXITSTATUS(state) == 127) {
        *found = false;
        return STATUS_OK;
    }
    if (!WIFEXITED(state) || WEXITSTATUS(state) != 0) {
        char path[PATH_SIZE], *text = NULL;
        path_format(path, sizeof path, "%s/errors.txt", folder);
        (void)read_file(&text, NULL, path, NULL);
        // After a copy of the command, which is long: `"plots.gp" line 48: what is wrong`.
        const char *reason = text;
        for (const char *at = text; at != NULL && (at = strstr(at, "\"plots.gp\" line ")) != NULL; at++)
            reason = at;
        for (char *c = text; c != NULL && *c != '\0'; c++)
            *c = *c == '\n' ? ' ' : *c;
        error_set(err, STATUS_FAILED, "gnuplot: %.300s", reason != NULL ? reason : "failed");
        free(text);
        return STATUS_FAILED;
    }
    return STATUS_OK;
}

static enum status draw_in(const char *folder, struct plot *plots, size_t count, bool *found,
                           struct error *err)
{
    char path[PATH_SIZE];

    path_format(path, sizeof path, "%s/plots.gp", folder);
    FILE *file = fopen(path, "we");
    RETURN_ERROR_IF(file == NULL, err, STATUS_FAILED, "%s: %s", path, strerror(errno));
    write_script(file, plots, count);
    RETURN_ERROR_IF(fclose(file) != 0, err, STATUS_FAILED, "%s: %s", path, strerror(errno));
    FORWARD_IF_ERROR(run(folder, found, err));
    for (size_t i = 0; i < count && *found; i++) {
        path_format(path, sizeof path, "%s/%zu.svg", folder, i);
        FORWARD_IF_ERROR(adopt(&plots[i], i, path, err));
    }
    return STATUS_OK;
}

static void remove_folder(const char *folder, size_t count)
{
    static const char *const names[] = {"plots.gp", "errors.txt"};
    char path[PATH_SIZE];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        path_format(path, sizeof path, "%s/%s", folder, names[i]);
        (void)unlink(path);
    }
    for (size_t i = 0; i < count; i++) {
        path_format(path, sizeof path, "%s/%zu.svg", folder, i);
        (void)unlink(path);
    }
    (void)rmdir(folder);
}

enum status gnuplot_draw(struct plot *plots, size_t count, bool *found, struct error *err)
{
    const char *temporary = getenv("TMPDIR");
    char folder[PATH_SIZE];

    *found = true;
    for (size_t i = 0; i < count; i++)
        plots[i].svg = NULL;
    if (count == 0)
        return STATUS_OK;
    path_format(folder, sizeof folder, "%s/coppice-plots-XXXXXX", temporary != NULL ? temporary : "/tmp");
    RETURN_ERROR_IF(mkdtemp(folder) == NULL, err, STATUS_FAILED, "%s: %s", folder, strerror(errno));
    const enum status status = draw_in(folder, plots, count, found, err);
    remove_folder(folder, count);
    return status;
}
