// decode.h - shows a quantised checkpoint as the one that it was made from: codes and scales become the
// tensors that they stand for (coded.h).
#pragma once
#include "io/model/weights/checkpoint.h"
#include "io/model/weights/quantisation.h"

// Replaces the tensors of the checkpoint's shards. Codes without a scale or the other way round, shapes that
// do not fit, and dtypes that are not known are STATUS_INPUT and name file and tensor. Nothing is read but
// headers.
enum status checkpoint_decode(struct checkpoint *checkpoint, const struct quantisation *quantisation,
                              struct error *err);
// From here on the shards are exported as they lie in the files: `exported` is the layout of the file, begin
// and end of each tensor are those of its data or codes. Nothing for a checkpoint without codes.
void checkpoint_keep_codes(struct checkpoint *checkpoint);
// Whether checkpoint_decode did: then the checkpoint has tensors with a coding.
bool checkpoint_is_coded(const struct checkpoint *checkpoint);
