// What flashring-attention spreads over ranks: the tokens of all sequences, or whole sequences, which need no ring.
#include <algorithm>
#include <array>

#include "attention_run.hpp"
#include "flashring/check.hpp"

namespace flashring {
namespace {

constexpr std::size_t of_tokens = 2;
constexpr std::size_t of_heads = 3;
constexpr std::size_t of_batch = 4;

/// The longer axis of whole sequences with a part for every rank; of_tokens: there is none.
std::size_t longest_axis(const AttentionShape &shape, int ranks) {
  if (std::max<std::int64_t>(shape.batch, shape.key_heads) < ranks) return of_tokens;
  return shape.batch >= shape.key_heads ? of_batch : of_heads;
}

/// `count` times as many of each.
RowPartition scaled(const RowPartition &partition, std::int64_t count) {
  std::vector<std::int64_t> counts;
  for (int rank = 0; rank < partition.ranks(); ++rank) counts.push_back(count * partition.local_rows(rank));
  return RowPartition::from_counts(counts);
}

}  // namespace

Spread spread_over(const Communicator &communicator, const std::string &split, const std::string &backend,
                   const Attention &tokens) {
  const AttentionShape &shape = tokens.shape();
  Spread spread{of_tokens, tokens.query_partition(), tokens.key_partition(), shape};
  const int ranks = communicator.size();
  communicator.agree([&] {
    FLASHRING_CHECK(split == "auto" || split == "tokens" || split == "sequences", "-split: '", split,
                    "' is unknown; give auto, tokens or sequences");
    FLASHRING_CHECK(split != "sequences" || longest_axis(shape, ranks) != of_tokens, "-split sequences: ", shape.batch,
                    " sequences of ", shape.key_heads, " key heads have no part for each of ", ranks,
                    " ranks; take fewer ranks, or tokens");
  });
  const std::int64_t tile = find_backend(backend).tile_rows;
  const bool ragged = std::max(shape.queries, shape.keys) < tile * ranks;  // parts of tokens would not fill a tile
  if (ranks == 1 || split == "tokens" || (split == "auto" && !ragged)) return spread;
  spread.from_end = longest_axis(shape, ranks);
  if (!spread.whole()) return spread;
  const bool batch = spread.from_end == of_batch;
  spread.keys = RowPartition::contiguous(batch ? shape.batch : shape.key_heads, ranks);
  spread.queries = scaled(spread.keys, batch ? 1 : shape.heads / shape.key_heads);
  const int rank = communicator.rank();
  if (batch) {
    spread.first_batch = spread.keys.global_row(rank, LocalRow{0}).value;
    spread.local.batch = spread.keys.local_rows(rank);
  } else {
    spread.first_head = static_cast<int>(spread.queries.global_row(rank, LocalRow{0}).value);
    spread.local.heads = static_cast<int>(spread.queries.local_rows(rank));
    spread.local.key_heads = static_cast<int>(spread.keys.local_rows(rank));
  }
  return spread;
}

void call_named(const Spread &spread, const std::function<void()> &call) {
  try {
    call();
  } catch (const Error &error) {
    if (!spread.whole()) throw;
    const std::string text = error.what();
    throw Error(error.common() ? text.substr(text.find(": ") + 2) : text);  // without "rank 0: "
  }
}

std::vector<double> local_alphas(const Spread &spread, const std::vector<double> &alphas) {
  if (spread.from_end != of_heads || alphas.size() < 2) return alphas;
  const auto first = alphas.begin() + spread.first_head;
  return {first, first + spread.local.heads};
}

std::vector<double> gather_alphas(const Communicator &communicator, const Spread &spread, std::size_t count,
                                  const std::vector<double> &mine) {
  if (!spread.whole() || mine.empty()) return mine;
  std::vector<double> all(std::max<std::size_t>(count, 1));
  std::copy(mine.begin(), mine.end(), all.begin() + (count > 1 ? spread.first_head : 0));
  communicator.sum(std::span<double>(all));
  return all;
}

std::vector<std::uint8_t> local_padding(const Communicator &communicator, const AttentionFiles &files,
                                        const AttentionShape &shape, const Spread &spread) {
  if (!spread.whole()) return read_key_padding(files, shape, spread.keys, communicator);
  std::vector<std::uint8_t> padding;  // (B, N_k)
  communicator.agree([&] {
    padding = read_key_padding(files, shape, RowPartition::contiguous(shape.keys, 1), *make_self_communicator());
    if (spread.from_end != of_batch || padding.empty()) return;
    const auto first = padding.begin() + spread.first_batch * shape.keys;
    padding = std::vector<std::uint8_t>(first, first + spread.local.batch * shape.keys);
  });
  return padding;
}

AttentionReport common_report(const Communicator &communicator, const Spread &spread, const AttentionReport &mine) {
  AttentionReport all = mine;
  if (!spread.whole()) return all;
  std::array<double, 3> most{static_cast<double>(mine.passes), static_cast<double>(mine.iterations), mine.sum_error};
  std::array<double, 2> sums{mine.tiles_visited, mine.tiles_skipped};
  communicator.max(std::span<double>(most));
  communicator.sum(std::span<double>(sums));
  all.passes = static_cast<int>(most[0]);
  all.iterations = static_cast<int>(most[1]);
  all.sum_error = most[2];
  all.tiles_visited = sums[0];
  all.tiles_skipped = sums[1];
  return all;
}

}  // namespace flashring
