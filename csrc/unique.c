/* A multiset of patterns: an open-addressing hash table, keyed by 128 bits of the row. Of how often a key
   came it knows what is asked for, once or again: two bits a place, so that of a large table the nearer
   caches hold what tells whether a place is free. */
#include <stdlib.h>
#include <string.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "foldline.h"

typedef struct {
    uint64_t low, high;
} key128;

enum { FEWEST_PLACES_LOG2 = 12, FAMILIAR_LOG2 = 12, USED = 1, AGAIN = 2, HUGE_PAGE = 1 << 21 };

struct fl_pattern_set {
    key128 *keys;              /* [n_places] */
    uint64_t *states;          /* [n_places / 32]: USED and AGAIN, two bits a place */
    size_t n_places;           /* a power of two */
    int shift;                 /* 64 - log2(n_places): a key's place is its hash's highest bits */
    size_t distinct;
    /* [1 << FAMILIAR_LOG2]: at the highest bits of its hash, a key that came again, of which there is
       nothing more to learn; before any came, a key that belongs elsewhere. */
    key128 *familiar;
};

/* Multiplication modulo nothing, folded: the 128-bit product's halves, exclusive-or. */
static inline uint64_t mix(uint64_t a, uint64_t b)
{
    const unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t hash_of(key128 key)
{
    return mix(key.low ^ 0x13198a2e03707344, key.high ^ 0x9e3779b97f4a7c15);
}

/* Keys need no zeros; in huge pages, where the system has them, one is reached without a page walk. */
static key128 *new_keys(size_t n_places)
{
    const size_t size = n_places * sizeof(key128);
    if (size < 2 * HUGE_PAGE) return malloc(size);
    key128 *keys = aligned_alloc(HUGE_PAGE, size);
#if defined(__linux__)
    if (keys) madvise(keys, size, MADV_HUGEPAGE);
#endif
    return keys;
}

static int table_new(fl_pattern_set *set, int log2_places)
{
    const size_t n_places = (size_t)1 << log2_places;
    set->keys = new_keys(n_places);
    set->states = calloc(n_places / 32, sizeof(uint64_t));
    set->n_places = n_places;
    set->shift = 64 - log2_places;
    set->distinct = 0;
    if (set->keys && set->states) return 1;
    free(set->keys);
    free(set->states);
    return 0;
}

static inline key128 *familiar_place(const fl_pattern_set *set, uint64_t hash)
{
    return set->familiar + (hash >> (64 - FAMILIAR_LOG2));
}

static inline int same(key128 a, key128 b) { return a.low == b.low && a.high == b.high; }

fl_pattern_set *fl_pattern_set_new(void)
{
    fl_pattern_set *set = calloc(1, sizeof *set);
    if (!set) return NULL;
    set->familiar = calloc((size_t)1 << FAMILIAR_LOG2, sizeof(key128));
    if (!set->familiar || !table_new(set, FEWEST_PLACES_LOG2)) {
        free(set->familiar);
        free(set);
        return NULL;
    }
    familiar_place(set, hash_of((key128){0, 0}))->low = 1;
    return set;
}

void fl_pattern_set_free(fl_pattern_set *set)
{
    if (!set) return;
    free(set->keys);
    free(set->states);
    free(set->familiar);
    free(set);
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
static inline key128 key_of(const uint8_t *row, size_t n_bytes)
{
    if (n_bytes <= 8) return (key128){read_bytes(row, n_bytes), 0};
    if (n_bytes <= 16) return (key128){read_bytes(row, 8), read_bytes(row + 8, n_bytes - 8)};
    uint64_t a = 0x243f6a8885a308d3, b = 0x13198a2e03707344;
    for (size_t i = 0; i < n_bytes; i += 8) {
        const uint64_t word = read_bytes(row + i, n_bytes - i < 8 ? n_bytes - i : 8);
        a = mix(a ^ word, 0x9e3779b97f4a7c15) + 0xa4093822299f31d0;
        b = mix(b ^ word, 0xd6e8feb86659fd93) + 0x082efa98ec4e6c89;
    }
    return (key128){mix(a, 0x452821e638d01377), mix(b, 0xbe5466cf34e90c6d)};
}

/* Adds a key that came once, or again: `state` is USED, or USED | AGAIN. Returns whether it was there. */
static inline int add(fl_pattern_set *set, key128 key, uint64_t hash, uint64_t state)
{
    for (size_t place = hash >> set->shift;; place = (place + 1) & (set->n_places - 1)) {
        uint64_t *states = set->states + place / 32;
        const int at = place % 32 * 2;
        const uint64_t here = *states >> at;
        if (!(here & USED)) {
            set->keys[place] = key;
            *states |= state << at;
            set->distinct++;
            return 0;
        }
        if (same(set->keys[place], key)) {
            if (!(here & AGAIN)) *states |= (uint64_t)AGAIN << at;
            return 1;
        }
    }
}

static void add_all(fl_pattern_set *set, const fl_pattern_set *other)
{
    for (size_t place = 0; place < other->n_places; place++) {
        const uint64_t state = other->states[place / 32] >> place % 32 * 2 & (USED | AGAIN);
        if (state) add(set, other->keys[place], hash_of(other->keys[place]), state);
    }
}

/* Room for n more keys with at least half of the places free. Places are in the order of the hashes, in
   every table: growing one reads and writes from front to back. */
static fl_status reserve(fl_pattern_set *set, size_t n)
{
    int log2_places = 64 - set->shift;
    while ((size_t)1 << log2_places < 2 * (set->distinct + n)) log2_places++;
    if (log2_places == 64 - set->shift) return FL_OK;
    fl_pattern_set larger;
    if (!table_new(&larger, log2_places)) return FL_NO_MEMORY;
    add_all(&larger, set);
    free(set->keys);
    free(set->states);
    larger.familiar = set->familiar;
    *set = larger;
    return FL_OK;
}

__attribute__((always_inline)) static inline fl_status add_rows(fl_pattern_set *set, const uint8_t *patterns,
                                                                size_t n_rows, const size_t n_bytes)
{
    enum { AHEAD = 64 };       /* rows whose places are fetched into cache before they are looked at */
    key128 keys[AHEAD];
    uint64_t hashes[AHEAD];
    for (size_t start = 0; start < n_rows; start += AHEAD) {
        const size_t n = n_rows - start < AHEAD ? n_rows - start : AHEAD;
        const fl_status status = reserve(set, n);
        if (status) return status;
        size_t n_open = 0;
        for (size_t i = 0; i < n; i++) {
            const key128 key = key_of(patterns + (start + i) * n_bytes, n_bytes);
            const uint64_t hash = hash_of(key);
            if (same(*familiar_place(set, hash), key)) continue;
            keys[n_open] = key;
            hashes[n_open++] = hash;
            __builtin_prefetch(set->keys + (hash >> set->shift), 1);
            __builtin_prefetch(set->states + (hash >> set->shift) / 32, 1);
        }
        for (size_t i = 0; i < n_open; i++)
            if (add(set, keys[i], hashes[i], USED)) *familiar_place(set, hashes[i]) = keys[i];
    }
    return FL_OK;
}

fl_status fl_pattern_set_add(fl_pattern_set *set, const uint8_t *patterns, size_t n_rows, size_t n_bytes)
{
    switch (n_bytes) {         /* constants, so that a key is read without a branch */
#define BYTES(n) case n: return add_rows(set, patterns, n_rows, n);
    BYTES(1) BYTES(2) BYTES(3) BYTES(4) BYTES(5) BYTES(6) BYTES(7) BYTES(8)
    BYTES(9) BYTES(10) BYTES(11) BYTES(12) BYTES(13) BYTES(14) BYTES(15) BYTES(16)
#undef BYTES
    default: return add_rows(set, patterns, n_rows, n_bytes);
    }
}

fl_status fl_pattern_set_merge(fl_pattern_set *set, const fl_pattern_set *other)
{
    const fl_status status = reserve(set, other->distinct);
    if (!status) add_all(set, other);
    return status;
}

size_t fl_pattern_set_distinct(const fl_pattern_set *set) { return set->distinct; }

size_t fl_pattern_set_singletons(const fl_pattern_set *set)
{
    size_t n = 0;
    for (size_t i = 0; i < set->n_places / 32; i++) {
        const uint64_t once = set->states[i] & ~(set->states[i] >> 1) & 0x5555555555555555;
        n += (size_t)__builtin_popcountll(once);
    }
    return n;
}
