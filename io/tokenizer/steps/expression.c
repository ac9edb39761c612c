#include "io/tokenizer/steps/expression.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

struct translation {
    struct slice in;
    size_t at;
    struct text *out;
    bool group_begins; // nothing stands yet in this group
    bool caseless;     // (?i occurs
    struct error *err;
};

// `\w` of Oniguruma as parts of a class.
static const char word_class[] = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}";

static enum status refuse(const struct translation *t, size_t at, const char *what)
{
    const size_t shown = t->in.size - at < 40 ? t->in.size - at : 40;
    return error_set(t->err, STATUS_INPUT, "regular expression: %s is not supported, at byte %zu: \"%.*s\"",
                     what, at, (int)shown, t->in.bytes + at);
}

static int peek(const struct translation *t, size_t ahead)
{
    return t->at + ahead < t->in.size ? (unsigned char)t->in.bytes[t->at + ahead] : -1;
}

static bool follows(const struct translation *t, const char *string)
{
    const size_t size = strlen(string);
    return t->in.size - t->at >= size && memcmp(t->in.bytes + t->at, string, size) == 0;
}

static enum status put(struct translation *t, const char *string)
{
    return text_append(t->out, string, strlen(string), t->err);
}

// Takes over the next `size` bytes as they are.
static enum status keep(struct translation *t, size_t size)
{
    t->at += size;
    return text_append(t->out, t->in.bytes + t->at - size, size, t->err);
}

// ---- properties
// --------------------------------------------------------------------------------------------

static bool is_general_category(struct slice name)
{
    static const char *const names[] = {"L",  "Lu", "Ll", "Lt", "Lm", "Lo", "M",  "Mn", "Mc",
                                        "Me", "N",  "Nd", "Nl", "No", "P",  "Pc", "Pd", "Ps",
                                        "Pe", "Pi", "Pf", "Po", "S",  "Sm", "Sc", "Sk", "So",
                                        "Z",  "Zs", "Zl", "Zp", "C",  "Cc", "Cf", "Cn", "Co"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strlen(names[i]) == name.size && memcmp(names[i], name.bytes, name.size) == 0)
            return true;
    return false;
}

// Scripts that have no other property of their name: a fixed list, since an unknown name means something else
// to each.
static bool is_script(struct slice name)
{
    static const char *const names[] = {
        "Arabic",   "Armenian", "Bengali",  "Bopomofo", "Cyrillic",  "Devanagari", "Ethiopic", "Georgian",
        "Greek",    "Gujarati", "Gurmukhi", "Han",      "Hangul",    "Hebrew",     "Hiragana", "Kannada",
        "Katakana", "Khmer",    "Lao",      "Latin",    "Malayalam", "Mongolian",  "Myanmar",  "Oriya",
        "Sinhala",  "Tamil",    "Telugu",   "Thai",     "Tibetan",   "Yi"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strlen(names[i]) == name.size && memcmp(names[i], name.bytes, name.size) == 0)
            return true;
    return false;
}

// \p{Name}, \P{Name}, \p{^Name}
static enum status property(struct translation *t)
{
    const size_t begin = t->at;
    bool negative = peek(t, 1) == 'P';
    const char *end;
    struct slice name;
    bool script;

    if (peek(t, 2) != '{')
        return refuse(t, begin, "a property without braces");
    t->at += 3;
    if (peek(t, 0) == '^') {
        negative = !negative;
        t->at++;
    }
    end = memchr(t->in.bytes + t->at, '}', t->in.size - t->at);
    if (end == NULL)
        return refuse(t, begin, "a property without end");
    name = (struct slice){t->in.bytes + t->at, (size_t)(end - t->in.bytes) - t->at};
    script = is_script(name);
    if (!script && !is_general_category(name))
        return refuse(t, begin, "this property");
    FORWARD_IF_ERROR(put(t, negative ? "\\P{" : "\\p{"));
    FORWARD_IF_ERROR(put(t, script ? "sc:" : "")); // PCRE2 takes a bare name for Script_Extensions
    return keep(t, name.size + 1);
}

// ---- escapes
// -----------------------------------------------------------------------------------------------

// \xHH, \x{H…}, \uHHHH
static enum status code_point(struct translation *t)
{
    const size_t begin = t->at;
    const bool braces = peek(t, 1) == 'x' && peek(t, 2) == '{';
    const size_t most = braces ? 8 : peek(t, 1) == 'u' ? 4 : 2;
    size_t digits = 0;

    t->at += braces ? 3 : 2;
    while (digits < most && peek(t, digits) >= 0 && isxdigit(peek(t, digits)))
        digits++;
    if (digits == 0 || (!braces && digits < most) || (braces && peek(t, digits) != '}'))
        return refuse(t, begin, "this code point");
    FORWARD_IF_ERROR(put(t, "\\x{"));
    FORWARD_IF_ERROR(keep(t, digits));
    t->at += braces ? 1 : 0;
    return put(t, "}");
}

static enum status word(struct translation *t, bool in_class)
{
    const bool negative = peek(t, 1) == 'W';

    if (negative && in_class)
        return refuse(t, t->at, "\\W in a class");
    FORWARD_IF_ERROR(put(t, in_class ? "" : negative ? "[^" : "["));
    FORWARD_IF_ERROR(put(t, word_class));
    FORWARD_IF_ERROR(put(t, in_class ? "" : "]"));
    t->at += 2;
    return STATUS_OK;
}

