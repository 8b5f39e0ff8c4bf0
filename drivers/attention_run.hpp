// The two runs of flashring-attention: of queries, keys and values, and of scores that are given.
#pragma once

#include <functional>

#include "driver.hpp"
#include "flashring/attention_files.hpp"
#include "flashring/threshold_rows.hpp"

namespace flashring {

struct AttentionSettings {
  OperatorOptions op;
  AttentionFiles files;
  AttentionOptions attention;
  ThresholdRowsOptions rows;  ///< of scores that are given; without parameters
  std::string scores;         ///< their file; empty: queries, keys and values are given
  std::string alpha;          ///< as the user typed it; empty: not given
  std::string monitor;        ///< file of metrics; empty: none
  std::string split;          ///< auto, tokens, sequences
  int dim = -1;               ///< axis along which a row of scores lies, counted from the end where negative
  std::int64_t repeats = 1;
};

/// Writes the lines of -monitor FILE, all so far after each call; without a file it is not active. Collective.
class CallMonitor {
 public:
  CallMonitor(const Communicator &communicator, std::string file);
  bool active() const { return !file_.empty(); }
  void add(const std::string &line);

 private:
  const Communicator &communicator_;
  std::string file_, lines_;
};

/// Metrics of a call over tiles; NaN: they do not carry it. Collective.
ThresholdMetrics tile_metrics(const Communicator &communicator, const AttentionOptions &options,
                              const AttentionSaved &saved, const AttentionReport &report);
/// 2-norm of all numbers of these arrays of all ranks. Collective.
double common_norm(const Communicator &communicator, Storage storage,
                   std::initializer_list<const std::vector<std::byte> *> arrays);

/// How sequences lie on ranks: tokens of each on all ranks, or whole ones of a part of the batch or of the heads.
struct Spread {
  std::size_t from_end = 2;      ///< the axis that is spread, counted from the end of (B, H, N, D)
  RowPartition queries, keys;    ///< of that axis of q and of k
  AttentionShape local;          ///< of whole sequences those of this rank, else of all ranks
  std::int64_t first_batch = 0;  ///< of whole sequences the first of this rank
  int first_head = 0;
  bool whole() const { return from_end != 2; }
};
/// `split`: auto, tokens or sequences; auto takes whole sequences where tokens of a rank would not fill a tile of that
/// backend. `tokens`: the object of all ranks. Collective.
Spread spread_over(const Communicator &communicator, const std::string &split, const std::string &backend,
                   const Attention &tokens);
/// `call`, in whose errors this process alone is no rank.
void call_named(const Spread &spread, const std::function<void()> &call);
/// Numbers of -alpha for this rank's heads; and sums over ranks of what each has of the `count` derivatives by them.
std::vector<double> local_alphas(const Spread &spread, const std::vector<double> &alphas);
std::vector<double> gather_alphas(const Communicator &communicator, const Spread &spread, std::size_t count,
                                  const std::vector<double> &mine);
/// Which of this rank's keys are real, as AttentionInput has them. Collective.
std::vector<std::uint8_t> local_padding(const Communicator &communicator, const AttentionFiles &files,
                                        const AttentionShape &shape, const Spread &spread);
/// Of the last call on all ranks. Collective.
AttentionReport common_report(const Communicator &communicator, const Spread &spread, const AttentionReport &mine);

/// O = P V and its gradients, from files to files. Returns an exit code. Collective.
int run_attention(const Communicator &communicator, const DriverOptions &options, const AttentionSettings &settings);

/// The same of the weights of rows of scores that are given. Every rank has whole rows, or a part of every row.
int run_scores(const Communicator &communicator, const DriverOptions &options, const AttentionSettings &settings);

}  // namespace flashring
