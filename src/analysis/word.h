/* The words of the reports, in the languages they are given in. */
#ifndef ANALYSIS_WORD_H
#define ANALYSIS_WORD_H

#include "base/assert.h"
#include "base/str.h"

enum an_lang { AN_ENGLISH, AN_KOREAN, AN_LANGS };

enum an_word {
#define WORD(id, en, ko) AN_W_##id,
#include "analysis/word.def"
#undef WORD
    AN_WORDS
};

const char *an_word(enum an_lang lang, enum an_word w);
/* "en", "ko", also with what follows in a locale ("ko_KR.UTF-8"). 0 or -EINVAL. */
MUST_CHECK int an_lang_parse(enum an_lang *ret, struct str s);
/* What JSON calls it ("conference") for people, by its group in kind.def; the word itself if the
 * language has no other. */
struct str an_word_of(enum an_lang lang, char group, struct str word);

/* The entries of kind.def, in their order; false behind the last. */
bool an_word_kind(unsigned i, char *group, struct str *word, const char *text[AN_LANGS]);

#endif
