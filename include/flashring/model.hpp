// Model: a diffusion map as results.h5 holds it, to be extended to other points.
#pragma once

#include <string>
#include <vector>

#include "flashring/communicator.hpp"
#include "flashring/pair.hpp"
#include "flashring/points.hpp"
#include "flashring/results.hpp"

namespace flashring {

/// What a model is of, without its rows.
struct ModelSummary {
  PairFunction pair;
  PointShape shape;                    ///< N, d of the features
  int pairs = 0;                       ///< K, psi_0 counted
  std::vector<double> feature_scales;  // (d), or empty: ones
  int knn = 0;                         ///< as in Results
  FeatureMap features = FeatureMap();  ///< what coordinates as given became
};

struct Model {
  ModelSummary summary;
  PointBlock points;  ///< feature map and scales applied, with the lengths or covariances that the pair reads;
                      ///< contiguous row ranges
  Results results;    ///< without pi and mean
};

/// Of the file results.h5 of flashring-diffmap. Collective. Throws Error, the same on every rank, that names the file,
/// what is wrong with it and the remedy: missing, no HDF5, cut off, no diffusion map, of a newer format, an unknown
/// pair function, without points, arrays that do not fit together.
ModelSummary read_model_summary(const std::string &file, const Communicator &communicator);

/// All of it, with the first `pairs` pairs, 1 <= pairs <= K; on any number of ranks, whatever that of the run was.
/// Every rank reads its own rows. Memory: N (d + 2K) / ranks numbers while reading, then N (d + pairs + 3) / ranks.
/// Collective.
Model read_model(const std::string &file, int pairs, const Communicator &communicator);

}  // namespace flashring
