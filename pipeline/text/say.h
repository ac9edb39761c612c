// say.h - one line to a person, from texts that strangers wrote.
#pragma once
#include <stdio.h>

// Writes "coppice: ...", made printable (io/text/printable.h), and a newline.
void say(FILE *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
