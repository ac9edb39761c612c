// ending.h - how names end.
#pragma once
#include <stdbool.h>
#include <stddef.h>

// Whether text ends in `ending`, letter for letter. A text that is nothing else does.
bool ends_with(const char *text, const char *ending);
// The same of text[size], in any case of ASCII's letters.
bool ends_in_any_case(const char *text, size_t size, const char *ending);
