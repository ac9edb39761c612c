#include "tests/support/patience.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#ifdef COPPICE_SANITIZE
enum { SLOWNESS = 8 };
#else
enum { SLOWNESS = 1 };
#endif

unsigned test_patience(void)
{
    const char *given = getenv("COPPICE_TEST_PATIENCE");
    double load, factor = given != NULL ? atof(given) : 1;

    if (given == NULL && getloadavg(&load, 1) == 1)
        factor = ceil(load / (double)sysconf(_SC_NPROCESSORS_ONLN));
    return (factor < 1 ? 1 : factor > 30 ? 30 : (unsigned)factor) * SLOWNESS;
}
