/* A network as the drivers see it: packed for the kernels, in each form that an analysis walks through. */
#ifndef FOLDLINE_NETWORK_H
#define FOLDLINE_NETWORK_H

#include <string.h>

#include "kernels.h"
#include "keys.h"
#include "memory.h"
#include "patience.h"

typedef struct {
    FL(fl_affine) affine;      /* z = W a + b, and the slopes: 1 throughout on the last layer */
    fl_fold fold;              /* FL_AFFINE on the last layer, else FL_RELU_MASKS or FL_SLOPES_MASKS */
    FL(fl_affine) linear;      /* W without the bias, for tangents */
    FL(fl_affine) magnitude;   /* |W| without the bias, for error bounds */
    FL(fl_rounding) rounding;
    const real *rows;          /* [W | b] for maps: [n_out][row_stride], of the first layer
                                  panels of the kernels' map_columns columns, each [n_out][map_columns] */
    size_t row_stride;
} FL(fl_layer);

struct FL(fl_network) {
    const FL(fl_kernels) *kernels;
    size_t n_layers, n_in, n_out, n_neurons;
    size_t widest;             /* the most values between two layers, or at either end */
    size_t n_mask_rows;        /* n_neurons rounded up to 64, and one for units without a bit */
    FL(fl_layer) *layers;
    void *memory;
};

/* Mask rows to packed patterns. */
void FL(fl_write_patterns)(const struct FL(fl_network) *network, const fl_mask_row *masks, uint8_t *patterns,
                           size_t n_points);

/* A block through all layers, keeping track of what rounding may have done: certain.c. */
typedef struct {
    real *inputs;              /* [widest] panels: the points; overwritten */
    real *sums;                /* [widest] panels: scratch; on return the outputs */
    real *errors[2];           /* [widest] panels: scratch */
    real *preactivations;      /* panels of [n_neurons], or null: not wanted */
    real *sum_errors;          /* likewise: what the preactivations may be off by */
    fl_mask_row *masks;
    uint8_t certain[FL_BLOCK]; /* on return: 1 where every bit of the point is proved */
} FL(fl_tracked_block);

void FL(fl_track_block)(const struct FL(fl_network) *network, FL(fl_tracked_block) *block, size_t n_points,
                        int want_certain);

/* Storage for the distances of a block's points. */
typedef struct {
    real *tangents[2], *errors[2];   /* [widest] panels */
    real *lengths;                   /* [n_neurons] panels */
} FL(fl_radius_scratch);

/* Lower bounds for the distances of a block's points to the nearest fold: affine.c. */
void FL(fl_block_radii)(const struct FL(fl_network) *network, const FL(fl_tracked_block) *block, fl_norm norm,
                        const FL(fl_radius_scratch) *scratch, real *radii, size_t n_points,
                        fl_patience *patience);

/* fl_local_maps, for a caller who may not wait for the end. */
fl_status FL(fl_patient_maps)(const struct FL(fl_network) *network, const uint8_t *patterns, size_t n_patterns,
                              real *maps, real *offsets, fl_patience *patience);

#endif
