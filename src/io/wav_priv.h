/* The insides of a WAV file under way, for wav.c and its tests. */
#ifndef IO_WAV_PRIV_H
#define IO_WAV_PRIV_H

#include "io/wav.h"

#define WAV_HEADER_BYTES 44
#define WAV_BUF_SAMPLES  4096

struct wav {
    int fd;
    int err; /* the first error, which ended the file */
    uint32_t rate_hz;
    uint32_t channels;
    uint32_t stored_bytes;        /* samples in the file */
    uint32_t told_bytes;          /* samples that the header tells of */
    uint32_t buf_n;               /* samples that wait in buf */
    int16_t buf[WAV_BUF_SAMPLES]; /* spares a system call for every 20 ms */
};

#endif
