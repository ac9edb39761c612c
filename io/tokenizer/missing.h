// missing.h - a model without tokenizer.json: what it has instead, and the command that makes it.
#pragma once
#include "kernels/error.h"

// path is a tokenizer.json's. STATUS_INPUT with one line when it is not there; whether it can be read is not
// looked at.
enum status tokenizer_check(const char *path, struct error *err);
