// json_printable.h - texts of others that are shown.
#pragma once
#include <jansson.h>

// A copy of a tree in which names and texts are as printable_copy has them (io/text/printable.h). New
// reference; NULL: out of memory. A name that another one has become stands once.
json_t *json_printable(const json_t *json);
