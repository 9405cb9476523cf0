/* Memory that is given back in the opposite order of taking: what lies on a path of a tree. Blocks stay
   where they are and are kept until the end, so a walk allocates only while it first goes deeper. */
#ifndef FOLDLINE_STACK_H
#define FOLDLINE_STACK_H

#include "memory.h"

typedef struct {
    size_t n_blocks, block, used;   /* items are taken from blocks[block], behind `used` bytes */
    char **blocks;
    size_t *sizes;
} fl_stack;

typedef struct {
    size_t block, used;
} fl_stack_mark;

/* From a further block. */
void *fl_stack_take_more(fl_stack *stack, size_t size);
void fl_stack_free(fl_stack *stack);

/* Aligned to a cache line; NULL: out of memory. */
static inline void *fl_stack_take(fl_stack *stack, size_t size)
{
    size = fl_round_up(size, FL_LINE);
    if (stack->block == stack->n_blocks || stack->sizes[stack->block] - stack->used < size)
        return fl_stack_take_more(stack, size);
    void *item = stack->blocks[stack->block] + stack->used;
    stack->used += size;
    return item;
}

static inline fl_stack_mark fl_stack_here(const fl_stack *stack)
{
    return (fl_stack_mark){stack->block, stack->used};
}

static inline void fl_stack_back_to(fl_stack *stack, fl_stack_mark mark)
{
    stack->block = mark.block;
    stack->used = mark.used;
}

#endif
