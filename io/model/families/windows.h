// windows.h - the sliding windows of the layers, in the forms that config.json has for them.
#pragma once
#include "io/model/config_reader.h"
#include "io/model/model_config.h"

// The key `sliding_window`, whose value counts only if a layer uses it: folders with 0 or null for "not used"
// are common.
struct window {
    bool is_null;
    json_int_t tokens;
};

// Absent, it is `fallback`; 0: null.
enum status read_window(struct window *window, const struct config_reader *reader, json_int_t fallback,
                        struct error *err);
// Refuses null, for families in which the reference does so whether a layer uses the window or not.
enum status require_window(const struct window *window, const struct config_reader *reader,
                           struct error *err);
// Gives layer `layer` the window.
enum status set_window(struct model_config *config, size_t layer, const struct window *window,
                       const struct config_reader *reader, struct error *err);
// Gives it to all layers unless it is null.
enum status set_windows(struct model_config *config, const struct window *window,
                        const struct config_reader *reader, struct error *err);
// Reads `layer_types` into the layers' windows; *found is false when the key is absent.
enum status read_layer_types(struct model_config *config, const struct config_reader *reader,
                             const struct window *window, bool *found, struct error *err);
// The window of the Qwen families, which `use_sliding_window` must switch on.
enum status read_switched_window(struct window *window, bool *use, const struct config_reader *reader,
                                 struct error *err);
