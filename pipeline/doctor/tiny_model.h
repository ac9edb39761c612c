// tiny_model.h - a LLaMA of 2 layers with random weights, and texts for it: the same bytes everywhere.
#pragma once
#include "kernels/error.h"

// Writes FOLDER/model (a Hugging Face folder), FOLDER/calibration.txt and FOLDER/test.txt, some 200 kB.
// FOLDER is there.
enum status tiny_model_write(const char *folder, struct error *err);
