#include "stack.h"

enum { LEAST_BLOCK = 1 << 18 };

static int add_block(fl_stack *stack, size_t size)
{
    char **blocks = realloc(stack->blocks, (stack->n_blocks + 1) * sizeof *blocks);
    if (!blocks) return 0;
    stack->blocks = blocks;
    size_t *sizes = realloc(stack->sizes, (stack->n_blocks + 1) * sizeof *sizes);
    if (!sizes) return 0;
    stack->sizes = sizes;
    if (size < LEAST_BLOCK) size = LEAST_BLOCK;
    if (!(blocks[stack->n_blocks] = aligned_alloc(FL_LINE, size))) return 0;
    sizes[stack->n_blocks++] = size;
    return 1;
}

void *fl_stack_take_more(fl_stack *stack, size_t size)
{
    while (stack->block < stack->n_blocks && stack->sizes[stack->block] - stack->used < size) {
        stack->block++;
        stack->used = 0;
    }
    if (stack->block == stack->n_blocks && !add_block(stack, size)) return NULL;
    void *item = stack->blocks[stack->block] + stack->used;
    stack->used += size;
    return item;
}

void fl_stack_free(fl_stack *stack)
{
    for (size_t i = 0; i < stack->n_blocks; i++) free(stack->blocks[i]);
    free(stack->blocks);
    free(stack->sizes);
}
