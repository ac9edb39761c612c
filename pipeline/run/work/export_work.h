// export_work.h - exports a variant, with a coppice.json that says where it comes from.
#pragma once
#include "pipeline/record/run_json/run_record.h"
#include "stages/stage.h"

// Collective over the team. Writes the Hugging Face folder of the variant.
enum status export_with_provenance(const struct stage *stage, const struct run_record *record,
                                   const struct variant *variant, struct error *err);
