// config_reader.h - typed reading of one JSON object of config.json: a wrong type or an impossible value is
// one line that names file and key. JSON's null counts as absent, as Hugging Face writes it for None.
#pragma once
#include "io/file/json.h"
#include <stdbool.h>
#include <stddef.h>

// Another name of a key, which counts if both are there.
struct key_alias {
    const char *name, *key;
};

struct config_reader {
    const json_t *object;
    // The keys that were looked at: true, or for an object that was read the same of its keys. All functions
    // below write it down. NULL: nobody asks (config_unread.h does).
    json_t *seen;
    bool *lost;                      // set where there was no memory to write a key down; with `seen`
    const char *path;                // of the file, for messages
    const char *prefix;              // "" or "rope_scaling." and the like, put before keys in messages
    const struct key_alias *aliases; // ended by a name of NULL; or NULL
    bool allow_null;                 // the readers below take null for an absent key; else it is STATUS_INPUT
};

// The value at key, NULL when absent or null.
const json_t *config_find(const struct config_reader *reader, const char *key);
// The same, but null is JSON's null.
const json_t *config_value(const struct config_reader *reader, const char *key);
// False when absent; true for null.
bool config_has(const struct config_reader *reader, const char *key);
// Says that the reference does not look at `key` here, or that what it says is read elsewhere.
void config_pass(const struct config_reader *reader, const char *key);
// STATUS_INPUT for null, for keys to which the reference gives no meaning then.
enum status config_not_null(const struct config_reader *reader, const char *key, struct error *err);

// An integer from 1 to 2^31 - 1; missing: STATUS_INPUT.
enum status config_size(const struct config_reader *reader, const char *key, size_t *value,
                        struct error *err);
// The same reader, for keys that the reference lets be null.
struct config_reader config_nullable(const struct config_reader *reader);
// These leave *value as it is (the default) when the key is absent; null is STATUS_INPUT, see allow_null.
enum status config_optional_size(const struct config_reader *reader, const char *key, size_t *value,
                                 struct error *err);
enum status config_bool(const struct config_reader *reader, const char *key, bool *value, struct error *err);
// A finite number from min to max.
enum status config_number(const struct config_reader *reader, const char *key, double min, double max,
                          double *value, struct error *err);
// The same for a key that the reference's class declares as float alone: it opens no model with an integer
// there, not even 0.
enum status config_real(const struct config_reader *reader, const char *key, double min, double max,
                        double *value, struct error *err);
// *value points into the JSON object.
enum status config_string(const struct config_reader *reader, const char *key, const char **value,
                          struct error *err);
// *object is a reader of the nested object, its object NULL when absent. prefix must outlive it.
enum status config_object(const struct config_reader *reader, const char *key, const char *prefix,
                          struct config_reader *object, struct error *err);
