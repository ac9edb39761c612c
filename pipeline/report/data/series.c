#include "pipeline/report/data/series.h"

#include "pipeline/text/number.h"
#include "stages/stage.h"

#include <stdio.h>
#include <string.h>

void series_of(char *series, size_t size, const struct variant *variant)
{
    char amount[64] = "-", number[32];
    const char *name = variant->name, *found;

    if (variant_is_searched(variant))
        snprintf(amount, sizeof amount, "-budget%s", number_format(variant->budget, number, sizeof number));
    else if (variant->is_pattern)
        snprintf(amount, sizeof amount, "-%zuof%zu", variant->keep, variant->of);
    else
        snprintf(amount, sizeof amount, "-%s", number_format(variant->sparsity, number, sizeof number));
    const size_t length = strlen(amount);
    for (found = strstr(name, amount); found != NULL; found = strstr(found + 1, amount))
        if (found[length] == '\0' || found[length] == '-')
            break;
    if (found == NULL)
        snprintf(series, size, "%s", name);
    else
        snprintf(series, size, "%.*s%s%s", (int)(found - name), name,
                 variant_is_searched(variant) ? "-budget" : "", found + length);
}
