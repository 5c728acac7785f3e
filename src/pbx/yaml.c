#include "pbx/yaml.h"

#include <errno.h>
#include <yaml.h>

#include "base/mem.h"

struct yaml_tree {
    yaml_document_t doc;
};

/* What libyaml says, as one of our own constant texts where its buffer would be gone. */
static const char *problem_text(const yaml_parser_t *p)
{
    switch (p->error) {
    case YAML_READER_ERROR:
        return "this is not UTF-8 text";
    case YAML_SCANNER_ERROR:
    case YAML_PARSER_ERROR:
    case YAML_COMPOSER_ERROR:
        return p->problem ? p->problem : "not YAML";
    default:
        return "not YAML";
    }
}

static uint32_t problem_line(const yaml_parser_t *p, struct str text)
{
    if (p->error != YAML_READER_ERROR)
        return (uint32_t)p->problem_mark.line + 1;
    uint32_t line = 1;
    for (size_t i = 0; i < text.n && i < p->problem_offset; i++)
        line += text.p[i] == '\n';
    return line;
}

/* The line of a second document, which would be lost silently; 0: there is none. */
static uint32_t second_document(yaml_parser_t *p)
{
    yaml_document_t next;
    if (!yaml_parser_load(p, &next))
        return (uint32_t)p->problem_mark.line + 1;
    bool more = next.nodes.top > next.nodes.start;
    uint32_t line = (uint32_t)next.start_mark.line + 1;
    yaml_document_delete(&next);
    return more ? line : 0;
}

int yaml_tree_parse(struct yaml_tree **ret, struct str text, uint32_t *line, const char **problem)
{
    struct yaml_tree *t = mem_zero(sizeof(*t));
    yaml_parser_t parser;
    if (!t)
        return -ENOMEM;
    if (!yaml_parser_initialize(&parser)) {
        mem_free(t);
        return -ENOMEM;
    }
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)(text.p ? text.p : ""), text.n);
    int err = 0;
    *line = 0;
    if (!yaml_parser_load(&parser, &t->doc)) {
        err = parser.error == YAML_MEMORY_ERROR ? -ENOMEM : -EINVAL;
        *line = problem_line(&parser, text);
        *problem = problem_text(&parser);
    } else if (yaml_root(t) && (*line = second_document(&parser)) != 0) {
        err = -EINVAL;
        *problem = "what follows the first document is not allowed";
        yaml_document_delete(&t->doc);
    }
    yaml_parser_delete(&parser);
    if (err) {
        mem_free(t);
        return err;
    }
    *ret = t;
    return 0;
}

void yaml_tree_free(struct yaml_tree *t)
{
    if (!t)
        return;
    yaml_document_delete(&t->doc);
    mem_free(t);
}

static const yaml_node_t *node_at(const struct yaml_tree *t, int node)
{
    BUG_ON(node < 1 || t->doc.nodes.start + node > t->doc.nodes.top);
    return t->doc.nodes.start + node - 1;
}

int yaml_root(const struct yaml_tree *t)
{
    return t->doc.nodes.top > t->doc.nodes.start ? 1 : 0;
}

enum yaml_kind yaml_kind_of(const struct yaml_tree *t, int node)
{
    switch (node_at(t, node)->type) {
    case YAML_SEQUENCE_NODE:
        return YAML_LIST;
    case YAML_MAPPING_NODE:
        return YAML_MAP;
    default:
        return YAML_TEXT;
    }
}

uint32_t yaml_line(const struct yaml_tree *t, int node)
{
    return (uint32_t)node_at(t, node)->start_mark.line + 1;
}

struct str yaml_text(const struct yaml_tree *t, int node)
{
    const yaml_node_t *n = node_at(t, node);
    return str_of((const char *)n->data.scalar.value, n->data.scalar.length);
}

bool yaml_is_null(const struct yaml_tree *t, int node)
{
    const yaml_node_t *n = node_at(t, node);
    struct str s;
    if (n->type != YAML_SCALAR_NODE || n->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
        return false;
    s = yaml_text(t, node);
    return s.n == 0 || str_eq(s, STR("~")) || str_ieq(s, STR("null"));
}

uint32_t yaml_count(const struct yaml_tree *t, int node)
{
    const yaml_node_t *n = node_at(t, node);
    if (n->type == YAML_SEQUENCE_NODE)
        return (uint32_t)(n->data.sequence.items.top - n->data.sequence.items.start);
    if (n->type == YAML_MAPPING_NODE)
        return (uint32_t)(n->data.mapping.pairs.top - n->data.mapping.pairs.start);
    return 0;
}

int yaml_item(const struct yaml_tree *t, int node, uint32_t i)
{
    return node_at(t, node)->data.sequence.items.start[i];
}

struct yaml_pair yaml_pair_at(const struct yaml_tree *t, int node, uint32_t i)
{
    const yaml_node_pair_t *p = node_at(t, node)->data.mapping.pairs.start + i;
    return (struct yaml_pair){p->key, p->value};
}
