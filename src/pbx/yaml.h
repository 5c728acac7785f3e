/* YAML text as a tree of nodes that know their lines. libyaml stays behind this file. */
#ifndef PBX_YAML_H
#define PBX_YAML_H

#include "base/assert.h"
#include "base/str.h"

struct yaml_tree;

enum yaml_kind { YAML_TEXT, YAML_LIST, YAML_MAP };

/* A node by number; 0 is none. */
struct yaml_pair {
    int key, value;
};

/* The first document of the text; an empty one has root 0. -EINVAL with line and problem (a
 * message of the parser), or -ENOMEM. */
MUST_CHECK int yaml_tree_parse(struct yaml_tree **ret, struct str text, uint32_t *line,
                               const char **problem);
void yaml_tree_free(struct yaml_tree *t);
int yaml_root(const struct yaml_tree *t);
enum yaml_kind yaml_kind_of(const struct yaml_tree *t, int node);
/* Counted from 1. */
uint32_t yaml_line(const struct yaml_tree *t, int node);
/* Of a YAML_TEXT. */
struct str yaml_text(const struct yaml_tree *t, int node);
/* A plain (unquoted) text that YAML reads as null: nothing, ~ or null. */
bool yaml_is_null(const struct yaml_tree *t, int node);
/* Items of a list or pairs of a map. */
uint32_t yaml_count(const struct yaml_tree *t, int node);
int yaml_item(const struct yaml_tree *t, int node, uint32_t i);
struct yaml_pair yaml_pair_at(const struct yaml_tree *t, int node, uint32_t i);

#endif
