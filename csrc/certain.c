/* Which signs are sure.

   Let z be the sums of a layer as computed and z* in real arithmetic, a and a* likewise its inputs,
   |a - a*| <= e. With u the unit roundoff and gamma_n = n u / (1 - n u), n inputs and a bias give

       |z - z*| <= gamma_(n+1) (|W| |a| + |b|) + |W| e = |W| c + gamma_(n+1) |b|,   c = gamma_(n+1) |a| + e

   (Higham, Accuracy and Stability of Numerical Algorithms, 2nd edition, section 3.1), component by
   component, plus the smallest number for each operation that may underflow. So one more product, of
   |W| with c, bounds a layer; it runs with rounding upward, which makes it a bound for its own sums
   too. Where no term is added to the bias, z is exact. Call this bound E. Then

       z > E is surely active, z <= -E surely inactive, and an overflow makes E NaN: nothing is sure.

   After the fold, |a - a*| <= s E with s the slope where the sign is sure (0 for an inactive ReLU: its
   error is gone) and max(1, |slope|) where it is not, plus the rounding of slope * z. */
#include <fenv.h>
#include <string.h>

#include "network.h"

/* E of the neurons of one layer, into panels of all neurons. Wants rounding upward. */
static void keep_errors(const struct FL(fl_network) *network, const FL(fl_layer) *layer, const real *carried,
                        real *kept, size_t n_before, size_t n_panels)
{
    const size_t panel = network->kernels->panel;
    for (size_t j = 0, neuron = n_before; j < layer->affine.n_out; j++) {
        if (layer->affine.slopes[j] == 1) continue;
        for (size_t q = 0; q < n_panels; q++)
            for (size_t p = 0; p < panel; p++) {
                const real sum = carried[(q * layer->affine.n_out + j) * panel + p];
                kept[(q * network->n_neurons + neuron) * panel + p] = sum > 0 ? sum + layer->rounding.bias_error[j] : 0;
            }
        neuron++;
    }
}

void FL(fl_track_block)(const struct FL(fl_network) *network, FL(fl_tracked_block) *block, size_t n_points,
                        int want_certain)
{
    const FL(fl_kernels) *kernels = network->kernels;
    const size_t n_panels = (n_points + kernels->panel - 1) / kernels->panel;
    size_t n_done = 0;
    real *errors = block->errors[0], *next_errors = block->errors[1];
    memset(errors, 0, network->n_in * n_panels * kernels->panel * sizeof(real));
    memset(block->certain, 1, FL_BLOCK);

    for (size_t i = 0; i < network->n_layers; i++) {
        const FL(fl_layer) *layer = network->layers + i;
        const size_t n_in = layer->affine.n_in, n_out = layer->affine.n_out, n_before = n_done;
        kernels->layer(&layer->affine, FL_AFFINE, block->inputs, block->sums, block->masks, n_points);
        if (i + 1 == network->n_layers) return;
        if (block->preactivations) {
            for (size_t j = 0; j < n_out; j++) {
                if (layer->affine.slopes[j] == 1) continue;
                for (size_t q = 0; q < n_panels; q++)
                    memcpy(block->preactivations + (q * network->n_neurons + n_done) * kernels->panel,
                           block->sums + (q * n_out + j) * kernels->panel, kernels->panel * sizeof(real));
                n_done++;
            }
        }
        if (want_certain) {
            fesetround(FE_UPWARD);
            kernels->add_relative(errors, block->inputs, layer->rounding.relative_error,
                                  n_in * n_panels * kernels->panel);
            kernels->layer(&layer->magnitude, FL_AFFINE, errors, next_errors, block->masks, n_points);
            if (block->sum_errors) keep_errors(network, layer, next_errors, block->sum_errors, n_before, n_panels);
            kernels->bound(&layer->affine, &layer->rounding, block->sums, next_errors, block->certain, n_points);
            fesetround(FE_TONEAREST);
            real *swap = errors;
            errors = next_errors;
            next_errors = swap;
        }
        kernels->fold(&layer->affine, block->sums, block->inputs, block->masks, n_points);
    }
}
