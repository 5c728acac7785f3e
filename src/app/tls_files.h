/* The certificates of a configuration: what io/tls is to read, and what is to be said of them, by
 * the program that serves and by `check`. */
#ifndef APP_TLS_FILES_H
#define APP_TLS_FILES_H

#include "io/tls.h"
#include "pbx/config.h"

#define TLS_FILE_BYTES 4097
#define TLS_FILES_MORE (TLS_MAX_CERTIFICATES - 1)

/* What the configuration says, with file names as OpenSSL wants them. */
struct tls_files {
    char name[3 + 2 * TLS_FILES_MORE][TLS_FILE_BYTES];
    struct tls_certificate more[TLS_FILES_MORE];
    struct tls_config cfg;
};

/* NULL: no memory. It is freed by mem_free(). Names of hosts point into the configuration. */
struct tls_files *tls_files_of(const struct config *config);
/* Returns how many there are. */
unsigned tls_pins_read(struct tls_pin *ret, const struct config_texts *pins);

/* "2027-02-01 12:00 UTC" */
void tls_day_put(char day[32], int64_t until_s);
/* So soon that its owner must be told. */
bool tls_ends_soon(const struct tls_certificate_view *v, int64_t now_s);
/* Phones are served by TLS, the domain that they ask for was given, and no certificate is for
 * it. */
bool tls_lacks_domain(const struct tls_ctx *tls, const struct config *config);

#endif
