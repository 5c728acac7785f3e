#include "analysis/call.h"

#include "base/mem.h"

struct str an_scenario_word(enum an_scenario s)
{
    static const struct str words[AN_SCENARIOS] = {
#define SCENARIO(id, word) [AN_WAS_##id] = STR_INIT(word),
#include "analysis/scenario.def"
#undef SCENARIO
    };
    return words[s];
}

struct str an_outcome_word(enum an_outcome o)
{
    static const struct str words[AN_OUTCOMES] = {
        [AN_ANSWERED] = STR_INIT("ANSWERED"),     [AN_BUSY] = STR_INIT("BUSY"),
        [AN_NO_ANSWER] = STR_INIT("NO ANSWER"),   [AN_UNAVAILABLE] = STR_INIT("UNAVAILABLE"),
        [AN_CANCELLED] = STR_INIT("CANCELLED"),   [AN_FAILED] = STR_INIT("FAILED"),
        [AN_REDIRECTED] = STR_INIT("REDIRECTED"), [AN_UNFINISHED] = STR_INIT("UNFINISHED"),
    };
    return words[o];
}

struct str an_edge_word(enum an_edge_kind k)
{
    static const struct str words[AN_EDGE_KINDS] = {
        [AN_EDGE_DIALED] = STR_INIT("dialed"),     [AN_EDGE_TRANSFER] = STR_INIT("transfer"),
        [AN_EDGE_REPLACED] = STR_INIT("replaced"), [AN_EDGE_PICKED] = STR_INIT("picked"),
        [AN_EDGE_JOINED] = STR_INIT("joined"),     [AN_EDGE_CONSULT] = STR_INIT("consult"),
    };
    return words[k];
}

struct str an_evidence_word(enum an_evidence e)
{
    static const struct str words[AN_EVIDENCES] = {
#define EVIDENCE(id, word, points, text) [AN_BY_##id] = STR_INIT(word),
#include "analysis/evidence.def"
#undef EVIDENCE
    };
    return words[e];
}

struct str an_evidence_text(enum an_evidence e)
{
    static const struct str texts[AN_EVIDENCES] = {
#define EVIDENCE(id, word, points, text) [AN_BY_##id] = STR_INIT(text),
#include "analysis/evidence.def"
#undef EVIDENCE
    };
    return texts[e];
}

void an_call_done(struct an_call *call)
{
    mem_free(call->leg);
    mem_free(call->edge);
    mem_free(call->trait);
    mem_free(call->attempt);
    an_text_done(&call->text);
}
