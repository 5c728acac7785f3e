/* Why a call went as it did: findings in the order of time, each from one rule of rule.def, with
 * the frames that show it and the section that says how it should be. Rules read the settled engine
 * and the messages that were kept; without kept messages those that need their text say nothing. */
#ifndef ANALYSIS_EXPLAIN_H
#define ANALYSIS_EXPLAIN_H

#include "analysis/engine.h"
#include "analysis/word.h"
#include "base/buf.h"

#define AN_FINDING_MAX_FRAMES 4
#define AN_FINDING_MAX_ARGS   4
#define AN_FINDINGS_MAX       400 /* of one call; more are counted */

enum an_severity { AN_STORY, AN_NOTICE, AN_WARNING, AN_ERROR, AN_SEVERITIES };

enum an_rule {
#define RULE(id, word, severity, source, en, ko) AN_R_##id,
#include "analysis/rule.def"
#undef RULE
    AN_RULES
};

struct an_finding {
    uint64_t at_ns;
    uint32_t leg, msg; /* where it is seen; msg AN_NONE: in no one message */
    uint16_t rule;     /* enum an_rule */
    uint8_t n_frames, n_args;
    uint32_t count; /* how often it was found in the leg; it is listed once */
    uint64_t frame[AN_FINDING_MAX_FRAMES];
    struct an_ref arg[AN_FINDING_MAX_ARGS];
};

struct an_findings {
    struct an_finding *v;
    uint32_t n, cap, dropped;
    struct an_text text;
};

/* Everything about call number `call` (an index). 0 or -ENOMEM; an_findings_done() in either case.
 */
MUST_CHECK int an_explain(const struct an_engine *e, uint32_t call, struct an_findings *out);
void an_findings_done(struct an_findings *f);

struct str an_rule_word(enum an_rule r);
enum an_severity an_rule_severity(enum an_rule r);
struct str an_rule_source(enum an_rule r); /* "RFC 3261 section 17.1.1.2"; empty: none */
struct str an_severity_word(enum an_severity s);
/* The sentence, with its arguments in their places. */
void an_finding_put(struct buf *b, const struct an_findings *all, const struct an_finding *f,
                    enum an_lang lang);

#endif
