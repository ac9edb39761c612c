#include "pipeline/doctor/doctor.h"

#include "pipeline/doctor/folder.h"
#include "pipeline/doctor/installation.h"
#include "pipeline/doctor/machine.h"
#include "pipeline/doctor/self_test.h"

static enum status look(struct findings *findings, char *scratch, const struct options *options,
                        const struct team *world, struct error *err)
{
    if (world->rank == 0)
        installation_look(findings);
    FORWARD_IF_ERROR(machine_look(findings, options->threads, world, err));
    FORWARD_IF_ERROR(folder_look(findings, scratch, options->path != NULL ? options->path : ".", world, err));
    return scratch[0] != '\0' ? self_test_run(findings, scratch, world, err) : STATUS_OK;
}

// Rank 0.
static enum status tell(const struct findings *findings, bool json, FILE *out, struct error *err)
{
    const size_t wrong = findings_count(findings, VERDICT_WRONG);

    RETURN_ERROR_IF(!findings_print(findings, json, out), err, STATUS_MEMORY,
                    "out of memory for what was found");
    RETURN_ERROR_IF(wrong > 0, err, STATUS_FAILED, "%zu thing%s of the above %s not work", wrong,
                    wrong == 1 ? "" : "s", wrong == 1 ? "does" : "do");
    return STATUS_OK;
}

enum status doctor_run(const struct options *options, const struct team *world, FILE *out, struct error *err)
{
    char scratch[SCRATCH_SIZE] = "";
    struct findings findings = {0};
    enum status status = look(&findings, scratch, options, world, err);

    team_barrier(world);
    if (world->rank == 0) {
        folder_remove(scratch);
        if (status == STATUS_OK)
            status = tell(&findings, options->json, out, err);
    }
    return team_agree(world, status, err);
}
