#include "kernels/pruning/masks/candidates.h"

#include <math.h>

static const struct importance_candidate candidates[] = {
    [CANDIDATE_DEFAULT] = {"wanda", METHOD_WANDA, 0.5, 0},
    {"wanda-alpha0.125", METHOD_WANDA, 0.5, 0.125},
    {"wanda-alpha0.25", METHOD_WANDA, 0.5, 0.25},
    {"wanda-exponent0.375", METHOD_WANDA, 0.375, 0},
    {"wanda-alpha0.125-exponent0.375", METHOD_WANDA, 0.375, 0.125},
    {"wanda-alpha0.25-exponent0.375", METHOD_WANDA, 0.375, 0.25},
    {"wanda-exponent0.25", METHOD_WANDA, 0.25, 0},
    {"wanda-alpha0.25-exponent0.25", METHOD_WANDA, 0.25, 0.25},
    {"wanda-exponent0.625", METHOD_WANDA, 0.625, 0},
    {"wanda-alpha0.125-exponent0.625", METHOD_WANDA, 0.625, 0.125},
    {"ria", METHOD_RIA, 0.25, 0},
    {"ria-exponent0.5", METHOD_RIA, 0.5, 0},
    {"cvr-alpha0.25", METHOD_CVR, 0.25, 0.25},
    {"cvr-alpha0-exponent0.5", METHOD_CVR, 0.5, 0},
    {"magnitude", METHOD_MAGNITUDE, 0, 0},
};
enum { NUM_CANDIDATES = sizeof candidates / sizeof *candidates };

const struct importance_candidate *importance_candidates(size_t *count)
{
    *count = NUM_CANDIDATES;
    return candidates;
}

size_t choose_candidate(const double *errors, size_t count)
{
    size_t best = CANDIDATE_DEFAULT;
    double least = INFINITY;

    for (size_t k = 0; k < count; k++)
        if (errors[k] < least) {
            least = errors[k];
            best = k;
        }
    return best;
}
