/* Transfer: REFER and what follows from it. RFC 3515, 5589; Referred-By RFC 3892, Target-Dialog RFC
 * 4538, Refer-Sub RFC 4488, Replaces RFC 3891. */
#ifndef PBX_FEATURE_TRANSFER_H
#define PBX_FEATURE_TRANSFER_H

#include "pbx/call_int.h"
#include "pbx/feature/dial.h"
#include "pbx/feature/refer.h"

/* One REFER, until its subscription has ended and who sent it has left. */
struct transfer {
    handle_t self, call;
    handle_t leg;  /* of the transferor */
    uint32_t cseq; /* of the REFER: the id of its event */
    bool notifies; /* the subscription lives */
    bool with_id;  /* not the first REFER of its dialog */
    bool attended;
    bool told;              /* the last NOTIFY is out */
    bool left;              /* the transferor has hung up */
    uint16_t status;        /* told last */
    struct pbx_timer timer; /* a transferor that stays is hung up */
    struct str target;      /* owned: the number, for the record */
    /* A REFER outside the dialog makes one of its own; none: the NOTIFYs go in that of the leg. */
    struct str call_id, local, remote, local_tag, contact, route; /* owned */
    uint32_t notify_cseq;
    struct flow flow;
    bool pinned; /* behind NAT: it is reached through `flow` */
};

/* A REFER inside the dialog of a leg. */
void transfer_refer(struct pbx *p, struct leg *leg, const struct sip_out *o);
/* The REFER is accepted with 202 and its subscription begins, in a dialog of its own if it came
 * `outside`: for whoever follows it otherwise than by a transfer. NULL: it was refused. */
struct transfer *transfer_begin(struct pbx *p, struct leg *leg, const struct sip_out *o,
                                const struct refer *r, bool outside);
/* The last NOTIFY of such a one. */
void transfer_over(struct pbx *p, struct transfer *t, unsigned status);
/* A REFER outside dialogs, authenticated already. */
void transfer_refer_outside(struct pbx *p, const struct sip_out *o);
/* A SUBSCRIBE inside the dialog: the transferor prolongs or ends what its REFER has begun (RFC 3515
 * section 2.4.4). */
void transfer_subscribe(struct pbx *p, struct leg *leg, const struct sip_out *o);
/* A response to a NOTIFY of ours: user kind PBX_USER_TRANSFER. */
void transfer_response(struct pbx *p, const struct sip_out *o);

/* Tells the transferor, unless that is what it was told last. ended: why the subscription ends with
 * it; NULL: it does not. */
void transfer_notify(struct pbx *p, struct transfer *t, unsigned status, const char *ended);

/* What the search for the target has brought. */
void transfer_progress(struct pbx *p, struct dial *d, unsigned status);
void transfer_failed(struct pbx *p, struct dial *d, unsigned status);
/* transfer 0: nobody has asked for it. */
void transfer_answered(struct pbx *p, handle_t transfer, struct leg *target);
/* Does the call go on although this party has hung up, since it has transferred the other one? */
bool transfer_leaves(struct pbx *p, struct leg *leg);
/* The leg's session is over. */
void transfer_leg_gone(struct pbx *p, struct leg *leg);
/* The call ends, or its slot goes. */
void transfer_call_ended(struct pbx *p, struct call *call);
void transfer_call_gone(struct pbx *p, struct call *call);

#endif
