/* A multiset of patterns: an open-addressing hash table, keyed by 128 bits of the row. */
#include <stdlib.h>
#include <string.h>

#include "foldline.h"

typedef struct {
    uint64_t key[2];
    uint64_t count;            /* 0: a free place */
} entry;

struct fl_pattern_set {
    entry *entries;
    size_t n_places;           /* a power of two */
    size_t distinct;
};

fl_pattern_set *fl_pattern_set_new(void)
{
    fl_pattern_set *set = malloc(sizeof *set);
    if (!set) return NULL;
    *set = (fl_pattern_set){calloc(1024, sizeof(entry)), 1024, 0};
    if (set->entries) return set;
    free(set);
    return NULL;
}

void fl_pattern_set_free(fl_pattern_set *set)
{
    if (!set) return;
    free(set->entries);
    free(set);
}

/* Multiplication modulo nothing, folded: the 128-bit product's halves, exclusive-or. */
static inline uint64_t mix(uint64_t a, uint64_t b)
{
    const unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* n <= 8 bytes as a word: of 4 or more, two overlapping reads. */
static inline uint64_t read_bytes(const uint8_t *p, size_t n)
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

/* Up to 16 bytes are their own key. Longer rows are hashed twice, with different constants. */
static inline void key_of(const uint8_t *row, size_t n_bytes, uint64_t key[2])
{
    if (n_bytes <= 8) {
        key[0] = read_bytes(row, n_bytes);
        key[1] = 0;
        return;
    }
    if (n_bytes <= 16) {
        key[0] = read_bytes(row, 8);
        key[1] = read_bytes(row + 8, n_bytes - 8);
        return;
    }
    uint64_t a = 0x243f6a8885a308d3, b = 0x13198a2e03707344;
    for (size_t i = 0; i < n_bytes; i += 8) {
        const uint64_t word = read_bytes(row + i, n_bytes - i < 8 ? n_bytes - i : 8);
        a = mix(a ^ word, 0x9e3779b97f4a7c15) + 0xa4093822299f31d0;
        b = mix(b ^ word, 0xd6e8feb86659fd93) + 0x082efa98ec4e6c89;
    }
    key[0] = mix(a, 0x452821e638d01377);
    key[1] = mix(b, 0xbe5466cf34e90c6d);
}

static inline size_t place_of(const uint64_t key[2]) { return mix(key[0] ^ 0x13198a2e03707344, key[1] ^ 0x9e3779b97f4a7c15); }

/* Where the key is, or the free place where it belongs. */
static inline entry *find(const fl_pattern_set *set, const uint64_t key[2], size_t hash)
{
    for (size_t i = hash & (set->n_places - 1);; i = (i + 1) & (set->n_places - 1)) {
        entry *e = set->entries + i;
        if (!e->count || (e->key[0] == key[0] && e->key[1] == key[1])) return e;
    }
}

/* Room for n more keys with at least half of the places free. Growth is fourfold: a key moves seldom. */
static fl_status reserve(fl_pattern_set *set, size_t n)
{
    size_t n_places = set->n_places;
    while (n_places < 2 * (set->distinct + n)) n_places *= 4;
    if (n_places == set->n_places) return FL_OK;
    fl_pattern_set larger = {calloc(n_places, sizeof(entry)), n_places, set->distinct};
    if (!larger.entries) return FL_NO_MEMORY;
    for (size_t i = 0; i < set->n_places; i++) {
        const entry *e = set->entries + i;
        if (e->count) *find(&larger, e->key, place_of(e->key)) = *e;
    }
    free(set->entries);
    *set = larger;
    return FL_OK;
}

static inline void add(fl_pattern_set *set, const uint64_t key[2], size_t hash, uint64_t count)
{
    entry *e = find(set, key, hash);
    if (!e->count) {
        e->key[0] = key[0];
        e->key[1] = key[1];
        set->distinct++;
    }
    e->count += count;
}

fl_status fl_pattern_set_add(fl_pattern_set *set, const uint8_t *patterns, size_t n_rows, size_t n_bytes)
{
    enum { AHEAD = 64 };       /* rows whose places are fetched into cache before they are looked at */
    uint64_t keys[AHEAD][2];
    size_t hashes[AHEAD];
    for (size_t start = 0; start < n_rows; start += AHEAD) {
        const size_t n = n_rows - start < AHEAD ? n_rows - start : AHEAD;
        const fl_status status = reserve(set, n);
        if (status) return status;
        for (size_t i = 0; i < n; i++) {
            key_of(patterns + (start + i) * n_bytes, n_bytes, keys[i]);
            hashes[i] = place_of(keys[i]);
            __builtin_prefetch(set->entries + (hashes[i] & (set->n_places - 1)));
        }
        for (size_t i = 0; i < n; i++) add(set, keys[i], hashes[i], 1);
    }
    return FL_OK;
}

fl_status fl_pattern_set_merge(fl_pattern_set *set, const fl_pattern_set *other)
{
    const fl_status status = reserve(set, other->distinct);
    if (status) return status;
    for (size_t i = 0; i < other->n_places; i++) {
        const entry *e = other->entries + i;
        if (e->count) add(set, e->key, place_of(e->key), e->count);
    }
    return FL_OK;
}

size_t fl_pattern_set_distinct(const fl_pattern_set *set) { return set->distinct; }

size_t fl_pattern_set_singletons(const fl_pattern_set *set)
{
    size_t n = 0;
    for (size_t i = 0; i < set->n_places; i++) n += set->entries[i].count == 1;
    return n;
}
