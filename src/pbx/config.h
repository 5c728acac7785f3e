/* The configuration: an immutable snapshot made from the text of one YAML file, or all its errors.
 *
 * The members of the structs are generated from config.def: the member is the second column, with
 * the type that CONFIG_C_<first column> names below. So c->sip.timers.t1_ms, and
 * c->extensions[i].number with i < c->n_extensions, and so on. Text lives as long as the
 * snapshot. */
#ifndef PBX_CONFIG_H
#define PBX_CONFIG_H

#include <regex.h>

#include "base/addr.h"
#include "base/arena.h"
#include "base/hash.h"
#include "pbx/config.def"

/* When a bot answers; the value is the place in this list. */
#define CONFIG_BOT_WHEN "no_answer|busy|unregistered|out_of_hours|always"
enum config_bot_when {
    CONF_BOT_NO_ANSWER,
    CONF_BOT_BUSY,
    CONF_BOT_UNREGISTERED,
    CONF_BOT_OUT_OF_HOURS,
    CONF_BOT_ALWAYS
};

/* Codecs by their names in SDP; the value is the place in this list. */
#define CONFIG_CODECS "opus|G722|PCMU|PCMA|G729|GSM|G726-32|L16|iLBC|speex|AMR|AMR-WB"
enum config_codec {
    CONF_CODEC_OPUS,
    CONF_CODEC_G722,
    CONF_CODEC_PCMU,
    CONF_CODEC_PCMA,
    CONF_CODEC_G729,
    CONF_CODEC_GSM,
    CONF_CODEC_G726_32,
    CONF_CODEC_L16,
    CONF_CODEC_ILBC,
    CONF_CODEC_SPEEX,
    CONF_CODEC_AMR,
    CONF_CODEC_AMR_WB,
    CONF_CODEC_COUNT
};
/* Values of CHOICE keys: the place of the word in the list of config.def. */
enum config_preset { CONF_PRESET_STANDARD, CONF_PRESET_UNSTABLE };
enum config_refresher { CONF_REFRESHER_UAS, CONF_REFRESHER_UAC };
enum config_when_full { CONF_WHEN_FULL_REFUSE, CONF_WHEN_FULL_REPLACE };
enum config_algorithm { CONF_ALGORITHM_MD5, CONF_ALGORITHM_SHA256, CONF_ALGORITHM_SHA512_256 };
enum config_strategy { CONF_STRATEGY_SEQUENTIAL, CONF_STRATEGY_PARALLEL, CONF_STRATEGY_QUEUE };
enum config_identity {
    CONF_IDENTITY_PAI,
    CONF_IDENTITY_PPI,
    CONF_IDENTITY_RPID,
    CONF_IDENTITY_NONE
};
enum config_pickup_order { CONF_PICKUP_LONGEST, CONF_PICKUP_NEWEST };
enum config_join { CONF_JOIN_OWN, CONF_JOIN_GROUP };
enum config_room_announce { CONF_ROOM_TONES, CONF_ROOM_SILENT };
enum config_record { CONF_RECORD_NONE, CONF_RECORD_MIXED, CONF_RECORD_TRACKS, CONF_RECORD_BOTH };
/* Of extensions and conferences: 0 means as recording.mode says, n means mode n - 1. */
enum config_announce { CONF_ANNOUNCE_NONE, CONF_ANNOUNCE_TONE, CONF_ANNOUNCE_SPEECH };
enum config_engine { CONF_ENGINE_BUILTIN, CONF_ENGINE_MRCP, CONF_ENGINE_STREAM };
enum config_bot_protocol { CONF_PROTOCOL_TWILIO, CONF_PROTOCOL_JSON, CONF_PROTOCOL_AUDIOSOCKET };
enum config_bot_rate { CONF_RATE_8000, CONF_RATE_16000 };
enum config_barge_in { CONF_BARGE_DEFAULT, CONF_BARGE_ON, CONF_BARGE_OFF };
enum config_log_format { CONF_LOG_TEXT, CONF_LOG_JSON };
enum config_hep_transport { CONF_HEP_UDP, CONF_HEP_TCP };
enum config_hep_what { CONF_HEP_SIP, CONF_HEP_RTCP };

