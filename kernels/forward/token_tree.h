// token_tree.h - sequences that begin alike, as one row of tokens.
#pragma once
#include <stddef.h>

// The prefix that the sequences share, then the rest of each, its branch. A token of a branch sees the prefix
// and the tokens before it in its own branch, and its position counts from the start of the prefix.
struct token_tree {
    size_t prefix; // tokens
    size_t num_branches;
    const size_t *branches; // [num_branches] tokens of each; may be 0
};

// Tokens of prefix and branches.
static inline size_t token_tree_size(const struct token_tree *tree)
{
    size_t tokens = tree->prefix;
    for (size_t b = 0; b < tree->num_branches; b++)
        tokens += tree->branches[b];
    return tokens;
}
