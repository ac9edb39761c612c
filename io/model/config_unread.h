// config_unread.h - keys of config.json that nothing looked at: a later version of the reference may compute
// something else because of them, so they are refused unless they are known to be harmless or the user says
// so.
#pragma once
#include "io/model/config_reader.h"

// Keys that the user wants ignored: as messages name them ("rope_parameters.foo") or their last word.
struct ignored_keys {
    const char *const *names;
    size_t count;
};

// The language model's own keys, which the reference checks more closely than those around it.
struct language_model_keys {
    const json_t *object;        // of them
    const char *const *harmless; // the family's
    size_t padded_rows;          // of an embedding with a row that pad_token_id names; 0: it has none
};

// What speaks for a key that was not read: that its value says "off" (null, false, 0, "", an empty list or
// object), that it is known to be about training, generation, names or other parts of the model, that it is
// in model->harmless or in `also`, or that the user ignores it. STATUS_INPUT for the first key for which
// nothing does, with the way through, and for an ignored key that was read or is not there; and for a key of
// a type or value with which the reference does not open a model. reader->seen tells what was read; objects
// that were read are looked through. The lists end in NULL, and may be NULL; a name in them that begins or
// ends in '*' stands for all that end or begin with the rest.
enum status config_refuse_unread(const struct config_reader *reader, const struct language_model_keys *model,
                                 const char *const *also, const struct ignored_keys *ignored,
                                 struct error *err);
