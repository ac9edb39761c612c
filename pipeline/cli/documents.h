// documents.h - what is made from the tables of commands, options and keys for people and shells: the man
// page and completion. `coppice help man` and `coppice help bash` print them; the build writes and installs
// them.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

void man_print(FILE *out);             // coppice(1), in the man macros of roff
void bash_completion_print(FILE *out); // to be sourced by bash
void zsh_completion_print(FILE *out);  // a function file, _coppice
void fish_completion_print(FILE *out); // coppice.fish

// Prints the document of this name: man, bash, zsh, fish, or keys.md (pipeline/job/reference.h). False: there
// is none of this name. out NULL: only looks.
bool document_print(FILE *out, const char *name);
