// conversion.h - what to do with a model that is not a folder of safetensors: the command that makes one of
// it. Commands are Python with transformers; nothing is run.
#pragma once
#include "kernels/error.h"

// What the job names as a model is a file, not a folder. STATUS_INPUT with one line: what it is, by its first
// bytes, and what to name instead or the command that makes it.
enum status model_file_refuse(const char *path, struct error *err);
// The same for a folder without safetensors that has weights in another format, for an adapter, and for a
// repository of the Hub's cache. Whatever else is wrong with it is left to who opens it.
enum status model_folder_refuse(const char *folder, struct error *err);
