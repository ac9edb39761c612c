// column.h - the width of a table's first column: that of most names, or of the longest one.
#pragma once
#include <string.h>

enum { NAME_COLUMN = 36 };

// The column, as wide as before or as this name.
static inline int column_with(int column, const char *name)
{
    const int length = (int)strlen(name);
    return length > column ? length : column;
}
