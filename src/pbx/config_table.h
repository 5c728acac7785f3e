/* What config.c, config_bind.c, config_value.c and config_check.c share: the keys as tables. */
#ifndef PBX_CONFIG_TABLE_H
#define PBX_CONFIG_TABLE_H

#include "pbx/config.h"
#include "pbx/yaml.h"

#define CONFIG_TYPES(T)                                                                            \
    T(TEXT)                                                                                        \
    T(NAME)                                                                                        \
    T(USER)                                                                                        \
    T(NUMBER)                                                                                      \
    T(DIGITS)                                                                                      \
    T(URI)                                                                                         \
    T(STORE)                                                                                       \
    T(SECRET)                                                                                      \
    T(BOOL)                                                                                        \
    T(COUNT)                                                                                       \
    T(MS)                                                                                          \
    T(FRACTION)                                                                                    \
    T(CHOICE)                                                                                      \
    T(CHOICES)                                                                                     \
    T(TEXTS)                                                                                       \
    T(NAMES) T(NUMBERS) T(NETS) T(ADDR) T(HOSTPORT) T(LISTENS) T(PORTS) T(HA1) T(REGEX) T(TARGET)
enum config_type {
#define CONFIG_TYPE(name) CONFIG_T_##name,
    CONFIG_TYPES(CONFIG_TYPE)
#undef CONFIG_TYPE
        CONFIG_T_MAP,
    CONFIG_T_LIST,
    CONFIG_T_COUNT_OF
};

struct config_key {
    struct str key;
    enum config_type type;
    size_t offset, count_offset; /* count_offset: of n_field of a list */
    struct str unit;
    uint64_t min, max;
    const char *def; /* NULL: required */
    const char *text;
    const struct config_table *sub;
};

struct config_table {
    const struct config_key *key;
    uint32_t n;
    size_t bytes; /* of the struct */
};

extern const struct config_table config_table_root;

/* ---- one value (config_value.c) -------------------------------------------------------------- */

struct config_value {
    const struct config_key *key;
    const struct str *item; /* the texts: one, or those of a list */
    uint32_t n;
    void *out;           /* the member of the struct */
    struct arena *arena; /* for text and lists */
    struct buf *why;     /* what is wrong with it */
};
/* 0, -EINVAL with a reason in `why`, or -ENOMEM. *out is untouched on failure. */
MUST_CHECK int config_value_parse(const struct config_value *v);
bool config_type_is_list(enum config_type type);
/* The i-th of the words of "a|b|c", or none. */
struct str config_word_at(struct str words, unsigned i);
/* 32 or 64 hexadecimal digits as enum config_algorithm demands. */
bool config_ha1_is_sound(struct str hex, enum config_algorithm algorithm);

/* ---- a whole file (config_bind.c) ------------------------------------------------------------ */

/* Where a member was given, so that what is found wrong later can name its line. */
struct config_place {
    const void *member;
    uint32_t line;
    bool is_struct; /* the first member of a struct has the struct's address */
};

struct config_binder {
    struct config *config;
    const struct yaml_tree *tree;
    const char *file_name;
    struct config_errors *errs;
    struct config_place *place;
    uint32_t n_places, cap_places;
    bool out_of_memory;
};

/* Fills *b->config from the tree (which may be NULL: defaults). Errors are in b->errs. */
void config_bind(struct config_binder *b);
/* Adds "file:line: " and the text. */
void config_error_add(struct config_binder *b, uint32_t line, struct str text);
/* So many errors that looking for the lines of more is a waste; the error is only counted. */
bool config_is_hopeless(struct config_binder *b);
bool config_given(const struct config_binder *b, const void *member);
/* The line of the member, or of the struct that it belongs to, or 1. */
uint32_t config_line(const struct config_binder *b, const void *member, const void *owner);

/* ---- what must hold between values (config_check.c, config_index.c) -------------------------- */

/* Derives what was not given, builds the indexes and checks relations and references. */
void config_check(struct config_binder *b);
/* Enters the numbers and names, with an error for each that is taken. */
void config_index_build(struct config_binder *b);
/* CONF_TARGET_* of what has that key, with its place; CONF_TARGET_NONE: nothing, or a feature. */
struct config_target config_index_find(const struct config *c, enum config_index index,
                                       struct str key);

#endif
