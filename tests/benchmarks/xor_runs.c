/* Runs of XOR by the online split rule, each to its end, in plain C: what `xor_runs.py` sets edcore beside.

   Two inputs, fed to both streams; HALF + HALF hidden cells; an output cell of each sign; a bias cell of each sign.
   usage: xor_runs WEIGHTS RUNS EPOCHS TOLERANCE ALPHA U0
   WEIGHTS holds for each run: hidden weights (4 x HIDDEN), hidden biases (2 x HIDDEN), output weights (HIDDEN x 2), output
   biases (2 x 2). All runs are made twice, from the same weights. Prints the seconds of the second time, then the epoch
   at which each run stopped (0: it did not). */
#define _POSIX_C_SOURCE 199309L
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifndef REAL
#define REAL double
#define EXP exp
#define ABS fabs
#endif
#define HALF 4
#define HIDDEN (2 * HALF)

typedef struct {
    REAL hidden[4][HIDDEN], hidden_bias[2][HIDDEN], output[HIDDEN][2], output_bias[2][2];
} Weights;

static const REAL X[4][2] = {{0, 0}, {1, 0}, {0, 1}, {1, 1}};
static const REAL TARGET[4] = {0, 1, 1, 0};

static REAL sigmoid(REAL z, REAL u0) { return 1 / (1 + EXP(-2 * z / u0)); }

static int run(Weights *w, int epochs, REAL tolerance, REAL alpha, REAL u0) {
    for (int epoch = 1; epoch <= epochs; epoch++) {
        REAL total = 0;
        for (int sample = 0; sample < 4; sample++) {
            REAL x[4] = {X[sample][0], X[sample][1], X[sample][0], X[sample][1]}, h[HIDDEN], y[2];
            for (int j = 0; j < HIDDEN; j++) {
                REAL z = w->hidden_bias[0][j] + w->hidden_bias[1][j];
                for (int i = 0; i < 4; i++) z += x[i] * w->hidden[i][j];
                h[j] = sigmoid(z, u0);
            }
            for (int j = 0; j < 2; j++) {
                REAL z = w->output_bias[0][j] + w->output_bias[1][j];
                for (int i = 0; i < HIDDEN; i++) z += h[i] * w->output[i][j];
                y[j] = sigmoid(z, u0);
            }
            REAL e = TARGET[sample] - y[0], part[2] = {e > 0 ? e : 0, e < 0 ? e : 0};
            total += ABS(e);
            for (int j = 0; j < HIDDEN; j++) {
                REAL g = alpha * h[j] * (1 - h[j]) * (j < HALF ? 1 : -1);
                for (int i = 0; i < 4; i++) w->hidden[i][j] += g * part[i >= 2] * x[i];
                for (int k = 0; k < 2; k++) w->hidden_bias[k][j] += g * part[k];
            }
            for (int j = 0; j < 2; j++) {
                REAL g = alpha * y[j] * (1 - y[j]) * (j < 1 ? 1 : -1);
                for (int i = 0; i < HIDDEN; i++) w->output[i][j] += g * part[i >= HALF] * h[i];
                for (int k = 0; k < 2; k++) w->output_bias[k][j] += g * part[k];
            }
        }
        if (total < tolerance) return epoch;
    }
    return 0;
}

int main(int count, char **arguments) {
    if (count != 7) return 2;
    int runs = atoi(arguments[2]), epochs = atoi(arguments[3]);
    Weights *weights = malloc(2 * runs * sizeof *weights);
    int *stopped = malloc(runs * sizeof *stopped);
    FILE *file = fopen(arguments[1], "rb");
    if (!file || fread(weights, sizeof *weights, runs, file) != (size_t)runs) return 3;
    memcpy(weights + runs, weights, runs * sizeof *weights);
    struct timespec start, end;
    for (int turn = 0; turn < 2; turn++) {
        clock_gettime(CLOCK_MONOTONIC, &start);
        for (int i = 0; i < runs; i++)
            stopped[i] = run(weights++, epochs, atof(arguments[4]), atof(arguments[5]), atof(arguments[6]));
        clock_gettime(CLOCK_MONOTONIC, &end);
    }
    printf("%.9f\n", (end.tv_sec - start.tv_sec) + 1e-9 * (end.tv_nsec - start.tv_nsec));
    for (int i = 0; i < runs; i++) printf("%d ", stopped[i]);
    return 0;
}
