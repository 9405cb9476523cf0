/* Patterns as 128-bit keys, and hashes of keys. */
#ifndef FOLDLINE_KEYS_H
#define FOLDLINE_KEYS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "foldline.h"

/* Multiplication modulo nothing, folded: the 128-bit product's halves, exclusive-or. */
static inline uint64_t fl_mix(uint64_t a, uint64_t b)
{
    const unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t fl_hash_of(fl_key key)
{
    return fl_mix(key.low ^ 0x13198a2e03707344, key.high ^ 0x9e3779b97f4a7c15);
}

static inline int fl_same(fl_key a, fl_key b) { return a.low == b.low && a.high == b.high; }

/* n <= 8 bytes as a word: of 4 or more, two overlapping reads. */
static inline uint64_t fl_read_bytes(const uint8_t *p, size_t n)
{
    if (n >= 4) {
        uint32_t low, high;
        memcpy(&low, p, 4);
        memcpy(&high, p + n - 4, 4);
        return low | (uint64_t)high << 8 * (n - 4);
    }
    uint64_t word = 0;
    for (size_t i = 0; i < n; i++) word |= (uint64_t)p[i] << 8 * i;
    return word;
}

/* Up to 16 bytes are their own key. Longer rows are hashed twice, with different constants; their last word
   begins where eight bytes are left, and repeats some of the one before. */
static inline fl_key fl_key_of(const uint8_t *row, size_t n_bytes)
{
    if (n_bytes <= 8) return (fl_key){fl_read_bytes(row, n_bytes), 0};
    if (n_bytes <= 16) return (fl_key){fl_read_bytes(row, 8), fl_read_bytes(row + 8, n_bytes - 8)};
    uint64_t a = 0x243f6a8885a308d3, b = 0x13198a2e03707344;
    for (size_t i = 0; i < n_bytes; i += 8) {
        const uint64_t word = fl_read_bytes(row + (i + 8 < n_bytes ? i : n_bytes - 8), 8);
        a = fl_mix(a ^ word, 0x9e3779b97f4a7c15) + 0xa4093822299f31d0;
        b = fl_mix(b ^ word, 0xd6e8feb86659fd93) + 0x082efa98ec4e6c89;
    }
    return (fl_key){fl_mix(a, 0x452821e638d01377), fl_mix(b, 0xbe5466cf34e90c6d)};
}

static inline int fl_bit_of(const uint8_t *pattern, size_t i) { return pattern[i / 8] >> i % 8 & 1; }

static inline size_t fl_hash_pattern(const uint8_t *row, size_t n_bytes)
{
    return (size_t)fl_hash_of(fl_key_of(row, n_bytes));
}

/* Adding to a set in two steps, at most so many rows at a time: the rows whose keys the set saw again lately are
   counted, and the keys of the others listed; these, or some of them, are added. */
enum { FL_KEYS_AT_ONCE = 128 };
size_t fl_pattern_set_count_familiar(fl_pattern_set *set, const uint8_t *patterns, size_t n_rows, size_t n_bytes,
                                     fl_key *others);
fl_status fl_pattern_set_add_keys(fl_pattern_set *set, const fl_key *keys, size_t n);

#endif
