/* Several arrays in one allocation: take them from an arena without memory to learn its size, then
   again from one that has it. */
#ifndef FOLDLINE_MEMORY_H
#define FOLDLINE_MEMORY_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define FL_LINE 64 /* bytes in a cache line: every array starts on one */

typedef struct {
    char *base;
    size_t used;
} fl_arena;

static inline void *fl_take(fl_arena *arena, size_t n_items, size_t item_size)
{
    const size_t start = arena->used;
    arena->used += (n_items * item_size + FL_LINE - 1) / FL_LINE * FL_LINE;
    return arena->base ? arena->base + start : NULL;
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
