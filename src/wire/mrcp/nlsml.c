/* The only file that knows libxml2. RFC 6787 section 9.6. */
#include "wire/mrcp/nlsml.h"

#include <errno.h>
#include <libxml/parser.h>
#include <libxml/tree.h>

#include "base/num.h"

/* No XML_PARSE_NOENT, no XML_PARSE_DTDLOAD: entities are neither put in nor fetched. */
#define OPTIONS (XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_NOCDATA)

struct reader {
    struct arena *arena;
    struct nlsml out;
    bool no_memory;
};

static bool is_ours(const xmlNode *node, const char *name)
{
    static const char *const spaces[] = {"urn:ietf:params:xml:ns:mrcpv2",
                                         "http://www.ietf.org/xml/ns/mrcpv2",
                                         "http://www.ietf.org/xml/schema/mrcpv2"};
    if (node->type != XML_ELEMENT_NODE || strcmp((const char *)node->name, name) != 0)
        return false;
    if (!node->ns || !node->ns->href)
        return true;
    for (size_t i = 0; i < ARRAY_LEN(spaces); i++)
        if (strcmp((const char *)node->ns->href, spaces[i]) == 0)
            return true;
    return false;
}

static xmlNode *child(const xmlNode *parent, const char *name)
{
    for (xmlNode *n = parent->children; n; n = n->next)
        if (is_ours(n, name))
            return n;
    return NULL;
}

static struct str keep(struct reader *r, const xmlChar *text)
{
    if (!text)
        return STR_NONE;
    struct str s = arena_dup(r->arena, str_trim(str_z((const char *)text)));
    if (!s.p)
        r->no_memory = true;
    return s;
}

static struct str attribute(struct reader *r, xmlNode *node, const char *name)
{
    xmlChar *v = xmlGetNoNsProp(node, (const xmlChar *)name);
    struct str s = keep(r, v);
    xmlFree(v);
    return s;
}

/* "0.96", "96", ".5" */
static int32_t confidence(struct reader *r, xmlNode *node)
{
    struct str s = attribute(r, node, "confidence");
    char mem[24] = "0";
    uint64_t v;
    if (!s.n || s.n > 20)
        return NLSML_NO_VALUE;
    if (s.p[0] == '.') {
        memcpy(mem + 1, s.p, s.n);
        s = str_of(mem, s.n + 1);
    }
    if (num_fixed(&v, s, 3) || v > 100000)
        return NLSML_NO_VALUE;
    return (int32_t)(v > 1000 ? v / 100 : v);
}

static bool has_elements(const xmlNode *node)
{
    for (const xmlNode *n = node->children; n; n = n->next)
        if (n->type == XML_ELEMENT_NODE)
            return true;
    return false;
}

static struct str content(struct reader *r, xmlNode *node)
{
    xmlChar *v = xmlNodeGetContent(node);
    struct str s = keep(r, v);
    xmlFree(v);
    return s;
}

static struct str inner_xml(struct reader *r, xmlNode *node)
{
    xmlBuffer *b = xmlBufferCreate();
    if (!b) {
        r->no_memory = true;
        return STR_NONE;
    }
    for (xmlNode *n = node->children; n; n = n->next)
        (void)xmlNodeDump(b, node->doc, n, 0, 0);
    struct str s = keep(r, xmlBufferContent(b));
    xmlBufferFree(b);
    return s;
}

static void input(struct reader *r, struct nlsml_item *item, xmlNode *node)
{
    item->mode = attribute(r, node, "mode");
    item->input_conf = confidence(r, node);
    item->input = content(r, node);
    item->noinput |= child(node, "noinput") != NULL;
    item->nomatch |= child(node, "nomatch") != NULL;
    for (xmlNode *n = node->children; n; n = n->next) {
        /* Inputs within it, of words or of modes (section 9.6.3.4): the first one's mode. */
        if (!is_ours(n, "input"))
            continue;
        if (!item->mode.p)
            item->mode = attribute(r, n, "mode");
        item->nomatch |= child(n, "nomatch") != NULL;
    }
}

static void interpretation(struct reader *r, xmlNode *node, struct str grammar)
{
    if (r->out.n == NLSML_MAX_ITEMS)
        return;
    struct nlsml_item *item = &r->out.item[r->out.n++];
    *item = (struct nlsml_item){.input_conf = NLSML_NO_VALUE, .confidence = confidence(r, node)};
    item->grammar = attribute(r, node, "grammar");
    if (!item->grammar.p)
        item->grammar = grammar;
    xmlNode *instance = child(node, "instance"), *said = child(node, "input");
    if (instance) {
        item->is_xml = has_elements(instance);
        item->instance = item->is_xml ? inner_xml(r, instance) : content(r, instance);
    }
    if (said)
        input(r, item, said);
    item->noinput |= child(node, "noinput") != NULL;
    item->nomatch |= child(node, "nomatch") != NULL;
}

static void result(struct reader *r, xmlNode *root)
{
    struct str grammar = attribute(r, root, "grammar");
    for (xmlNode *n = root->children; n; n = n->next)
        if (is_ours(n, "interpretation"))
            interpretation(r, n, grammar);
    r->out.noinput = child(root, "noinput") != NULL;
    r->out.nomatch = child(root, "nomatch") != NULL;
    unsigned silent = 0, unmatched = 0;
    for (unsigned i = 0; i < r->out.n; i++) {
        silent += r->out.item[i].noinput;
        unmatched += r->out.item[i].nomatch;
    }
    r->out.noinput |= r->out.n && silent == r->out.n;
    r->out.nomatch |= r->out.n && unmatched == r->out.n;
}

int nlsml_parse(struct nlsml *ret, struct str text, struct arena *a)
{
    struct reader r = {.arena = a};
    if (text.n > NLSML_MAX_BYTES)
        return -EMSGSIZE;
    if (!text.n || str_ifind(text, STR("<!DOCTYPE")) >= 0)
        return -EBADMSG;
    xmlDoc *doc = xmlReadMemory(text.p, (int)text.n, NULL, NULL, OPTIONS);
    if (!doc)
        return -EBADMSG;
    xmlNode *root = xmlDocGetRootElement(doc);
    /* In another encoding than ASCII's kin the search above sees no document type. */
    bool sound = root && !doc->intSubset && !doc->extSubset && is_ours(root, "result");
    if (sound)
        result(&r, root);
    xmlFreeDoc(doc);
    if (!sound)
        return -EBADMSG;
    if (r.no_memory)
        return -ENOMEM;
    *ret = r.out;
    return 0;
}
