/* Bodies that a client of MRCP sends: what is to be said (SSML 1.0) and what may be said
 * (SRGS 1.0), made of plain text, so that nobody's text becomes markup. */
#ifndef WIRE_MRCP_SPEECH_H
#define WIRE_MRCP_SPEECH_H

#include "base/assert.h"
#include "base/buf.h"

/* <speak> with this text. `lang` "en-US"; `voice` none: the server's. -ENOBUFS. */
MUST_CHECK int speech_ssml(struct buf *b, struct str text, struct str lang, struct str voice);
/* Is it a document of SSML already? */
bool speech_is_ssml(struct str text);

/* A grammar of which one phrase is to be said. -EINVAL: no phrase; -ENOBUFS. */
struct speech_phrases {
    const struct str *phrase;
    unsigned n;
    struct str lang;
};
MUST_CHECK int speech_srgs(struct buf *b, const struct speech_phrases *p);
/* A grammar of keys: from least to most digits of 0-9. -EINVAL, -ENOBUFS. */
MUST_CHECK int speech_srgs_digits(struct buf *b, unsigned least, unsigned most);

#endif
