// macros.h - Jansson's loops for cppcheck, which is not given the system's headers.
#define json_object_foreach(object, key, value) for (key = "", value = object; value; value = 0)
#define json_object_foreach_safe(object, next, key, value) \
    for (key = "", value = object, next = 0; value; value = 0)
#define json_array_foreach(array, index, value) for (index = 0, value = array; value; value = 0)
