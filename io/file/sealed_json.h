// sealed_json.h - committed JSON files in which any change is found.
//
// The file is exactly what this module writes (two spaces of indentation) and its last member, "xxh3", is the
// hash of the compact text of all others: any changed byte is found.
#pragma once
#include "io/file/origin.h"
#include "kernels/error.h"
#include <jansson.h>
#include <stdint.h>

// Commits object under path (folders are made); adds or replaces its "xxh3". object stays the caller's.
enum status sealed_json_write(const char *path, json_t *object, struct error *err);
// The same for a file of a run: "made_from" says, in hexadecimal, what it was computed from, and "file" which
// file it is; what the origin does not say is left out.
enum status sealed_json_write_from(const char *path, json_t *object, struct file_origin origin,
                                   struct error *err);
// That hash; 0 when the object does not say.
uint64_t sealed_json_made_from(const json_t *object);
// STATUS_DAMAGED, naming the file, when it cannot be parsed or does not match its seal; STATUS_FAILED when it
// cannot be read; STATUS_USAGE when it says that it is another file (io/file/origin.h). json may be NULL to
// check only; else *json is freed with json_decref.
enum status sealed_json_read(json_t **json, const char *path, struct error *err);
