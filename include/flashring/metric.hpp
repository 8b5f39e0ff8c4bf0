// Metric: how the coordinates of a diffusion map stretch and bend the set that its points lie on.
#pragma once

#include "flashring/kernel_operator.hpp"
#include "flashring/metric_results.hpp"
#include "flashring/model.hpp"
#include "flashring/plan.hpp"

namespace flashring {

/// h is the dual metric, the one of gradients: h_kl tends to grad y_k . grad y_l as beta grows. Its pseudo-inverse is
/// the push-forward metric, in which lengths along the set are those in the space of the points. Eigenvalues below
/// c u e_1, u the roundoff of the working precision, count as zero there; a point that sees itself alone has h = 0,
/// dimension 0.
/// `map`: of the points of `op`, which may have any form, with weight, degree and measure; no set-up pass is made.
/// Passes: those of CarreDuChamp for c functions, one up to 64 on CPUs. Throws Error, on every rank: another pair
/// function than the gaussian (the factor 4 beta is its), fewer than two pairs, a rank outside [1, c], a negative
/// eigenvalue with a time that is not whole. Collective.
Metric metric(KernelOperator &op, const Results &map, int rank);

/// Throws what `metric` throws for that pair function, number of pairs and rank. Not collective.
void check_metric(const PairFunction &pair, int pairs, int rank);

/// Memory of the metric of the first `pairs` pairs of a model. Phases: reading, passes, metric. Collective. Throws
/// Error.
RunPlan plan_metric(const Communicator &communicator, const OperatorOptions &options, const ModelSummary &model,
                    int pairs);

}  // namespace flashring