/* A secret has a type of its own, so that nothing prints it by accident. */
struct config_secret {
    struct str secret;
};
struct config_texts {
    const struct str *v;
    uint32_t n;
};
struct config_net {
    struct addr addr; /* the port is 0 */
    uint8_t bits;
};
struct config_nets {
    const struct config_net *v;
    uint32_t n;
};
struct config_choices {
    uint8_t n;
    uint8_t v[16];
};
struct config_listen {
    uint8_t proto; /* enum proto */
    struct addr addr;
};
struct config_listens {
    uint32_t n;
    struct config_listen v[32];
};
struct config_ports {
    uint16_t low, high; /* both included */
};
/* Lower-case hexadecimal; STR_NONE where not given. */
struct config_ha1 {
    struct str v[3]; /* by enum config_algorithm */
};
struct config_regex {
    struct str text;
    regex_t *compiled;
};
enum config_target_kind {
    CONF_TARGET_NONE, /* not given */
    CONF_TARGET_TRUNK,
    CONF_TARGET_EXTENSION,
    CONF_TARGET_GROUP,
    CONF_TARGET_CONFERENCE,
    CONF_TARGET_BOT,
    CONF_TARGET_REJECT
};
struct config_target {
    uint8_t kind;    /* enum config_target_kind */
    uint16_t status; /* of CONF_TARGET_REJECT */
    uint32_t index;  /* in the list of its kind */
    struct str name; /* what stands behind the colon */
};

#define CONFIG_C_TEXT     struct str
#define CONFIG_C_NAME     struct str
#define CONFIG_C_USER     struct str
#define CONFIG_C_NUMBER   struct str
#define CONFIG_C_DIGITS   struct str
#define CONFIG_C_URI      struct str
#define CONFIG_C_STORE    struct str
#define CONFIG_C_SECRET   struct config_secret
#define CONFIG_C_BOOL     bool
#define CONFIG_C_COUNT    uint32_t
#define CONFIG_C_MS       uint32_t
#define CONFIG_C_FRACTION uint32_t /* thousandths */
#define CONFIG_C_CHOICE   uint8_t
#define CONFIG_C_CHOICES  struct config_choices
#define CONFIG_C_TEXTS    struct config_texts
#define CONFIG_C_NAMES    struct config_texts
#define CONFIG_C_NETS     struct config_nets
#define CONFIG_C_NUMBERS  struct config_texts
#define CONFIG_C_ADDR     struct addr /* family ADDR_NONE: empty */
#define CONFIG_C_HOSTPORT struct addr
#define CONFIG_C_LISTENS  struct config_listens
#define CONFIG_C_PORTS    struct config_ports
#define CONFIG_C_HA1      struct config_ha1
#define CONFIG_C_REGEX    struct config_regex
#define CONFIG_C_TARGET   struct config_target

#define CONFIG_MEMBER(S, type, field, ...)        CONFIG_C_##type field;
#define CONFIG_MEMBER_MAP(S, section, field, ...) struct config_##section field;
#define CONFIG_MEMBER_LIST(S, section, field, ...)                                                 \
    struct config_##section *field;                                                                \
    uint32_t n_##field;
#define CONFIG_STRUCT(section)                                                                     \
    struct config_##section {                                                                      \
        CONFIG_KEYS_##section(CONFIG_MEMBER, CONFIG_MEMBER_MAP, CONFIG_MEMBER_LIST, section)       \
    };
CONFIG_SECTIONS(CONFIG_STRUCT)
#undef CONFIG_STRUCT

