// attempt.h - what layers of attempts of a search (prune.budget) are made from.
//
// The files of the best attempt become the variant's, so that both have one name inside. But attempts have
// different sparsities: a layer of one of them, or of the variant that it became, was made from a hash of the
// origin's made_from and the attempt's number. Which attempt a variant is, the search's verdict says.
#pragma once
#include "io/file/origin.h"

// What the HDF5 file at `path` in origin.run was made from: of any other one, origin.made_from.
uint64_t attempt_made_from(struct file_origin origin, const char *path);

// Of a file at `path` that says it was made from `made_from`. Layers of attempts that earlier versions made
// say origin.made_from alone, and fit.
enum attempt_fit { ATTEMPT_FITS, ATTEMPT_OTHER, ATTEMPT_FOREIGN };
enum attempt_fit attempt_fit(uint64_t made_from, struct file_origin origin, const char *path);
