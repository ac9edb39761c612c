#include "pipeline/cli/documents.h"

#include "pipeline/job/reference.h"

#include <string.h>

bool document_print(FILE *out, const char *name)
{
    static const struct {
        const char *name;
        void (*print)(FILE *out);
    } documents[] = {{"man", man_print},
                     {"bash", bash_completion_print},
                     {"zsh", zsh_completion_print},
                     {"fish", fish_completion_print},
                     {"keys.md", key_reference_print}};

    for (size_t i = 0; i < sizeof documents / sizeof *documents; i++)
        if (strcmp(documents[i].name, name) == 0) {
            if (out != NULL)
                documents[i].print(out);
            return true;
        }
    return false;
}
