/* Message waiting: how many messages each mailbox holds, and telling the phones (RFC 3842). Those
 * that have subscribed to "message-summary" are told in their subscription, those of extensions
 * with mwi_unsolicited outside of any dialog: on every change and when they have registered. The
 * counts live as long as the exchange runs; the mailboxes here say theirs anew when it starts. */
#ifndef PBX_FEATURE_MWI_H
#define PBX_FEATURE_MWI_H

#include "pbx/subscription.h"

/* Messages of a mailbox. The urgent ones are among the others: urgent_new <= new. */
struct mwi_counts {
    uint32_t new, old, urgent_new, urgent_old;
};

/* RFC 3842: the resource is the number of the extension that owns the mailbox. A subscriber names
 * its own mailbox by its number, its user name, the code features.voicemail or no user at all. */
extern const struct event_package mwi_package;

/* 0 or -ENOMEM. */
MUST_CHECK int mwi_init(struct pbx *p);
void mwi_done(struct pbx *p);
/* Mailboxes that a reload has removed are forgotten; subscriptions to them end. */
void mwi_reload(struct pbx *p);

/* What the mailbox of an extension holds now; whoever listens is told if that is news. -ENOENT:
 * no such extension, or it has no mailbox; -EINVAL: more urgent messages than messages; -ENOMEM. */
MUST_CHECK int mwi_set(struct pbx *p, struct str number, const struct mwi_counts *counts);
/* All 0 when nobody has said otherwise. */
struct mwi_counts mwi_get(const struct pbx *p, struct str number);
/* A phone of the extension has registered anew. */
void mwi_registered(struct pbx *p, const struct config_extension *e);

#endif
