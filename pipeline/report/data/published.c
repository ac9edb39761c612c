#include "pipeline/report/data/published.h"

#include "pipeline/job/expected.h"

#include <math.h>

json_t *published_to_json(const struct settings *settings, const struct variant *variant, double perplexity,
                          uint64_t length)
{
    const struct expected *expected = expected_find(settings, variant);

    if (expected == NULL)
        return NULL;
    json_t *json = json_pack("{s:f, s:I, s:s, s:n, s:n, s:n}", "perplexity", expected->perplexity, "length",
                             (json_int_t)expected->length, "source", expected->source, "measured",
                             "measured_length", "difference");
    if (!isfinite(perplexity))
        return json;
    json_object_set_new(json, "measured", json_real(perplexity));
    json_object_set_new(json, "measured_length", json_integer((json_int_t)length));
    if (length == expected->length)
        json_object_set_new(json, "difference", json_real(perplexity - expected->perplexity));
    return json;
}

bool published_at_other_length(const json_t *list)
{
    size_t i;
    json_t *item;

    json_array_foreach(list, i, item)
    {
        if (json_is_integer(json_object_get(item, "measured_length")) &&
            !json_equal(json_object_get(item, "measured_length"), json_object_get(item, "length")))
            return true;
    }
    return false;
}
