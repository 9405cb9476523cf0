/* Long calls ask their caller, every now and then, whether to go on. */
#ifndef FOLDLINE_PATIENCE_H
#define FOLDLINE_PATIENCE_H

#include <stddef.h>

typedef struct {
    int (*interrupted)(void *);   /* or NULL */
    void *context;
    size_t work;                  /* since it was asked */
    int is_over;
} fl_patience;

/* Multiply-adds, or what takes as long, between two questions: a few hundredths of a second. */
enum { FL_PATIENCE = 50000000 };

/* After so much work: whether the caller wants no more, and results need not be complete. */
static inline int fl_is_over(fl_patience *patience, size_t work)
{
    patience->work += work;
    if (patience->is_over || patience->work < FL_PATIENCE) return patience->is_over;
    patience->work = 0;
    return patience->is_over = patience->interrupted && patience->interrupted(patience->context);
}

#endif
