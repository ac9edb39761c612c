#include "tests/support/naive_energy.h"

#include "tests/support/naive_layer.h"

#include <math.h>
#include <stdlib.h>

static double clamped_gamma(double original, double pruned, const struct energy_clamp *clamp)
{
    return fmin(fmax(sqrt(original / (pruned + clamp->epsilon)), clamp->low), clamp->high);
}

static double centred(const double *values, size_t count, size_t step, double mean)
{
    double energy = 0;
    for (size_t k = 0; k < count; k++)
        energy += pow(values[k * step] - mean, 2);
    return energy;
}

double mean_of(const double *values, size_t count, size_t step)
{
    double mean = 0;
    for (size_t k = 0; k < count; k++)
        mean += values[k * step] / (double)count;
    return mean;
}

// One line of the matrix, a column or a row: what is kept moves away from the mean by gamma.
static void rescale(double *values, const uint8_t *mask, size_t count, size_t step, double mean, double gamma)
{
    for (size_t k = 0; k < count; k++)
        values[k * step] = mask[k * step] ? mean + gamma * (values[k * step] - mean) : 0;
}

void naive_energy(struct energy_case *c, const struct variant *variant)
{
    const size_t n = c->out * c->in;
    double *dense = doubles_of(c->dense, n);

    c->weight = new_doubles(n);
    c->column_gamma = new_doubles(c->in);
    c->row_gamma = new_doubles(c->out);
    c->before = new_doubles(c->out);
    c->pruned_energy = new_doubles(c->out);
    c->compensated = new_doubles(c->out);
    for (size_t k = 0; k < n; k++)
        c->weight[k] = c->mask[k] ? (double)c->updated[k] : 0;
    for (size_t i = 0; i < c->out; i++) {
        const double mean = mean_of(dense + i * c->in, c->in, 1);
        c->before[i] = centred(dense + i * c->in, c->in, 1, mean);
        c->pruned_energy[i] = centred(c->weight + i * c->in, c->in, 1, mean);
    }
    for (size_t j = 0; j < c->in && variant->energy_columns; j++) {
        const double mean = mean_of(dense + j, c->out, c->in);
        c->column_gamma[j] = clamped_gamma(centred(dense + j, c->out, c->in, mean),
                                           centred(c->weight + j, c->out, c->in, mean), &variant->clamp);
        rescale(c->weight + j, c->mask + j, c->out, c->in, mean, c->column_gamma[j]);
    }
    for (size_t i = 0; i < c->out; i++) {
        double *row = c->weight + i * c->in;
        const double mean = mean_of(dense + i * c->in, c->in, 1);
        if (variant->energy_rows) {
            c->row_gamma[i] = clamped_gamma(c->before[i], centred(row, c->in, 1, mean), &variant->clamp);
            rescale(row, c->mask + i * c->in, c->in, 1, mean, c->row_gamma[i]);
        }
        c->compensated[i] = centred(row, c->in, 1, mean);
    }
    free(dense);
}

void energy_case_free(struct energy_case *c)
{
    free(c->weight);
    free(c->column_gamma);
    free(c->row_gamma);
    free(c->before);
    free(c->pruned_energy);
    free(c->compensated);
}
