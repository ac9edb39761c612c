#include "io/file/expand_path.h"

#include <ctype.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *of_environment(const void *context, const char *name)
{
    (void)context;
    return getenv(name);
}

const struct path_variables environment_variables = {of_environment, NULL};

static const char *home(const struct path_variables *variables)
{
    const char *value = variables->value(variables->context, "HOME");
    const struct passwd *entry = value == NULL || value[0] == '\0' ? getpwuid(getuid()) : NULL;
    return entry != NULL ? entry->pw_dir : value != NULL && value[0] != '\0' ? value : "/";
}

// The name at "$NAME" or "${NAME}". Returns what it takes of the text; 0: it is neither.
static size_t name_at(char name[VARIABLE_NAME_SIZE], const char *text)
{
    const bool braces = text[0] == '$' && text[1] == '{';
    const char *begin = text + (braces ? 2 : 1);
    size_t length = 0;

    if (text[0] != '$' || isdigit((unsigned char)begin[0]))
        return 0;
    while (isalnum((unsigned char)begin[length]) || begin[length] == '_')
        length++;
    if (length == 0 || length >= VARIABLE_NAME_SIZE || (braces && begin[length] != '}'))
        return 0;
    snprintf(name, VARIABLE_NAME_SIZE, "%.*s", (int)length, begin);
    return length + (braces ? 3 : 1);
}

// The first thing that is wrong counts.
static void note(struct path_fault *fault, enum path_fault_kind kind, const char *name)
{
    if (fault == NULL || fault->kind != PATH_IS_GOOD)
        return;
    fault->kind = kind;
    snprintf(fault->name, sizeof fault->name, "%s", name);
}

void expand_path(char out[PATH_SIZE], struct path_fault *fault, const char *path,
                 const struct path_variables *variables)
{
    const bool at_home = path[0] == '~' && (path[1] == '/' || path[1] == '\0');
    size_t used = 0, size;

    if (fault != NULL)
        *fault = (struct path_fault){.kind = PATH_IS_GOOD};
    for (const char *at = path; *at != '\0' && used < PATH_SIZE; at += size) {
        char name[VARIABLE_NAME_SIZE];
        const char *value = NULL;
        size = 1;
        if (at == path && at_home) {
            value = home(variables);
        } else if (fault != NULL && at[0] == '$' && at[1] == '$') {
            value = "$";
            size = 2;
        } else if (name_at(name, at) > 0) {
            size = name_at(name, at);
            value = variables->value(variables->context, name);
            if (value == NULL)
                note(fault, PATH_UNSET, name);
        } else if (at[0] == '$' && at[1] == '{') {
            note(fault, PATH_BRACE, "");
        }
        used += value != NULL ? (size_t)snprintf(out + used, PATH_SIZE - used, "%s", value)
                              : (size_t)snprintf(out + used, PATH_SIZE - used, "%.*s", (int)size, at);
    }
    out[used < PATH_SIZE ? used : 0] = '\0';
}
