/* Our credentials at trunks. RFC 3261 22.2, 22.3. */
#include "pbx/trunk_int.h"

int trunk_auth_answer(struct pbx *p, const struct config_trunk *conf, const struct sip_out *o,
                      struct auth_challenge *challenge)
{
    struct sip_msg sent;
    char mem[2048];
    struct buf value;
    if (!conf->username.n || !conf->password.secret.n || !o->msg)
        return -ENOENT;
    if (auth_client_choose(challenge, o->msg))
        return -ENOENT;
    struct str request = sip_txn_sent(p->core, o->txn);
    if (!request.p || sip_msg_parse(&sent, request.p, request.n, true) != SIP_OK)
        return -ENOENT;
    struct auth_login login = {.user = conf->username,
                               .password = conf->password.secret,
                               .method = sent.method_text,
                               .uri = sent.ruri_text,
                               .nc = 1};
    int err = auth_client_next(&login.attempt, &sent, challenge);
    if (err)
        return err;
    buf_init(&value, mem, sizeof(mem));
    err = auth_client_answer(&value, p->trunks->digest, &p->rand, challenge, &login);
    if (err)
        return err;
    struct sip_field field = {.id = challenge->answer_in, .value = buf_str(&value)};
    return sip_retry(p->core, p->now, o->txn, &field);
}

int trunk_answer_challenge(struct pbx *p, const struct config_trunk *t, const struct sip_out *o)
{
    struct auth_challenge challenge;
    return trunk_auth_answer(p, t, o, &challenge);
}