/* Numbers are those of extensions, groups, conferences and features together. */
enum config_index {
    CONF_INDEX_NUMBER,
    CONF_INDEX_USERNAME,
    CONF_INDEX_DID,
    CONF_INDEX_TRUNK,
    CONF_INDEX_BOT,
    CONF_INDEX_COUNT
};

#define CONFIG_MAX_CERTIFICATES 32

struct config {
    CONFIG_KEYS_root(CONFIG_MEMBER, CONFIG_MEMBER_MAP, CONFIG_MEMBER_LIST, root)

        uint32_t refs;
    struct arena arena;
    struct hash_table index[CONF_INDEX_COUNT];
    struct { /* of the file, for who tries these folders and files */
        uint32_t recording_dir, voicemail_dir;
        uint32_t domain;                       /* 0: it was not given */
        uint32_t certificate, private_key, ca; /* sip.tls */
        struct {
            uint32_t certificate, private_key;
        } certificates[CONFIG_MAX_CERTIFICATES];
    } line;
};
#undef CONFIG_MEMBER
#undef CONFIG_MEMBER_MAP
#undef CONFIG_MEMBER_LIST

#define CONFIG_MAX_BOTS   64
#define CONFIG_MAX_ERRORS 50
struct config_error {
    uint32_t line;
    char text[224]; /* "file:line: key: message" */
};
struct config_errors {
    uint32_t n;     /* kept, in the order of their lines */
    uint32_t total; /* found */
    struct config_error v[CONFIG_MAX_ERRORS];
};

/* A snapshot with one reference, or -EINVAL with every error in *errs (up to CONFIG_MAX_ERRORS), or
 * -ENOMEM. file_name is what the messages begin with. *ret is untouched on failure. */
MUST_CHECK int config_load(struct config **ret, const char *file_name, struct str text,
                           struct config_errors *errs);
/* What an empty file gives. */
MUST_CHECK int config_default(struct config **ret);
/* References are counted without a lock: a snapshot stays in one thread. */
struct config *config_ref(struct config *c);
/* Accepts NULL. Returns NULL. */
struct config *config_unref(struct config *c);
/* One error a line. */
void config_errors_put(struct buf *b, const struct config_errors *errs);
/* docs/configuration.md. About 32 KiB. */
void config_reference(struct buf *b);

/* Each of these may find nothing and give NULL. Numbers and names are compared byte by byte. */
const struct config_extension *config_find_extension(const struct config *c, struct str number);
const struct config_extension *config_find_user(const struct config *c, struct str username);
/* The extension that a number from outside rings; config_find_did_group() for groups, and so on. */
const struct config_extension *config_find_did(const struct config *c, struct str did);
const struct config_group *config_find_did_group(const struct config *c, struct str did);
const struct config_conference *config_find_did_conference(const struct config *c, struct str did);
const struct config_group *config_find_group(const struct config *c, struct str number);
/* The same texts in the same order. */
bool config_texts_eq(const struct config_texts *a, const struct config_texts *b);
const struct config_trunk *config_find_trunk(const struct config *c, struct str name);
const struct config_conference *config_find_conference(const struct config *c, struct str number);
const struct config_bot *config_find_bot(const struct config *c, struct str name);
const struct config_schedule *config_find_schedule(const struct config *c, struct str name);
/* Is the word among those of a bot_when? */
bool config_bot_when(const struct config_choices *when, enum config_bot_when word);
/* The first route for a number dialled by `from`, which is CONF_TARGET_TRUNK or
 * CONF_TARGET_EXTENSION with its index. */
const struct config_route *config_find_route(const struct config *c, enum config_target_kind from,
                                             uint32_t index, struct str number);
bool config_nets_match(const struct config_nets *nets, const struct addr *a);
bool config_regex_matches(const struct config_regex *re, struct str s);
/* "PCMU" */
struct str config_codec_name(enum config_codec codec);
/* How calls of this extension are recorded, with recording.mode taken into account. */
enum config_record config_record_of(const struct config *c, const struct config_extension *e);

#endif
