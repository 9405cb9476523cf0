#ifndef FOLDLINE_VOLUME_H
#define FOLDLINE_VOLUME_H

#include "cell_kernels.h"
#include "foldline.h"
#include "stack.h"

/* Of a polytope of which every vertex lies on d facets, d <= 6. */
fl_status fl_simple_volume(fl_stack *stack, size_t d, fl_vertex *const *vertices, size_t n, double *volume);

#endif
