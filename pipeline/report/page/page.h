// page.h - the frame of an HTML page: style for light and dark, tables that sort.
#pragma once
#include <stdio.h>

// Text with what HTML would read as its own escaped, also for attributes in double quotes.
void html_text(FILE *out, const char *text);
// In every page, of all versions.
#define PAGE_MARK "<footer>Made by coppice "
// Head, style and <h1>. The page needs nothing from outside.
void html_begin(FILE *out, const char *title);
// The lines of JavaScript that sort the tables of class "sortable", and the page's end.
void html_end(FILE *out);
