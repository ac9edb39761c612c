// find_model.h - the folder of the model that a job names by its id on the Hub.
#pragma once
#include "stages/settings.h"
#include "stages/team/team.h"

enum { MODEL_NOTICE_SIZE = 1024 };

// Where settings->model is not there and can be an id on the Hub: model becomes the folder of the snapshot in
// the local cache (io/model/hub.h), hub_id and hub_commit what it stands for. Everything else is left as it
// is.
//
// A run directory goes on with the commit that it was begun with, as long as the job says the same id: a
// branch that has moved since then changes nothing, and is a notice. Another id or revision is looked up
// anew.
//
// job is the job's file, for messages. notice[MODEL_NOTICE_SIZE]: what a person should hear of, or "".
// Collective over team, whose rank 0 looks; team NULL: this process alone, without MPI.
enum status find_model(struct settings *settings, char *notice, const char *job, const struct team *team,
                       struct error *err);
