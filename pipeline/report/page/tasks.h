// tasks.h - the page's table of accuracies. For html.c.
#pragma once
#include <jansson.h>
#include <stdio.h>

// A row for every model that was measured, a column for every task and their mean; nothing without tasks.
void report_write_tasks(const json_t *report, FILE *out);
