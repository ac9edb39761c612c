#include "pipeline/status/status.h"

#include "pipeline/status/json.h"
#include "pipeline/status/look.h"
#include "pipeline/status/text.h"

enum status status_print(const char *run, bool json, FILE *out, struct error *err)
{
    struct look look;
    enum status status = look_at(&look, run, err);

    if (status == STATUS_OK && json)
        status = status_print_json(&look, out, err);
    else if (status == STATUS_OK)
        status_print_text(&look, out);
    look_free(&look);
    return status;
}
