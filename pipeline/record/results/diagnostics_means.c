#include "pipeline/record/results/diagnostics_means.h"

#include <stddef.h>

struct mean {
    double sum;
    size_t count;
};

static void add_value(struct mean *mean, const json_t *number)
{
    mean->sum += json_number_value(number);
    mean->count++;
}

const char *const diagnostics_mean_names[DIAGNOSTICS_MEANS] = {"adjacent", "query_key", "value_output",
                                                               "commutator"};
enum { ADJACENT_MEAN, QUERY_KEY_MEAN, VALUE_OUTPUT_MEAN, COMMUTATOR_MEAN };

json_t *diagnostics_means(const json_t *result)
{
    struct mean means[DIAGNOSTICS_MEANS] = {{0, 0}};
    json_t *layer, *item, *heads, *object = json_object();
    size_t l, i;

    json_array_foreach(json_object_get(result, "layers"), l, layer)
    {
        heads = json_object_get(layer, "heads");
        json_array_foreach(json_object_get(layer, "adjacent"), i, item)
        {
            add_value(&means[ADJACENT_MEAN], json_object_get(item, "overlap"));
        }
        json_array_foreach(json_object_get(heads, "query_key"), i, item)
        {
            add_value(&means[QUERY_KEY_MEAN], item);
        }
        json_array_foreach(json_object_get(heads, "value_output"), i, item)
        {
            add_value(&means[VALUE_OUTPUT_MEAN], item);
        }
        json_array_foreach(json_object_get(layer, "commutators"), i, item)
        {
            add_value(&means[COMMUTATOR_MEAN], json_object_get(item, "magnitude"));
        }
    }
    for (size_t m = 0; m < DIAGNOSTICS_MEANS; m++)
        if (means[m].count > 0)
            json_object_set_new(object, diagnostics_mean_names[m],
                                json_real(means[m].sum / (double)means[m].count));
    return object;
}
