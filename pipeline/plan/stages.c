#include "pipeline/plan/stages.h"

#include <string.h>

static const struct stage_row rows[STAGE_COUNT] = {
// clang-format off
#define FOLDER(name) (1U << RUN_##name)
// clang-format on
#define DESCRIBE(kind, text, ...) [STAGE_##kind] = {#text, __VA_ARGS__},
    STAGES(DESCRIBE)
#undef DESCRIBE
#undef FOLDER
};

const struct stage_row *stage_row(enum stage_kind stage)
{
    return &rows[stage];
}

const char *stage_name(enum stage_kind stage)
{
    return rows[stage].name;
}

bool stage_find(enum stage_kind *stage, const char *name)
{
    for (int s = 0; s < STAGE_COUNT; s++)
        if (strcmp(rows[s].name, name) == 0) {
            *stage = (enum stage_kind)s;
            return true;
        }
    return false;
}

bool stage_is_forward(enum stage_kind stage)
{
    switch (rows[stage].shared_by) {
    case SHARED_BY_SEQUENCES:
    case SHARED_BY_HELD_OUT:
    case SHARED_BY_BUDGET:
    case SHARED_BY_WINDOWS:
    case SHARED_BY_EXAMPLES:
        return true;
    case SHARED_BY_NOTHING:
    case SHARED_BY_ROWS:
    case SHARED_BY_BYTES:
        break;
    }
    return false;
}

unsigned stages_of_command(const char *command)
{
    const bool all = strcmp(command, "run") == 0;
    unsigned stages = 0;
    for (int s = 0; s < STAGE_COUNT; s++)
        if (all || strcmp(rows[s].command, command) == 0)
            stages |= 1U << s;
    return stages;
}

size_t stage_commands(const char **commands)
{
    size_t count = 0;
    for (int s = 0; s < STAGE_COUNT; s++) {
        size_t c = 0;
        while (c < count && strcmp(commands[c], rows[s].command) != 0)
            c++;
        if (c == count)
            commands[count++] = rows[s].command;
    }
    return count;
}