// The escape at t->at.
static enum status escape(struct translation *t, bool in_class)
{
    const int c = peek(t, 1);

    if (c < 0)
        return refuse(t, t->at, "a backslash at the end");
    if (c >= 0x80)
        return refuse(t, t->at, "this escape");
    if (!isalnum(c))
        return keep(t, 2);
    switch (c) {
    case 'p':
    case 'P':
        return property(t);
    case 'x':
    case 'u':
        return code_point(t);
    case 'w':
    case 'W':
        return word(t, in_class);
    case 's': // White_Space in both, but for U+180E, which has a stand-in
    case 'S':
    case 'd': // Nd in both
    case 'D':
    case 'n':
    case 'r':
    case 't':
    case 'f':
    case 'a':
    case 'e':
        return keep(t, 2);
    case 'v': // any vertical space to PCRE2
        t->at += 2;
        return put(t, "\\x{b}");
    case 'h': // horizontal space to PCRE2
        t->at += 2;
        return put(t, in_class ? "0-9a-fA-F" : "[0-9a-fA-F]");
    case 'A':
    case 'z':
    case 'Z':
        return in_class ? refuse(t, t->at, "this escape") : keep(t, 2);
    default:
        break;
    }
    if (!in_class && c >= '1' && c <= '9' && !(peek(t, 2) >= '0' && peek(t, 2) <= '9'))
        return keep(t, 2); // what a group matched
    return refuse(t, t->at, "this escape");
}

// ---- classes, groups, repeats
// ------------------------------------------------------------------------------

static enum status character_class(struct translation *t)
{
    const size_t begin = t->at;

    FORWARD_IF_ERROR(keep(t, 1));
    if (peek(t, 0) == '^')
        FORWARD_IF_ERROR(keep(t, 1));
    if (peek(t, 0) == ']')
        return refuse(t, begin, "an empty class");
    while (peek(t, 0) != ']') {
        if (peek(t, 0) < 0)
            return refuse(t, begin, "a class without end");
        if (peek(t, 0) == '[')
            return refuse(t, t->at, "a class in a class");
        if (follows(t, "&&"))
            return refuse(t, t->at, "an intersection of classes");
        if (peek(t, 0) == '\\')
            FORWARD_IF_ERROR(escape(t, true));
        else
            FORWARD_IF_ERROR(keep(t, 1));
    }
    return keep(t, 1);
}

static enum status group(struct translation *t)
{
    static const char *const known[] = {"(?:", "(?=", "(?!", "(?>", "(?<=", "(?<!", "(?i:"};
    const bool begins = t->group_begins;

    t->group_begins = true;
    if (peek(t, 1) != '?')
        return keep(t, 1);
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (follows(t, known[i]))
            return keep(t, strlen(known[i]));
    // Further on it would also take the alternatives that follow into a group of its own.
    if (follows(t, "(?i)") && begins)
        return keep(t, 4);
    return refuse(t, t->at, "this kind of group");
}

// {n}, {n,}, {n,m} and {,m}; any other brace is itself.
static enum status repeat(struct translation *t)
{
    const size_t begin = t->at;
    size_t at = 1;
    size_t low;
    bool comma;

    while (peek(t, at) >= '0' && peek(t, at) <= '9')
        at++;
    low = at - 1;
    comma = peek(t, at) == ',';
    if (comma)
        at++;
    while (comma && peek(t, at) >= '0' && peek(t, at) <= '9')
        at++;
    if (peek(t, at) != '}' || (low == 0 && at <= 2)) {
        t->at++;
        return put(t, "\\{");
    }
    if (peek(t, at + 1) == '+' || (peek(t, at + 1) == '?' && !comma))
        return refuse(t, begin, "a repeat of a repeat");
    if (low > 0)
        return keep(t, at + 1);
    t->at++;
    FORWARD_IF_ERROR(put(t, "{0"));
    return keep(t, at);
}

// With (?i Oniguruma also takes one character for several: these would have to be spelled out.
static bool folds_to_several(const struct translation *t)
{
    static const char *const pairs[] = {"ss", "st", "ff", "fi", "fl"};
    const int one = peek(t, 0);
    const int other = peek(t, 1);

    if (one >= 0x80)
        return true;
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        if (one >= 0 && other >= 0 && tolower(one) == pairs[i][0] && tolower(other) == pairs[i][1])
            return true;
    return false;
}

enum status expression_translate(struct slice expression, struct text *out, struct error *err)
{
    struct translation t = {.in = expression, .out = out, .group_begins = true, .err = err};

    t.caseless = memmem(expression.bytes, expression.size, "(?i", 3) != NULL;
    while (t.at < expression.size) {
        const int c = peek(&t, 0);
        if (t.caseless && folds_to_several(&t))
            return refuse(&t, t.at, "such a literal with (?i)");
        if (c == '(') {
            FORWARD_IF_ERROR(group(&t));
            continue;
        }
        t.group_begins = false;
        if (c == '\\')
            FORWARD_IF_ERROR(escape(&t, false));
        else if (c == '[')
            FORWARD_IF_ERROR(character_class(&t));
        else if (c == '{')
            FORWARD_IF_ERROR(repeat(&t));
        else
            FORWARD_IF_ERROR(keep(&t, 1));
    }
    return STATUS_OK;
}
