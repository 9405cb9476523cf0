/* A sketch of a multiset of patterns: see foldline.h. */
#include <stdlib.h>

#include "keys.h"

struct fl_pattern_sketch {
    uint8_t registers[FL_SKETCH_REGISTERS];   /* 1 + the most zeros a hash in this register began with */
    int level;
    fl_pattern_set *sample;
};

/* Every bit of the hash depends on every bit of the key's. */
static inline uint64_t stirred(fl_key key)
{
    uint64_t hash = fl_hash_of(key);
    for (int i = 0; i < 2; i++) hash = (hash ^ hash >> 32) * 0xd6e8feb86659fd93;
    return hash ^ hash >> 32;
}

static inline int is_of_level(uint64_t hash, int level) { return !(hash & (((uint64_t)1 << level) - 1)); }

fl_pattern_sketch *fl_pattern_sketch_new(void)
{
    fl_pattern_sketch *sketch = calloc(1, sizeof *sketch);
    if (sketch && !(sketch->sample = fl_pattern_set_new())) {
        free(sketch);
        return NULL;
    }
    return sketch;
}

void fl_pattern_sketch_free(fl_pattern_sketch *sketch)
{
    if (!sketch) return;
    fl_pattern_set_free(sketch->sample);
    free(sketch);
}

/* Goes up so many levels as it takes, leaving the keys that are not of them. */
static fl_status rise(fl_pattern_sketch *sketch, int level)
{
    while (level > sketch->level || fl_pattern_set_distinct(sketch->sample) > FL_SKETCH_KEYS) {
        const int next = level > sketch->level ? level : sketch->level + 1;
        const size_t n = fl_pattern_set_distinct(sketch->sample);
        fl_key *keys = malloc(n * (sizeof(fl_key) + sizeof(uint64_t) + 1) + 1);
        uint64_t *counts = (uint64_t *)(keys + n);
        fl_pattern_set *left = fl_pattern_set_new();
        fl_status status = keys && left ? fl_pattern_set_list(sketch->sample, keys, counts, (uint8_t *)(counts + n))
                                        : FL_NO_MEMORY;
        size_t n_left = 0;
        for (size_t i = 0; !status && i < n; i++)
            if (is_of_level(stirred(keys[i]), next)) {
                keys[n_left] = keys[i];
                counts[n_left++] = counts[i];
            }
        if (!status) status = fl_pattern_set_add_counted(left, keys, counts, n_left);
        free(keys);
        if (status) {
            fl_pattern_set_free(left);
            return status;
        }
        fl_pattern_set_free(sketch->sample);
        sketch->sample = left;
        sketch->level = next;
    }
    return FL_OK;
}

/* A key of the sample is in its register. */
fl_status fl_pattern_sketch_add(fl_pattern_sketch *sketch, const uint8_t *patterns, size_t n_rows, size_t n_bytes)
{
    fl_key keys[FL_KEYS_AT_ONCE];
    for (size_t start = 0; start < n_rows; start += FL_KEYS_AT_ONCE) {
        const size_t n_here = n_rows - start < FL_KEYS_AT_ONCE ? n_rows - start : FL_KEYS_AT_ONCE;
        const size_t n_others = fl_pattern_set_count_familiar(sketch->sample, patterns + start * n_bytes, n_here,
                                                              n_bytes, keys);
        size_t n = 0;
        for (size_t i = 0; i < n_others; i++) {
            const uint64_t hash = stirred(keys[i]), rest = hash << 16 | 1 << 15;
            uint8_t *place = sketch->registers + (hash >> 48);
            const uint8_t rank = (uint8_t)(1 + __builtin_clzll(rest));
            if (rank > *place) *place = rank;
            if (is_of_level(hash, sketch->level)) keys[n++] = keys[i];
        }
        fl_status status = fl_pattern_set_add_keys(sketch->sample, keys, n);
        if (!status) status = rise(sketch, sketch->level);
        if (status) return status;
    }
    return FL_OK;
}

fl_status fl_pattern_sketch_merge(fl_pattern_sketch *sketch, const uint8_t *registers, int level, const fl_key *keys,
                                  const uint64_t *counts, size_t n)
{
    fl_status status = rise(sketch, level);
    for (size_t i = 0; !status && i < n; i++)
        if (is_of_level(stirred(keys[i]), sketch->level))
            status = fl_pattern_set_add_counted(sketch->sample, keys + i, counts + i, 1);
    if (status) return status;
    for (size_t i = 0; i < FL_SKETCH_REGISTERS; i++)
        if (registers[i] > sketch->registers[i]) sketch->registers[i] = registers[i];
    return rise(sketch, sketch->level);
}

const uint8_t *fl_pattern_sketch_registers(const fl_pattern_sketch *sketch) { return sketch->registers; }

int fl_pattern_sketch_level(const fl_pattern_sketch *sketch) { return sketch->level; }

fl_pattern_set *fl_pattern_sketch_sample(const fl_pattern_sketch *sketch) { return sketch->sample; }
