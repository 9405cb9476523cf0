/* Several arrays in one allocation: take them from an arena without memory to learn its size, then
   again from one that has it. */
#ifndef FOLDLINE_MEMORY_H
#define FOLDLINE_MEMORY_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define FL_LINE 64 /* bytes in a cache line: every array starts on one */

static inline size_t fl_round_up(size_t n, size_t step) { return (n + step - 1) / step * step; }

typedef struct {
    char *base;
    size_t used;
} fl_arena;

static inline void *fl_take(fl_arena *arena, size_t n_items, size_t item_size)
{
    const size_t start = arena->used;
    arena->used += fl_round_up(n_items * item_size, FL_LINE);
    return arena->base ? arena->base + start : NULL;
}

static inline void *fl_take_copy(fl_arena *arena, const void *items, size_t n_items, size_t item_size)
{
    void *copy = fl_take(arena, n_items, item_size);
    if (copy && n_items) memcpy(copy, items, n_items * item_size);
    return copy;
}

/* Gives a measured arena its memory, zeroed, and starts over. Returns what to free, or NULL. */
static inline void *fl_arena_allocate(fl_arena *arena)
{
    void *memory = calloc(1, arena->used + FL_LINE);
    arena->base = memory ? (char *)memory + (FL_LINE - (uintptr_t)memory % FL_LINE) : NULL;
    arena->used = 0;
    return memory;
}

#endif
