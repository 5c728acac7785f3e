#include "analysis/word.h"

#include <errno.h>

static const struct {
    const char *text[AN_LANGS];
} words[AN_WORDS] = {
#define WORD(id, en, ko) {{en, ko}},
#include "analysis/word.def"
#undef WORD
};

const char *an_word(enum an_lang lang, enum an_word w)
{
    return words[w].text[lang];
}

int an_lang_parse(enum an_lang *ret, struct str s)
{
    static const struct str names[AN_LANGS] = {STR_INIT("en"), STR_INIT("ko")};
    struct str name = str_sub(s, 0, 2);
    if (s.n > 2 && s.p[2] != '_' && s.p[2] != '-' && s.p[2] != '.')
        return -EINVAL;
    for (unsigned i = 0; i < AN_LANGS; i++) {
        if (str_ieq(name, names[i])) {
            *ret = (enum an_lang)i;
            return 0;
        }
    }
    return -EINVAL;
}

static const struct {
    char group;
    struct str word;
    const char *text[AN_LANGS];
} kinds[] = {
#define KIND(group, word, en, ko) {group, STR_INIT(word), {en, ko}},
#include "analysis/kind.def"
#undef KIND
};

struct str an_word_of(enum an_lang lang, char group, struct str word)
{
    for (unsigned i = 0; i < ARRAY_LEN(kinds); i++)
        if (kinds[i].group == group && str_eq(kinds[i].word, word) && kinds[i].text[lang][0])
            return str_z(kinds[i].text[lang]);
    return word;
}

bool an_word_kind(unsigned i, char *group, struct str *word, const char *text[AN_LANGS])
{
    if (i >= ARRAY_LEN(kinds))
        return false;
    *group = kinds[i].group;
    *word = kinds[i].word;
    for (unsigned k = 0; k < AN_LANGS; k++)
        text[k] = kinds[i].text[k];
    return true;
}
